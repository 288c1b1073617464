//! `carepost smime open|verify|seal|inspect`: S/MIME messages in files, without a configuration or store.
//! In: paths on the command line, or a JSON object a line (`--batch`). Out: verdicts. The decisions are
//! those of `smime`, which takes them from the stations of the road.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Failure, exit};
use crate::certs::Identity;
use crate::crypto::issue::{KeyFile, read_certificates, read_p12, read_pem_key};
use crate::crypto::{ContentCipher, DigestAlgorithm, KeyTransport};
use crate::envelope::{Address, ReturnPath};
use crate::limits::BAG_CERTIFICATES_MAX;
use crate::open::{Rules, Waiver, Waivers};
use crate::seal::Suite;
use crate::smime::{self, Answer, Outcome, Request, Scratch, Task, Verdict, inspect, seal};
use crate::store::Body;
use crate::trust::check::{read_certificates as all_certificates, read_crls};
use crate::trust::{AnchorSet, Certificate, Evidence, Profile, RevocationMode};
use crate::world::{Timestamp, World};

use super::rules::{Words, files, lines, next_line, one_or_more, unread};
use super::table::tame;
use super::{Desk, err, out};

#[derive(Debug, Subcommand)]
pub enum Smime {
    /// Decrypt, verify, unwrap, bind and judge a message
    Open(Asked),
    /// The same for a message that is only signed
    Verify(Asked),
    /// Sign and encrypt a message
    Seal(Seal),
    /// Print the structure of a message or CMS object, without keys
    Inspect {
        /// A mail, or a bare CMS object in DER, BER or PEM
        file: PathBuf,
    },
}

/// One question; with `--batch` what the lines do not say.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// A mail, or a bare CMS object in DER, BER or PEM
    file: Option<PathBuf>,
    /// What a bare detached signature signs (verify only)
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// The private key: PEM, or PKCS#12 with its certificate; may be given again for further keys
    #[arg(long, value_name = "FILE")]
    #[serde(alias = "keys", deserialize_with = "one_or_more")]
    key: Vec<PathBuf>,
    /// The certificates of the keys, in any order
    #[arg(long, value_name = "FILE")]
    #[serde(alias = "certs", deserialize_with = "one_or_more")]
    cert: Vec<PathBuf>,
    /// The file whose first line is the password of the PKCS#12 file
    #[arg(long, value_name = "FILE")]
    #[serde(alias = "password-file")]
    password_file: Option<PathBuf>,
    /// Certificates that are trusted
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(alias = "anchors", deserialize_with = "one_or_more")]
    anchor: Vec<PathBuf>,
    /// Certificates beside those that came along
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(alias = "intermediates", deserialize_with = "one_or_more")]
    intermediate: Vec<PathBuf>,
    /// Revocation lists
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(alias = "crls", deserialize_with = "one_or_more")]
    crl: Vec<PathBuf>,
    /// MAIL FROM; <> for none
    #[arg(long, value_name = "ADDRESS")]
    #[serde(alias = "mail-from")]
    mail_from: Option<String>,
    /// RCPT TO
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    #[serde(alias = "rcpt-to", deserialize_with = "one_or_more")]
    rcpt_to: Vec<String>,
    /// Judge as of then, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// v1.3, v1.2, or rfc5280 for plain S/MIME [default: v1.3]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Somebody the signer must belong to, beside the sender
    #[arg(long)]
    address: Option<String>,
    /// sign, encrypt or any: what the signer's certificate must allow [default: sign]
    #[arg(long)]
    purpose: Option<String>,
    /// What extendedKeyUsage must allow: an OID, or any [default: emailProtection]
    #[arg(long, value_name = "OID")]
    eku: Option<String>,
    /// hard, soft or off [default: off unless a CRL is given, then hard]
    #[arg(long)]
    revocation: Option<String>,
    /// leaf or all [default: all]
    #[arg(long, value_name = "SCOPE")]
    #[serde(alias = "revocation-scope")]
    revocation_scope: Option<String>,
    /// Certificate policies that are acceptable [default: any]
    #[arg(long, value_name = "OID", num_args = 1..)]
    #[serde(alias = "policies", deserialize_with = "one_or_more")]
    policy: Vec<String>,
    /// An acceptable policy must hold
    #[arg(long)]
    #[serde(alias = "require-explicit-policy")]
    require_explicit_policy: bool,
    /// Policies are not to be mapped
    #[arg(long)]
    #[serde(alias = "inhibit-policy-mapping")]
    inhibit_policy_mapping: bool,
    /// anyPolicy is no policy
    #[arg(long)]
    #[serde(alias = "inhibit-any-policy")]
    inhibit_any_policy: bool,
    /// Waive that a message must be encrypted
    #[arg(long)]
    #[serde(alias = "allow-unencrypted")]
    allow_unencrypted: bool,
    /// Waive that the signed content must be message/rfc822
    #[arg(long)]
    #[serde(alias = "allow-unwrapped")]
    allow_unwrapped: bool,
    /// Waive that signer and sender, key and recipient belong together
    #[arg(long)]
    #[serde(alias = "no-binding")]
    no_binding: bool,
    /// Only decrypt: nothing is verified
    #[arg(long)]
    #[serde(alias = "decrypt-only")]
    decrypt_only: bool,
    /// Where the message goes if it is accepted
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Read one JSON object a line with these same names (and `id`), write one answer a line; - is standard input
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = "-",
        conflicts_with = "file"
    )]
    #[serde(skip)]
    batch: Option<PathBuf>,
    /// Of a line: comes back with its answer.
    #[arg(skip)]
    id: Option<Value>,
}

