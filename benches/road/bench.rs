//! `scripts/bench`: how much CPU, time and memory the road in takes, from MAIL to the MDN at the other HISP.
//! In: options. Out: figures; true if nothing was lost or doubled and the marks hold.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use carepost::world::World;

use crate::corpus::{self, Corpus, PEOPLE, Parties};
use crate::load::{Mail, Session, Times};
use crate::machine::{self, Reading};
use crate::oracle;
use crate::sink::{Protocol, Sink};
use crate::site::{Plan, Site, maildir};
use crate::{Options, Outcome};

/// From here on, memory is what is asked about.
pub const LARGE: usize = 8_000_000;
/// Milliseconds of CPU that one message may cost: the first mark.
const CPU_MS_MAX: f64 = 2.0;
/// Memory at the peak: the first mark.
const PEAK_MIB_MAX: f64 = 80.0;
/// What large messages may add to the peak.
const RISE_MIB_MAX: f64 = 8.0;
/// How long the last acknowledgements are waited for.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// Sealed acknowledgements that are opened and verified: one of so many.
const SAMPLE: usize = 50;

/// A gateway with a Maildir edge, and its peer.
struct Stand {
    site: Site,
    sink: Sink,
    maildir: std::path::PathBuf,
    parties: Parties,
    corpora: std::path::PathBuf,
    world: World,
}

impl Stand {
    fn make(options: &Options, message_size: Option<usize>, sample: usize) -> Outcome<Self> {
        let world = World::real();
        let corpora = options.folder.join("corpora");
        let parties = Parties::load(&corpora, &world)?;
        let folder = options.folder.join(format!("bench-{}", std::process::id()));
        let (sink, maildir_) = (Sink::start(Protocol::Smtp, sample)?, folder.join("maildir"));
        let addresses: Vec<_> = (0..PEOPLE)
            .map(|person| (corpus::recipient(person), maildir(&maildir_)))
            .collect();
        let plan = Plan {
            addresses: &addresses,
            account: None,
            relay_port: sink.address.port(),
            message_size,
        };
        let site = Site::make(folder, &parties, &plan, options.keep)?;
        Ok(Self {
            site,
            sink,
            maildir: maildir_,
            parties,
            corpora,
            world,
        })
    }

    fn corpus(&self, size: usize, count: usize) -> Outcome<Corpus> {
        Corpus::load(&self.parties, &self.corpora, size, count, &self.world)
    }

