//! One process: opens the store, loads the snapshots, binds the ports, runs the roads, until it is told to stop.
//! In: a checked configuration and a stop signal. Out: a running gateway; a stop that loses nothing.

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use crate::admin;
use crate::certs::{self, KeyRing};
use crate::config::{Config, ListenerTls};
use crate::crypto::tls::{ClientContext, ServerContext};
use crate::deliver::Edge;
use crate::directory::{self, Directory};
use crate::discover::{Resolver, ResolverSettings};
use crate::draft::{self, Draft, Submitted, prepare};
use crate::envelope::{Envelope, ListenerKind};
use crate::fetch::{Allowed, EvidenceCache, Fetcher, Rest};
use crate::journal::{Actor, Entry, Event, Reason};
use crate::limits;
use crate::listener::{self, AcceptError, BoxFuture, Gate, Listener, Node};
use crate::notify::sql::{self as answers, Post};
use crate::open::Opened;
use crate::queue::{self, Job, JobKind, Lease, legs, sql as jobs};
use crate::relay::Relay;
use crate::route::Routed;
use crate::spool::{self, Accepted, Receipt, SpoolError, Start};
use crate::store::{Body, KeyEncryptionKey, Paths, Store, StoreError};
use crate::trust::{Anchors, Waiting};
use crate::world::{Timestamp, World};
use crate::{bundles, inbound, outbound};

/// What is known of trust, directory and keys at one moment. Swapped as a whole.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Of the store, before the rows were read; None: nothing was read yet.
    epoch: Option<u64>,
    pub anchors: Arc<Anchors>,
    pub directory: Arc<Directory>,
    pub keys: Arc<KeyRing>,
}

/// The node. Everything that the roads touch hangs here.
#[derive(Debug)]
pub struct Gateway {
    pub world: World,
    pub store: Store,
    pub config: Config,
    pub resolver: Resolver,
    pub relay: Relay,
    pub edge: Edge,
    /// Fetches what others publish.
    pub fetcher: Fetcher,
    /// Revocation lists and the like, and how to get more.
    pub evidence: EvidenceCache,
    snapshot: RwLock<Arc<Snapshot>>,
    /// One load at a time.
    loading: tokio::sync::Mutex<()>,
    /// CPU work: as many as the machine has cores.
    cpu: Semaphore,
    /// Seats for messages that are worked on in memory; what finds none waits in the queue.
    room: Arc<Semaphore>,
}

/// A seat in the room. Work hands its seat on to the work that it brings about, so that nobody who has one
/// waits for another (no deadlock), and no task holds a body while it waits. The room is empty when nothing
/// is worked on.
type Seat = Arc<OwnedSemaphorePermit>;

tokio::task_local! {
    static SEAT: Seat;
}

/// Messages worked on at once: enough to hide the waiting of discovery and relay, few enough to bound memory
/// (256 KiB a body at most, 64 MiB together).
const WORK_MAX: usize = 256;
/// How long a stop waits for work in flight.
const DRAIN: Duration = Duration::from_secs(30);

impl Gateway {
    /// Opens the store and makes the node; binds nothing yet.
    ///
    /// # Errors
    /// Two lines for the operator.
    pub async fn open(config: Config, world: World) -> Result<Arc<Self>, String> {
        let key = KeyEncryptionKey::read(&config.kek_file).map_err(|error| error.to_string())?;
        let paths = Paths {
            database: config.database.clone(),
            blobs: config.blobs.clone(),
        };
        let store = Store::open(&paths, &config.hostname, key, world.clone())
            .await
            .map_err(|error| error.to_string())?;
        let settings = ResolverSettings {
            servers: config.dns_servers.clone(),
        };
        let resolver = Resolver::new(&settings, world.clone())?;
        let tls = ClientContext::new(config.tls_ca_file.as_deref())?;
        let hostname = config.hostname.clone();
        let edge = Edge::new(
            world.clone(),
            resolver.clone(),
            hostname.clone(),
            tls.clone(),
        );
        let relay = Relay::new(
            world.clone(),
            resolver.clone(),
            hostname,
            config.relay_port,
            tls,
        );
        let allowed = Allowed {
            nets: config.fetch_allow.clone(),
            rest: Rest::Public,
        };
        let roots = config.fetch_ca_file.as_deref();
        let fetcher = Fetcher::new(world.clone(), resolver.clone(), allowed, roots)?;
        let gateway = Arc::new(Self {
            evidence: EvidenceCache::new(fetcher.clone(), Some(&config.fetched)),
            fetcher,
            world,
            store,
            config,
            resolver,
            relay,
            edge,
            snapshot: RwLock::default(),
            loading: tokio::sync::Mutex::default(),
            cpu: Semaphore::new(cores()),
            room: Arc::new(Semaphore::new(WORK_MAX)),
        });
        gateway.reload().await.map_err(|error| error.to_string())?;
        Ok(gateway)
    }

