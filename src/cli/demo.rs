//! `carepost demo`: the main job on loopback, with a self-check.

use std::path::PathBuf;

use crate::admin::{Failure, exit};
use crate::demo::{self, Options};

/// Options of the demo.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Leave the files of both gateways in this folder, and print how to look around
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Leave both gateways up until Ctrl-C, with printed credentials
    #[arg(long)]
    serve: bool,
}

impl Demo {
    /// 0 for PASS, 1 for what failed.
    pub async fn run(self) -> Result<u8, Failure> {
        let print = |line: &str| super::out(&format!("{line}\n"));
        let options = Options {
            keep: self.keep,
            serve: self.serve,
            print,
        };
        match demo::run(options).await {
            Ok(true) => Ok(0),
            Ok(false) => Ok(1),
            Err(text) => Err(Failure::of(exit::UNAVAILABLE, &text)),
        }
    }
}
