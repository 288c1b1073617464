//! One connection: the shell around [`Session`]. In: a socket. Out: its replies, and messages handed to the gate.
//! Reads with deadlines, writes replies of pipelined commands together (RFC 2920 §3.2), streams DATA into the store.
//! Never decides what to say; never keeps a message in memory beyond what the store does.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::data::{DataReader, Fed};
use super::guard::{Permit, Room};
use super::reply::Reply;
use super::session::{Action, Checked, Facts, Outcome, Pending, Session, Setup, StartTls, Step};
use super::wire::{Cut, Input, Pace, Stream};
use super::{Node, sasl};
use crate::config::ListenerTls;
use crate::crypto::tls;
use crate::envelope::{ListenerKind, ReturnPath, TrackingId};
use crate::limits::{
    DISCARD_TIMEOUT, DRAIN_TIMEOUT, FRAME, GOODBYE_TIMEOUT, HANDSHAKE_TIMEOUT, SESSION_TIMEOUT,
};
use crate::open::{OuterKind, outer_kind};
use crate::store::{Body, BodyError, BodyWriter};
use crate::world::{Monotonic, Socket};

/// Why a connection is over before QUIT.
#[derive(Debug)]
enum Ended {
    /// The peer is gone, or its octets are no TLS.
    Peer,
    /// A deadline passed.
    TimedOut,
    /// The node stops.
    Stopping,
}

/// What the port gives to each connection.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) node: Node,
    pub(super) kind: ListenerKind,
    pub(super) tls: ListenerTls,
    pub(super) stop: watch::Receiver<bool>,
}

/// Serves one connection to its end.
pub(super) async fn converse(port: Port, socket: Socket, permit: Permit) {
    let ip = socket.peer().ip();
    let mut stream = Stream::Clear(socket);
    let mut described = None;
    if port.tls == ListenerTls::Implicit {
        match handshake(&port.node, &mut stream).await {
            Ok(text) => described = Some(text),
            Err(_) => return,
        }
    }
    let starttls = match (port.tls, &port.node.tls) {
        (ListenerTls::StartTls, Some(_)) => StartTls::Offered,
        _ => StartTls::Absent,
    };
    let setup = Setup {
        hostname: port.node.hostname.clone(),
        kind: port.kind,
        starttls,
        size_max: port.node.limits.message_size,
        recipients_max: port.node.limits.recipients,
    };
    let begun = port.node.world.monotonic();
    let mut conversation = Conversation {
        session: Session::new(setup, ip, described),
        node: port.node,
        kind: port.kind,
        ip,
        stop: port.stop,
        stream,
        input: Input::new(),
        replies: Vec::new(),
        begun,
    };
    conversation.run().await;
    drop(permit);
}

/// TLS on a clear stream. What the peer sent before is not carried over.
async fn handshake(node: &Node, stream: &mut Stream) -> Result<String, Ended> {
    let Stream::Clear(socket) = std::mem::replace(stream, Stream::Gone) else {
        return Err(Ended::Peer);
    };
    let Some(context) = &node.tls else {
        return Err(Ended::Peer);
    };
    let peer = socket.peer();
    match node
        .world
        .within(HANDSHAKE_TIMEOUT, context.accept(socket))
        .await
    {
        Ok(Ok(protected)) => {
            let description = tls::describe(&protected);
            *stream = Stream::Tls(Box::new(protected));
            Ok(description)
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, error, "TLS handshake failed");
            Err(Ended::Peer)
        }
        Err(_) => Err(Ended::TimedOut),
    }
}

struct Conversation {
    session: Session,
    node: Node,
    kind: ListenerKind,
    ip: IpAddr,
    stop: watch::Receiver<bool>,
    stream: Stream,
    input: Input,
    replies: Vec<u8>,
    begun: Monotonic,
}

/// Whether there is a next line.
enum Next {
    Line,
    Over,
}