    /// The snapshot as of now: a change that was committed before this call is in it.
    pub async fn snapshot(&self) -> Arc<Snapshot> {
        if self.latest().epoch != Some(self.store.epoch())
            && let Err(error) = self.reload().await
        {
            self.complain("serve::snapshot", &error.to_string());
        }
        self.latest()
    }

    fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(
            &self
                .snapshot
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    /// Reads trust, directory and keys anew, if the store has changed since.
    ///
    /// # Errors
    /// [`StoreError`]; the old snapshot stays.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.loading.lock().await;
        let epoch = Some(self.store.epoch());
        if self.latest().epoch == epoch {
            return Ok(());
        }
        let snapshot = Snapshot {
            epoch,
            anchors: Arc::new(bundles::load(&self.store, self.config.revocation).await?),
            directory: Arc::new(directory::load(&self.store).await?),
            keys: Arc::new(certs::load(&self.store).await?),
        };
        for alarm in snapshot.keys.alarms(self.world.now()) {
            tracing::warn!(domain = %alarm.domain, "{}", alarm.text);
        }
        *self
            .snapshot
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(snapshot);
        Ok(())
    }

    /// CPU work on a thread of its own, as many at once as there are cores. None if it panicked.
    pub async fn compute<T, F>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let _permit = self.cpu.acquire().await.ok()?;
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Some(done),
            Err(error) => {
                self.complain("serve::compute", &error.to_string());
                None
            }
        }
    }

    /// Whether a verdict on what came at this time may still be put off.
    pub fn waiting(&self, since: Timestamp) -> Waiting {
        if self.world.now().since(since) < self.config.revocation_wait {
            Waiting::Possible
        } else {
            Waiting::Over
        }
    }

    /// What writing a notice needs.
    pub fn post(&self, snapshot: &Snapshot) -> Post {
        Post {
            directory: Arc::clone(&snapshot.directory),
            hostname: self.config.hostname.clone(),
        }
    }

    /// When this job is tried again; None if its life is over by then.
    pub fn next_attempt(&self, lease: &Lease) -> Option<Timestamp> {
        let [jitter] = self.world.random::<1>();
        queue::next_attempt(
            lease.attempt(),
            self.world.now(),
            lease.job().expires_at,
            jitter,
        )
    }

    /// Ends a job that has nothing left to do.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_job(&self, lease: Lease) -> Result<(), StoreError> {
        self.store
            .write("queue::drop_job", move |tx| {
                Box::pin(async move { jobs::done(tx, lease).await })
            })
            .await
            .map(|_| ())
    }

    /// A mistake of ours, or the machine's, for the log.
    pub fn complain(&self, place: &str, what: &str) {
        tracing::error!(place, "{what}");
    }

    /// Works on a freshly accepted message.
    fn spawn_receive(self: &Arc<Self>, accepted: Accepted, lease: Lease, seat: Seat) {
        let gateway = Arc::clone(self);
        self.spawn(Some(seat), async move {
            inbound::receive(&gateway, accepted, lease).await
        });
    }

    /// Works on a delivery whose message is open in memory.
    pub fn spawn_delivery(self: &Arc<Self>, routed: Routed, lease: Lease, opened: Arc<Opened>) {
        let gateway = Arc::clone(self);
        self.spawn(own_seat(), async move {
            inbound::deliver_granted(&gateway, routed, lease, opened).await
        });
    }

    /// Works on a relay job.
    pub fn spawn_relay(self: &Arc<Self>, lease: Lease, waiting: Option<draft::Waiting>) {
        let gateway = Arc::clone(self);
        self.spawn(own_seat(), async move {
            outbound::send(&gateway, lease, waiting).await
        });
    }

    /// Works on a leased job of any kind, from its rows.
    pub fn spawn_job(self: &Arc<Self>, lease: Lease) {
        self.spawn_leased(lease, own_seat());
    }

    fn spawn_leased(self: &Arc<Self>, lease: Lease, seat: Option<Seat>) {
        let gateway = Arc::clone(self);
        self.spawn(seat, async move { gateway.run_job(lease).await });
    }

    /// Runs work in a seat; without one it takes the next that is free.
    fn spawn<F>(self: &Arc<Self>, seat: Option<Seat>, work: F)
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let gateway = Arc::clone(self);
        tokio::spawn(async move {
            let seat = match seat {
                Some(seat) => seat,
                None => match Arc::clone(&gateway.room).acquire_owned().await {
                    Ok(permit) => Arc::new(permit),
                    // The room is never closed.
                    Err(_) => return,
                },
            };
            let done = SEAT.scope(seat, work).await;
            gateway.note(done);
        });
    }

    async fn run_job(self: &Arc<Self>, lease: Lease) -> Result<(), StoreError> {
        let job = lease.job().clone();
        if job.kind != JobKind::Open && lease.attempt() > limits::ATTEMPTS_MAX {
            return self
                .hold_poison(job, "attempts broke off again and again")
                .await;
        }
        match self.work_on(lease).await {
            // Rows that cannot be read say the same the next time.
            Err(error @ StoreError::Row { .. }) => {
                self.complain("serve::run_job", &error.to_string());
                self.hold_poison(job, &error.to_string()).await
            }
            done => done,
        }
    }

    async fn work_on(self: &Arc<Self>, lease: Lease) -> Result<(), StoreError> {
        match lease.job().kind {
            JobKind::Open => {
                let row = spool::load(&self.store, lease.job().message).await?;
                inbound::receive(self, Accepted::restore(row), lease).await
            }
            JobKind::Deliver => inbound::deliver_again(self, lease).await,
            JobKind::Relay => outbound::send(self, lease, None).await,
        }
    }

    /// A job that cannot come to an end is put where the operator sees it (decision 12).
    async fn hold_poison(&self, job: Job, why: &str) -> Result<(), StoreError> {
        let detail = why.to_owned();
        self.store
            .write("serve::hold_poison", move |tx| {
                Box::pin(async move {
                    if queue::operator::hold_job(tx, &job.id, &detail).await? > 0 {
                        legs::hold(tx, &job, Reason::Poison, &detail).await?;
                        let reason = Reason::Poison;
                        let event = Event::Held { reason, detail };
                        tx.record(Entry::message(&job.tenant, job.message, event));
                    }
                    Ok(())
                })
            })
            .await
    }

    /// With all seats taken a message waits in the queue: durable, and out of memory.
    fn seat(&self) -> (Option<Seat>, Start) {
        match self.free_seat() {
            Some(seat) => (Some(seat), Start::Now),
            None => (None, Start::Queued),
        }
    }

    fn free_seat(&self) -> Option<Seat> {
        Arc::clone(&self.room)
            .try_acquire_owned()
            .ok()
            .map(Arc::new)
    }

    fn note(&self, done: Result<(), StoreError>) {
        if let Err(error) = done {
            self.complain("serve::work", &error.to_string());
        }
    }

    /// Takes up what is due: after a restart, a back-off, an operator's wish. Seats first, then as many
    /// leases: no lease waits for a seat.
    async fn drive_queue(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let woken = self.store.queue_woken();
        loop {
            let first = tokio::select! {
                () = told(&mut stop) => return,
                first = Arc::clone(&self.room).acquire_owned() => first,
            };
            let mut seats: Vec<Seat> = first.ok().map(Arc::new).into_iter().collect();
            while seats.len() < limits::LEASED_AT_ONCE_MAX
                && let Some(seat) = self.free_seat()
            {
                seats.push(seat);
            }
            let most = seats.len();
            let wait = match jobs::lease_due(&self.store, most).await {
                Ok(leases) => {
                    let all = leases.len() == most;
                    for (lease, seat) in leases.into_iter().zip(seats.drain(..)) {
                        self.spawn_leased(lease, Some(seat));
                    }
                    if all {
                        continue;
                    }
                    self.until_next_job().await
                }
                Err(error) => {
                    self.complain("serve::drive_queue", &error.to_string());
                    drop(seats);
                    self.world.sleep(limits::QUEUE_PAUSE).await;
                    continue;
                }
            };
            drop(seats);
            tokio::select! {
                () = told(&mut stop) => return,
                () = woken.notified() => {}
                () = self.world.sleep(wait) => {}
            }
        }
    }

    async fn until_next_job(&self) -> Duration {
        let longest = Duration::from_secs(30);
        match jobs::next_due(&self.store).await {
            Ok(Some(due)) => due
                .since(self.world.now())
                .clamp(Duration::from_millis(10), longest),
            _ => longest,
        }
    }

    /// Turns silence into answers.
    async fn drive_answers(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            // Notices that it puts in the queue share its seat.
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
                return;
            };
            let work = outbound::answer_overdue(&self);
            let done = SEAT.scope(Arc::new(permit), work).await;
            let failed = done.is_err();
            self.note(done);
            let longest = Duration::from_secs(5);
            let wait = match answers::next_overdue(&self.store).await {
                Ok(Some(due)) if !failed => due
                    .since(self.world.now())
                    .clamp(Duration::from_millis(100), longest),
                _ => longest,
            };
            tokio::select! {
                () = told(&mut stop) => return,
                () = self.world.sleep(wait) => {}
            }
        }
    }

    /// Keeps CRLs fresh, so that mail need not wait for them.
    async fn drive_evidence(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = told(&mut stop) => return,
                () = self.world.sleep(limits::REFRESH_LOOK) => {}
            }
            tokio::select! {
                () = told(&mut stop) => return,
                () = self.evidence.refresh() => {}
            }
        }
    }

    /// Refreshes bundles when they are due (D-011).
    async fn drive_bundles(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let work =
                bundles::refresh_due(&self.store, &self.fetcher, limits::BUNDLES_AT_ONCE_MAX);
            tokio::select! {
                () = told(&mut stop) => return,
                done = work => self.note(done),
            }
            tokio::select! {
                () = told(&mut stop) => return,
                () = self.world.sleep(limits::BUNDLE_LOOK) => {}
            }
        }
    }

    /// Keeps the listener's snapshot fresh: operators' changes are journalled, and each entry is announced.
    async fn drive_snapshots(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut events = self.store.events();
        loop {
            let heard = tokio::select! {
                () = told(&mut stop) => return,
                heard = events.recv() => heard,
            };
            if matches!(heard, Err(broadcast::error::RecvError::Closed)) {
                return;
            }
            self.snapshot().await;
        }
    }
}

