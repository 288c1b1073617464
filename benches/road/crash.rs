//! `scripts/crash N`: kills `serve` with SIGKILL at random points under load, N times, and looks for everything afterwards.
//! In: the number of kills. Out: true if nothing that was acknowledged is lost, no Maildir holds anything twice, and on network
//! edges and relays nothing is doubled but what was in flight at a kill. What was acknowledged is remembered in this process.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use carepost::store::{KeyEncryptionKey, Paths, Store};
use carepost::world::World;

use crate::corpus::{self, Corpus, GATE, PASSWORD, PEER, Parties};
use crate::load::{Mail, Session};
use crate::oracle::{self, Rows};
use crate::sink::{Protocol, Sink};
use crate::site::{Plan, Site, maildir};
use crate::{Options, Outcome};

/// Messages between two kills at most, each way.
const IN_PER_ROUND: usize = 250;
const OUT_PER_ROUND: usize = 60;
/// Sessions each way.
const IN_SESSIONS: usize = 6;
const OUT_SESSIONS: usize = 2;
/// How long everything may take to arrive after the last start.
const DRAIN_MAX: Duration = Duration::from_secs(240);
const LOGIN: &str = "front-desk";

/// Who takes what: the same sender reaches all three kinds of edge.
const EDGES: [&str; 3] = ["maildir", "smtp", "lmtp"];

fn edge_address(edge: &str) -> String {
    format!("{edge}@{GATE}")
}

/// The recipients of the n-th message: one edge, or all.
fn recipients(index: usize) -> Vec<String> {
    match EDGES.get(index % 4) {
        Some(edge) => vec![edge_address(edge)],
        None => EDGES.iter().map(|edge| edge_address(edge)).collect(),
    }
}

fn out_id(index: usize) -> String {
    format!("<out{index}@{GATE}>")
}

fn out_recipient(index: usize) -> String {
    format!("dr-{}@{PEER}", index % 20)
}

fn out_message(index: usize, date: &str) -> Vec<u8> {
    format!(
        "From: front-desk@{GATE}\r\nTo: {}\r\nSubject: Referral {index}\r\nDate: {date}\r\nMessage-ID: {}\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n{}",
        out_recipient(index),
        out_id(index),
        "Please see this patient.\r\n".repeat(40)
    )
    .into_bytes()
}

/// What was promised: remembered outside the process that is killed.
#[derive(Default)]
struct Promised {
    inward: Mutex<HashSet<usize>>,
    outward: Mutex<HashSet<usize>>,
}

/// Everything that the threads share.
struct Field<'a> {
    corpus: &'a Corpus,
    promised: Promised,
    next_in: AtomicUsize,
    next_out: AtomicUsize,
    /// Numbers below these may be sent.
    gate_in: AtomicUsize,
    gate_out: AtomicUsize,
    done: AtomicBool,
    date: String,
    relay: std::net::SocketAddr,
    submission: std::net::SocketAddr,
}

