//! The events. Each is recorded in the transaction that makes it true.

use serde::Serialize;

use crate::envelope::{Address, TrackingId};

use super::Reason;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// carepost itself.
    Carepost,
    /// Whoever typed a command: the name of the system user.
    Operator(String),
}

impl Actor {
    /// The word in the row.
    pub fn word(&self) -> &str {
        match self {
            Self::Carepost => "carepost",
            Self::Operator(name) => name,
        }
    }
}

/// One thing that happened, and to what.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which tenant's.
    pub tenant: String,
    /// By whom.
    pub actor: Actor,
    /// To which message, if to one.
    pub message: Option<TrackingId>,
    /// For which of its recipients, if for one.
    pub recipient: Option<Address>,
    /// What.
    pub event: Event,
}

impl Entry {
    /// About a message as a whole.
    pub fn message(tenant: &str, message: TrackingId, event: Event) -> Self {
        Self {
            tenant: tenant.to_owned(),
            actor: Actor::Carepost,
            message: Some(message),
            recipient: None,
            event,
        }
    }

    /// About one recipient of a message.
    pub fn leg(tenant: &str, message: TrackingId, recipient: &Address, event: Event) -> Self {
        let entry = Self::message(tenant, message, event);
        Self {
            recipient: Some(recipient.clone()),
            ..entry
        }
    }

    /// About what an operator did.
    pub fn operator(tenant: &str, actor: Actor, event: Event) -> Self {
        Self {
            tenant: tenant.to_owned(),
            actor,
            message: None,
            recipient: None,
            event,
        }
    }
}

/// What can happen. The name in the row is the variant in kebab-case; the fields are its facts.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// T1: durable; 250 follows.
    Accepted {
        listener: &'static str,
        peer: String,
        tls: Option<String>,
        account: Option<String>,
        size: u64,
        recipients: usize,
    },
    /// Decrypted, signature verified, signer bound. `cipher`, `digest`: what the sender used.
    Opened {
        sender: String,
        signer: String,
        cipher: String,
        key_transport: String,
        digest: String,
        wrapped: bool,
    },
    /// Could not be opened. The sender hears nothing.
    Unopenable { reason: Reason, detail: String },
    /// Trusted for this recipient. `path`: subjects from leaf to anchor. `profile`: the rules that were applied.
    Granted {
        anchor: String,
        path: Vec<String>,
        profile: String,
        /// What was let pass: revocation status that is told nowhere, or could not be had.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// Not trusted for this recipient. The sender hears nothing.
    Refused { reason: Reason, detail: String },
    /// Evidence is missing.
    Undecided { needs: Vec<String> },
    /// The same octets were granted before.
    Duplicate { earlier: String },
    /// Handed to the edge.
    Delivered { route: String, detail: String },
    /// The edge cannot take it now. `next`: RFC 3339.
    DeliveryDeferred {
        route: String,
        attempt: u32,
        detail: String,
        next: String,
    },
    /// The edge will never take it.
    Undeliverable { reason: Reason, detail: String },
    /// A report of ours entered the queue. `kind`: processed, dispatched or failed; `report`: its tracking id.
    ReportQueued {
        kind: &'static str,
        report: String,
        to: String,
    },
    /// A report of ours could not be queued.
    CannotAcknowledge {
        kind: &'static str,
        reason: Reason,
        detail: String,
    },
    /// The recipient's certificate was found. `source`: dns-address, dns-domain, local or signer.
    Discovered {
        source: &'static str,
        name: String,
        certificates: usize,
    },
    /// A certificate was judged fit and trusted.
    RecipientTrusted {
        certificate: String,
        anchor: String,
        path: Vec<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// Signed and encrypted.
    Sealed {
        cipher: String,
        key_transport: String,
        digest: String,
        signer: String,
        recipients: usize,
    },
    /// The next hop said 250.
    Relayed {
        host: String,
        tls: Option<String>,
        reply: String,
        attempt: u32,
    },
    /// Not now. `next`: RFC 3339.
    RelayDeferred {
        reason: Reason,
        detail: String,
        attempt: u32,
        next: String,
    },
    /// It entered the road in of this very gateway.
    HandedOver { message: String },
    /// A report arrived and was believed. `kind`: its disposition or action.
    ReportReceived { kind: String, report: String },
    /// A report arrived and was not believed.
    ReportIgnored { reason: Reason, detail: String },
    /// The final answer. Set once.
    Answered {
        answer: &'static str,
        reason: Option<Reason>,
        detail: String,
    },
    /// An answer that came after the final one; never shown to the edge.
    Late { kind: String },
    /// A notice to our own sender entered the queue. `kind`: dsn or mdn.
    NoticeQueued {
        kind: &'static str,
        notice: String,
        to: String,
    },
    /// Work stopped.
    Held { reason: Reason, detail: String },
    /// Work goes on.
    Released,
    /// Taken out by an operator.
    Cancelled { reason: String },
    /// Due now, by an operator.
    Retried,

    /// The gateway started.
    Started {
        version: &'static str,
        openssl: String,
    },
    /// The gateway stopped.
    Stopped,
    /// A domain became ours.
    DomainAdded { domain: String },
    /// A login was made.
    AccountAdded {
        account: String,
        addresses: Vec<String>,
    },
    /// A password was made. Never the password.
    PasswordAdded { account: String, label: String },
    /// A password no longer works.
    PasswordRevoked { account: String, label: String },
    /// An address was added or changed.
    AddressSet { address: String, route: String },
    /// An address was removed.
    AddressRemoved { address: String },
    /// An anchor is trusted from now on.
    AnchorAdded {
        fingerprint: String,
        label: String,
        profile: String,
        direction: String,
    },
    /// An anchor is no longer trusted.
    AnchorRemoved {
        fingerprint: String,
        label: String,
        profile: String,
    },
    /// A bundle is followed from now on. `signer`: fingerprint of the pinned certificate.
    BundleAdded {
        bundle: String,
        source: String,
        signer: Option<String>,
        profile: String,
        direction: String,
    },
    /// A bundle's anchors changed. `diff`: the id of the change; `reason`: of whoever approved it.
    BundleChanged {
        bundle: String,
        digest: String,
        diff: String,
        anchors: usize,
        added: Vec<String>,
        removed: Vec<String>,
        reason: Option<String>,
    },
    /// A change of a bundle waits for approval.
    BundleHeld {
        bundle: String,
        diff: String,
        detail: String,
    },
    /// A bundle could not be refreshed; its anchors stay as they were.
    BundleFailed { bundle: String, detail: String },
    /// A bundle is trusted no longer.
    BundleRemoved { bundle: String, anchors: usize },
    /// One anchor of a bundle is not trusted all the same; without a reason: it is again.
    BundleExclusion {
        bundle: String,
        fingerprint: String,
        reason: Option<String>,
    },
    /// A trust profile was made or got bundles.
    TrustProfileSet {
        profile: String,
        bundles: Vec<String>,
    },
    /// A domain points to a trust profile.
    TrustProfileAssigned {
        domain: String,
        profile: String,
        direction: String,
    },
    /// A certificate and its key came in.
    IdentityAdded {
        fingerprint: String,
        domain: String,
        not_after: String,
    },
}

impl Event {
    /// The row's two columns: the name, and the facts as a JSON object without it.
    pub fn row(&self) -> (String, String) {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let name = value
            .as_object_mut()
            .and_then(|map| map.remove("event"))
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default();
        (name, value.to_string())
    }
}