/// Returns when the order to stop was given, or nobody is left to give it.
async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// The seat of the work that is going on here.
fn own_seat() -> Option<Seat> {
    SEAT.try_with(Arc::clone).ok()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Runs until `stop` turns true; `ready` is told once every port is bound.
///
/// # Errors
/// Two lines for the operator: what happened; what to do.
pub async fn run(config: Config, world: World, stop: watch::Receiver<bool>) -> Result<(), String> {
    let running = start(config, world, stop.clone()).await?;
    running.finish(stop).await;
    Ok(())
}

/// A gateway with its ports bound.
pub struct Running {
    pub gateway: Arc<Gateway>,
    /// The ports, in the order of the configuration (tests bind port 0).
    pub ports: Vec<std::net::SocketAddr>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Opens everything and starts the roads.
///
/// # Errors
/// As [`run`].
pub async fn start(
    config: Config,
    world: World,
    stop: watch::Receiver<bool>,
) -> Result<Running, String> {
    let gateway = Gateway::open(config, world).await?;
    let tls = server_context(&gateway.config)?;
    let node = Node {
        world: gateway.world.clone(),
        store: gateway.store.clone(),
        hostname: gateway.config.hostname.clone(),
        limits: gateway.config.limits.clone(),
        tls,
        guard: listener::Guard::new(&gateway.config.limits),
        gate: Arc::new(Door(Arc::clone(&gateway))),
    };
    let (mut tasks, mut ports) = (Vec::new(), Vec::new());
    for wanted in &gateway.config.listeners {
        let port = gateway.world.listen(wanted.address).await.map_err(|error| {
            format!(
                "port {} cannot be opened: {error}\n  do: stop what uses it, or change [[listener]] address in {}",
                wanted.address,
                gateway.config.file.display()
            )
        })?;
        ports.push(port.local().map_err(|error| error.to_string())?);
        let listener = Listener {
            port,
            kind: wanted.kind,
            tls: wanted.tls,
        };
        tasks.push(tokio::spawn(listener::serve(
            node.clone(),
            listener,
            stop.clone(),
        )));
    }
    let facts = Arc::new(gateway.config.clone());
    let live = Arc::clone(&gateway);
    let handle = admin::Handle::new(gateway.store.clone(), facts, Some(gateway.resolver.clone()))
        .refreshing(Arc::new(move || {
            let live = Arc::clone(&live);
            Box::pin(async move { live.reload().await })
        }));
    let (socket, health) = (gateway.config.admin_socket.clone(), gateway.config.health);
    tasks.push(admin::serve_socket(handle.clone(), socket, stop.clone()).await?);
    tasks.push(admin::serve_health(handle, health, stop.clone()).await?);
    tasks.push(tokio::spawn(
        Arc::clone(&gateway).drive_snapshots(stop.clone()),
    ));
    tasks.push(tokio::spawn(Arc::clone(&gateway).drive_queue(stop.clone())));
    tasks.push(tokio::spawn(
        Arc::clone(&gateway).drive_evidence(stop.clone()),
    ));
    tasks.push(tokio::spawn(
        Arc::clone(&gateway).drive_bundles(stop.clone()),
    ));
    tasks.push(tokio::spawn(Arc::clone(&gateway).drive_answers(stop)));
    announce(&gateway, &ports).await?;
    Ok(Running {
        gateway,
        ports,
        tasks,
    })
}

async fn announce(gateway: &Gateway, ports: &[std::net::SocketAddr]) -> Result<(), String> {
    let openssl = openssl_version();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %openssl, ?ports, "carepost is ready");
    let event = Event::Started {
        version: env!("CARGO_PKG_VERSION"),
        openssl,
    };
    gateway
        .store
        .write("serve::announce", move |tx| {
            Box::pin(async move {
                tx.record(Entry::operator("default", Actor::Carepost, event));
                Ok(())
            })
        })
        .await
        .map_err(|error: StoreError| error.to_string())
}

fn openssl_version() -> String {
    crate::crypto::version().to_owned()
}

impl Running {
    /// Waits for the stop signal, lets work in flight finish, closes the store.
    pub async fn finish(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if stop.changed().await.is_err() {
                break;
            }
        }
        let gateway = self.gateway;
        let drained = gateway
            .world
            .within(DRAIN, async {
                for task in self.tasks {
                    let _ended = task.await;
                }
                // Every piece of work holds a seat.
                let _all = gateway
                    .room
                    .acquire_many(u32::try_from(WORK_MAX).unwrap_or(u32::MAX))
                    .await;
            })
            .await;
        if drained.is_err() {
            tracing::warn!("stopping with work in flight; it is taken up again at the next start");
        }
        gateway.store.close().await;
    }
}

