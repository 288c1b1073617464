//! `carepost serve`: logging, signals, and the node until it is told to stop. First SIGTERM or SIGINT:
//! finish what was begun. Second: now.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::admin::{Failure, exit};
use crate::config::Config;
use crate::store::KeyEncryptionKey;
use crate::world::World;

use super::Desk;

pub async fn run(desk: &Desk) -> Result<(), Failure> {
    let config = desk.config()?;
    // Tried before anything is bound, so that its absence ends with the code for configuration.
    KeyEncryptionKey::read(&config.kek_file)?;
    log(&config)?;
    let (say, stop) = watch::channel(false);
    let signals = listen().map_err(|error| {
        Failure::new(
            exit::UNAVAILABLE,
            format!("no signals can be received: {error}"),
            "run carepost outside of this sandbox",
        )
    })?;
    tokio::spawn(obey(signals, say));
    crate::serve::run(config, World::real(), stop)
        .await
        .map_err(|text| Failure::of(code_of(&text), &text))
}

/// `serve` tells its failures in two lines; those that no restart mends have the code for configuration, so
/// that a service manager can stop trying (RestartPreventExitStatus=78).
fn code_of(text: &str) -> u8 {
    let lasting = ["the database has schema", "key-encryption key"];
    if lasting.iter().any(|part| text.contains(part)) {
        exit::CONFIG
    } else if text.contains("in use by another carepost") {
        exit::TEMPFAIL
    } else {
        exit::UNAVAILABLE
    }
}

fn log(config: &Config) -> Result<(), Failure> {
    let wrong = |error: String| Failure::new(exit::CONFIG, error, "correct [log] filter");
    let filter =
        EnvFilter::try_new(&config.log_filter).map_err(|error| wrong(error.to_string()))?;
    let writer = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let started = if config.log_json {
        writer.json().try_init()
    } else {
        writer.try_init()
    };
    started.map_err(|error| wrong(error.to_string()))
}

fn listen() -> std::io::Result<[Signal; 2]> {
    Ok([
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ])
}

async fn obey([mut term, mut int]: [Signal; 2], say: watch::Sender<bool>) {
    let mut next = async || {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping: what was begun is finished; a second signal stops at once");
    // Nobody listens any more: then the node has ended by itself.
    let _ = say.send(true);
    next().await;
    tracing::warn!("stopped at once; nothing that was answered with 250 is lost");
    std::process::exit(i32::from(exit::TEMPFAIL));
}
