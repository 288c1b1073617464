//! Which mailbox, edge or hook takes it. In: a grant and a snapshot of the directory. Out: a [`Routed`], or why not. Pure.

use crate::directory::Directory;
use crate::journal::Reason;
use crate::trust::Grant;

/// Where a clinic takes its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `maildir:/path`
    Maildir(std::path::PathBuf),
    /// `smtp://host[:port]` (STARTTLS if offered), `smtp+tls://` (STARTTLS demanded and verified), `smtp+plain://` (never).
    Smtp {
        host: String,
        port: u16,
        tls: EdgeTls,
    },
    /// `lmtp://host[:port]`
    Lmtp { host: String, port: u16 },
    /// `lmtp:unix:/path`
    LmtpSocket(std::path::PathBuf),
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

impl Destination {
    /// Reads a route as the operator writes it.
    ///
    /// # Errors
    /// A sentence that says what a route looks like.
    pub fn parse(_text: &str) -> Result<Self, String> {
        todo!()
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

impl std::fmt::Display for Destination {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
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
pub fn route(_grant: Grant, _directory: &Directory) -> Result<Routed, Box<NoRoute>> {
    todo!()
}