fn server_context(config: &Config) -> Result<Option<ServerContext>, String> {
    if config
        .listeners
        .iter()
        .all(|listener| listener.tls == ListenerTls::Off)
    {
        return Ok(None);
    }
    let load = |certificate: &Path, key: &Path| ServerContext::load(certificate, key);
    load(&config.tls_certificate, &config.tls_key).map(Some)
}

/// The listener's door into the gateway.
struct Door(Arc<Gateway>);

impl Gate for Door {
    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.0.latest().directory)
    }

    fn authenticate<'a>(
        &'a self,
        name: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ()>> {
        Box::pin(async move {
            directory::verify_password(&self.0.store, name, password)
                .await
                .map_err(|error| {
                    self.0.complain("serve::authenticate", &error.to_string());
                })
        })
    }

    fn accept(
        &self,
        envelope: Envelope,
        body: Body,
    ) -> BoxFuture<'_, Result<Receipt, AcceptError>> {
        match envelope.listener {
            ListenerKind::Relay => Box::pin(self.relayed(envelope, body)),
            ListenerKind::Submission => Box::pin(self.submitted(envelope, body)),
        }
    }
}

impl Door {
    async fn relayed(&self, envelope: Envelope, body: Body) -> Result<Receipt, AcceptError> {
        let gateway = &self.0;
        let directory = self.directory();
        let tenants = directory.tenants_of(&envelope.recipients);
        let (seat, start) = gateway.seat();
        let (receipt, accepted, lease) =
            spool::accept(&gateway.store, envelope, tenants, body, start)
                .await
                .map_err(AcceptError::Spool)?;
        if let (Some(lease), Some(seat)) = (lease, seat) {
            gateway.spawn_receive(accepted, lease, seat);
        }
        Ok(receipt)
    }