#[derive(Debug, Args)]
pub struct Seal {
    /// The message: From, To, Date and Message-ID in place
    file: PathBuf,
    /// The sender, as in From
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// The sender's private key: PEM, or PKCS#12 with its certificate
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The certificate of the key, and the intermediates above it
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The file whose first line is the password of the PKCS#12 file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A recipient
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<String>,
    /// Certificates of the recipients
    #[arg(long, value_name = "FILE", required = true)]
    recipient_cert: Vec<PathBuf>,
    /// aes-256-cbc, aes-128-cbc, aes-256-gcm, aes-128-gcm...
    #[arg(long, default_value = "aes-256-cbc")]
    cipher: String,
    /// pkcs1, or oaep (SHA-256)
    #[arg(long, default_value = "pkcs1")]
    key_transport: String,
    /// Where the sealed message goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Smime {
    pub(super) async fn run(self, desk: &Desk) -> Result<u8, Failure> {
        let json = desk.json;
        let work = move || match self {
            Self::Open(asked) => asked.run(Task::Open, json),
            Self::Verify(asked) => asked.run(Task::Verify, json),
            Self::Seal(order) => order.run(json),
            Self::Inspect { file } => inspected(&file, json),
        };
        // Keys and disks: off the reactor.
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(our_fault()))
    }
}

fn our_fault() -> Failure {
    Failure::new(
        exit::SOFTWARE,
        "carepost stopped while working on it",
        "report this with the output of `carepost smime inspect`",
    )
}

fn usage(happened: String) -> Failure {
    Failure::new(exit::USAGE, happened, "add --help to see what is possible")
}

impl Asked {
    fn run(mut self, task: Task, json: bool) -> Result<u8, Failure> {
        let world = World::real();
        if let Some(place) = self.batch.take() {
            return batch(&place, &self, task, &world);
        }
        if self.file.is_none() {
            self.file = self.last_of_a_list();
        }
        let request = self.request(task, &world).map_err(usage)?;
        // A question about a file that is not there is none; one about any octets has an answer.
        std::fs::File::open(&request.file)
            .map_err(|error| usage(format!("{}: {error}", request.file.display())))?;
        let verdict = guarded(
            |scratch| {
                let answer = smime::answer(&request, scratch, &world);
                kept(answer, self.out.as_deref())
            },
            &world,
        );
        show(&verdict, json);
        Ok(exit_code(&verdict))
    }

    /// A FILE that stands last, after a list, was taken for one more of the list.
    fn last_of_a_list(&mut self) -> Option<PathBuf> {
        let typed = PathBuf::from(std::env::args_os().next_back()?);
        let lists = [&mut self.anchor, &mut self.intermediate, &mut self.crl];
        let mut ends = lists.into_iter().filter(|list| list.len() > 1);
        ends.find(|list| list.last() == Some(&typed))?.pop()
    }

