//! Parse arguments, run one verb, exit code.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    carepost::cli::main()
}
