//! The queue's SQL.

use crate::store::{Store, StoreError, Tx};
use crate::world::Timestamp;

use super::{Job, Lease};

/// Puts a job in, due at `due`. `leased`: this process begins at once, so that no second statement is needed (attempt 1 is committed here).
///
/// # Errors
/// [`StoreError`].
pub async fn put(_tx: &mut Tx, _job: &Job, _due: Timestamp) -> Result<(), StoreError> {
    todo!()
}

/// As [`put`], leased by this process from the start.
///
/// # Errors
/// [`StoreError`].
pub async fn put_leased(_tx: &mut Tx, _job: Job) -> Result<Lease, StoreError> {
    todo!()
}

/// Leases up to `most` due jobs (state ready, due, not leased by a living process), attempt + 1, in one commit.
///
/// # Errors
/// [`StoreError`].
pub async fn lease_due(_store: &Store, _most: usize) -> Result<Vec<Lease>, StoreError> {
    todo!()
}

/// When the earliest ready, unleased job is due.
///
/// # Errors
/// [`StoreError`].
pub async fn next_due(_store: &Store) -> Result<Option<Timestamp>, StoreError> {
    todo!()
}

/// The job is done: removes its row. False if the lease was lost (cancelled or taken): the caller's transaction must then not claim the work.
///
/// # Errors
/// [`StoreError`].
pub async fn done(_tx: &mut Tx, _lease: &Lease) -> Result<bool, StoreError> {
    todo!()
}

/// Not now: frees the lease, due again at `due`.
///
/// # Errors
/// [`StoreError`].
pub async fn retry_at(
    _tx: &mut Tx,
    _lease: &Lease,
    _due: Timestamp,
    _why: &str,
) -> Result<bool, StoreError> {
    todo!()
}

/// Holds it until an operator releases it.
///
/// # Errors
/// [`StoreError`].
pub async fn hold(_tx: &mut Tx, _lease: &Lease, _why: &str) -> Result<bool, StoreError> {
    todo!()
}