    /// What is not said here is taken from `others`.
    fn or(self, others: &Self) -> Self {
        fn list<T: Clone>(own: Vec<T>, other: &[T]) -> Vec<T> {
            if own.is_empty() { other.to_vec() } else { own }
        }
        Self {
            file: self.file.or_else(|| others.file.clone()),
            content: self.content.or_else(|| others.content.clone()),
            // Certificates belong to the keys that they stand with.
            cert: if self.key.is_empty() && self.cert.is_empty() {
                others.cert.clone()
            } else {
                self.cert
            },
            key: list(self.key, &others.key),
            password_file: self.password_file.or_else(|| others.password_file.clone()),
            anchor: list(self.anchor, &others.anchor),
            intermediate: list(self.intermediate, &others.intermediate),
            mail_from: self.mail_from.or_else(|| others.mail_from.clone()),
            rcpt_to: list(self.rcpt_to, &others.rcpt_to),
            crl: list(self.crl, &others.crl),
            address: self.address.or_else(|| others.address.clone()),
            purpose: self.purpose.or_else(|| others.purpose.clone()),
            eku: self.eku.or_else(|| others.eku.clone()),
            revocation: self.revocation.or_else(|| others.revocation.clone()),
            revocation_scope: self
                .revocation_scope
                .or_else(|| others.revocation_scope.clone()),
            policy: list(self.policy, &others.policy),
            require_explicit_policy: self.require_explicit_policy || others.require_explicit_policy,
            inhibit_policy_mapping: self.inhibit_policy_mapping || others.inhibit_policy_mapping,
            inhibit_any_policy: self.inhibit_any_policy || others.inhibit_any_policy,
            at: self.at.or_else(|| others.at.clone()),
            profile: self.profile.or_else(|| others.profile.clone()),
            allow_unencrypted: self.allow_unencrypted || others.allow_unencrypted,
            allow_unwrapped: self.allow_unwrapped || others.allow_unwrapped,
            no_binding: self.no_binding || others.no_binding,
            decrypt_only: self.decrypt_only || others.decrypt_only,
            out: self.out,
            batch: None,
            id: self.id,
        }
    }

    /// The question, with its files read; or what is wrong with it, in words.
    fn request(&self, task: Task, world: &World) -> Result<Request, String> {
        let profile = self.profile.as_deref().unwrap_or("v1.3");
        let rules = match Profile::from_word(profile) {
            Some(profile) => Rules::Direct(profile),
            None if profile == "rfc5280" => Rules::Plain,
            None => return Err(format!("there is no profile {profile}")),
        };
        let needs_key = task == Task::Open && !self.allow_unencrypted;
        if needs_key && self.key.is_empty() {
            return Err("there is no --key to open it with".to_owned());
        }
        let mut identities = Vec::new();
        for key in &self.key {
            let password = self.password_file.as_deref();
            identities.extend(read_identities(key, &self.cert, password)?);
        }
        if self.anchor.is_empty() && !self.decrypt_only {
            return Err("there is no --anchor to trust".to_owned());
        }
        let mut notes = Vec::new();
        let anchors = all_certificates(&files(&self.anchor), usize::MAX, &mut notes);
        let intermediates = all_certificates(
            &files(&self.intermediate),
            BAG_CERTIFICATES_MAX + 1,
            &mut notes,
        );
        let crls = read_crls(&files(&self.crl), &mut notes);
        let revocation = match self.crl.is_empty() {
            true => RevocationMode::Off,
            false => RevocationMode::Hard,
        };
        Ok(Request {
            task,
            file: self.file.clone().ok_or("there is no FILE")?,
            content: self.content.clone(),
            identities,
            anchors: Arc::new(AnchorSet::new(anchors)),
            intermediates,
            path_rules: self.words().rules(smime::path_rules(rules), revocation)?,
            evidence: Evidence::of(crls),
            address: self.address.as_deref().map(address).transpose()?,
            notes,
            mail_from: self.mail_from.as_deref().map(return_path).transpose()?,
            rcpt_to: addresses(&self.rcpt_to)?,
            at: self.at.as_deref().map_or(Ok(world.now()), time)?,
            rules,
            waivers: self.waivers(task)?,
        })
    }

