//! A world in a box: two gateways, DNS, a clinic at each end, and a self-check.
//! In: nothing but loopback. Out: a referral's whole way on the screen, three refusals, and PASS or what failed.
//! Revocation is no part of it: the gateways' certificates name no place that tells their status, and the demo says so.

mod clinic;
pub mod dns;
mod forger;
pub mod gateways;
mod tap;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as signal;

use crate::crypto::sha256;
use crate::route::{Destination, EdgeTls};
use crate::world::{Monotonic, World};

use clinic::{MailClient, MailServer, Referral};
use dns::{Dns, Zone};
use forger::Forgery;
use gateways::{Plan, Ports, Side, Site};
use tap::Tap;
use watch::Watcher;

const ALPHA: Side = Side {
    name: "alpha",
    domain: "direct.alpha.test",
    hostname: "gw.direct.alpha.test",
};
const BETA: Side = Side {
    name: "beta",
    domain: "direct.beta.test",
    hostname: "gw.direct.beta.test",
};
/// Who is trusted by nobody here.
const GAMMA: &str = "direct.gamma.test";
const SENDER: &str = "dr.alvarez@direct.alpha.test";
const RECIPIENT: &str = "dr.baker@direct.beta.test";
const SUBJECT: &str = "Referral: Marisol Sampleton, chest tightness";
const TEXT: &str =
    "Dear Dr. Baker,\n\nplease see Mrs. Sampleton, referral note attached.\n\nInes Alvarez, MD\n";
const CCDA: &[u8] = include_bytes!("ccda.xml");
const FILE_NAME: &str = "referral-note.xml";
/// The longest that any step may take; the whole demo takes a second or two.
const STEP_MAX: Duration = Duration::from_secs(20);
/// How long silence is listened to before it counts as silence.
const SILENCE: Duration = Duration::from_millis(500);

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Leaves the files there.
    pub keep: Option<PathBuf>,
    /// Leaves both gateways up until Ctrl-C.
    pub serve: bool,
    /// Where lines go.
    pub print: fn(&str),
}

/// Runs it. True: every check passed.
///
/// # Errors
/// Two lines: what could not even be started.
pub async fn run(options: Options) -> Result<bool, String> {
    let world = World::real();
    let (dir, _scratch) = folder(&options, &world)?;
    let (stop_sender, stop) = signal::channel(false);
    let mut demo = Demo::start(&world, dir, &options, stop).await?;
    demo.referral().await?;
    demo.untrusted_sender().await?;
    demo.changed_on_the_way().await?;
    demo.copied_key_identifier().await?;
    let passed = demo.verdict();
    if options.serve {
        demo.sandbox();
        let _interrupted = tokio::signal::ctrl_c().await;
    } else if options.keep.is_some() {
        demo.where_to_look();
    }
    // The gateways end with this signal; the store is closed before the folder goes.
    let _sent = stop_sender.send(true);
    demo.stop().await;
    Ok(passed)
}

/// A scratch folder that is removed when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing of value is lost if this fails: it is a folder under the system's temporary one.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

fn folder(options: &Options, world: &World) -> Result<(PathBuf, Option<Scratch>), String> {
    if let Some(keep) = &options.keep {
        if keep.join(ALPHA.name).exists() {
            let keep = keep.display();
            return Err(format!(
                "{keep} holds an earlier demo\n  do: remove it, or give another --keep folder"
            ));
        }
        std::fs::create_dir_all(keep).map_err(|error| format!("{}: {error}", keep.display()))?;
        // Absolute, so that the printed commands work from anywhere.
        let keep = keep
            .canonicalize()
            .map_err(|error| format!("{}: {error}", keep.display()))?;
        return Ok((keep, None));
    }
    let name = format!("carepost-demo-{}", crate::envelope::TrackingId::new(world));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok((dir.clone(), Some(Scratch(dir))))
}

struct Demo {
    world: World,
    started: Monotonic,
    print: fn(&str),
    alpha: Site,
    beta: Site,
    alpha_events: Watcher,
    beta_events: Watcher,
    /// Between alpha and beta.
    onward: Arc<Tap>,
    /// Between beta and alpha: the reports.
    back: Arc<Tap>,
    clinic: MailServer,
    client: MailClient,
    _dns: Dns,
    failures: Vec<String>,
    checks: usize,
}

