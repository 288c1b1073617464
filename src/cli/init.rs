//! `carepost init`: a gateway that `serve` starts as it stands. In: names. Out: configuration,
//! key-encryption key, TLS and domain certificates, store; then what to publish and what still blocks real
//! mail. Refuses to overwrite; a failure half-way leaves nothing behind.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::admin::{
    self, AnchorImport, CertImport, DEMO_CA, DomainAdd, Failure, Handle, Hidden, Request, exit,
};
use crate::config::{self, Fill};
use crate::crypto::CryptoError;
use crate::crypto::issue::{self, Issued, KeyKind, Purpose, Template};
use crate::envelope::Address;
use crate::journal::Actor;
use crate::store::KeyEncryptionKey;
use crate::world::World;

use super::table::field;
use super::{Desk, base64, cert, check, connect};

const DAY: Duration = Duration::from_secs(86_400);
/// Certificates begin a little earlier, for peers whose clocks are late.
const BACKDATED: Duration = Duration::from_secs(3_600);
/// The demo CA: long enough for every test.
const CA_DAYS: u32 = 3_650;
/// The domain's certificate and the self-signed TLS one: a year, as Direct CAs issue them.
const LEAF_DAYS: u32 = 365;

/// What a demo CA is worth, in full honesty.
const DEMO_WORTH: &str = "\
What the demo CA is worth: nothing outside your own test partners. Nobody checked who you are; no bundle holds it; whoever
has demo-ca.key can sign as you. A test partner imports demo-ca.pem as an anchor and gives you theirs. For real mail get a
certificate for the domain from a Direct CA, then `carepost cert import`.
";

#[derive(Debug, Args)]
pub struct Init {
    /// Folder for everything; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "/var/lib/carepost")]
    dir: PathBuf,
    /// The Direct domain, such as direct.example.org
    #[arg(long)]
    domain: String,
    /// The name by which DNS knows this host
    #[arg(long)]
    hostname: String,
    /// Make a CA for tests, and a certificate of it for the domain
    #[arg(long, conflicts_with = "p12")]
    demo_ca: bool,
    /// Take the domain's certificate and key from this PKCS#12 file
    #[arg(long, value_name = "FILE")]
    p12: Option<PathBuf>,
    /// The file whose first line is its password
    #[arg(long, value_name = "FILE", requires = "p12")]
    p12_password_file: Option<PathBuf>,
    /// Where other HISPs connect
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:25")]
    listen_relay: SocketAddr,
    /// Where clinics connect (STARTTLS)
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:587")]
    listen_submission: SocketAddr,
    /// Where probes connect
    #[arg(long, value_name = "LOOPBACK:PORT", default_value = "127.0.0.1:8090")]
    health: SocketAddr,
}

/// Files that were made, in order; they are removed again unless it all succeeds.
struct Made {
    folder: PathBuf,
    files: Vec<(PathBuf, &'static str)>,
    keep: bool,
}

/// Who may read a file.
#[derive(Clone, Copy)]
enum Mode {
    Secret,
    Public,
}

impl Made {
    fn write(
        &mut self,
        name: &str,
        about: &'static str,
        mode: Mode,
        octets: &[u8],
    ) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        let bits = match mode {
            Mode::Secret => 0o600,
            Mode::Public => 0o644,
        };
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(bits)
            .open(&path)
            .map_err(|error| cannot_make(&path, &error))?;
        self.files.push((path.clone(), about));
        file.write_all(octets)
            .and_then(|()| file.sync_all())
            .map_err(|error| cannot_make(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.keep {
            for (path, _) in &self.files {
                // Best effort: what stays behind is named at the next try.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn cannot_make(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        exit::CANT_CREATE,
        format!("{}: {error}", path.display()),
        "check that the folder belongs to this user and has room",
    )
}

impl Init {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let names = self.names()?;
        let mut made = self.begin()?;
        let world = World::real();
        let handle = match self.build(&mut made, &names, &world).await {
            Ok(handle) => handle,
            Err(failure) => {
                self.remove_store();
                return Err(failure);
            }
        };
        made.keep = true;
        let report = self.report(&handle, &made, &names).await;
        handle.close().await;
        let report = report?;
        desk.show(&report, |report| self.human(report));
        Ok(())
    }

    fn names(&self) -> Result<Names, Failure> {
        let name = |written: &str| {
            Address::parse(&format!("postmaster@{written}"))
                .map(|address| address.domain().to_owned())
                .map_err(|_| {
                    Failure::new(
                        exit::USAGE,
                        format!("{written} is not a fully qualified name"),
                        "write it as mail.example.org",
                    )
                })
        };
        Ok(Names {
            domain: name(&self.domain)?,
            hostname: name(&self.hostname)?,
        })
    }

    fn files(&self) -> Vec<&'static str> {
        let mut files = vec![
            "carepost.toml",
            "kek",
            "tls.crt",
            "tls.key",
            "carepost.db",
            "carepost.db-wal",
            "blobs",
        ];
        if self.demo_ca {
            files.extend(["demo-ca.pem", "demo-ca.key", "demo-ca.crl"]);
        }
        files
    }

    /// Refuses if anything that would be made is there.
    fn begin(&self) -> Result<Made, Failure> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|error| cannot_make(&self.dir, &error))?;
        let folder = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        let there: Vec<&str> = self
            .files()
            .into_iter()
            .filter(|name| folder.join(name).symlink_metadata().is_ok())
            .collect();
        if there.is_empty() {
            return Ok(Made {
                folder,
                files: Vec::new(),
                keep: false,
            });
        }
        Err(Failure::new(
            exit::CANT_CREATE,
            format!(
                "{} holds {} already; nothing was changed",
                folder.display(),
                there.join(", ")
            ),
            "give another folder with --dir, or use the gateway that is there: carepost check --config ...",
        ))
    }