    fn words(&self) -> Words<'_> {
        Words {
            purpose: self.purpose.as_deref(),
            eku: self.eku.as_deref(),
            revocation: self.revocation.as_deref(),
            revocation_scope: self.revocation_scope.as_deref(),
            policy: &self.policy,
            require_explicit_policy: self.require_explicit_policy,
            inhibit_policy_mapping: self.inhibit_policy_mapping,
            inhibit_any_policy: self.inhibit_any_policy,
        }
    }

    fn waivers(&self, task: Task) -> Result<Waivers, String> {
        let given = [
            (self.allow_unencrypted, Waiver::Unencrypted),
            (self.allow_unwrapped, Waiver::Unwrapped),
            (self.no_binding, Waiver::Binding),
            (self.decrypt_only, Waiver::DecryptOnly),
        ];
        if self.decrypt_only && (task == Task::Verify || self.key.is_empty()) {
            return Err("--decrypt-only is for open, with a --key".to_owned());
        }
        let given = given.into_iter().filter(|(given, _)| *given);
        Ok(given.fold(Waivers::NONE, |all, (_, one)| all.with(one)))
    }
}

fn return_path(text: &str) -> Result<ReturnPath, String> {
    match text {
        "" | "<>" => Ok(ReturnPath::Null),
        text => address(text).map(ReturnPath::To),
    }
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| format!("{text}: {error}"))
}

fn addresses(texts: &[String]) -> Result<Vec<Address>, String> {
    texts.iter().map(|text| address(text)).collect()
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .or_else(|| text.parse().ok().map(Timestamp::from_unix_s))
        .ok_or_else(|| format!("{text} is no time; write it as 2026-11-22T01:02:03Z"))
}

fn octets(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    std::fs::read(path)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn certificates(paths: &[PathBuf]) -> Result<Vec<Arc<Certificate>>, String> {
    let mut all = Vec::new();
    for path in paths {
        let why = |why: String| format!("{}: {why}", path.display());
        for der in read_certificates(&octets(path)?).map_err(why)? {
            all.push(Certificate::parse(&der).map_err(|error| why(error.to_string()))?);
        }
    }
    Ok(all)
}

/// A key with each certificate that is its own, for a renewed certificate may keep its key. They are found
/// among those given, or among those in the file of the key.
fn read_identities(
    key: &Path,
    cert: &[PathBuf],
    password: Option<&Path>,
) -> Result<Vec<Arc<Identity>>, String> {
    let file = octets(key)?;
    let mut beside = Vec::new();
    for cert in cert {
        beside.extend(read_certificates(&octets(cert)?).map_err(|why| of(cert, &why))?);
    }
    if memchr::memmem::find(&file, b"-----BEGIN ").is_some() {
        let private = read_pem_key(&file).map_err(|why| of(key, &why))?;
        if cert.is_empty() {
            beside = read_certificates(&file).map_err(|why| of(key, &why))?;
        }
        return key_files(&private, &beside);
    }
    let password = match password {
        Some(path) => octets(path)?,
        None => zeroize::Zeroizing::new(Vec::new()),
    };
    let password = std::str::from_utf8(&password).map_err(|error| error.to_string())?;
    let read = read_p12(&file, password.lines().next().unwrap_or_default())
        .map_err(|why| of(key, &why))?;
    if cert.is_empty() {
        return Ok(vec![smime::identity(&read)?]);
    }
    key_files(&read.key, &beside)
}

fn of(path: &Path, why: &str) -> String {
    format!("{}: {why}", path.display())
}

fn key_files(
    key: &crate::crypto::PrivateKey,
    chain: &[Vec<u8>],
) -> Result<Vec<Arc<Identity>>, String> {
    let public = key.public();
    let (own, others): (Vec<_>, Vec<_>) = chain.iter().cloned().partition(|der| {
        Certificate::parse(der)
            .is_ok_and(|one| one.public_key().is_ok_and(|other| other.same_as(&public)))
    });
    if own.is_empty() {
        return Err("the key belongs to none of the certificates".to_owned());
    }
    let identity = |certificate| {
        smime::identity(&KeyFile {
            key: key.clone(),
            certificate,
            chain: others.clone(),
        })
    };
    own.into_iter().map(identity).collect()
}

/// A crash is an answer too: ours.
fn guarded(work: impl FnOnce(&Scratch) -> Verdict, world: &World) -> Verdict {
    let scratch = Scratch::new(world);
    catch_unwind(AssertUnwindSafe(|| work(&scratch)))
        .unwrap_or_else(|_| Verdict::fault("carepost stopped while working on it"))
}

/// Writes the content of what was accepted, and of nothing else.
fn kept((verdict, content): Answer, to: Option<&Path>) -> Verdict {
    match (to, content) {
        (Some(path), Some(content)) if verdict.verdict == Outcome::Accepted => {
            match write_out(path, &content) {
                Ok(()) => verdict,
                Err(error) => Verdict::fault(format!("{}: {error}", path.display())),
            }
        }
        _ => verdict,
    }
}

/// For its owner alone: it is somebody's health.
fn write_out(path: &Path, content: &Body) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let mut reader = content.reader().map_err(std::io::Error::other)?;
    std::io::copy(&mut reader, &mut file)?;
    file.sync_all()
}

