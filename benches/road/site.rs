//! The gateway under test: set up by the verbs an operator types, run as a child process, killed at will.
//! In: routes for its addresses. Out: a running `carepost serve`, and its folder.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use carepost::demo::dns::{Dns, Zone};
use carepost::demo::gateways::Ports;

use crate::Outcome;
use crate::corpus::{GATE, PASSWORD, PEER, Parties};

/// The program that is measured.
const CAREPOST: &str = env!("CARGO_BIN_EXE_carepost");
/// The longest that a start may take.
const START_MAX: Duration = Duration::from_secs(60);

/// What differs between runs.
pub struct Plan<'a> {
    /// Address and route of each.
    pub addresses: &'a [(String, String)],
    /// Who may submit, if anybody.
    pub account: Option<&'a str>,
    /// The port of the other HISP's sink.
    pub relay_port: u16,
    /// Largest message; None: the default.
    pub message_size: Option<usize>,
}

/// A gateway.
pub struct Site {
    pub folder: PathBuf,
    pub ports: Ports,
    child: Option<Child>,
    starts: usize,
    keep: bool,
    /// Runs the name server, on a thread of its own.
    _names: tokio::runtime::Runtime,
    _dns: Dns,
}

impl Site {
    /// Makes it in `folder`; does not start it.
    pub fn make(folder: PathBuf, parties: &Parties, plan: &Plan<'_>, keep: bool) -> Outcome<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
        }
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let names = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let dns = names.block_on(Dns::start(&[Zone {
            domain: PEER.to_owned(),
            mail_host: format!("mail.{PEER}"),
            certificate: Some(parties.peer.certificate.clone()),
        }]))?;
        let site = Self {
            folder,
            ports: Ports::pick()?,
            child: None,
            starts: 0,
            keep,
            _names: names,
            _dns: dns,
        };
        site.set_up(parties, plan)?;
        Ok(site)
    }

    fn set_up(&self, parties: &Parties, plan: &Plan<'_>) -> Outcome<()> {
        let file = |name: &str, text: &str| {
            let path = self.folder.join(name);
            std::fs::write(&path, text).map_err(|error| error.to_string())?;
            Ok::<_, String>(path.display().to_string())
        };
        let password = file("password", PASSWORD)?;
        let (gate, here) = (self.folder.join("gate"), |address: SocketAddr| {
            address.to_string()
        });
        let hostname = format!("gw.{GATE}");
        let (p12, dir) = (parties.folder.join("gate.p12"), gate.display().to_string());
        let p12 = p12.display().to_string();
        let (relay, submission, health) = (
            here(self.ports.relay),
            here(self.ports.submission),
            here(self.ports.health),
        );
        self.verb(&[
            "init",
            "--dir",
            &dir,
            "--domain",
            GATE,
            "--hostname",
            &hostname,
            "--p12",
            &p12,
            "--p12-password-file",
            &password,
            "--listen-relay",
            &relay,
            "--listen-submission",
            &submission,
            "--health",
            &health,
        ])?;
        self.configure(plan)?;
        let ca = parties.peer_ca().display().to_string();
        self.verb(&["anchor", "import", &ca, "--label", "peer"])?;
        let mut csv = "address,route,holder,npi\n".to_owned();
        for (address, route) in plan.addresses {
            csv.push_str(&format!("{address},{route},,\n"));
        }
        let csv = file("addresses.csv", &csv)?;
        self.verb(&["address", "import", &csv])?;
        if let Some(account) = plan.account {
            let address = format!("front-desk@{GATE}");
            self.verb(&["account", "add", account, "--address", &address])?;
            self.verb(&[
                "account",
                "password",
                "add",
                account,
                "--label",
                "bench",
                "--password-file",
                &password,
            ])?;
        }
        Ok(())
    }

    /// What an operator of a test network changes: plain SMTP in, its name server, the peer's port.
    fn configure(&self, plan: &Plan<'_>) -> Outcome<()> {
        let path = self.config();
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut text = std::fs::read_to_string(&path).map_err(told)?;
        let mut changes = vec![
            ("tls = \"starttls\"".to_owned(), "tls = \"off\"".to_owned()),
            (
                "\nservers = []".to_owned(),
                format!("\nservers = [\"{}\"]", self._dns.address),
            ),
            (
                "\nport = 25".to_owned(),
                format!("\nport = {}", plan.relay_port),
            ),
        ];
        if let Some(size) = plan.message_size {
            changes.push((
                "\nmessage_size = 134217728".to_owned(),
                format!("\nmessage_size = {size}"),
            ));
        }
        for (from, to) in changes {
            if !text.contains(&from) {
                return Err(format!(
                    "init no longer writes `{}`; mend the harness",
                    from.trim()
                ));
            }
            text = text.replacen(&from, &to, 1);
        }
        std::fs::write(&path, text).map_err(told)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("gate/carepost.toml")
    }

    /// One verb of the command line; its standard output.
    pub fn verb(&self, words: &[&str]) -> Outcome<String> {
        let done = Command::new(CAREPOST)
            .arg("--config")
            .arg(self.config())
            .args(words)
            .output()
            .map_err(|error| format!("{CAREPOST}: {error}"))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        Err(format!("carepost {}: {why}", words.join(" ")))
    }

    /// Starts `serve` and waits until it greets; how long that took.
    pub fn start(&mut self) -> Outcome<Duration> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("serve.log"))
            .map_err(|error| error.to_string())?;
        let began = Instant::now();
        let child = Command::new(CAREPOST)
            .arg("--config")
            .arg(self.config())
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{CAREPOST}: {error}"))?;
        self.child = Some(child);
        self.starts += 1;
        while began.elapsed() < START_MAX {
            if self.greets() {
                return Ok(began.elapsed());
            }
            if self.has_ended() {
                return Err(format!(
                    "serve ended at its start; see {}/serve.log",
                    self.folder.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("serve did not greet".to_owned())
    }

    fn greets(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.ports.relay) else {
            return false;
        };
        let mut first = [0; 4];
        // Without an answer in time it is not ready.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        stream.read_exact(&mut first).is_ok() && &first == b"220 "
    }

    pub fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Outcome<()> {
        let mut child = self.child.take().ok_or("nothing runs")?;
        child.kill().map_err(|error| error.to_string())?;
        child.wait().map(|_| ()).map_err(|error| error.to_string())
    }

    /// SIGTERM, and its orderly end.
    pub fn stop(&mut self) -> Outcome<()> {
        let mut child = self.child.take().ok_or("nothing runs")?;
        let id = i32::try_from(child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or("no process id")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .map_err(|error| error.to_string())?;
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("serve ended with {status}"))
        }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join("gate/carepost.db")
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Lines of the log that tell of errors.
    pub fn complaints(&self) -> Vec<String> {
        std::fs::read_to_string(self.folder.join("serve.log"))
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains("panicked"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if !self.keep {
            // What stays behind is removed by the next run.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A Maildir route.
pub fn maildir(path: &Path) -> String {
    format!("maildir:{}", path.display())
}