impl Demo {
    async fn start(
        world: &World,
        dir: PathBuf,
        options: &Options,
        stop: signal::Receiver<bool>,
    ) -> Result<Self, String> {
        let print = options.print;
        let started = world.monotonic();
        print(
            "carepost demo: a referral from Alpha Family Practice to Beta Cardiology, over loopback only\n",
        );
        let alpha_pki = gateways::make_pki(world, "Alpha", ALPHA.domain)?;
        let beta_pki = gateways::make_pki(world, "Beta", BETA.domain)?;
        let zone = |side: Side, certificate: &[u8]| Zone {
            domain: side.domain.to_owned(),
            mail_host: side.hostname.to_owned(),
            certificate: Some(certificate.to_vec()),
        };
        let dns = Dns::start(&[
            zone(ALPHA, &alpha_pki.leaf.certificate),
            zone(BETA, &beta_pki.leaf.certificate),
        ])
        .await?;
        let (alpha_ports, beta_ports) = (Ports::pick()?, Ports::pick()?);
        let (onward, onward_port) = tap(world, beta_ports).await?;
        let (back, back_port) = tap(world, alpha_ports).await?;
        let (alpha_ca, beta_ca) = (
            alpha_pki.ca.certificate.clone(),
            beta_pki.ca.certificate.clone(),
        );
        let plan = |side, pki, ports, relay_port, partner_ca| Plan {
            side,
            dir: &dir,
            pki,
            ports,
            dns: dns.address,
            relay_port,
            partner_ca,
        };
        let alpha_plan = plan(ALPHA, alpha_pki, alpha_ports, onward_port, &beta_ca);
        let alpha = gateways::start(world, alpha_plan, stop.clone()).await?;
        let beta_plan = plan(BETA, beta_pki, beta_ports, back_port, &alpha_ca);
        let beta = gateways::start(world, beta_plan, stop).await?;
        let clinic = MailServer::start()?;
        let client = people(&alpha, &beta, &clinic).await?;
        print(&format!(
            "  alpha  {} trusts Beta demo CA; clinic logs in at {}\n  beta   {} trusts Alpha demo CA; hands mail to the clinic's server at {}\n  dns    {} publishes MX and CERT of both\n  note   no TLS between the gateways here, so that the tap sees what S/MIME alone protects\n  note   these certificates name no place that tells whether they were revoked, so nobody can be asked\n",
            ALPHA.domain, alpha.submission, BETA.domain, clinic.address, dns.address
        ));
        Ok(Self {
            world: world.clone(),
            started,
            print,
            alpha_events: Watcher::new(ALPHA.name, &alpha.running.gateway.store),
            beta_events: Watcher::new(BETA.name, &beta.running.gateway.store),
            alpha,
            beta,
            onward,
            back,
            clinic,
            client,
            _dns: dns,
            failures: Vec::new(),
            checks: 0,
        })
    }

    /// The main job, and every claim about it checked.
    async fn referral(&mut self) -> Result<(), String> {
        self.title("1. A referral, from clinic to clinic");
        let reply = self.send(SUBJECT).await?;
        self.say(&format!("client   {reply}"));
        let delivered = self.until_alpha("answered").await;
        self.check(delivered, "the sender got one final answer: delivered");
        let arrived = self.clinic.arrived();
        let copy = arrived
            .first()
            .map(|copy| copy.octets.clone())
            .unwrap_or_default();
        self.check(
            arrived.len() == 1,
            "the clinic's mail server got exactly one copy",
        );
        self.check(
            attachment(&copy).is_some_and(|octets| sha256(&octets) == sha256(CCDA)),
            "the C-CDA arrived with the SHA-256 it was sent with",
        );
        let processed = self.until_told("processed").await;
        self.check(processed, "alpha was told `processed`");
        let dispatched = self.until_told("dispatched").await;
        self.check(dispatched, "alpha was told `dispatched`");
        let clear: [&[u8]; 4] = [
            SUBJECT.as_bytes(),
            b"Sampleton",
            b"Dear Dr. Baker",
            b"ClinicalDocument",
        ];
        let silent = !clear
            .iter()
            .any(|text| self.onward.saw(text) || self.back.saw(text));
        let octets = self.onward.octets() + self.back.octets();
        self.check(
            silent && octets > CCDA.len(),
            &format!("none of {octets} octets on the wire showed subject, name, text or document"),
        );
        Ok(())
    }

