//! The closed, published lists: the states of a leg, its final answers, and whose fault an error is.

/// Where one recipient of one message stands. `docs/reasons.md` publishes this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegState {
    /// In: durable, not opened yet.
    Accepted,
    /// In: judged, but evidence is missing; judged again later.
    Undecided,
    /// In: not trusted, or not to be opened. Final; nothing was said to the sender.
    Refused,
    /// In: the same octets were granted to this recipient before. Final.
    Duplicate,
    /// In: granted; being handed to the edge.
    Delivering,
    /// In or notice: the edge has it. Final.
    Delivered,
    /// In or notice: the edge will never have it; the sender was told `failed`. Final.
    Undeliverable,
    /// In: a report that was read and acted on. Final.
    Settled,
    /// Out: waiting for its certificate or its next hop.
    Queued,
    /// Out: the next hop has it; waiting for `processed`.
    Relayed,
    /// Out: `processed` came; waiting for `dispatched` if that was asked for, else final.
    Processed,
    /// Out: `dispatched` came. Final.
    Dispatched,
    /// Out: it failed, and the sender was told. Final.
    Failed,
    /// An operator, or three crashes, stopped it.
    Held,
    /// An operator took it out. Final.
    Cancelled,
}

impl LegState {
    /// All of them, in the order of the road.
    pub const ALL: [Self; 15] = [
        Self::Accepted,
        Self::Undecided,
        Self::Refused,
        Self::Duplicate,
        Self::Delivering,
        Self::Delivered,
        Self::Undeliverable,
        Self::Settled,
        Self::Queued,
        Self::Relayed,
        Self::Processed,
        Self::Dispatched,
        Self::Failed,
        Self::Held,
        Self::Cancelled,
    ];

    /// The word in rows and output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Undecided => "undecided",
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
            Self::Delivering => "delivering",
            Self::Delivered => "delivered",
            Self::Undeliverable => "undeliverable",
            Self::Settled => "settled",
            Self::Queued => "queued",
            Self::Relayed => "relayed",
            Self::Processed => "processed",
            Self::Dispatched => "dispatched",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`LegState::word`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// The one final answer that a sender gets for one recipient (B-017).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It arrived.
    Delivered,
    /// It did not, or silence lasted too long.
    Failed,
}

impl Answer {
    /// The word in rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Answer::word`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Delivered, Self::Failed]
            .into_iter()
            .find(|answer| answer.word() == word)
    }
}

/// Whose fault an error is, hence what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Try again: a time-out, a full disk, a 4xx.
    Later,
    /// Trying again changes nothing: a 5xx, an expired certificate.
    Never,
    /// A mistake of ours; stop and tell the operator.
    Ours,
}
