//! Messages sealed beforehand by the other HISP, each with an id of its own, kept in the target folder between runs.
//! In: size and count. Out: octets as they go over the wire, made once, on all processors.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carepost::certs::{Identity, IdentityState};
use carepost::crypto::issue::{self, KeyFile};
use carepost::demo::gateways::{self, Pki};
use carepost::draft::{Draft, DraftKind};
use carepost::envelope::{Address, MessageId, TrackingId};
use carepost::seal::{self, Suite};
use carepost::store::{Bodies, KeyEncryptionKey};
use carepost::trust::{
    self, AnchorSet, Anchors, Certificate, DomainTrust, Evidence, RecipientJudgment,
    TrustedRecipient,
};
use carepost::world::World;

use crate::Outcome;

/// The gateway's own domain.
pub const GATE: &str = "direct.gate.test";
/// The other HISP's.
pub const PEER: &str = "direct.peer.test";
/// Doctors on each side.
pub const PEOPLE: usize = 20;
/// The passwords of the PKCS#12 files here; they guard nothing.
pub const PASSWORD: &str = "benchmark-only";

/// Certificates of both sides: the same for all corpora.
pub struct Parties {
    pub folder: PathBuf,
    pub gate: KeyFile,
    pub peer: KeyFile,
}

impl Parties {
    /// Reads them, or makes them anew if there are none or they are old.
    pub fn load(folder: &Path, world: &World) -> Outcome<Self> {
        let folder = folder.join("parties");
        let made = std::fs::metadata(folder.join("gate.p12")).and_then(|facts| facts.modified());
        // The certificates live 30 days.
        let fresh = made.is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() < 20 * 86_400));
        if !fresh {
            if let Some(all) = folder.parent() {
                // Corpora for other certificates are of no use. There may be none.
                let _ = std::fs::remove_dir_all(all);
            }
            make(&folder, world)?;
        }
        let read = |name: &str| {
            let octets =
                std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
            issue::read_p12(&octets, PASSWORD)
        };
        let (gate, peer) = (read("gate.p12")?, read("peer.p12")?);
        Ok(Self { folder, gate, peer })
    }

    /// PEM of the CA that the gateway is to trust.
    pub fn peer_ca(&self) -> PathBuf {
        self.folder.join("peer-ca.pem")
    }
}

fn make(folder: &Path, world: &World) -> Outcome<()> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(told)?;
    let write = |name: &str, pki: &Pki| {
        let chain = [pki.ca.certificate.clone()];
        let p12 =
            issue::write_p12(&pki.leaf, &chain, PASSWORD).map_err(|error| error.to_string())?;
        let pem = issue::pem_certificate(&pki.ca.certificate);
        std::fs::write(folder.join(format!("{name}-ca.pem")), pem).map_err(told)?;
        std::fs::write(folder.join(format!("{name}.p12")), &*p12).map_err(told)
    };
    write("peer", &gateways::make_pki(world, "Peer", PEER)?)?;
    write("gate", &gateways::make_pki(world, "Gate", GATE)?)
}

/// The n-th message's Message-ID.
pub fn message_id(index: usize) -> String {
    format!("<m{index}@{PEER}>")
}

/// Which message an id names.
pub fn index(message_id: &str) -> Option<usize> {
    message_id
        .strip_prefix("<m")?
        .split('@')
        .next()?
        .parse()
        .ok()
}

pub fn sender(index: usize) -> String {
    format!("dr-{}@{PEER}", index % PEOPLE)
}

pub fn recipient(index: usize) -> String {
    format!("dr-{}@{GATE}", index % PEOPLE)
}

/// Sealed messages in one file.
pub struct Corpus {
    file: File,
    /// Where each begins; the end follows the last.
    starts: Vec<u64>,
}

impl Corpus {
    /// At least `count` messages of `size` clear octets.
    pub fn load(
        parties: &Parties,
        folder: &Path,
        size: usize,
        count: usize,
        world: &World,
    ) -> Outcome<Self> {
        let path = folder.join(format!("corpus-{size}"));
        if let Ok(corpus) = Self::open(&path)
            && corpus.len() >= count
        {
            return Ok(corpus);
        }
        println!("making {count} messages of {size} octets, once");
        // A scratch folder: large bodies pass through files.
        let scratch = folder.join("scratch");
        let key = KeyEncryptionKey::new(world.random());
        let press = Press {
            to: judged(&parties.gate, world)?,
            identity: identity(&parties.peer)?,
            bodies: Bodies::new(&scratch, key, world.clone()),
            world: world.clone(),
            filler: filler(size),
        };
        let made = write(&path, &press, count);
        // It may never have been made.
        let _ = std::fs::remove_dir_all(scratch);
        made?;
        Self::open(&path)
    }

    fn open(path: &Path) -> Outcome<Self> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut starts = Vec::new();
        let mut octets = Vec::new();
        File::open(path.with_extension("index"))
            .and_then(|mut file| file.read_to_end(&mut octets))
            .map_err(told)?;
        for eight in octets.as_chunks::<8>().0 {
            starts.push(u64::from_le_bytes(*eight));
        }
        let file = File::open(path).map_err(told)?;
        Ok(Self { file, starts })
    }

    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The n-th message, ready for DATA (no line begins with a dot), without the final dot.
    pub fn read(&self, index: usize, into: &mut Vec<u8>) -> Outcome<()> {
        let (start, end) = (self.starts[index], self.starts[index + 1]);
        into.resize(usize::try_from(end - start).map_err(|_| "too large")?, 0);
        self.file
            .read_exact_at(into, start)
            .map_err(|error| error.to_string())
    }
}

/// What sealing needs.
struct Press {
    to: trust_of::Judge,
    identity: Arc<Identity>,
    bodies: Bodies,
    world: World,
    filler: Vec<u8>,
}

