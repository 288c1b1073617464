//! Hand it over: Maildir, SMTP, LMTP. In: a [`Routed`] and the revealed body, or a notice for our own sender.
//! Out: a [`Delivered`], or later, or never. Maildir exactly once; the others at least once with a stable id.

pub mod sql;

use crate::crypto::tls::ClientContext;
use crate::envelope::{Address, ReturnPath, TrackingId};
use crate::journal::Reason;
use crate::route::{Destination, Routed};
use crate::store::Body;
use crate::trust::Grant;
use crate::world::World;

/// Proof that the edge has it durably (B-008).
#[must_use]
#[derive(Debug)]
pub struct Delivered {
    grant: Grant,
    detail: String,
}

impl Delivered {
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The edge's own words, or the file's name.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// It did not work; what is needed for the next step comes back.
#[derive(Debug)]
pub enum DeliverError {
    /// Try again.
    Later { routed: Routed, detail: String },
    /// Give up.
    Never {
        grant: Grant,
        reason: Reason,
        detail: String,
    },
}

/// What deliveries need from the node.
#[derive(Clone, Debug)]
pub struct Edge {
    pub world: World,
    /// EHLO name.
    pub hostname: String,
    pub tls: ClientContext,
}

/// One hand-over as the edge sees it: what is delivered, for whom, under which stable name.
#[derive(Debug)]
pub struct Parcel<'a> {
    pub message: TrackingId,
    pub recipient: &'a Address,
    pub return_path: ReturnPath,
    /// Lines put before the body: Return-Path, Received, X-Carepost-*; each ends with CRLF.
    pub trace: String,
    pub body: &'a Body,
    pub attempt: u32,
}

/// Delivers what was granted. `body` must be what the grant reveals.
///
/// # Errors
/// [`DeliverError`].
pub async fn deliver(
    _edge: &Edge,
    _routed: Routed,
    _parcel: Parcel<'_>,
) -> Result<Delivered, Box<DeliverError>> {
    todo!()
}

/// What an attempt to hand over came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandOver {
    Done(String),
    Later(String),
    Never(String),
}

/// Hands over without a grant: a notice that carepost itself wrote to one of its own senders. Also the inside of [`deliver`].
pub async fn hand_over(_edge: &Edge, _destination: &Destination, _parcel: &Parcel<'_>) -> HandOver {
    todo!()
}
