//! Which mailbox, edge or hook takes it. In: a grant and a snapshot of the directory. Out: a [`Routed`], or why not. Pure.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::directory::{AddressState, Directory, Entry};
use crate::envelope::Address;
use crate::journal::Reason;
use crate::trust::Grant;

/// Where a clinic takes its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `maildir:/path`
    Maildir(PathBuf),
    /// `smtp://host[:port]` (STARTTLS if offered), `smtp+tls://` (STARTTLS demanded and verified), `smtp+plain://` (never).
    Smtp {
        host: String,
        port: u16,
        tls: EdgeTls,
    },
    /// `lmtp://host[:port]`
    Lmtp { host: String, port: u16 },
    /// `lmtp:unix:/path`
    LmtpSocket(PathBuf),
}

/// What an SMTP edge must offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeTls {
    /// STARTTLS if offered; the certificate must be right then.
    Offered,
    /// STARTTLS or nothing.
    Demanded,
    /// Never: for a mail system on the same host.
    Never,
}

/// IANA: smtp.
const SMTP_PORT: u16 = 25;
/// IANA has 24 for "any private mail system"; LMTP servers commonly listen there (RFC 2033 §5: not on 25).
const LMTP_PORT: u16 = 24;
/// What every refusal of [`Destination::parse`] ends with.
const FORMS: &str = "a route is maildir:/path, smtp://host[:port], smtp+tls://host[:port], smtp+plain://host[:port], \
     lmtp://host[:port] or lmtp:unix:/path";

impl Destination {
    /// Reads a route as the operator writes it.
    ///
    /// # Errors
    /// A sentence that says what a route looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let smtp = |rest, tls| {
            let (host, port) = host_and_port(rest, SMTP_PORT)?;
            Ok(Self::Smtp { host, port, tls })
        };
        let read = if let Some(rest) = text.strip_prefix("maildir:") {
            path(rest).map(Self::Maildir)
        } else if let Some(rest) = text.strip_prefix("lmtp:unix:") {
            path(rest).map(Self::LmtpSocket)
        } else if let Some(rest) = text.strip_prefix("lmtp://") {
            host_and_port(rest, LMTP_PORT).map(|(host, port)| Self::Lmtp { host, port })
        } else if let Some(rest) = text.strip_prefix("smtp://") {
            smtp(rest, EdgeTls::Offered)
        } else if let Some(rest) = text.strip_prefix("smtp+tls://") {
            smtp(rest, EdgeTls::Demanded)
        } else if let Some(rest) = text.strip_prefix("smtp+plain://") {
            smtp(rest, EdgeTls::Never)
        } else {
            Err("it begins with none of the known words".to_owned())
        };
        read.map_err(|why| format!("`{text}` is not a route: {why}; {FORMS}"))
    }

    /// maildir, smtp or lmtp.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Maildir(_) => "maildir",
            Self::Smtp { .. } => "smtp",
            Self::Lmtp { .. } | Self::LmtpSocket(_) => "lmtp",
        }
    }
}