    async fn submitted(&self, envelope: Envelope, body: Body) -> Result<Receipt, AcceptError> {
        let gateway = &self.0;
        let directory = self.directory();
        let account = envelope.account.clone().unwrap_or_default();
        let tenant = directory
            .tenant_of_account(&account)
            .unwrap_or("default")
            .to_owned();
        let (gateway_, envelope_) = (Arc::clone(gateway), envelope.clone());
        let prepared = tokio::task::spawn_blocking(move || {
            prepare::prepare(
                &envelope_,
                &body,
                &directory,
                gateway_.store.bodies(),
                &gateway_.world,
            )
        })
        .await
        .map_err(|_| later("preparing the message crashed"))?;
        let prepared = prepared.map_err(|refusal| match refusal {
            prepare::Refusal::Rule { enhanced, text } => AcceptError::Refused { enhanced, text },
            prepare::Refusal::Body(error) => AcceptError::Spool(SpoolError::Store(error.into())),
        })?;
        let waits = draft::Waits {
            processed: gateway.config.limits.processed_wait,
        };
        let prepare::Prepared { draft, digest } = prepared;
        let (seat, start) = gateway.seat();
        let stored = draft::submit(
            &gateway.store,
            envelope,
            tenant,
            draft.clone(),
            digest,
            waits,
            start,
        )
        .await
        .map_err(|error| AcceptError::Spool(error.into()))?;
        match stored {
            Submitted::New(stored, leases) => {
                for lease in leases {
                    let (gateway_, waiting) = (Arc::clone(gateway), narrowed(&draft, &lease));
                    gateway.spawn(seat.clone(), async move {
                        outbound::send(&gateway_, lease, Some(waiting)).await
                    });
                }
                Ok(spool::receipt_for(&stored))
            }
            Submitted::Again(stored) => Ok(spool::receipt_for(&stored)),
            Submitted::IdTaken => Err(AcceptError::Refused {
                enhanced: "5.6.0",
                text: "another message with this Message-ID was sent in the last 7 days".to_owned(),
            }),
        }
    }
}

fn narrowed(draft: &Draft, lease: &Lease) -> draft::Waiting {
    let domain = &lease.job().destination;
    let to = draft
        .to
        .iter()
        .filter(|to| to.domain() == domain)
        .cloned()
        .collect();
    draft::Waiting {
        draft: Draft {
            to,
            ..draft.clone()
        },
        hint: None,
    }
}

fn later(what: &'static str) -> AcceptError {
    AcceptError::Spool(SpoolError::Store(StoreError::Row {
        name: "serve::submitted",
        what: what.to_owned(),
    }))
}

const _: () = assert!(
    limits::LEASE.as_secs() > DRAIN.as_secs(),
    "a lease outlives a stop"
);
