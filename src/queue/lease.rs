//! The right to work on one job, and what becomes of it when its worker breaks off.
//! A lease is settled once, by value. One that is dropped unsettled (a panic, a failed commit) is due again
//! after [`crate::limits::RETRY_BROKEN_OFF`], not only when it runs out.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Job;

/// The right to work on one job until it is settled or the lease runs out. Not Clone, and used up by
/// settling:
///
/// ```
/// use carepost::{queue::{Lease, sql}, store::{StoreError, Tx}};
/// async fn settle(tx: &mut Tx, lease: Lease) -> Result<bool, StoreError> {
///     sql::done(tx, lease).await
/// }
/// ```
/// Settling twice does not compile:
/// ```compile_fail,E0382
/// use carepost::{queue::{Lease, sql}, store::{StoreError, Tx}};
/// async fn settle(tx: &mut Tx, lease: Lease) -> Result<bool, StoreError> {
///     sql::done(tx, lease).await?;
///     sql::done(tx, lease).await
/// }
/// ```
/// A lease may be lent:
/// ```
/// use carepost::queue::Lease;
/// fn two(lease: &Lease) -> (&Lease, &Lease) {
///     (lease, lease)
/// }
/// ```
/// A second one cannot be made of it:
/// ```compile_fail,E0308
/// use carepost::queue::Lease;
/// fn two(lease: &Lease) -> (&Lease, Lease) {
///     (lease, lease.clone())
/// }
/// ```
#[must_use = "a lease that is dropped is tried again"]
#[derive(Debug)]
pub struct Lease {
    job: Job,
    attempt: u32,
    ticket: Ticket,
}

impl Lease {
    pub(super) fn new(job: Job, attempt: u32, token: &str, returns: &Arc<Returns>) -> Self {
        let ticket = Ticket {
            job: job.id.clone(),
            token: token.to_owned(),
            returns: Arc::clone(returns),
            end: End::Tell,
        };
        Self {
            job,
            attempt,
            ticket,
        }
    }

    /// The work.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// This attempt included; committed before the work began.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// No other lease has it.
    pub fn token(&self) -> &str {
        &self.ticket.token
    }

    /// Its settlement is durable.
    pub(super) fn spend(mut self) {
        self.ticket.end = End::Spent;
    }
}

/// Tells the queue when its lease is gone.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) job: String,
    pub(super) token: String,
    returns: Arc<Returns>,
    end: End,
}

/// What dropping a ticket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing: it was settled.
    Spent,
    /// Gives it back and wakes the driver.
    Tell,
    /// Gives it back; the driver is awake and found that the store fails.
    Return,
}

impl Ticket {
    pub(super) fn spend(mut self) {
        self.end = End::Spent;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.end == End::Spent {
            return;
        }
        let returns = Arc::clone(&self.returns);
        let again = Self {
            job: std::mem::take(&mut self.job),
            token: std::mem::take(&mut self.token),
            returns: Arc::clone(&returns),
            end: End::Return,
        };
        returns.lock().push(again);
        if self.end == End::Tell {
            returns.queue.notify_one();
        }
    }
}

/// Leases that were dropped unsettled. The next [`super::sql::lease_due`] makes their jobs due again.
#[derive(Debug)]
pub(crate) struct Returns {
    tickets: Mutex<Vec<Ticket>>,
    queue: Arc<Notify>,
}

impl Returns {
    /// `queue` is told of each.
    pub(crate) fn new(queue: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            tickets: Mutex::default(),
            queue,
        })
    }

    /// What was given back. A ticket that is not spent comes back once more.
    pub(super) fn take(&self) -> Vec<Ticket> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Ticket>> {
        // A list of tickets is whole after a panic.
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
