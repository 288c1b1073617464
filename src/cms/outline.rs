//! Any BER as an outline, element by element, for support calls. In: a source that anyone may have made.
//! Out: lines up to the first fault, and the fault. Promised: bounded in lines, depth and octets; content
//! of strings is never among the lines. Never done here: meaning, but for the names of a few identifiers.

use std::io::Read;

use super::CmsError;
use super::ber::Reader;
use super::der::{INTEGER, OBJECT_IDENTIFIER, dotted};
use crate::limits::{OUTLINE_LINES_MAX, OUTLINE_OCTETS_MAX};

/// Longest OBJECT IDENTIFIER or INTEGER that is shown.
const SHOWN_MAX: u64 = 64;

/// One element.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    pub depth: usize,
    pub tag: String,
    /// None: indefinite.
    pub length: Option<u64>,
    /// An OBJECT IDENTIFIER with its name, a short INTEGER in hex.
    pub value: Option<String>,
}

/// Reads as far as it goes.
pub fn outline(source: impl Read) -> (Vec<Line>, Option<CmsError>) {
    let mut lines = Vec::new();
    let fault = walk(source, &mut lines).err();
    (lines, fault)
}

fn walk(source: impl Read, lines: &mut Vec<Line>) -> Result<(), CmsError> {
    const WHAT: &str = "an element";
    let mut reader = Reader::new(source, OUTLINE_OCTETS_MAX, "octets of an outline");
    let mut depth = 0_usize;
    loop {
        match reader.peek()? {
            None => {
                reader.leave(WHAT)?;
                depth = depth.saturating_sub(1);
            }
            Some(tag) => {
                if lines.len() >= OUTLINE_LINES_MAX {
                    return Err(CmsError::OverLimit("elements of an outline"));
                }
                let length = reader.peeked_length();
                let mut line = Line {
                    depth,
                    tag: tag_name(tag),
                    length,
                    value: None,
                };
                let is_short = length.is_some_and(|length| length <= SHOWN_MAX);
                if tag & 0x20 != 0 {
                    lines.push(line);
                    reader.enter(tag, WHAT)?;
                    depth += 1;
                    continue;
                }
                if is_short && matches!(tag, OBJECT_IDENTIFIER | INTEGER) {
                    let content = reader.primitive(tag, WHAT)?;
                    line.value = Some(shown(tag, &content));
                    lines.push(line);
                } else {
                    lines.push(line);
                    // A string of any size is streamed past.
                    reader.open_string(tag, WHAT)?;
                    reader.drain_string()?;
                    reader.allow(OUTLINE_OCTETS_MAX, "octets of an outline");
                }
            }
        }
        if depth == 0 {
            return reader.end();
        }
    }
}

fn shown(tag: u8, content: &[u8]) -> String {
    if tag == INTEGER {
        return crate::crypto::hex(content);
    }
    let oid = dotted(content);
    match name(&oid) {
        Some(name) => format!("{oid} ({name})"),
        None => oid,
    }
}

fn tag_name(tag: u8) -> String {
    let number = tag & 0x1f;
    let class = match tag >> 6 {
        0 => {
            let name = match number {
                1 => "BOOLEAN",
                2 => "INTEGER",
                3 => "BIT STRING",
                4 => "OCTET STRING",
                5 => "NULL",
                6 => "OBJECT IDENTIFIER",
                10 => "ENUMERATED",
                12 => "UTF8String",
                16 => "SEQUENCE",
                17 => "SET",
                19 => "PrintableString",
                20 => "T61String",
                22 => "IA5String",
                23 => "UTCTime",
                24 => "GeneralizedTime",
                30 => "BMPString",
                _ => return format!("UNIVERSAL {number}"),
            };
            return name.to_owned();
        }
        1 => "APPLICATION ",
        2 => "",
        _ => "PRIVATE ",
    };
    format!("[{class}{number}]")
}