    async fn untrusted_sender(&mut self) -> Result<(), String> {
        self.title("2. Refused: a sender whose CA nobody here trusts");
        let gamma = gateways::make_pki(&self.world, "Gamma", GAMMA)?;
        self.forge("dr.mallory@direct.gamma.test", &gamma.leaf)
            .await?;
        self.refused("refused", "no-path").await;
        Ok(())
    }

    async fn changed_on_the_way(&mut self) -> Result<(), String> {
        self.title("3. Refused: one character changed on the way");
        self.onward.arm();
        let reports = self.back.connections();
        self.send("Referral, second").await?;
        self.refused("unopenable", "").await;
        self.check(self.onward.fired(), "the tap did change one character");
        self.check(
            self.back.connections() == reports,
            "no connection was made back to the sender",
        );
        Ok(())
    }

    async fn copied_key_identifier(&mut self) -> Result<(), String> {
        self.title(
            "4. Refused: a self-made certificate that copies the anchor's subjectKeyIdentifier",
        );
        let anchor = crate::trust::Certificate::parse(&self.alpha.pki.ca.certificate)
            .map_err(|error| error.to_string())?;
        let ski = anchor.subject_key_id().map(<[u8]>::to_vec);
        let forged = gateways::make_leaf(&self.world, ALPHA.domain, None, ski)?;
        self.forge(SENDER, &forged).await?;
        self.refused("refused", "").await;
        Ok(())
    }

    async fn send(&self, subject: &str) -> Result<String, String> {
        let referral = Referral {
            from: SENDER,
            to: RECIPIENT,
            subject,
            text: TEXT,
            file_name: FILE_NAME,
            ccda: CCDA,
        };
        self.client.send(&referral).await
    }

    async fn forge(
        &mut self,
        from: &str,
        signer: &crate::crypto::issue::Issued,
    ) -> Result<(), String> {
        let forgery = Forgery {
            from,
            to: RECIPIENT,
            signer,
            victim: &self.beta.pki.leaf,
            victim_ca: &self.beta.pki.ca,
        };
        let bodies = self.beta.running.gateway.store.bodies().clone();
        forger::send(&forgery, &bodies, &self.world, self.beta.relay).await?;
        self.say("forger   beta said 250: what is wrong is never told to a sender");
        Ok(())
    }

    /// Waits for the refusal, then for silence.
    async fn refused(&mut self, event: &str, reason: &str) {
        let copies = self.clinic.arrived().len();
        let said = self.beta_events.reports();
        let refused = self.until_beta(event, reason).await;
        self.check(refused, "beta refused it, and its journal says why");
        self.world.sleep(SILENCE).await;
        self.drain();
        let quiet = self.beta_events.reports() == said && self.clinic.arrived().len() == copies;
        self.check(
            quiet,
            "nothing was delivered; no MDN, no DSN, no word to the sender",
        );
    }