impl Conversation {
    async fn run(&mut self) {
        self.session.greeting().write_to(&mut self.replies);
        let ended = loop {
            match self.turn().await {
                Ok(Next::Line) => {}
                Ok(Next::Over) => break None,
                Err(ended) => break Some(ended),
            }
        };
        match ended {
            Some(Ended::Peer) => return,
            // RFC 5321 §3.8.
            Some(Ended::TimedOut) => {
                self.say(&Reply::new(421, "4.4.2", "waited too long, closing"))
            }
            Some(Ended::Stopping) => self.say(&Reply::new(421, "4.3.2", "shutting down, closing")),
            None => {}
        }
        let world = self.node.world.clone();
        let goodbye = async {
            let _ = self.stream.write(&self.replies).await;
            let _ = self.stream.shutdown().await;
        };
        // The peer may be gone; then nobody is left to tell.
        let _ = world.within(GOODBYE_TIMEOUT, goodbye).await;
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.replies);
    }

    /// One line and what follows from it.
    async fn turn(&mut self) -> Result<Next, Ended> {
        let step = match self.next_line().await? {
            Cut::Line(line) => {
                let room = self.room(&line).await;
                let directory = self.node.gate.directory();
                let facts = Facts {
                    directory: directory.as_ref(),
                    guard: &self.node.guard,
                    room,
                    now: self.node.world.monotonic(),
                };
                self.session.line(&line, &facts)
            }
            Cut::Bad(bad) => self.session.bad_line(bad),
            Cut::More => return Ok(Next::Line),
        };
        let step = match step.action {
            Action::CheckPassword(login) => self.check_password(login).await,
            _ => step,
        };
        if matches!(step.action, Action::StartTls) && !self.input.pending().is_empty() {
            // G-065, CVE-2011-0411: what came with STARTTLS was not protected; it is dropped, and the session with it.
            self.say(&Reply::new(503, "5.5.1", "nothing may follow STARTTLS"));
            return Ok(Next::Over);
        }
        self.say(&step.reply);
        match step.action {
            Action::Listen | Action::CheckPassword(_) => Ok(Next::Line),
            Action::Close => Ok(Next::Over),
            Action::StartTls => self.start_tls().await,
            Action::ReadData(pending) => self.read_message(*pending).await,
        }
    }

    async fn next_line(&mut self) -> Result<Cut, Ended> {
        let asked = self.node.world.monotonic();
        loop {
            if *self.stop.borrow() {
                return Err(Ended::Stopping);
            }
            let cut = self.input.cut();
            if cut != Cut::More {
                return Ok(cut);
            }
            self.flush().await?;
            let now = self.node.world.monotonic();
            let line = self
                .node
                .limits
                .command_timeout
                .saturating_sub(now.since(asked));
            let session = SESSION_TIMEOUT.saturating_sub(now.since(self.begun));
            tokio::select! {
                () = stopped(self.stop.clone()) => return Err(Ended::Stopping),
                read = fill(&self.node, &mut self.stream, &mut self.input, line.min(session)) => read?,
            };
        }
    }

    /// Writes what waits. Called before every wait for input, so that nobody waits for the other (RFC 2920 §3.2).
    async fn flush(&mut self) -> Result<(), Ended> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let span = self.node.limits.command_timeout;
        let written = self
            .node
            .world
            .within(span, self.stream.write(&self.replies))
            .await;
        self.replies.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            // It does not read: no reply will reach it either.
            Ok(Err(_)) | Err(_) => Err(Ended::Peer),
        }
    }

    async fn start_tls(&mut self) -> Result<Next, Ended> {
        self.flush().await?;
        let description = handshake(&self.node, &mut self.stream).await?;
        self.session.tls_started(description);
        Ok(Next::Line)
    }

    async fn check_password(&mut self, login: sasl::Credentials) -> Step {
        let gate = self.node.gate.clone();
        let checked = match gate.authenticate(&login.name, &login.password).await {
            Ok(Some(account)) => Checked::Right { account },
            Ok(None) => Checked::Wrong,
            Err(()) => Checked::Unknown,
        };
        if matches!(checked, Checked::Wrong) {
            // The name is not logged: people type passwords there.
            tracing::info!(ip = %self.ip, "a login failed: wrong name or password");
        }
        let directory = gate.directory();
        let facts = Facts {
            directory: directory.as_ref(),
            guard: &self.node.guard,
            room: Room::Enough,
            now: self.node.world.monotonic(),
        };
        self.session.password_checked(checked, &facts)
    }

    /// The store's room: asked before MAIL only, and at most once a second for all sessions.
    async fn room(&self, line: &[u8]) -> Room {
        let mail = line
            .get(..4)
            .is_some_and(|verb| verb.eq_ignore_ascii_case(b"MAIL"));
        let now = self.node.world.monotonic();
        if !mail {
            return Room::Enough;
        }
        if let Some(room) = self.node.guard.room(now) {
            return room;
        }
        let store = self.node.store.clone();
        let room = match tokio::task::spawn_blocking(move || store.room()).await {
            Ok(Ok((octets, inodes))) => {
                let limits = &self.node.limits;
                let enough = octets >= limits.free_octets && inodes >= limits.free_inodes;
                if enough { Room::Enough } else { Room::Low }
            }
            // A file system that cannot be asked is no place to promise to.
            _ => Room::Low,
        };
        if room == Room::Low {
            tracing::warn!("the store is low on room: mail is deferred");
        }
        self.node.guard.note_room(room, now);
        room
    }

    /// DATA, and what came of it.
    async fn read_message(&mut self, pending: Pending) -> Result<Next, Ended> {
        self.input.widen();
        let id = TrackingId::new(&self.node.world);
        let (outcome, whole) = match self.read_body(&pending, id).await? {
            Ok(body) => (self.hand_over(pending, id, body).await, Whole::Yes),
            Err((outcome, whole)) => (outcome, whole),
        };
        self.input.narrow();
        let step = self.session.data_over(outcome);
        self.say(&step.reply);
        match (step.action, whole) {
            (Action::Listen, Whole::Yes) => Ok(Next::Line),
            _ => Ok(Next::Over),
        }
    }

    /// Streams DATA into a body.
    async fn read_body(
        &mut self,
        pending: &Pending,
        id: TrackingId,
    ) -> Result<Result<Body, (Outcome, Whole)>, Ended> {
        let now = self.node.world.now();
        let received = pending.received(&self.node.hostname, id, now);
        let mut reader = DataReader::new(self.node.limits.message_size);
        let mut sink = Sink::new(self.node.store.bodies().writer(), received);
        let mut waiting = Waiting::new(self.node.limits.command_timeout);
        loop {
            let fed = reader.feed(self.input.pending(), &mut sink.chunk);
            let used = match fed {
                Fed::More => self.input.pending().len(),
                Fed::End { used } => used,
            };
            self.input.consume(used);
            if reader.fault().is_some() {
                sink.give_up();
            } else if sink.chunk.len() >= FRAME {
                sink.store().await;
            }
            if fed != Fed::More {
                break;
            }
            self.flush().await?;
            let bad = reader.fault().is_some() || sink.trouble.is_some();
            if self.wait_for_data(&mut waiting, bad).await? == Patience::Over {
                let outcome = match reader.fault() {
                    Some(fault) => Outcome::Faulty(fault),
                    None => sink.trouble.unwrap_or(Outcome::NoStore),
                };
                return Ok(Err((outcome, Whole::No)));
            }
        }
        if let Some(fault) = reader.fault() {
            return Ok(Err((Outcome::Faulty(fault), Whole::Yes)));
        }
        Ok(sink.finish().await.map_err(|outcome| (outcome, Whole::Yes)))
    }

    /// Waits for more DATA. A message that is bad already is read for [`DISCARD_TIMEOUT`] only.
    async fn wait_for_data(&mut self, waiting: &mut Waiting, bad: bool) -> Result<Patience, Ended> {
        let now = self.node.world.monotonic();
        let discarding = bad.then(|| *waiting.bad_since.get_or_insert(now));
        let discard = discarding.map(|since| DISCARD_TIMEOUT.saturating_sub(now.since(since)));
        if discard.is_some_and(|left| left.is_zero()) {
            return Ok(Patience::Over);
        }
        let draining = waiting.stopping_since;
        let drain = draining.map(|since| DRAIN_TIMEOUT.saturating_sub(now.since(since)));
        let patience = waiting.pace.patience();
        let span = [discard, drain]
            .into_iter()
            .flatten()
            .fold(patience, Duration::min);
        let read = tokio::select! {
            () = stopped(self.stop.clone()), if draining.is_none() => {
                waiting.stopping_since = Some(now);
                return Ok(Patience::Left);
            }
            read = fill(&self.node, &mut self.stream, &mut self.input, span) => read,
        };
        let after = self.node.world.monotonic().since(now);
        match read {
            Ok(octets) => waiting.pace.came(octets, after),
            Err(Ended::TimedOut) if discard == Some(span) => return Ok(Patience::Over),
            Err(Ended::TimedOut) if drain == Some(span) => return Err(Ended::Stopping),
            Err(ended) => return Err(ended),
        }
        Ok(Patience::Left)
    }

    /// Gives the message to the gate; returns after the commit.
    async fn hand_over(&mut self, pending: Pending, id: TrackingId, body: Body) -> Outcome {
        if self.kind == ListenerKind::Relay {
            let looked_at = body.clone();
            let kind = tokio::task::spawn_blocking(move || outer_kind(&looked_at)).await;
            match (kind, pending.return_path()) {
                (Ok(OuterKind::Sealed), _) => {}
                // Decision 9: a clear DSN is read only on `<>`.
                (Ok(OuterKind::ClearDsn), ReturnPath::Null) => {}
                (Ok(_), _) => return Outcome::Clear,
                (Err(_), _) => return Outcome::NoStore,
            }
        }
        let envelope = pending.envelope(id, self.node.world.now());
        match self.node.gate.accept(envelope, body).await {
            Ok(receipt) => Outcome::Spooled(receipt),
            Err(error) => Outcome::Refused(error),
        }
    }
}

