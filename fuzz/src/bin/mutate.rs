//! A fuzz driver that runs on any machine: stable Rust, no libFuzzer, no coverage. In: seeds and chance.
//! Out: how often each target ran, and the inputs that broke it. A break is a panic, one run over
//! [`RUN_MAX`], or more memory than [`MEMORY_MAX_KIB`].
//!
//! `mutate run SECONDS TARGET...`, `mutate seeds DIRECTORY`, `mutate list`, `mutate try TARGET FILE`

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carepost::fuzzing::{TARGETS, seeds};

/// One run; the slowest good one takes milliseconds.
const RUN_MAX: Duration = Duration::from_secs(5);
/// A run that does not end is broken off after this.
const HANG: Duration = Duration::from_secs(60);
/// Most memory of the process: twenty times what it needs.
const MEMORY_MAX_KIB: u64 = 1024 * 1024;
/// Octets of one input.
const LEN_MAX: usize = 64 * 1024;
/// Inputs kept to begin from.
const KEPT_MAX: usize = 512;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            TARGETS.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        ["seeds", directory] => write_seeds(Path::new(directory)),
        ["try", target, file] => once(target, Path::new(file)),
        ["run", seconds, targets @ ..] => match seconds.parse() {
            Ok(seconds) => run_all(Duration::from_secs(seconds), targets),
            Err(_) => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("mutate run SECONDS TARGET... | seeds DIRECTORY | list | try TARGET FILE");
    ExitCode::from(2)
}

fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, target)| *target)
}

/// One file for each seed: what libFuzzer begins with.
fn write_seeds(directory: &Path) -> ExitCode {
    for (name, _) in TARGETS {
        let place = directory.join(name);
        fs::create_dir_all(&place).expect("the directory of the seeds can be made");
        for (number, seed) in seeds(name).iter().enumerate() {
            fs::write(place.join(format!("{number:02}")), seed).expect("a seed can be written");
        }
    }
    ExitCode::SUCCESS
}

fn once(name: &str, file: &Path) -> ExitCode {
    match (target(name), fs::read(file)) {
        (Some(target), Ok(input)) => {
            target(&input);
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn run_all(span: Duration, names: &[&str]) -> ExitCode {
    let mut broken = false;
    for name in names {
        let Some(target) = target(name) else {
            eprintln!("there is no target {name}");
            return ExitCode::from(2);
        };
        let (runs, breaks) = run(name, target, span);
        println!("{name} executions={runs} crashes={breaks}");
        broken = broken || breaks > 0;
    }
    if broken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Runs one target for a while: (runs, inputs that broke it). Stops at the first.
fn run(name: &str, target: fn(&[u8]), span: Duration) -> (u64, u64) {
    let mut chance = Chance::new();
    let mut kept = corpus(name);
    let (started, watch) = (Instant::now(), Watch::start());
    let mut runs = 0;
    while started.elapsed() < span {
        let input = if runs < kept.len() as u64 {
            kept[usize::try_from(runs).unwrap_or(0)].clone()
        } else {
            mutant(&kept, &mut chance)
        };
        let began = Instant::now();
        watch.begin(&input);
        let panicked = catch_unwind(AssertUnwindSafe(|| target(&input))).is_err();
        watch.end();
        runs += 1;
        let why = if panicked {
            Some("panic")
        } else if began.elapsed() > RUN_MAX {
            Some("slow")
        } else if runs % 1_000 == 0 && memory_kib() > MEMORY_MAX_KIB {
            Some("memory")
        } else {
            None
        };
        if let Some(why) = why {
            let file = keep(name, why, &input);
            println!("{name}: {why}: {}", file.display());
            return (runs, 1);
        }
        // Without coverage nobody knows what is new; some mutants stay, so that changes add up.
        if chance.below(64) == 0 {
            let place = chance.below(KEPT_MAX);
            match kept.get_mut(place) {
                Some(old) if place > 8 => *old = input,
                _ => kept.push(input),
            }
        }
    }
    (runs, 0)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut kept = seeds(name);
    for place in ["corpus", "artifacts"] {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(place).join(name);
        let files = fs::read_dir(place).into_iter().flatten().flatten();
        kept.extend(files.filter_map(|file| fs::read(file.path()).ok()).take(KEPT_MAX));
    }
    kept
}

fn mutant(kept: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut out = kept[chance.below(kept.len())].clone();
    for _ in 0..=chance.below(8) {
        let at = chance.below(out.len() + 1);
        let len = 1 + chance.below(16);
        let end = (at + len).min(out.len());
        match chance.below(8) {
            0 => out.extend((0..len).map(|_| chance.octet())),
            1 | 2 => {
                if let Some(octet) = out.get_mut(at) {
                    *octet = chance.octet();
                }
            }
            3 => {
                if let Some(octet) = out.get_mut(at) {
                    *octet ^= 1 << chance.below(8);
                }
            }
            4 => {
                let some: Vec<u8> = (0..len).map(|_| chance.octet()).collect();
                out.splice(at..at, some);
            }
            5 => drop(out.drain(at..end)),
            6 => {
                let piece = out[at..end].to_vec();
                let to = chance.below(out.len() + 1);
                out.splice(to..to, piece);
            }
            _ => {
                let other = &kept[chance.below(kept.len())];
                let from = chance.below(other.len() + 1);
                out.truncate(at);
                out.extend_from_slice(&other[from..]);
            }
        }
    }
    out.truncate(LEN_MAX);
    out
}

/// Writes the input down: the file.
fn keep(name: &str, why: &str, input: &[u8]) -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    fs::create_dir_all(&place).expect("the directory of the artifacts can be made");
    let sum = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, octet| {
        (sum ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = place.join(format!("{why}-{sum:016x}"));
    fs::write(&file, input).expect("the input can be written down");
    file
}

/// The most memory this process ever held; 0 where /proc is not.
fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// Ends the process when one run does not end.
struct Watch {
    /// Milliseconds since the start when the run began; 0 between runs.
    since: Arc<AtomicU64>,
    input: Arc<std::sync::Mutex<Vec<u8>>>,
    started: Instant,
}

impl Watch {
    fn start() -> Self {
        let watch = Self {
            since: Arc::default(),
            input: Arc::default(),
            started: Instant::now(),
        };
        let (since, input, started) = (
            Arc::clone(&watch.since),
            Arc::clone(&watch.input),
            watch.started,
        );
        std::thread::spawn(move || {
            // The target that made this watch may be over: the thread goes with the process.
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let began = since.load(Ordering::SeqCst);
                let now = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                if began > 0 && now.saturating_sub(began) > HANG.as_millis() as u64 {
                    let input = input.lock().map(|input| input.clone()).unwrap_or_default();
                    println!("a run does not end: {}", keep("hang", "hang", &input).display());
                    std::process::exit(1);
                }
            }
        });
        watch
    }

    fn begin(&self, input: &[u8]) {
        if let Ok(mut kept) = self.input.lock() {
            kept.clear();
            kept.extend_from_slice(input);
        }
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(now.max(1), Ordering::SeqCst);
    }

    fn end(&self) {
        self.since.store(0, Ordering::SeqCst);
    }
}

/// xorshift64*: good enough to stumble with.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed: u64 = seed.unwrap_or(time.as_micros() as u64);
        println!("FUZZ_SEED={seed}");
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from((self.next() >> 33) % (most.max(1) as u64)).unwrap_or(0)
    }
}
