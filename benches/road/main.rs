//! Measures the road in, and breaks it: one built `carepost serve` as a child process, peers and edges played here.
//! In: `bench` or `crash` with options (see `scripts/bench`, `scripts/crash`). Out: figures, and `PASS` or `FAIL` as the last line.
//! Nothing is trusted that the gateway says of itself: what it acknowledged is remembered here, and looked for where it must be.

mod bench;
mod corpus;
mod crash;
mod load;
mod machine;
mod oracle;
mod sink;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;

/// What went wrong, for the person at the terminal.
pub type Outcome<T> = Result<T, String>;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Octets of the clear message.
    pub size: usize,
    pub messages: usize,
    pub sessions: usize,
    pub kills: usize,
    /// Of the random kill points.
    pub seed: u64,
    /// The run's folder is left there.
    pub keep: bool,
    /// Where corpora and runs are.
    pub folder: PathBuf,
}

const USAGE: &str = "usage: road bench [--size BYTES] [--messages N] [--sessions K] [--keep]\n       road crash [N] [--seed S] [--keep]";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` and `cargo test --benches` say so; neither asks for a run.
    words.retain(|word| word != "--bench" && word != "--test");
    let Some(mode) = words.first().cloned() else {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    let done = options(&words[1..]).and_then(|options| match mode.as_str() {
        "bench" if options.size >= bench::LARGE => bench::large(&options),
        "bench" => bench::run(&options),
        "crash" => crash::run(&options),
        _ => Err(USAGE.to_owned()),
    });
    match done {
        Ok(true) => {
            println!("PASS");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("FAIL");
            ExitCode::FAILURE
        }
        Err(what) => {
            println!("{what}");
            println!("FAIL");
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[String]) -> Outcome<Options> {
    let mut options = Options {
        size: 5_120,
        messages: 0,
        sessions: 10,
        kills: 25,
        seed: u64::from(std::process::id()),
        keep: false,
        folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("road"),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| USAGE.to_owned());
        match word.as_str() {
            "--size" => options.size = number(value()?)?,
            "--messages" => options.messages = number(value()?)?,
            "--sessions" => options.sessions = number(value()?)?.max(1),
            "--seed" => options.seed = number(value()?)? as u64,
            "--keep" => options.keep = true,
            other => options.kills = number(other).map_err(|_| USAGE.to_owned())?,
        }
    }
    Ok(options)
}

/// `5120`, `5K`, `100M`: decimal.
fn number(text: &str) -> Outcome<usize> {
    let (digits, times) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number: usize = digits
        .parse()
        .map_err(|_| format!("{text}: not a number\n{USAGE}"))?;
    Ok(number * times)
}