impl Field<'_> {
    /// The next number to send, once its round has come; None: all is sent.
    fn take(&self, next: &AtomicUsize, gate: &AtomicUsize) -> Option<usize> {
        let index = next.fetch_add(1, Ordering::SeqCst);
        while index >= gate.load(Ordering::SeqCst) {
            if self.done.load(Ordering::SeqCst) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Some(index)
    }

    /// Another HISP: what was not acknowledged is sent again, as a mail server does.
    fn inward(&self) -> Outcome<()> {
        let (mut session, mut octets) = (None, Vec::new());
        while let Some(index) = self.take(&self.next_in, &self.gate_in) {
            self.corpus.read(index, &mut octets)?;
            let (from, to) = (corpus::sender(index), recipients(index));
            let mail = Mail {
                from: &from,
                to: &to,
                octets: &octets,
            };
            if self.insist(&mut session, || Session::relay(self.relay), &mail) {
                lock(&self.promised.inward).insert(index);
            }
        }
        Ok(())
    }

    /// A clinic.
    fn outward(&self) -> Outcome<()> {
        let mut session = None;
        while let Some(index) = self.take(&self.next_out, &self.gate_out) {
            let octets = out_message(index, &self.date);
            let (from, to) = (format!("front-desk@{GATE}"), [out_recipient(index)]);
            let mail = Mail {
                from: &from,
                to: &to,
                octets: &octets,
            };
            let connect = || Session::submission(self.submission, LOGIN, PASSWORD);
            if self.insist(&mut session, connect, &mail) {
                lock(&self.promised.outward).insert(index);
            }
        }
        Ok(())
    }

    /// Sends until it is acknowledged; false after a minute without that.
    fn insist(
        &self,
        session: &mut Option<Session>,
        connect: impl Fn() -> Outcome<Session>,
        mail: &Mail<'_>,
    ) -> bool {
        let began = Instant::now();
        loop {
            let sent = match session {
                Some(open) => open.send(mail).map(|_| true),
                None => connect().map(|open| {
                    *session = Some(open);
                    false
                }),
            };
            match sent {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => {
                    *session = None;
                    if began.elapsed() > Duration::from_secs(60) {
                        println!("not taken within a minute: {error}");
                        return false;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    fn acknowledged(&self) -> usize {
        lock(&self.promised.inward).len() + lock(&self.promised.outward).len()
    }
}

fn lock(set: &Mutex<HashSet<usize>>) -> std::sync::MutexGuard<'_, HashSet<usize>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The servers that receive.
struct Sinks {
    relay: Sink,
    smtp: Sink,
    lmtp: Sink,
    maildir: PathBuf,
}

pub fn run(options: &Options) -> Outcome<bool> {
    let world = World::real();
    let corpora = options.folder.join("corpora");
    let parties = Parties::load(&corpora, &world)?;
    let folder = options.folder.join(format!("crash-{}", std::process::id()));
    let rounds = options.kills + 1;
    let corpus = Corpus::load(&parties, &corpora, 5_120, rounds * IN_PER_ROUND, &world)?;
    let sinks = Sinks {
        relay: Sink::start(Protocol::Smtp, 200)?,
        smtp: Sink::start(Protocol::Smtp, 1_000_000)?,
        lmtp: Sink::start(Protocol::Lmtp, 1_000_000)?,
        maildir: folder.join("maildir"),
    };
    let addresses = [
        (edge_address("maildir"), maildir(&sinks.maildir)),
        (
            edge_address("smtp"),
            format!("smtp+plain://{}", sinks.smtp.address),
        ),
        (
            edge_address("lmtp"),
            format!("lmtp://{}", sinks.lmtp.address),
        ),
    ];
    let plan = Plan {
        addresses: &addresses,
        account: Some(LOGIN),
        relay_port: sinks.relay.address.port(),
        message_size: None,
    };
    let mut site = Site::make(folder, &parties, &plan, options.keep)?;
    let field = Field {
        corpus: &corpus,
        promised: Promised::default(),
        next_in: AtomicUsize::new(0),
        next_out: AtomicUsize::new(0),
        gate_in: AtomicUsize::new(0),
        gate_out: AtomicUsize::new(0),
        done: AtomicBool::new(false),
        date: world.now().rfc5322(),
        relay: site.ports.relay,
        submission: site.ports.submission,
    };
    println!(
        "{} kills, seed {}; a round is {IN_PER_ROUND} messages in (Maildir, SMTP edge, LMTP edge, or all three) and {OUT_PER_ROUND} out",
        options.kills, options.seed
    );
    let killed = std::thread::scope(|scope| {
        for _ in 0..IN_SESSIONS {
            scope.spawn(|| told(field.inward()));
        }
        for _ in 0..OUT_SESSIONS {
            scope.spawn(|| told(field.outward()));
        }
        let killed = kill_again_and_again(options, &mut site, &field);
        field.done.store(true, Ordering::SeqCst);
        killed
    })?;
    let drained = drain(&mut site, &field, &sinks)?;
    println!(
        "everything arrived {:.0} s after the last start; what is left in the queue: {}",
        drained.0, drained.1
    );
    let stopped = site.stop().err();
    let mut faults = verdict(&field, &sinks, &killed, &parties)?;
    faults.extend(stopped);
    if drained.1 > 0 {
        faults.push(format!("{} jobs never ended", drained.1));
    }
    faults.extend(journal_is_whole(&site, &world)?);
    faults.extend(site.complaints().into_iter().take(5));
    faults.iter().for_each(|fault| println!("fault: {fault}"));
    Ok(faults.is_empty())
}

fn told(done: Outcome<()>) {
    if let Err(error) = done {
        println!("a session ended: {error}");
    }
}

/// What the kills found.
#[derive(Default)]
struct Killed {
    /// Message-ID and recipient, and at how many kills they were in flight.
    in_flight: HashMap<(String, String), usize>,
    between_t1_and_t2: usize,
    between_t2_and_t3: usize,
    kills: usize,
}

fn kill_again_and_again(options: &Options, site: &mut Site, field: &Field<'_>) -> Outcome<Killed> {
    let mut chance = Chance(options.seed | 1);
    let mut killed = Killed::default();
    for round in 1..=options.kills + 1 {
        let started = site.start()?;
        let before = field.acknowledged();
        field.gate_in.store(round * IN_PER_ROUND, Ordering::SeqCst);
        field
            .gate_out
            .store(round * OUT_PER_ROUND, Ordering::SeqCst);
        if round > options.kills {
            wait_until(
                || field.acknowledged() >= round * (IN_PER_ROUND + OUT_PER_ROUND),
                DRAIN_MAX,
            );
            break;
        }
        // After a random number of acknowledgements, and a little later: anywhere in the work.
        let wanted = before + chance.below(IN_PER_ROUND);
        wait_until(|| field.acknowledged() >= wanted, Duration::from_secs(30));
        std::thread::sleep(Duration::from_micros(chance.below(60_000) as u64));
        site.kill()?;
        let rows = oracle::rows(&site.database(), &site.at("copy"))?;
        println!(
            "kill {round}: start {} ms, {} acknowledged; T1..T2 {}, T2..T3 {}, relays {}, in the journal undelivered {}",
            started.as_millis(),
            field.acknowledged() - before,
            rows.taken,
            rows.granted,
            rows.relays,
            rows.journalled
        );
        killed.add(rows);
    }
    Ok(killed)
}

impl Killed {
    fn add(&mut self, rows: Rows) {
        self.kills += 1;
        self.between_t1_and_t2 += usize::from(rows.taken > 0);
        self.between_t2_and_t3 += usize::from(rows.granted > 0);
        for key in rows.in_flight.into_iter().collect::<HashSet<_>>() {
            *self.in_flight.entry(key).or_insert(0) += 1;
        }
    }
}

/// xorshift64: a run can be repeated by its seed, as far as threads allow.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap_or(0)
    }
}

fn wait_until(mut holds: impl FnMut() -> bool, longest: Duration) {
    let began = Instant::now();
    while !holds() && began.elapsed() < longest {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the queue is empty; how long that took, and how many jobs are left.
fn drain(site: &mut Site, field: &Field<'_>, sinks: &Sinks) -> Outcome<(f64, usize)> {
    let began = Instant::now();
    loop {
        let queue = site.verb(&["--json", "queue", "list"])?;
        let jobs: serde_json::Value =
            serde_json::from_str(&queue).map_err(|error| error.to_string())?;
        let left = rows_of(&jobs);
        if left.is_empty() || began.elapsed() > DRAIN_MAX {
            for job in left.iter().take(5) {
                println!("left: {job}");
            }
            return Ok((began.elapsed().as_secs_f64(), left.len()));
        }
        if site.has_ended() {
            let all = (field.acknowledged(), sinks.relay.count());
            return Err(format!("serve ended while draining: {all:?}"));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn rows_of(answer: &serde_json::Value) -> Vec<serde_json::Value> {
    let list = answer.as_array().or_else(|| {
        answer
            .as_object()?
            .values()
            .find_map(|value| value.as_array())
    });
    list.cloned().unwrap_or_default()
}

/// How often each message reached each place.
type Counts = HashMap<(String, String), usize>;

fn counts(sink: &Sink) -> Counts {
    let mut counts = Counts::new();
    for taken in sink.taken().iter() {
        for to in &taken.to {
            *counts
                .entry((taken.message_id.clone(), to.clone()))
                .or_insert(0) += 1;
        }
    }
    counts
}

fn verdict(
    field: &Field<'_>,
    sinks: &Sinks,
    killed: &Killed,
    parties: &Parties,
) -> Outcome<Vec<String>> {
    let mut faults = Vec::new();
    let inward = lock(&field.promised.inward);
    let outward = lock(&field.promised.outward);
    let maildir = oracle::maildir(&sinks.maildir)?;
    let (smtp, lmtp, relay) = (
        counts(&sinks.smtp),
        counts(&sinks.lmtp),
        counts(&sinks.relay),
    );
    let mut answers: HashMap<(String, String), HashSet<String>> = HashMap::new();
    for taken in sinks
        .relay
        .taken()
        .iter()
        .filter(|taken| !taken.in_reply_to.is_empty())
    {
        let key = (taken.in_reply_to.clone(), taken.from.clone());
        answers
            .entry(key)
            .or_default()
            .insert(taken.message_id.clone());
    }
    let (mut lost, mut unanswered) = (Vec::new(), Vec::new());
    for index in inward.iter() {
        let id = corpus::message_id(*index);
        for to in recipients(*index) {
            let key = (id.clone(), to.clone());
            let there = match to.split('@').next() {
                Some("maildir") => maildir.contains_key(&id),
                Some("smtp") => smtp.contains_key(&key),
                _ => lmtp.contains_key(&key),
            };
            if !there {
                lost.push(format!("{id} for {to}"));
            }
            match answers.get(&key).map_or(0, HashSet::len) {
                1 => {}
                0 => unanswered.push(format!("{id} by {to}")),
                several => faults.push(format!("{id} by {to}: {several} different answers")),
            }
        }
    }
    for index in outward.iter() {
        if !relay.contains_key(&(out_id(*index), out_recipient(*index))) {
            lost.push(format!("{} for {}", out_id(*index), out_recipient(*index)));
        }
    }
    println!(
        "acknowledged: {} in, {} out; lost: {}; without MDN: {}",
        inward.len(),
        outward.len(),
        lost.len(),
        unanswered.len()
    );
    faults.extend(lost.into_iter().map(|what| format!("lost: {what}")));
    faults.extend(unanswered.into_iter().map(|what| format!("no MDN: {what}")));
    let twice = maildir.values().filter(|count| **count > 1).count();
    println!("duplicates: Maildir {twice} of {}", maildir.len());
    if twice > 0 {
        faults.push(format!(
            "{twice} messages are in the Maildir more than once"
        ));
    }
    for (place, counts) in [
        ("SMTP edge", &smtp),
        ("LMTP edge", &lmtp),
        ("relay", &relay),
    ] {
        faults.extend(doubled(place, counts, killed));
    }
    println!(
        "kills: {}; with messages between T1 and T2: {}, between T2 and T3: {}; deliveries and relays in flight at them: {}",
        killed.kills,
        killed.between_t1_and_t2,
        killed.between_t2_and_t3,
        killed.in_flight.values().sum::<usize>()
    );
    if killed.kills >= 5 && (killed.between_t1_and_t2 == 0 || killed.between_t2_and_t3 == 0) {
        faults.push("the kills missed the work".to_owned());
    }
    let mut verified = 0;
    for taken in sinks.relay.taken().iter() {
        let Some(octets) = &taken.octets else {
            continue;
        };
        match oracle::unseal(octets, parties) {
            Ok(_) => verified += 1,
            Err(error) => faults.push(error),
        }
    }
    println!("relayed messages decrypted and verified: {verified}");
    faults.truncate(20);
    Ok(faults)
}

/// Each copy beyond the first must have been in flight at a kill.
fn doubled(place: &str, counts: &Counts, killed: &Killed) -> Vec<String> {
    let (mut extra, mut faults) = (0, Vec::new());
    for (key, count) in counts {
        extra += count - 1;
        let in_flight = killed.in_flight.get(key).copied().unwrap_or(0);
        if count - 1 > in_flight {
            faults.push(format!(
                "{place}: {key:?} came {count} times, in flight at {in_flight} kills"
            ));
        }
    }
    println!("duplicates: {place} {extra} of {}", counts.len());
    faults
}

/// The chain of seals over the journal, after the last stop.
fn journal_is_whole(site: &Site, world: &World) -> Outcome<Option<String>> {
    let key = KeyEncryptionKey::read(&site.at("gate/kek")).map_err(|error| error.to_string())?;
    let paths = Paths {
        database: site.database(),
        blobs: site.at("gate/blobs"),
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let first_bad = runtime.block_on(async {
        let node = format!("gw.{GATE}");
        let store = Store::open(&paths, &node, key, world.clone())
            .await
            .map_err(|error| error.to_string())?;
        let first_bad = carepost::journal::sql::verify(&store)
            .await
            .map_err(|error| error.to_string());
        store.close().await;
        first_bad
    })?;
    println!(
        "journal: {}",
        first_bad.map_or("its seals are whole".to_owned(), |row| format!(
            "broken at row {row}"
        ))
    );
    Ok(first_bad.map(|row| format!("the journal's chain breaks at row {row}")))
}