/// An absolute path, nothing in it that leads elsewhere.
fn path(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with('/') {
        return Err("the path is not absolute".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("the path holds a control character".to_owned());
    }
    if text.split('/').any(|part| part == "..") {
        return Err("the path holds `..`".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`. An IPv6 address loses its brackets.
fn host_and_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, after)) => {
            let literal: std::net::Ipv6Addr = inside
                .parse()
                .map_err(|_| "what stands in [] is not an IPv6 address".to_owned())?;
            match after.strip_prefix(':') {
                Some(port) => (literal.to_string(), Some(port)),
                None if after.is_empty() => (literal.to_string(), None),
                None => return Err("only :port may follow ]".to_owned()),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host_name(host)?, Some(port)),
            None => (host_name(text)?, None),
        },
    };
    let port = match port {
        None => default,
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|&port| port != 0 && digits.bytes().all(|octet| octet.is_ascii_digit()))
            .ok_or_else(|| "the port is not a number from 1 to 65535".to_owned())?,
    };
    Ok((host, port))
}

/// Lower case. One label is enough here: container networks name hosts so; underscores too.
fn host_name(text: &str) -> Result<String, String> {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
    };
    // RFC 1035 §2.3.4.
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("the host is neither a name nor an address".to_owned())
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maildir(path) => write!(f, "maildir:{}", path.display()),
            Self::LmtpSocket(path) => write!(f, "lmtp:unix:{}", path.display()),
            Self::Lmtp { host, port } => write_host(f, "lmtp", host, *port, LMTP_PORT),
            Self::Smtp { host, port, tls } => {
                let scheme = match tls {
                    EdgeTls::Offered => "smtp",
                    EdgeTls::Demanded => "smtp+tls",
                    EdgeTls::Never => "smtp+plain",
                };
                write_host(f, scheme, host, *port, SMTP_PORT)
            }
        }
    }
}

fn write_host(
    f: &mut fmt::Formatter<'_>,
    scheme: &str,
    host: &str,
    port: u16,
    default: u16,
) -> fmt::Result {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(literal)) => write!(f, "{scheme}://[{literal}]")?,
        _ => write!(f, "{scheme}://{host}")?,
    }
    if port == default {
        Ok(())
    } else {
        write!(f, ":{port}")
    }
}

/// A granted recipient that we know how to reach.
#[must_use]
#[derive(Debug)]
pub struct Routed {
    pub(crate) grant: Grant,
    pub(crate) destination: Destination,
}

impl Routed {
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    pub fn destination(&self) -> &Destination {
        &self.destination
    }
}

/// Why there is no way; the grant comes back, so that `failed` can be said.
#[derive(Debug)]
pub struct NoRoute {
    pub grant: Grant,
    pub reason: Reason,
    pub detail: String,
}

/// Finds the way.
///
/// # Errors
/// [`NoRoute`].
pub fn route(grant: Grant, directory: &Directory) -> Result<Routed, Box<NoRoute>> {
    match way(grant.recipient(), directory.entry(grant.recipient())) {
        Ok(destination) => Ok(Routed { grant, destination }),
        Err((reason, detail)) => Err(Box::new(NoRoute {
            grant,
            reason,
            detail,
        })),
    }
}

fn way(recipient: &Address, entry: Option<&Entry>) -> Result<Destination, (Reason, String)> {
    let Some(entry) = entry else {
        let detail = format!("{recipient} is not in the directory");
        return Err((Reason::UnknownRecipient, detail));
    };
    let state = match entry.state {
        AddressState::Active => return Ok(entry.destination.clone()),
        AddressState::Disabled => "is disabled",
        AddressState::Full => "is full",
        AddressState::Moved => "has moved",
    };
    Err((Reason::AddressInactive, format!("{recipient} {state}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_reads_back_as_the_operator_wrote_it() {
        for (text, kind) in [
            ("maildir:/var/mail/alice", "maildir"),
            ("smtp://mail.clinic.example", "smtp"),
            ("smtp://mail.clinic.example:2525", "smtp"),
            ("smtp+tls://192.0.2.7", "smtp"),
            ("smtp+plain://[2001:db8::1]:26", "smtp"),
            ("lmtp://dovecot", "lmtp"),
            ("lmtp://dovecot:2003", "lmtp"),
            ("lmtp:unix:/run/dovecot/lmtp", "lmtp"),
        ] {
            let read = Destination::parse(text).expect(text);
            assert_eq!(read.to_string(), text);
            assert_eq!(read.kind(), kind);
        }
        let ports =
            ["smtp://a:25", "lmtp://a:24"].map(|text| Destination::parse(text).expect(text));
        assert_eq!(ports.map(|read| read.to_string()), ["smtp://a", "lmtp://a"]);
    }

    #[test]
    fn what_is_no_route_is_refused_with_the_forms_that_are() {
        for text in [
            "",
            "/var/mail/alice",
            "maildir:mail/alice",
            "maildir:/var/../etc",
            "maildir:/a\nb",
            "smtp:host",
            "smtp://",
            "smtp://host:0",
            "smtp://host:65536",
            "smtp://host:+25",
            "smtp://a b",
            "smtp://user@host",
            "smtp://host/path",
            "smtp://2001:db8::1",
            "smtp://[::1]x",
            "lmtp:unix:run",
            "imap://host",
        ] {
            let refusal = Destination::parse(text).expect_err(text);
            assert!(refusal.contains("a route is maildir:/path"), "{refusal}");
        }
    }

    #[test]
    fn only_an_active_address_has_a_way() {
        let address = Address::parse("alice@clinic.example").expect("parses");
        let entry = |state| Entry {
            address: address.clone(),
            tenant: "default".to_owned(),
            state,
            destination: Destination::Maildir("/m".into()),
        };
        assert!(way(&address, Some(&entry(AddressState::Active))).is_ok());
        for (entry, reason, word) in [
            (None, Reason::UnknownRecipient, "not in"),
            (
                Some(entry(AddressState::Disabled)),
                Reason::AddressInactive,
                "disabled",
            ),
            (
                Some(entry(AddressState::Full)),
                Reason::AddressInactive,
                "full",
            ),
            (
                Some(entry(AddressState::Moved)),
                Reason::AddressInactive,
                "moved",
            ),
        ] {
            let (why, detail) = way(&address, entry.as_ref()).expect_err(word);
            assert_eq!(why, reason);
            assert!(detail.contains(word), "{detail}");
        }
    }
}