/// Whether DATA was read to its true end, so that the next octet is a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

/// Whether there is any left for a message that is bad already.
#[derive(PartialEq, Eq)]
enum Patience {
    Left,
    Over,
}

/// The clocks of one DATA.
struct Waiting {
    pace: Pace,
    bad_since: Option<Monotonic>,
    stopping_since: Option<Monotonic>,
}

impl Waiting {
    fn new(command_timeout: Duration) -> Self {
        Self {
            pace: Pace::new(command_timeout),
            bad_since: None,
            stopping_since: None,
        }
    }
}

/// Reads some octets; how many.
async fn fill(
    node: &Node,
    stream: &mut Stream,
    input: &mut Input,
    span: Duration,
) -> Result<usize, Ended> {
    if span.is_zero() {
        return Err(Ended::TimedOut);
    }
    match node.world.within(span, stream.read(input.space())).await {
        Ok(Ok(octets)) if octets > 0 => {
            input.filled(octets);
            Ok(octets)
        }
        Ok(_) => Err(Ended::Peer),
        Err(_) => Err(Ended::TimedOut),
    }
}

/// Returns when the node is told to stop, or nobody is left to tell it.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// A body in the making. Writes past the memory cap leave the reactor.
struct Sink {
    writer: Option<BodyWriter>,
    chunk: Vec<u8>,
    trouble: Option<Outcome>,
}