    /// After a failure: the store was made in this run, because `begin` found none.
    fn remove_store(&self) {
        // Best effort, as above.
        for name in [
            "carepost.db",
            "carepost.db-wal",
            "carepost.db-shm",
            "carepost.db.lock",
        ] {
            let _ = std::fs::remove_file(self.dir.join(name));
        }
        let _ = std::fs::remove_dir_all(self.dir.join("blobs"));
    }

    async fn build(
        &self,
        made: &mut Made,
        names: &Names,
        world: &World,
    ) -> Result<Handle, Failure> {
        let file = made.write(
            "carepost.toml",
            "the configuration",
            Mode::Public,
            self.config_text(names).as_bytes(),
        )?;
        // Only the file's own words count here: the key of this new store lies beside it.
        let config = config::parse(&self.config_text(names), &file, |_| None)
            .map_err(|error| Failure::of(exit::CONFIG, &error.to_string()))?;
        let key = make_kek(made, world)?;
        make_tls(made, world, &names.hostname)?;
        let handle = connect::open_with(&config, key).await?;
        let filled = self.fill(&handle, made, names, world).await;
        if filled.is_err() {
            handle.close().await;
        }
        filled.map(|()| handle)
    }

    fn config_text(&self, names: &Names) -> String {
        config::template(&Fill {
            values: vec![
                ("node", "hostname", names.hostname.clone()),
                ("node", "data_dir", ".".to_owned()),
                ("admin", "health", self.health.to_string()),
            ],
            listeners: vec![
                ("relay", self.listen_relay.to_string(), "starttls"),
                ("submission", self.listen_submission.to_string(), "starttls"),
            ],
        })
    }

    /// Domain and identity.
    async fn fill(
        &self,
        handle: &Handle,
        made: &mut Made,
        names: &Names,
        world: &World,
    ) -> Result<(), Failure> {
        let actor = admin::operator(rustix::process::geteuid().as_raw()).await;
        let add = Request::DomainAdd(DomainAdd {
            name: names.domain.clone(),
            profile: "v1.3".to_owned(),
        });
        admin::run(handle, actor.clone(), add).await?;
        if let Some(p12) = &self.p12 {
            let request = cert::import(p12, self.p12_password_file.as_deref(), None)?;
            admin::run(handle, actor, request).await?;
        } else if self.demo_ca {
            let (leaf, ca) = demo_ca(made, world, &names.domain)?;
            identify(handle, actor, &leaf, &ca).await?;
        }
        Ok(())
    }

    async fn report(&self, handle: &Handle, made: &Made, names: &Names) -> Result<Value, Failure> {
        let store = (made.folder.join("carepost.db"), "the store");
        let written: Vec<Value> = made
            .files
            .iter()
            .chain([&store])
            .map(|(path, about)| json!({"file": path.display().to_string(), "about": about}))
            .collect();
        let mut dns = vec![
            format!("{}. 3600 IN MX 10 {}.", names.domain, names.hostname),
            format!(
                "{}. 3600 IN A <the public IPv4 address of this host>",
                names.hostname
            ),
        ];
        let actor = Actor::Carepost;
        let records = admin::run(handle, actor.clone(), Request::CertRecords).await?;
        let records = records.as_array().map(Vec::as_slice).unwrap_or_default();
        dns.extend(records.iter().map(|row| field(row, "record")));
        let items = admin::run(handle, actor, Request::Check).await?;
        let blocking: Vec<&Value> = check::open(&items).collect();
        Ok(json!({"written": written, "dns": dns, "blocking": blocking}))
    }