    /// Waits for `count` acknowledgements, then for as many deliveries; the clocks at the last acknowledgement.
    fn settle(&mut self, count: usize) -> Outcome<Reading> {
        let mut progress = (Instant::now(), 0);
        loop {
            let (at, now) = (Instant::now(), self.sink.count());
            if now >= count {
                break;
            }
            if now > progress.1 {
                progress = (at, now);
            }
            if self.site.has_ended() || at.duration_since(progress.0) > SETTLE_MAX {
                return Err(format!(
                    "only {now} of {count} acknowledgements came; log in {}",
                    self.site.folder.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let end = Reading::of(self.site.id());
        let began = Instant::now();
        while oracle::maildir_count(&self.maildir) < count && began.elapsed() < SETTLE_MAX {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(end)
    }
}

/// Sends messages `first..last` over so many sessions. Times by message.
fn send(
    stand: &Stand,
    corpus: &Corpus,
    range: std::ops::Range<usize>,
    sessions: usize,
) -> Outcome<HashMap<usize, Times>> {
    let next = AtomicUsize::new(range.start);
    let all = Mutex::new(HashMap::with_capacity(range.len()));
    let relay = stand.site.ports.relay;
    let work = || -> Outcome<()> {
        let mut session = Session::relay(relay)?;
        let (mut octets, mut mine) = (Vec::new(), Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= range.end {
                break;
            }
            corpus.read(index - range.start, &mut octets)?;
            let mail = Mail {
                from: &corpus::sender(index - range.start),
                to: &[corpus::recipient(index - range.start)],
                octets: &octets,
            };
            mine.push((index, session.send(&mail)?));
        }
        all.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(mine);
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..sessions).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| "a session crashed".to_owned())??;
        }
        Ok::<_, String>(())
    })?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The usual run.
pub fn run(options: &Options) -> Outcome<bool> {
    let count = if options.messages == 0 {
        20_000
    } else {
        options.messages
    };
    let mut stand = Stand::make(options, None, SAMPLE)?;
    let corpus = stand.corpus(options.size, count)?;
    let disk_before = machine::fdatasync_rate(&stand.site.folder);
    let started = stand.site.start()?;
    println!(
        "{count} messages of {} octets, {} sessions, plain SMTP, Maildir edge, RSA-2048; start took {} ms",
        options.size,
        options.sessions,
        started.as_millis()
    );
    let load_before = machine::load_average();
    let begin = Reading::of(stand.site.id());
    let times = send(&stand, &corpus, 0..count, options.sessions)?;
    let accepted = begin.at.elapsed();
    let end = stand.settle(count)?;
    let peak = mib(machine::peak_kib(stand.site.id()));
    let rest = stand.site.stop();
    let cpu = (end.gateway.saturating_sub(begin.gateway)).as_secs_f64() * 1_000.0 / count as f64;
    let wall = end.at.duration_since(begin.at);
    println!(
        "messages/s, MAIL to MDN accepted: {:.0} ({:.1} s)",
        count as f64 / wall.as_secs_f64(),
        wall.as_secs_f64()
    );
    println!(
        "messages/s, 250 alone: {:.0} ({:.1} s)",
        count as f64 / accepted.as_secs_f64(),
        accepted.as_secs_f64()
    );
    println!("CPU per message: {cpu:.2} ms");
    latencies(&stand.sink, &times);
    println!("peak RSS: {peak:.0} MiB");
    println!(
        "machine: load average {load_before} before, {} after; others used {:.0} % of its CPU",
        machine::load_average(),
        100.0 * end.others(&begin)
    );
    println!(
        "disk: {disk_before:.0} fdatasync/s before, {:.0} after (4 KiB appends, one thread)",
        machine::fdatasync_rate(&stand.site.folder)
    );
    let mut faults = conservation(&stand, &times)?;
    faults.extend(rest.err());
    faults.extend(stand.site.complaints().into_iter().take(5));
    if options.size <= 5_120 && cpu > CPU_MS_MAX {
        faults.push(format!(
            "mark missed: {cpu:.2} ms CPU per message, at most {CPU_MS_MAX}"
        ));
    }
    if peak > PEAK_MIB_MAX {
        faults.push(format!(
            "mark missed: {peak:.0} MiB peak RSS, at most {PEAK_MIB_MAX}"
        ));
    }
    faults.iter().for_each(|fault| println!("fault: {fault}"));
    Ok(faults.is_empty())
}

/// Small messages, then large ones: what the large ones add to the peak.
pub fn large(options: &Options) -> Outcome<bool> {
    const SMALL: usize = 1_000_000;
    let (small, large) = (
        40,
        if options.messages == 0 {
            3
        } else {
            options.messages
        },
    );
    let sessions = options.sessions.min(2);
    let mut stand = Stand::make(options, Some(options.size / 2 * 3), 1)?;
    let corpora = (
        stand.corpus(SMALL, small)?,
        stand.corpus(options.size, large)?,
    );
    stand.site.start()?;
    let mut begin = Reading::of(stand.site.id());
    let mut times = send(&stand, &corpora.0, 0..small, sessions)?;
    let end = stand.settle(small)?;
    report(SMALL, small, &begin, &end);
    let before = mib(machine::peak_kib(stand.site.id()));
    // Ids of the large ones are those of the small ones again, other octets; they are told apart by number.
    begin = Reading::of(stand.site.id());
    times.extend(send(&stand, &corpora.1, small..small + large, sessions)?);
    let end = stand.settle(small + large)?;
    report(options.size, large, &begin, &end);
    let after = mib(machine::peak_kib(stand.site.id()));
    println!(
        "peak RSS: {before:.1} MiB after {small} of {SMALL} octets, {after:.1} MiB after {large} of {}",
        options.size
    );
    println!("rise: {:.1} MiB", after - before);
    println!(
        "machine: load average {}; others used {:.0} % of its CPU",
        machine::load_average(),
        100.0 * end.others(&begin)
    );
    let mut faults: Vec<String> = stand.site.stop().err().into_iter().collect();
    let delivered = oracle::maildir_count(&stand.maildir);
    if delivered != times.len() || stand.sink.count() != times.len() {
        faults.push(format!(
            "{} accepted, {delivered} delivered, {} acknowledged",
            times.len(),
            stand.sink.count()
        ));
    }
    faults.extend(stand.site.complaints().into_iter().take(5));
    if after - before > RISE_MIB_MAX {
        faults.push(format!(
            "mark missed: a rise of {:.1} MiB, at most {RISE_MIB_MAX}",
            after - before
        ));
    }
    faults.iter().for_each(|fault| println!("fault: {fault}"));
    Ok(faults.is_empty())
}

fn report(size: usize, count: usize, begin: &Reading, end: &Reading) {
    let cpu = end.gateway.saturating_sub(begin.gateway).as_secs_f64();
    let wall = end.at.duration_since(begin.at).as_secs_f64();
    let megabytes = (size * count) as f64 / 1e6;
    println!(
        "{count} of {size} octets: {wall:.1} s, {:.1} ms CPU per message, {:.1} ms CPU per MB",
        cpu * 1_000.0 / count as f64,
        cpu * 1_000.0 / megabytes
    );
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}

fn latencies(sink: &Sink, times: &HashMap<usize, Times>) {
    let print = |what: &str, mut spans: Vec<Duration>| {
        spans.sort();
        let ms = |share| machine::percentile(&spans, share).as_secs_f64() * 1_000.0;
        println!("{what}: p50 {:.1} ms, p99 {:.1} ms", ms(0.5), ms(0.99));
    };
    print(
        "MAIL to 250",
        times
            .values()
            .map(|times| times.taken.duration_since(times.mail))
            .collect(),
    );
    let taken = sink.taken();
    let to_mdn = taken.iter().filter_map(|mdn| {
        let times = times.get(&corpus::index(&mdn.in_reply_to)?)?;
        Some(mdn.at.saturating_duration_since(times.taken))
    });
    print("250 to MDN accepted", to_mdn.collect());
}

/// Each accepted message once in the Maildir, and one acknowledgement of each; samples are opened and verified.
fn conservation(stand: &Stand, times: &HashMap<usize, Times>) -> Outcome<Vec<String>> {
    let mut faults = Vec::new();
    let delivered = oracle::maildir(&stand.maildir)?;
    let taken = stand.sink.taken();
    let mut acknowledged: HashMap<usize, usize> = HashMap::new();
    for mdn in taken.iter() {
        match corpus::index(&mdn.in_reply_to) {
            Some(index) => *acknowledged.entry(index).or_insert(0) += 1,
            None => faults.push(format!(
                "an acknowledgement of nothing: {:?}",
                mdn.in_reply_to
            )),
        }
    }
    let once = |count: Option<&usize>| count == Some(&1);
    let bad_deliveries = times
        .keys()
        .filter(|index| !once(delivered.get(&corpus::message_id(**index))))
        .count();
    let bad_answers = times
        .keys()
        .filter(|index| !once(acknowledged.get(index)))
        .count();
    let strays = delivered.len().abs_diff(times.len()) + acknowledged.len().abs_diff(times.len());
    let mut verified = 0;
    for mdn in taken.iter() {
        let Some(octets) = &mdn.octets else { continue };
        match oracle::unseal(octets, &stand.parties) {
            Ok(content) if speaks_of(&content, &mdn.in_reply_to) => verified += 1,
            Ok(_) => faults.push(format!("{}: not a processed MDN", mdn.in_reply_to)),
            Err(error) => faults.push(error),
        }
    }
    println!(
        "conservation: {} accepted, {} delivered once, {} acknowledged once; {verified} acknowledgements decrypted and verified",
        times.len(),
        times.len() - bad_deliveries,
        times.len() - bad_answers
    );
    if bad_deliveries + bad_answers + strays > 0 || verified == 0 {
        faults.push("conservation: not everything is there exactly once".to_owned());
    }
    faults.truncate(10);
    Ok(faults)
}

fn speaks_of(content: &[u8], message_id: &str) -> bool {
    let text = String::from_utf8_lossy(content);
    text.contains(&format!("Original-Message-ID: {message_id}")) && text.contains("processed")
}
