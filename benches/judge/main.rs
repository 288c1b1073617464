//! What a verdict costs: CPU time of this process, with keys and certificates read beforehand, as `serve`
//! has them. In: nothing (`--quick`: few rounds). Out: a table, and which marks are met; the last line is
//! `PASS` or `FAIL`. Hostile bags are read anew each time: reading them is part of what they cost.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

use carepost::crypto::issue::KeyKind;
use carepost::trust::testing::bags::{self, Bag};
use carepost::trust::testing::{Made, Make, NOW, key};
use carepost::trust::{
    AnchorSet, Certificate, Evidence, Failure, Path, PathPurpose, Question, Rules, Work, find_path,
};

const MAIL: (u8, &str) = (1, "ann@d.example");

/// CPU time of this thread's process so far, nanoseconds; exact to a tick of the scheduler.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// A line of /proc/self/status, KiB.
fn status_kib(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let word = line.and_then(|line| line.split_whitespace().nth(1));
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Microseconds a round: the least of five runs, because neighbours only ever make it longer.
fn time_us(rounds: u32, mut run: impl FnMut()) -> f64 {
    run();
    let mut least = f64::MAX;
    for _ in 0..5 {
        let from = cpu_ns();
        for _ in 0..rounds {
            run();
        }
        let us = (cpu_ns() - from) as f64 / 1_000.0 / f64::from(rounds);
        least = least.min(us);
    }
    least
}

/// What was measured and what was asked.
#[derive(Default)]
struct Table {
    rounds: u32,
    failed: Vec<String>,
    known: HashMap<String, f64>,
}

impl Table {
    fn row(&mut self, what: &str, us: f64, mark: Option<f64>) {
        let told = match mark {
            None => String::new(),
            Some(mark) if us <= mark => format!("mark {mark:>9.1}  met"),
            Some(mark) => {
                self.failed.push(what.to_owned());
                format!("mark {mark:>9.1}  MISSED")
            }
        };
        println!("{what:<62} {us:>10.1} us  {told}");
        self.known.insert(what.to_owned(), us);
    }

    fn measure(&mut self, what: &str, mark: Option<f64>, run: impl FnMut()) -> f64 {
        let us = time_us(self.rounds, run);
        self.row(what, us, mark);
        us
    }
}

/// Leaf, what lies between, anchors.
struct Scene {
    leaf: Arc<Certificate>,
    between: Vec<Arc<Certificate>>,
    anchors: Arc<AnchorSet>,
}

impl Scene {
    fn judge(&self, rules: &Rules) -> Result<Path, Failure> {
        let question = Question {
            bag: &self.between,
            anchors: &self.anchors,
            rules,
            evidence: &Evidence::default(),
            now: NOW,
        };
        find_path(&self.leaf, &question, &mut Work::default())
    }
}

/// A chain of that many certificates, anchor and leaf counted.
fn chain(kind: KeyKind, length: usize, strangers: &[Vec<u8>]) -> Scene {
    let own = |make: Make| {
        let make = make.key(&key(kind));
        if matches!(kind, KeyKind::Rsa(_)) {
            make.with_rsa()
        } else {
            make
        }
    };
    let root = own(Make::ca("Root")).by_itself();
    let mut made: Vec<Made> = vec![root];
    for step in 2..length {
        let above = made.last().expect("the root").clone();
        made.push(own(Make::ca(&format!("CA {step}"))).by(&above));
    }
    let above = made.last().expect("the root");
    let leaf = own(Make::leaf(&[MAIL])).by(above);
    let anchors = strangers
        .iter()
        .filter_map(|der| Certificate::parse(der).ok());
    Scene {
        leaf: leaf.certificate,
        between: made
            .iter()
            .skip(1)
            .map(|one| Arc::clone(&one.certificate))
            .collect(),
        anchors: Arc::new(AnchorSet::new(
            anchors.chain([Arc::clone(&made[0].certificate)]),
        )),
    }
}

fn chains(table: &mut Table, strangers: &[Vec<u8>]) {
    let rules = Rules::direct(PathPurpose::Sign);
    for (kind, words, mark) in [
        (KeyKind::Rsa(2_048), "RSA 2048", 70.0),
        (KeyKind::P256, "P-256", 210.0),
    ] {
        for length in [2, 3, 4] {
            let scene = chain(kind, length, &[]);
            let mark = (length == 4).then_some(mark);
            table.measure(&format!("{words}, chain of {length}"), mark, || {
                assert!(scene.judge(&rules).is_ok());
            });
        }
        let scene = chain(kind, 4, &[]);
        let mut ders: Vec<&[u8]> = scene.between.iter().map(|one| one.der()).collect();
        ders.push(scene.leaf.der());
        table.measure(
            &format!("{words}, reading three certificates"),
            None,
            || {
                for der in &ders {
                    assert!(Certificate::parse(der).is_ok());
                }
            },
        );
        let mut known = Vec::new();
        for count in [1, 100, 10_000] {
            let scene = chain(kind, 3, &strangers[..count - 1]);
            known.push(table.measure(
                &format!("{words}, chain of 3, {count} anchors"),
                None,
                || {
                    assert!(scene.judge(&rules).is_ok());
                },
            ));
        }
        let least = known.iter().copied().fold(f64::MAX, f64::min);
        let most = known.iter().copied().fold(0.0, f64::max);
        table.row(
            &format!("{words}, 1 to 10,000 anchors, per cent apart"),
            (most / least - 1.0) * 100.0,
            Some(10.0),
        );
    }
}

/// Reads and judges; gives CPU ms and MiB, and what was said.
fn hostile(bag: &Bag, anchors: &[Vec<u8>]) -> (f64, f64, String) {
    let parse = |der: &Vec<u8>| Certificate::parse(der).ok();
    // Anchors are read when they are imported, not when mail comes.
    let others = anchors.iter().chain(&bag.anchors).filter_map(parse);
    let set = Arc::new(AnchorSet::new(others));
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    let (before, from) = (status_kib("VmRSS"), cpu_ns());
    let limit = carepost::limits::BAG_CERTIFICATES_MAX + 1;
    let scene = Scene {
        leaf: Certificate::parse(&bag.leaf).expect("a certificate"),
        between: bag.between.iter().take(limit).filter_map(parse).collect(),
        anchors: set,
    };
    let found = scene.judge(&Rules::rfc5280());
    let ms = (cpu_ns() - from) as f64 / 1e6;
    let mib = status_kib("VmHWM").saturating_sub(before) as f64 / 1024.0;
    let told = match found {
        Ok(_) => "trusted".to_owned(),
        Err(failure) => failure.why.detail,
    };
    (ms, mib, told)
}

fn bags(table: &mut Table, strangers: &[Vec<u8>]) {
    for bag in bags::all() {
        for anchors in [&[][..], strangers] {
            let (mut ms, mut mib, mut told) = hostile(&bag, anchors);
            for _ in 0..4 {
                let again = hostile(&bag, anchors);
                ms = ms.min(again.0);
                mib = mib.max(again.1);
                told = again.2;
            }
            let what = format!("{}, {} anchors", bag.what, anchors.len() + 1);
            let met = ms <= 50.0 && mib <= 16.0;
            if !met {
                table.failed.push(what.clone());
            }
            let told: String = told.chars().take(70).collect();
            let word = if met { "met" } else { "MISSED" };
            println!("{what:<62} {ms:>7.1} ms {mib:>5.1} MiB  {word}  {told}");
        }
    }
}

fn main() -> ExitCode {
    let quick = std::env::args().any(|word| word == "--quick" || word == "--test");
    let mut table = Table {
        rounds: if quick { 20 } else { 2_000 },
        ..Table::default()
    };
    let strangers = bags::strangers(10_000);
    chains(&mut table, &strangers);
    bags(&mut table, &strangers);
    if table.failed.is_empty() {
        println!("PASS");
        return ExitCode::SUCCESS;
    }
    println!("missed: {}", table.failed.join("; "));
    println!("FAIL");
    ExitCode::FAILURE
}