fn exit_code(verdict: &Verdict) -> u8 {
    match verdict.verdict {
        Outcome::Accepted => 0,
        Outcome::Refused => exit::FAILED,
        Outcome::Undetermined => exit::TEMPFAIL,
        Outcome::Fault => exit::SOFTWARE,
    }
}

fn show(verdict: &Verdict, json: bool) {
    if json {
        let text = serde_json::to_string_pretty(verdict).unwrap_or_default();
        out(&format!("{text}\n"));
    } else {
        out(&told(verdict));
    }
}

fn told(verdict: &Verdict) -> String {
    let mut text = match verdict.verdict {
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Refused => format!("refused ({})", verdict.stage),
        Outcome::Undetermined => "cannot be told now".to_owned(),
        Outcome::Fault => "a fault of ours".to_owned(),
    };
    if let Some(reason) = verdict.reason {
        text.push_str(&format!(": {}: {}", reason.code(), reason.happened()));
    }
    let signer = verdict.signer.as_ref().map(|one| one.subject.clone());
    let algorithms = &verdict.algorithms;
    let used = [
        algorithms.cipher,
        algorithms.key_transport,
        algorithms.digest,
    ];
    let used: Vec<&str> = used.into_iter().flatten().collect();
    for (what, value) in [
        ("detail", verdict.detail.clone()),
        ("sender", verdict.sender.clone()),
        ("signer", signer),
        ("path", Some(verdict.path.join(" < "))),
        ("protection", Some(used.join(", "))),
        ("waived", Some(verdict.waivers.join(", "))),
        ("note", Some(verdict.notes.join("; "))),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("\n  {what}: {}", tame(&value)));
        }
    }
    text.push('\n');
    text
}

/// One answer for each line, whatever the line holds.
fn batch(place: &Path, others: &Asked, task: Task, world: &World) -> Result<u8, Failure> {
    let mut lines = lines(place)?;
    while let Some(line) = next_line(&mut *lines).map_err(unread(place))? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = answered(&line, others, task, world);
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{answer}").and_then(|()| stdout.flush());
        written.map_err(|error| {
            let what = format!("standard output: {error}");
            Failure::new(exit::SOFTWARE, what, "start it again")
        })?;
    }
    Ok(0)
}

fn answered(line: &[u8], others: &Asked, task: Task, world: &World) -> Value {
    let (id, verdict) = match serde_json::from_slice::<Asked>(line) {
        Ok(asked) => {
            let (id, asked) = (asked.id.clone(), asked.or(others));
            let work = |scratch: &Scratch| match asked.request(task, world) {
                Ok(request) => {
                    let answer = smime::answer(&request, scratch, world);
                    kept(answer, asked.out.as_deref())
                }
                Err(why) => Verdict::unreadable(why),
            };
            (id, guarded(work, world))
        }
        Err(error) => {
            let id = serde_json::from_slice::<Value>(line).ok();
            let id = id.and_then(|line| line.get("id").cloned());
            (id, Verdict::unreadable(format!("the line: {error}")))
        }
    };
    let mut answer = serde_json::to_value(&verdict).unwrap_or_else(|_| json!({}));
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("id".to_owned(), id.unwrap_or(Value::Null));
    }
    answer
}