impl Sink {
    fn new(writer: BodyWriter, received: String) -> Self {
        Self {
            writer: Some(writer),
            chunk: received.into_bytes(),
            trouble: None,
        }
    }

    /// Nothing of it will be kept.
    fn give_up(&mut self) {
        self.writer = None;
        self.chunk.clear();
    }

    /// Appends what was read.
    async fn store(&mut self) {
        let Some(mut writer) = self.writer.take() else {
            self.chunk.clear();
            return;
        };
        let mut chunk = std::mem::take(&mut self.chunk);
        let spills = writer.spills(chunk.len());
        let append = move || {
            let appended = writer.append(&chunk);
            chunk.clear();
            (appended, writer, chunk)
        };
        let done = if spills {
            tokio::task::spawn_blocking(append).await
        } else {
            Ok(append())
        };
        match done {
            Ok((Ok(()), writer, chunk)) => {
                self.chunk = chunk;
                self.writer = Some(writer);
            }
            Ok((Err(error), ..)) => self.trouble = Some(trouble(&error)),
            Err(_) => self.trouble = Some(Outcome::NoStore),
        }
    }

    /// Ends it.
    async fn finish(mut self) -> Result<Body, Outcome> {
        self.store().await;
        let Some(writer) = self.writer else {
            return Err(self.trouble.unwrap_or(Outcome::NoStore));
        };
        match tokio::task::spawn_blocking(move || writer.finish()).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => Err(trouble(&error)),
            Err(_) => Err(Outcome::NoStore),
        }
    }
}

fn trouble(error: &BodyError) -> Outcome {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    tracing::error!(%error, "a message cannot be written down");
    match error {
        BodyError::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
            Outcome::NoRoom
        }
        _ => Outcome::NoStore,
    }
}
