//! Hand it over: Maildir, SMTP, LMTP. In: a [`Routed`] and the revealed body, or a notice for our own
//! sender. Out: a [`Delivered`], or later, or never. Maildir exactly once; the others at least once with a
//! stable id. Only what was handed over may be called `dispatched` (B-008):
//!
//! ```
//! # use carepost::{deliver::Delivered, notify::{self, About}, store::Bodies, world::World};
//! fn say(proof: &Delivered, about: &About, bodies: &Bodies, world: &World) {
//!     let _draft = notify::dispatched(proof, about, bodies, world);
//! }
//! ```
//! ```compile_fail,E0308
//! # use carepost::{route::Routed, notify::{self, About}, store::Bodies, world::World};
//! fn say(proof: &Routed, about: &About, bodies: &Bodies, world: &World) {
//!     let _draft = notify::dispatched(proof, about, bodies, world);
//! }
//! ```

mod edge;
mod maildir;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub mod sql;

use crate::crypto::tls::ClientContext;
use crate::discover::Resolver;
use crate::envelope::{Address, ReturnPath, TrackingId};
use crate::journal::Reason;
use crate::limits::RELAY_ATTEMPT_TIMEOUT;
use crate::relay::pool::Pool;
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
    /// Finds the hosts that routes name.
    pub resolver: Resolver,
    /// EHLO name.
    pub hostname: String,
    pub tls: ClientContext,
    /// Open connections kept for the next hand-over, shared by clones.
    pub(crate) pool: Arc<Pool>,
}

impl Edge {
    pub fn new(world: World, resolver: Resolver, hostname: String, tls: ClientContext) -> Self {
        Self {
            world,
            resolver,
            hostname,
            tls,
            pool: Arc::default(),
        }
    }
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
    edge: &Edge,
    routed: Routed,
    parcel: Parcel<'_>,
) -> Result<Delivered, Box<DeliverError>> {
    let granted = routed.grant();
    if granted.message() != parcel.message || granted.recipient() != parcel.recipient {
        // A mistake of ours; nothing of one message may ever reach another's recipient.
        let detail = "the grant is for another message or recipient; nothing was handed over";
        let detail = detail.to_owned();
        return Err(Box::new(DeliverError::Later { routed, detail }));
    }
    let Routed { grant, destination } = routed;
    match hand_over(edge, &destination, &parcel).await {
        HandOver::Done(detail) => Ok(Delivered { grant, detail }),
        HandOver::Later(detail) => {
            let routed = Routed { grant, destination };
            Err(Box::new(DeliverError::Later { routed, detail }))
        }
        HandOver::Never(detail) => Err(Box::new(DeliverError::Never {
            grant,
            reason: Reason::EdgeRefused,
            detail,
        })),
    }
}

/// What an attempt to hand over came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandOver {
    Done(String),
    Later(String),
    Never(String),
}

/// Hands over without a grant: a notice that carepost itself wrote to one of its own senders. Also the
/// inside of [`deliver`].
///
/// It ends before its lease does: two workers must never hand over the same copy.
pub async fn hand_over(edge: &Edge, destination: &Destination, parcel: &Parcel<'_>) -> HandOver {
    let attempt = attempt(edge, destination, parcel);
    match edge.world.within(RELAY_ATTEMPT_TIMEOUT, attempt).await {
        Ok(came_to) => came_to,
        Err(_) => HandOver::Later("the attempt took too long".to_owned()),
    }
}

async fn attempt(edge: &Edge, destination: &Destination, parcel: &Parcel<'_>) -> HandOver {
    match destination {
        Destination::Maildir(path) => maildir::hand_over(&edge.world, path, parcel).await,
        Destination::Smtp { host, port, tls } => edge::smtp(edge, host, *port, *tls, parcel).await,
        Destination::Lmtp { host, port } => edge::lmtp(edge, host, *port, parcel).await,
        Destination::LmtpSocket(path) => edge::lmtp_socket(edge, path, parcel).await,
    }
}