    fn human(&self, report: &Value) -> String {
        let list = |key: &str| {
            report[key]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        let mut text = String::from("Made:\n");
        for row in list("written") {
            text.push_str(&format!(
                "  {}: {}\n",
                field(row, "file"),
                field(row, "about")
            ));
        }
        if self.demo_ca {
            text.push_str(&format!("\n{DEMO_WORTH}"));
        }
        text.push_str("\nDNS records to publish:\n");
        for record in list("dns") {
            text.push_str(&format!("{}\n", record.as_str().unwrap_or_default()));
        }
        text.push_str("\nWhat still blocks real mail:\n");
        for (number, item) in (1..).zip(list("blocking")) {
            text.push_str(&format!("{number:>3}. {}", check::told(item)));
        }
        let folder = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        let place = folder.join("carepost.toml");
        text.push_str(&format!(
            "\nStart it:       carepost serve --config {0}\nThe list again: carepost check --config {0}\n",
            place.display()
        ));
        text
    }
}

/// Names in their comparison form.
struct Names {
    domain: String,
    hostname: String,
}

fn make_kek(made: &mut Made, world: &World) -> Result<KeyEncryptionKey, Failure> {
    let key = zeroize::Zeroizing::new(world.random::<32>());
    let mut hex = zeroize::Zeroizing::new(String::with_capacity(65));
    for octet in key.iter() {
        hex.push_str(&format!("{octet:02x}"));
    }
    hex.push('\n');
    let path = made.write(
        "kek",
        "the key-encryption key: keep a copy in another place, without it nothing stored can be read",
        Mode::Secret,
        hex.as_bytes(),
    )?;
    // Read back, so that what was written is what will be found.
    Ok(KeyEncryptionKey::read(&path)?)
}

fn broken(_: CryptoError) -> Failure {
    Failure::new(
        exit::FAILED,
        "OpenSSL could not make a key or a certificate",
        "try again; report it if it stays so",
    )
}

fn template(world: &World, common_name: &str, days: u32, purpose: Purpose) -> Template {
    Template {
        common_name: common_name.to_owned(),
        purpose,
        not_before: world.now().minus(BACKDATED),
        not_after: world.now().plus(DAY * days),
        crl_url: None,
        claimed_ski: None,
    }
}

fn make_tls(made: &mut Made, world: &World, hostname: &str) -> Result<(), Failure> {
    let key = issue::make_key(KeyKind::P256).map_err(broken)?;
    let purpose = Purpose::Server {
        names: vec![hostname.to_owned()],
    };
    let server = template(world, hostname, LEAF_DAYS, purpose);
    let issued = issue::issue(world, &server, &key, None).map_err(broken)?;
    let pem = issue::pem_certificate(&issued.certificate);
    made.write(
        "tls.crt",
        "the listeners' TLS certificate, self-signed: replace it",
        Mode::Public,
        pem.as_bytes(),
    )?;
    let key = issue::pem_key(&issued.key).map_err(broken)?;
    made.write("tls.key", "its private key", Mode::Secret, &key)?;
    Ok(())
}

/// A CA with a CRL, and the domain's certificate of it.
fn demo_ca(made: &mut Made, world: &World, domain: &str) -> Result<(Issued, Issued), Failure> {
    let key = issue::make_key(KeyKind::Rsa(2048)).map_err(broken)?;
    let name = format!("{DEMO_CA} for {domain}");
    let common_name: String = name.chars().take(64).collect();
    let purpose = Purpose::Ca { path_len: Some(0) };
    let template_ca = template(world, &common_name, CA_DAYS, purpose);
    let ca = issue::issue(world, &template_ca, &key, None).map_err(broken)?;
    let pem = issue::pem_certificate(&ca.certificate);
    made.write(
        "demo-ca.pem",
        "the demo CA, for test partners",
        Mode::Public,
        pem.as_bytes(),
    )?;
    let pem = issue::pem_key(&ca.key).map_err(broken)?;
    made.write("demo-ca.key", "its private key", Mode::Secret, &pem)?;
    let now = world.now();
    let crl = issue::crl(&ca, &[], now, now.plus(DAY * LEAF_DAYS)).map_err(broken)?;
    made.write(
        "demo-ca.crl",
        "its revocation list, empty",
        Mode::Public,
        &crl,
    )?;
    let key = issue::make_key(KeyKind::Rsa(2048)).map_err(broken)?;
    let purpose = Purpose::Direct {
        address: None,
        domain: Some(domain.to_owned()),
    };
    // RFC 5280 A.1 ub-common-name: 64 characters.
    let common_name: String = domain.chars().take(64).collect();
    let leaf = template(world, &common_name, LEAF_DAYS, purpose);
    let leaf = issue::issue(world, &leaf, &key, Some(&ca)).map_err(broken)?;
    Ok((leaf, ca))
}

/// Takes in the demo certificate, and trusts its CA, so that mail between addresses of this domain can be
/// tried at once.
async fn identify(
    handle: &Handle,
    actor: Actor,
    leaf: &Issued,
    ca: &Issued,
) -> Result<(), Failure> {
    let key = issue::pem_key(&leaf.key).map_err(broken)?;
    let import = Request::CertImport(CertImport {
        certificate: base64(issue::pem_certificate(&leaf.certificate).as_bytes()),
        key: Some(Hidden(base64(&key))),
        password: None,
    });
    admin::run(handle, actor.clone(), import).await?;
    let trust = Request::AnchorImport(AnchorImport {
        octets: base64(&ca.certificate),
        label: Some("demo-ca".to_owned()),
        profile: "default".to_owned(),
        direction: "both".to_owned(),
    });
    admin::run(handle, actor, trust).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        init: Init,
    }

