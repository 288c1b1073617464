//! Who says they sent it, and to whom. Parsed once; never a bare `String` again.
//! In: octets from SMTP or a header. Out: [`Address`], [`ReturnPath`], [`TrackingId`], [`Envelope`].

mod address;
mod id;

use std::net::IpAddr;

pub use address::{Address, AddressError, parse_domain};
pub use id::{MessageId, ParseIdError, TrackingId};

use crate::world::Timestamp;

/// MAIL FROM. `<>` is a report: it is never answered (RFC 5321 §4.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnPath {
    /// `<>`
    Null,
    /// A person or a system that can be answered.
    To(Address),
}

impl ReturnPath {
    /// The address, if there is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::To(address) => Some(address),
        }
    }
}

/// Which kind of port it came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// From other HISPs; recipients must be ours.
    Relay,
    /// From our clinics, authenticated; the sender must be theirs.
    Submission,
}

impl ListenerKind {
    /// The word in rows, logs and configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Submission => "submission",
        }
    }

    /// Reads [`ListenerKind::word`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Relay, Self::Submission]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// One RCPT TO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The mailbox.
    pub address: Address,
    /// NOTIFY as sent (RFC 3461 §4.1), if it was.
    pub notify: Option<String>,
    /// ORCPT as sent (RFC 3461 §4.2), if it was.
    pub orcpt: Option<String>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn plain(address: Address) -> Self {
        Self {
            address,
            notify: None,
            orcpt: None,
        }
    }
}

/// Who was at the other end of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// What it called itself (HELO or EHLO). Never believed.
    pub helo: String,
    /// TLS version and cipher, if the session was protected.
    pub tls: Option<String>,
}

/// Everything SMTP said about one message. One message has at least one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Our id for it.
    pub id: TrackingId,
    /// Which listener took it.
    pub listener: ListenerKind,
    /// The account that submitted it (submission only).
    pub account: Option<String>,
    /// The other end.
    pub peer: Peer,
    /// MAIL FROM.
    pub return_path: ReturnPath,
    /// RCPT TO, in order, without duplicates.
    pub recipients: Vec<Recipient>,
    /// ENVID (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// RET (RFC 3461 §4.3): `FULL` or `HDRS`.
    pub ret: Option<String>,
    /// BODY (RFC 6152): `7BIT` or `8BITMIME`.
    pub body: Option<String>,
    /// When the last octet of DATA was read.
    pub received_at: Timestamp,
}
