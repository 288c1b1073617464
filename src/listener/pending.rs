//! What is known of a message while its DATA is read. In: what MAIL, RCPT and the session said. Out: the
//! envelope, and our Received field. Never tells of a clinic's network.

use std::net::IpAddr;

use super::command::Mail;
use crate::envelope::{Envelope, ListenerKind, Peer, Recipient, ReturnPath, TrackingId};
use crate::world::Timestamp;

/// The envelope while DATA is read.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) kind: ListenerKind,
    pub(super) account: Option<String>,
    pub(super) peer: Peer,
    pub(super) protocol: &'static str,
    pub(super) mail: Mail,
    pub(super) recipients: Vec<Recipient>,
}

impl Pending {
    /// Whether it is a report by its return path.
    pub(super) fn return_path(&self) -> &ReturnPath {
        &self.mail.return_path
    }

    /// The envelope, once DATA is read.
    pub(super) fn envelope(self, id: TrackingId, received_at: Timestamp) -> Envelope {
        Envelope {
            id,
            listener: self.kind,
            account: self.account,
            peer: self.peer,
            return_path: self.mail.return_path,
            recipients: self.recipients,
            envid: self.mail.envid,
            ret: self.mail.ret,
            body: self.mail.body,
            received_at,
        }
    }

    /// Our Received field (RFC 5321 §4.4). Names no recipient, and of a submission neither the client's
    /// address nor what it calls itself (G-086): both would leave with the message.
    pub(super) fn received(&self, hostname: &str, id: TrackingId, at: Timestamp) -> String {
        let from = match self.kind {
            ListenerKind::Submission => String::new(),
            ListenerKind::Relay => {
                format!(
                    "from {} ({})\r\n\t",
                    name(&self.peer.helo),
                    literal(self.peer.ip)
                )
            }
        };
        let (protocol, date) = (self.protocol, at.rfc5322());
        format!("Received: {from}by {hostname} with {protocol} id {id};\r\n\t{date}\r\n")
    }
}

/// RFC 5321 §4.1.3.
fn literal(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// A HELO name without what has a meaning in a header field.
fn name(helo: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let mask = |c: char| if harmless(c) { c } else { '?' };
    helo.chars().map(mask).collect()
}
