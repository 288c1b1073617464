//! Single anchors.

use crate::journal::Actor;
use crate::store::{Store, StoreError};
use crate::trust::Anchors;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    #[error("not an anchor: {0}\n  do: give the partner's CA certificate, PEM or DER")]
    Unfit(String),
    #[error("there is no anchor {0}\n  do: see `carepost anchor list`")]
    Unknown(String),
    #[error("{0} fits several anchors\n  do: give more digits of the fingerprint")]
    Ambiguous(String),
    #[error("there is no trust profile {0}\n  do: use `default`")]
    UnknownProfile(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AnchorRow {
    pub fingerprint: String,
    pub label: String,
    pub profile: String,
    pub direction: String,
    pub subject: String,
    pub not_after: String,
    /// Warnings: expired, no CA, small key (D-021).
    pub warnings: Vec<String>,
}

/// Adds an anchor (DER). `direction`: in, out or both. RSA below 2048 bits is refused; the rest is warned about. Idempotent.
///
/// # Errors
/// [`AnchorError`].
pub async fn add_anchor(
    _store: &Store,
    _actor: Actor,
    _der: &[u8],
    _label: Option<&str>,
    _profile: &str,
    _direction: &str,
) -> Result<AnchorRow, AnchorError> {
    todo!()
}

/// Removes by fingerprint (a unique beginning will do) or label.
///
/// # Errors
/// [`AnchorError`].
pub async fn remove_anchor(
    _store: &Store,
    _actor: Actor,
    _which: &str,
) -> Result<AnchorRow, AnchorError> {
    todo!()
}

/// All of them, by label.
///
/// # Errors
/// [`StoreError`].
pub async fn list_anchors(_store: &Store) -> Result<Vec<AnchorRow>, StoreError> {
    todo!()
}

/// The snapshot: every domain with its inbound and outbound anchors (sets of equal profile and direction are shared).
///
/// # Errors
/// [`StoreError`].
pub async fn load(_store: &Store) -> Result<Anchors, StoreError> {
    todo!()
}
