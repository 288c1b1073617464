//! GeneralName (RFC 5280 §4.2.1.6), read by hand: every form, strictly, and none passed over.
//! In: an element. Out: a [`General`], or nothing if it does not decode. Says nothing about what the text
//! in it is worth.

use super::name::Name;
use super::oid::{Oid, is_oid};
use super::tlv::{self, Element, tag};

/// One GeneralName.
#[derive(Debug)]
pub(super) enum General<'a> {
    /// Its type and its value.
    Other(Oid, Element<'a>),
    Mail(&'a str),
    X400,
    Dns(&'a str),
    Directory(Name),
    Edi,
    Uri(&'a str),
    Ip(&'a [u8]),
    Registered,
}

impl<'a> General<'a> {
    pub fn read(name: Element<'a>) -> Option<Self> {
        Some(match name.tag {
            0xa0 => read_other(name.value)?,
            0x81 => Self::Mail(ia5(name.value)?),
            0x82 => Self::Dns(ia5(name.value)?),
            0xa3 => tlv::all(name.value).map(|_| Self::X400)?,
            0xa4 => Self::Directory(Name::parse(name.value)?.name),
            0xa5 => tlv::all(name.value)
                .filter(|parts| !parts.is_empty())
                .map(|_| Self::Edi)?,
            0x86 => Self::Uri(ia5(name.value)?),
            0x87 => Self::Ip(name.value),
            0x88 => is_oid(tag::OID, name.value).then_some(Self::Registered)?,
            _ => return None,
        })
    }

    /// How the form is called.
    pub fn form(&self) -> String {
        let form = match self {
            Self::Other(kind, _) => return format!("otherName {kind}"),
            Self::Mail(_) => "rfc822Name",
            Self::X400 => "x400Address",
            Self::Dns(_) => "dNSName",
            Self::Directory(_) => "directoryName",
            Self::Edi => "ediPartyName",
            Self::Uri(_) => "uniformResourceIdentifier",
            Self::Ip(_) => "iPAddress",
            Self::Registered => "registeredID",
        };
        form.to_owned()
    }
}

/// IA5String: ASCII.
fn ia5(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?;
    text.is_ascii().then_some(text)
}

/// `type-id, [0] EXPLICIT value`.
fn read_other(value: &[u8]) -> Option<General<'_>> {
    let parts = tlv::all(value)?;
    let [kind, value] = parts.as_slice() else {
        return None;
    };
    let inner = tlv::all(value.value).filter(|_| value.tag == tag::CONTEXT_0)?;
    match inner.as_slice() {
        [inner] => Some(General::Other(Oid::of(*kind)?, *inner)),
        _ => None,
    }
}