/// A judged recipient is used up by sealing, so it is judged for each message.
mod trust_of {
    use super::*;

    pub struct Judge {
        pub anchors: Anchors,
        pub found: [Arc<Certificate>; 1],
    }

    impl Judge {
        pub fn of(&self, to: &Address, from: &Address, world: &World) -> Outcome<TrustedRecipient> {
            let evidence = Evidence::default();
            let judgment = trust::judge_recipient(
                to,
                &self.found,
                from,
                trust::Side::Outbound,
                &self.anchors,
                &evidence,
                world.now(),
            );
            match judgment {
                RecipientJudgment::Trusted(recipient) => Ok(recipient),
                other => Err(format!("the corpus cannot be encrypted: {other:?}")),
            }
        }
    }
}

fn parse(der: &[u8]) -> Outcome<Arc<Certificate>> {
    Certificate::parse(der).map_err(|error| error.to_string())
}

fn judged(gate: &KeyFile, world: &World) -> Outcome<trust_of::Judge> {
    let ca = gate.chain.first().ok_or("gate.p12 holds no CA")?;
    let set = Arc::new(AnchorSet::new([parse(ca)?]));
    let trust = DomainTrust {
        tenant: "peer".to_owned(),
        profile: trust::Profile::V1_3,
        inbound: Arc::clone(&set),
        outbound: set,
        revocation: trust::RevocationRules::default(),
    };
    let judge = trust_of::Judge {
        anchors: Anchors::new([(PEER.to_owned(), trust)].into()),
        found: [parse(&gate.certificate)?],
    };
    judge.of(&address(&recipient(0))?, &address(&sender(0))?, world)?;
    Ok(judge)
}

fn identity(peer: &KeyFile) -> Outcome<Arc<Identity>> {
    Ok(Arc::new(Identity {
        certificate: parse(&peer.certificate)?,
        chain: Vec::new(),
        key: peer.key.clone(),
        domain: PEER.to_owned(),
        state: IdentityState::Active,
    }))
}

fn address(text: &str) -> Outcome<Address> {
    Address::parse(text).map_err(|error| error.to_string())
}

/// An attachment in base64 that makes the message as large as was asked for.
fn filler(size: usize) -> Vec<u8> {
    // What stands around it, roughly: header and two parts' headers.
    let mut left = size.saturating_sub(640);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(left + 2);
    while left > 0 {
        for _ in 0..left.min(76) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            out.push(alphabet[(state & 63) as usize]);
        }
        out.extend_from_slice(b"\r\n");
        left = left.saturating_sub(78);
    }
    out
}

/// Seals in parallel, in batches, and writes in order.
fn write(path: &Path, press: &Press, count: usize) -> Outcome<()> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut out = BufWriter::new(File::create(path).map_err(told)?);
    let (mut starts, mut end) = (vec![0u64], 0u64);
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let batch = (64_000_000 / press.filler.len().max(1)).clamp(threads, 1_000);
    let mut first = 0;
    while first < count {
        let last = count.min(first + batch);
        for message in seal_all(press, first, last, threads)? {
            out.write_all(&message).map_err(told)?;
            end += message.len() as u64;
            starts.push(end);
        }
        first = last;
    }
    out.flush().map_err(told)?;
    let index: Vec<u8> = starts
        .iter()
        .flat_map(|start| start.to_le_bytes())
        .collect();
    std::fs::write(path.with_extension("index"), index).map_err(told)
}

fn seal_all(press: &Press, first: usize, last: usize, threads: usize) -> Outcome<Vec<Vec<u8>>> {
    let next = AtomicUsize::new(first);
    let work = || -> Outcome<Vec<(usize, Vec<u8>)>> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= last {
                return Ok(done);
            }
            done.push((index, seal_one(press, index)?));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "sealing crashed".to_owned())??);
        }
        Ok::<_, String>(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, octets)| octets).collect())
}

fn seal_one(press: &Press, index: usize) -> Outcome<Vec<u8>> {
    let (from, to) = (address(&sender(index))?, address(&recipient(index))?);
    let id = message_id(index);
    let mut clear = format!(
        "From: {from}\r\nTo: {to}\r\nCc: maildir@{GATE}, smtp@{GATE}, lmtp@{GATE}\r\nSubject: Referral {index}\r\nDate: {}\r\nMessage-ID: {id}\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"parts\"\r\n\r\n\
         --parts\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         Dear colleague,\r\n\r\nplease see the attached summary of care.\r\n\r\n\
         --parts\r\nContent-Type: application/octet-stream; name=\"summary.bin\"\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"summary.bin\"\r\n\r\n",
        press.world.now().rfc5322()
    )
    .into_bytes();
    clear.extend_from_slice(&press.filler);
    clear.extend_from_slice(b"--parts--\r\n");
    let told = |error: &dyn std::error::Error| error.to_string();
    let draft = Draft {
        id: TrackingId::new(&press.world),
        kind: DraftKind::Message,
        from: from.clone(),
        to: vec![to.clone()],
        message_id: MessageId::parse(&id).ok_or("a Message-ID of ours does not parse")?,
        asked: false,
        body: press.bodies.of(&clear).map_err(|error| told(&error))?,
    };
    drop(clear);
    let recipient = press.to.of(&to, &from, &press.world)?;
    let suite = Suite::default();
    let sealed = seal::seal(
        &draft,
        &[recipient],
        &press.identity,
        suite,
        &press.bodies,
        &press.world,
    )
    .map_err(|error| told(&error))?;
    let mut octets = Vec::new();
    let mut reader = sealed.body().reader().map_err(|error| told(&error))?;
    reader
        .read_to_end(&mut octets)
        .map_err(|error| told(&error))?;
    Ok(octets)
}
