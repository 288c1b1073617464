//! Compares our verdicts with those of OpenSSL and of certval on chains made by chance. In: how many, and a
//! seed. Out: how often verdicts differ and for which written reason (docs/deviations.md); the last line is
//! `PASS` only if there is one for each: we accept while one of them refuses, or refuse while both accept.

mod certval_oracle;

use std::collections::BTreeMap;
use std::process::ExitCode;

use carepost::trust::check::{Answer, Verdict, check};
use carepost::trust::testing::chance::{Chain, Chance, make_chain};
use carepost::trust::testing::oracle::{
    Strictness, openssl, why_openssl_refuses, why_strict_refuses, why_we_refuse,
};

/// How often which difference was met, and those without a reason.
#[derive(Default)]
struct Report {
    accepted: usize,
    agreed: usize,
    classes: BTreeMap<String, usize>,
    faults: Vec<String>,
}

impl Report {
    fn note(&mut self, who: &str, why: Option<&str>, chain: &Chain, answer: &Answer, words: &str) {
        match why {
            Some(why) => *self.classes.entry(format!("{who}: {why}")).or_default() += 1,
            None => self.faults.push(format!(
                "{who}\n  {}\n  ours {:?} {}\n  theirs {}",
                chain.said,
                answer.reason,
                answer.detail,
                words.trim().replace('\n', "\n    ")
            )),
        }
    }
}

fn compare(chain: &Chain, folder: &std::path::Path, report: &mut Report) {
    let answer = check(&chain.case());
    let ours = answer.verdict == Verdict::Trusted;
    report.accepted += usize::from(ours);
    let (by_openssl, words) = openssl(folder, chain, Strictness::Usual);
    let by_certval = certval_oracle::judge(chain);
    if ours && !by_openssl {
        let why = why_openssl_refuses(&answer, &words);
        report.note("we accept, OpenSSL refuses", why, chain, &answer, &words);
    }
    if let (true, Err(words)) = (ours, &by_certval) {
        let why = certval_oracle::why_it_refuses(&answer, words);
        report.note("we accept, certval refuses", why, chain, &answer, words);
    }
    if !ours && by_openssl && by_certval.is_ok() {
        let why = why_we_refuse(&answer, chain);
        report.note("we refuse, both accept", why, chain, &answer, "");
    }
    if ours && by_openssl {
        let (strict, words) = openssl(folder, chain, Strictness::Strict);
        if !strict {
            let why = why_strict_refuses(&words);
            report.note(
                "we accept, -x509_strict refuses",
                why,
                chain,
                &answer,
                &words,
            );
        }
    }
    report.agreed += usize::from(ours == by_openssl && ours == by_certval.is_ok());
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mut number = |default: u64| match words.next() {
        None => Some(default),
        Some(word) => word.parse().ok(),
    };
    let (Some(count), Some(seed)) = (number(1_000), number(1)) else {
        eprintln!("usage: differential [CHAINS] [SEED]");
        return ExitCode::from(2);
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut chance = Chance(seed);
    let mut report = Report::default();
    for _ in 0..count {
        compare(&make_chain(&mut chance), folder.path(), &mut report);
    }
    println!(
        "{count} chains of seed {seed}: accepted {}, all three agree on {}",
        report.accepted, report.agreed
    );
    for (class, count) in &report.classes {
        println!("{count:>6}  {class}");
    }
    for fault in report.faults.iter().take(20) {
        println!("NOT EXPLAINED: {fault}");
    }
    println!("{} not explained", report.faults.len());
    if report.faults.is_empty() {
        println!("PASS");
        ExitCode::SUCCESS
    } else {
        println!("FAIL");
        ExitCode::FAILURE
    }
}