    fn asked(dir: &Path, more: &[&str]) -> Init {
        let dir = dir.to_str().expect("a plain path");
        let mut line = vec!["init", "--dir", dir, "--domain", "Direct.Example.org"];
        line.extend(["--hostname", "mail.example.org"]);
        line.extend(more);
        Line::try_parse_from(line).expect("understood").init
    }

    fn desk(dir: &Path) -> Desk {
        Desk {
            place: dir.join("carepost.toml"),
            json: true,
        }
    }

    #[tokio::test]
    async fn a_new_gateway_has_a_configuration_that_loads_and_a_store_with_its_domain() {
        let home = tempfile::tempdir().expect("a folder");
        let dir = home.path().join("gateway");
        let init = asked(&dir, &["--demo-ca"]);
        let (names, world) = (init.names().expect("names"), World::real());
        let mut made = init.begin().expect("nothing is there");
        let handle = init.build(&mut made, &names, &world).await.expect("made");
        made.keep = true;
        handle.close().await;
        drop((handle, made));
        let config = desk(&dir).config().expect("loads");
        assert_eq!(config.hostname, "mail.example.org");
        assert_eq!(config.listeners.len(), 2);
        let value = connect::ask(&config, Request::CertList)
            .await
            .expect("asked alone");
        assert_eq!(value[0]["bound_to"], "direct.example.org");
        let value = connect::ask(&config, Request::CertRecords)
            .await
            .expect("asked alone");
        let record = value[0]["record"].as_str().unwrap_or_default();
        assert!(record.starts_with("direct.example.org. 3600 IN CERT PKIX 0 0 MII"));
        for name in ["kek", "tls.key", "demo-ca.key"] {
            use std::os::unix::fs::PermissionsExt as _;
            let meta = std::fs::metadata(dir.join(name)).expect("there");
            assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn nothing_is_overwritten_and_a_failure_leaves_nothing_behind() {
        let home = tempfile::tempdir().expect("a folder");
        let kek = home.path().join("kek");
        std::fs::write(&kek, "precious").expect("writes");
        let failure = asked(home.path(), &[]).run(&desk(home.path())).await;
        let failure = failure.expect_err("refused");
        assert_eq!(failure.code, exit::CANT_CREATE);
        assert_eq!(std::fs::read_to_string(&kek).expect("there"), "precious");

        let dir = home.path().join("other");
        let p12 = home.path().join("broken.p12");
        std::fs::write(&p12, "no PKCS#12").expect("writes");
        let p12 = p12.to_str().expect("a plain path");
        let failure = asked(&dir, &["--p12", p12]).run(&desk(&dir)).await;
        failure.expect_err("refused");
        let left = std::fs::read_dir(&dir).expect("the folder").count();
        assert_eq!(left, 0);
    }
}