/// Names of what stands in S/MIME messages, what is refused among them.
pub(super) fn name(oid: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 50] = [
        ("1.2.840.113549.1.7.1", "data"),
        ("1.2.840.113549.1.7.2", "signedData"),
        ("1.2.840.113549.1.7.3", "envelopedData"),
        ("1.2.840.113549.1.7.5", "digestedData"),
        ("1.2.840.113549.1.7.6", "encryptedData"),
        ("1.2.840.113549.1.9.16.1.2", "authData"),
        ("1.2.840.113549.1.9.16.1.9", "compressedData"),
        ("1.2.840.113549.1.9.16.1.23", "authEnvelopedData"),
        ("1.2.840.113549.1.9.3", "contentType"),
        ("1.2.840.113549.1.9.4", "messageDigest"),
        ("1.2.840.113549.1.9.5", "signingTime"),
        ("1.2.840.113549.1.9.15", "smimeCapabilities"),
        ("1.2.840.113549.1.9.16.2.47", "signingCertificateV2"),
        ("1.2.840.113549.1.1.1", "rsaEncryption"),
        ("1.2.840.113549.1.1.5", "sha1WithRSA"),
        ("1.2.840.113549.1.1.7", "RSAES-OAEP"),
        ("1.2.840.113549.1.1.8", "MGF1"),
        ("1.2.840.113549.1.1.9", "pSpecified"),
        ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
        ("1.2.840.113549.1.1.11", "sha256WithRSA"),
        ("1.2.840.113549.1.1.12", "sha384WithRSA"),
        ("1.2.840.113549.1.1.13", "sha512WithRSA"),
        ("1.2.840.113549.2.5", "MD5"),
        ("1.3.14.3.2.26", "SHA-1"),
        ("2.16.840.1.101.3.4.2.1", "SHA-256"),
        ("2.16.840.1.101.3.4.2.2", "SHA-384"),
        ("2.16.840.1.101.3.4.2.3", "SHA-512"),
        ("1.2.840.113549.3.2", "RC2-CBC"),
        ("1.2.840.113549.3.7", "DES-EDE3-CBC"),
        ("2.16.840.1.101.3.4.1.2", "AES-128-CBC"),
        ("2.16.840.1.101.3.4.1.22", "AES-192-CBC"),
        ("2.16.840.1.101.3.4.1.42", "AES-256-CBC"),
        ("2.16.840.1.101.3.4.1.6", "AES-128-GCM"),
        ("2.16.840.1.101.3.4.1.26", "AES-192-GCM"),
        ("2.16.840.1.101.3.4.1.46", "AES-256-GCM"),
        ("2.16.840.1.101.3.4.1.5", "AES-128 key wrap"),
        ("2.16.840.1.101.3.4.1.25", "AES-192 key wrap"),
        ("2.16.840.1.101.3.4.1.45", "AES-256 key wrap"),
        ("1.2.840.10045.2.1", "EC public key"),
        ("1.2.840.10045.3.1.7", "P-256"),
        ("1.3.132.0.34", "P-384"),
        ("1.2.840.10045.4.3.2", "ECDSA with SHA-256"),
        ("1.2.840.10045.4.3.3", "ECDSA with SHA-384"),
        ("1.2.840.10045.4.3.4", "ECDSA with SHA-512"),
        ("1.3.133.16.840.63.0.2", "ECDH, SHA-1 KDF"),
        ("1.3.132.1.11.1", "ECDH, SHA-256 KDF"),
        ("1.3.132.1.11.2", "ECDH, SHA-384 KDF"),
        ("1.3.132.1.11.3", "ECDH, SHA-512 KDF"),
        ("1.2.840.113549.1.9.1", "emailAddress"),
        ("2.5.29.17", "subjectAltName"),
    ];
    let mut names = NAMES.iter();
    names
        .find(|(known, _)| *known == oid)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_goes_as_far_as_the_octets_make_sense() {
        // SEQUENCE of indefinite length { OID id-data, [0] { OCTET STRING } }.
        let mut octets = vec![0x30, 0x80, 6, 9];
        octets.extend([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1]);
        octets.extend([0xa0, 4, 4, 2, 1, 2, 0, 0]);
        let (lines, fault) = outline(octets.as_slice());
        assert_eq!(fault, None);
        let tags: Vec<_> = lines
            .iter()
            .map(|line| (line.depth, line.tag.as_str()))
            .collect();
        let expected = [
            (0, "SEQUENCE"),
            (1, "OBJECT IDENTIFIER"),
            (1, "[0]"),
            (2, "OCTET STRING"),
        ];
        assert_eq!(tags, expected);
        assert_eq!(
            lines.get(1).and_then(|line| line.value.as_deref()),
            Some("1.2.840.113549.1.7.1 (data)")
        );
        for cut in 0..octets.len() {
            let (_, fault) = outline(octets.get(..cut).unwrap_or_default());
            assert!(fault.is_some(), "{cut}");
        }
        octets.push(7);
        assert!(outline(octets.as_slice()).1.is_some(), "something follows");
    }

    #[test]
    fn neither_depth_nor_width_is_without_end() {
        let deep = [0x30, 0x80].repeat(100);
        assert!(matches!(
            outline(deep.as_slice()).1,
            Some(CmsError::OverLimit(_))
        ));
        let wide: Vec<u8> = [vec![0x30, 0x80], [5, 0].repeat(6_000), vec![0, 0]].concat();
        let (lines, fault) = outline(wide.as_slice());
        assert!(lines.len() <= OUTLINE_LINES_MAX);
        assert!(matches!(fault, Some(CmsError::OverLimit(_))));
    }
}