    async fn until_alpha(&mut self, event: &str) -> bool {
        let deadline = self.world.monotonic();
        loop {
            self.drain();
            if self.alpha_events.saw(event, "delivered") {
                return true;
            }
            if self.world.monotonic().since(deadline) > STEP_MAX {
                return false;
            }
            self.world.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Until alpha has read such a report. `dispatched` may overtake `processed`, which is late then (B-026).
    async fn until_told(&mut self, kind: &str) -> bool {
        let deadline = self.world.monotonic();
        loop {
            self.drain();
            if self.alpha_events.saw("report-received", kind) || self.alpha_events.saw("late", kind)
            {
                return true;
            }
            if self.world.monotonic().since(deadline) > STEP_MAX {
                return false;
            }
            self.world.sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_beta(&mut self, event: &str, reason: &str) -> bool {
        let seen = self.beta_events.count(event, reason);
        let deadline = self.world.monotonic();
        loop {
            self.drain();
            if self.beta_events.count(event, reason) > seen {
                return true;
            }
            if self.world.monotonic().since(deadline) > STEP_MAX {
                return false;
            }
            self.world.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Prints what has happened at both ends since the last look, in order of time.
    fn drain(&mut self) {
        let mut lines = self.alpha_events.drain();
        lines.extend(self.beta_events.drain());
        lines.sort_by_key(|line| line.at);
        for line in lines {
            self.say(&format!("{:<8} {}", line.side, line.text));
        }
    }

    fn say(&self, text: &str) {
        let elapsed = self.world.monotonic().since(self.started);
        (self.print)(&format!("  {:>5} ms  {text}", elapsed.as_millis()));
    }

    fn title(&self, text: &str) {
        (self.print)(&format!("\n{text}"));
    }

    fn check(&mut self, holds: bool, claim: &str) {
        self.checks += 1;
        (self.print)(&format!(
            "  {} {claim}",
            if holds { "[ok]  " } else { "[FAIL]" }
        ));
        if !holds {
            self.failures.push(claim.to_owned());
        }
    }

    fn verdict(&self) -> bool {
        let elapsed = self.world.monotonic().since(self.started).as_secs_f32();
        if self.failures.is_empty() {
            (self.print)(&format!("\nPASS  {} checks in {elapsed:.1} s", self.checks));
            return true;
        }
        (self.print)(&format!(
            "\nFAIL  {} of {} checks in {elapsed:.1} s:",
            self.failures.len(),
            self.checks
        ));
        self.failures
            .iter()
            .for_each(|failure| (self.print)(&format!("  - {failure}")));
        false
    }

    fn sandbox(&self) {
        (self.print)(&format!(
            "\nBoth gateways stay up until Ctrl-C.\n  submit to alpha  {} (STARTTLS), login {} password {}\n  relay of beta    {}\n  send as {SENDER} to {RECIPIENT}",
            self.client.submission, self.client.login, self.client.password, self.beta.relay
        ));
        self.where_to_look();
    }

    fn where_to_look(&self) {
        let alpha = self.alpha.dir.join("carepost.toml");
        let beta = self.beta.dir.join("carepost.toml");
        (self.print)(&format!(
            "\nLook around:\n  carepost message list --config {alpha}\n  carepost message show ID --config {beta}\n  carepost anchor list --config {beta}\n  carepost address list --config {beta}",
            alpha = alpha.display(),
            beta = beta.display()
        ));
    }

    async fn stop(self) {
        let (_sender, stop) = signal::channel(true);
        self.alpha.running.finish(stop.clone()).await;
        self.beta.running.finish(stop).await;
    }
}

async fn tap(world: &World, to: Ports) -> Result<(Arc<Tap>, u16), String> {
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let port = world.listen(any).await.map_err(|error| error.to_string())?;
    let number = port.local().map_err(|error| error.to_string())?.port();
    Ok((Tap::start(world.clone(), port, to.relay), number))
}

/// The two doctors: where their mail goes, and the sender's login.
async fn people(alpha: &Site, beta: &Site, clinic: &MailServer) -> Result<MailClient, String> {
    let maildir = Destination::Maildir(alpha.dir.join("maildir"));
    alpha
        .add_address(SENDER, &maildir, "Ines Alvarez, MD")
        .await?;
    let edge = Destination::Smtp {
        host: clinic.address.ip().to_string(),
        port: clinic.address.port(),
        tls: EdgeTls::Never,
    };
    beta.add_address(RECIPIENT, &edge, "Noor Baker, MD").await?;
    let login = "alpha-front-desk";
    let password = alpha.add_login(login, SENDER).await?;
    let server_certificate =
        std::fs::read(alpha.dir.join("tls.crt")).map_err(|error| format!("tls.crt: {error}"))?;
    // The listener works with a snapshot that follows each change; take the change in before the first message.
    alpha.running.gateway.snapshot().await;
    beta.running.gateway.snapshot().await;
    Ok(MailClient {
        submission: alpha.submission,
        login: login.to_owned(),
        password,
        server_certificate,
        server_name: ALPHA.hostname.to_owned(),
    })
}

/// The decoded attachment of a delivered message.
fn attachment(message: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;

    use crate::mime::{Header, Multipart, TransferEncoding};

    let mut source = message;
    let header = Header::read(&mut source).ok()?;
    let content_type = header.content_type().ok()?;
    let mut parts = Multipart::new(source, content_type.boundary().ok()?);
    while let Some(mut part) = parts.next_part().ok()? {
        let header = Header::read(&mut part).ok()?;
        let named = header
            .disposition()
            .ok()
            .flatten()
            .is_some_and(|found| found.filename() == Some(FILE_NAME));
        let encoding = header
            .transfer_encoding()
            .ok()?
            .unwrap_or(TransferEncoding::Identity);
        let mut octets = Vec::new();
        encoding.decode(part).read_to_end(&mut octets).ok()?;
        if named {
            return Some(octets);
        }
    }
    None
}