impl Seal {
    fn run(self, json: bool) -> Result<u8, Failure> {
        let world = World::real();
        let order = self.order().map_err(usage)?;
        let scratch = Scratch::new(&world);
        let (verdict, sealed) = seal::seal(&order, &scratch, &world);
        if let Some(sealed) = sealed {
            let written = match &self.out {
                Some(path) => write_out(path, &sealed),
                None => sealed
                    .reader()
                    .map_err(std::io::Error::other)
                    .and_then(|mut reader| {
                        std::io::copy(&mut reader, &mut std::io::stdout().lock())
                    })
                    .map(|_| ()),
            };
            written.map_err(|error| {
                let what = format!("the sealed message cannot be written: {error}");
                Failure::new(exit::CANT_CREATE, what, "choose another --out")
            })?;
        }
        match (&self.out, verdict.verdict) {
            // Standard output is the message.
            (None, Outcome::Accepted) => {}
            (None, _) if !json => err(told(&verdict).trim_end()),
            _ => show(&verdict, json),
        }
        Ok(exit_code(&verdict))
    }

    fn identity(&self) -> Result<Arc<Identity>, String> {
        let cert: Vec<PathBuf> = self.cert.iter().cloned().collect();
        let mut all = read_identities(&self.key, &cert, self.password_file.as_deref())?.into_iter();
        all.next()
            .ok_or_else(|| "there is no certificate".to_owned())
    }

    fn order(&self) -> Result<seal::Order, String> {
        let cipher = self.cipher.to_ascii_uppercase();
        let cipher = ContentCipher::ALL
            .into_iter()
            .find(|one| one.name() == cipher);
        let digest = DigestAlgorithm::Sha256;
        let transport = match self.key_transport.as_str() {
            "pkcs1" => KeyTransport::Pkcs1,
            "oaep" => KeyTransport::Oaep {
                digest,
                mgf: digest,
            },
            other => return Err(format!("there is no key transport {other}")),
        };
        Ok(seal::Order {
            file: self.file.clone(),
            from: address(&self.from)?,
            identity: self.identity()?,
            to: addresses(&self.to)?,
            certificates: certificates(&self.recipient_cert)?,
            suite: Suite {
                cipher: cipher.ok_or_else(|| format!("there is no cipher {}", self.cipher))?,
                transport,
                digest,
            },
        })
    }
}

fn inspected(file: &Path, json: bool) -> Result<u8, Failure> {
    let world = World::real();
    let scratch = Scratch::new(&world);
    let report = inspect::inspect(file, &scratch, &world).map_err(usage)?;
    if json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        out(&format!("{text}\n"));
    } else {
        out(&report.text());
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_an_answer_with_its_id() {
        let world = World::real();
        let others = Asked::default();
        for (line, id) in [
            (
                &br#"{"id": 7, "file": "/nowhere", "key": "/nowhere"}"#[..],
                json!(7),
            ),
            (
                br#"{"id": "a", "file": "/nowhere", "anchors": "/nowhere"}"#,
                json!("a"),
            ),
            (br#"{"id": "b", "fiel": "x"}"#, json!("b")),
            (br#"{"id": "c", "rcpt-to": 5}"#, json!("c")),
            (b"[]", Value::Null),
            (b"not JSON \xff", Value::Null),
        ] {
            for task in [Task::Open, Task::Verify] {
                let answer = answered(line, &others, task, &world);
                assert_eq!(answer.get("id"), Some(&id));
                assert_eq!(answer.get("verdict"), Some(&json!("refused")));
                assert_eq!(answer.get("stage"), Some(&json!("input")));
                assert_eq!(answer.get("reason"), Some(&json!("malformed")));
            }
        }
    }

    #[test]
    fn a_line_may_write_names_both_ways_and_the_command_line_fills_the_gaps() {
        let line = r#"{"file": "m", "rcpt-to": ["b@d.example"], "mail_from": "<>", "anchor": "a"}"#;
        let asked: Asked = serde_json::from_str(line).expect("reads");
        let others = Asked {
            key: vec!["k".into()],
            anchor: vec!["other".into()],
            no_binding: true,
            ..Asked::default()
        };
        let asked = asked.or(&others);
        assert_eq!(asked.rcpt_to, ["b@d.example"]);
        assert_eq!(asked.mail_from.as_deref(), Some("<>"));
        assert_eq!(asked.anchor, [PathBuf::from("a")]);
        assert_eq!(asked.key, [PathBuf::from("k")]);
        assert!(asked.no_binding && !asked.decrypt_only);
    }
}
