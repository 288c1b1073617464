//! Hand-over into a Maildir, exactly once. In: a parcel and a directory. Out: the name of a file that is on
//! the disk. The name follows from the message and the recipient alone, so that an attempt which was cut
//! short is recognised by the next one. The file holds the message's octets as they are, CRLF included.
//! Runs on a thread that may block.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::crypto::sha256;
use crate::envelope::{Address, TrackingId};
use crate::store::Body;
use crate::world::World;

use super::{HandOver, Parcel};

/// Everything that the blocking thread needs.
#[derive(Debug)]
struct Copy {
    maildir: PathBuf,
    /// The file's name without flags: the same for every attempt.
    base: String,
    /// The file's name while it is written: another for every attempt.
    draft: String,
    trace: String,
    body: Body,
    attempt: u32,
}

/// Where the file lies.
#[derive(Debug, PartialEq, Eq)]
enum Stored {
    Now,
    /// By an attempt before this one.
    Before,
}

/// Writes it durably, or finds it there. Every failure is for later: disks are mended and mounted again.
pub(super) async fn hand_over(world: &World, maildir: &Path, parcel: &Parcel<'_>) -> HandOver {
    let base = base_name(parcel.message, parcel.recipient);
    let nonce = u64::from_be_bytes(world.random());
    let copy = Copy {
        maildir: maildir.to_owned(),
        draft: format!("{base}.{nonce:016x}"),
        base: base.clone(),
        trace: parcel.trace.clone(),
        body: parcel.body.clone(),
        attempt: parcel.attempt,
    };
    let told = maildir.display().to_string();
    match tokio::task::spawn_blocking(move || store(&copy)).await {
        Ok(Ok(Stored::Now)) => HandOver::Done(format!("maildir {base}")),
        Ok(Ok(Stored::Before)) => HandOver::Done(format!("maildir {base} (already there)")),
        Ok(Err(error)) => HandOver::Later(format!("maildir {told}: {error}")),
        Err(_) => HandOver::Later(format!("maildir {told}: the writer stopped")),
    }
}

/// `<seconds>.<message>_<recipient>.carepost`. The Maildir convention begins with a time; ours is when the
/// message was accepted (its id holds it), since the time of the attempt would differ from one to the next.
/// No host name for the same reason: a host may be renamed.
fn base_name(message: TrackingId, recipient: &Address) -> String {
    let digest = sha256(recipient.key().as_bytes());
    let short: String = digest
        .iter()
        .take(8)
        .map(|octet| format!("{octet:02x}"))
        .collect();
    format!(
        "{}.{message}_{short}.carepost",
        message.created_at().unix_s()
    )
}

fn store(copy: &Copy) -> io::Result<Stored> {
    let parts = ["tmp", "new", "cur"].map(|name| copy.maildir.join(name));
    match place(copy, &parts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            prepare(&copy.maildir, &parts)?;
            place(copy, &parts)
        }
        placed => placed,
    }
}

/// Writes it, or finds it, in a Maildir that is there.
fn place(copy: &Copy, [tmp, new, cur]: &[PathBuf; 3]) -> io::Result<Stored> {
    if let Some(directory) = find(copy, new, cur)? {
        // The attempt before may have ended between rename and sync.
        File::open(directory)?.sync_all()?;
        return Ok(Stored::Before);
    }
    let draft = tmp.join(&copy.draft);
    let written = write(copy, &draft).and_then(|()| fs::rename(&draft, new.join(&copy.base)));
    if let Err(error) = written {
        let _best_effort = fs::remove_file(&draft);
        return Err(error);
    }
    // B-008: the name must survive a power cut too.
    File::open(new)?.sync_all()?;
    Ok(Stored::Now)
}

/// Makes the Maildir if the directory that is to hold it exists. If not even that is there, a disk is not
/// mounted.
fn prepare(maildir: &Path, parts: &[PathBuf; 3]) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    let mut made = false;
    for directory in std::iter::once(maildir).chain(parts.iter().map(PathBuf::as_path)) {
        match builder.create(directory) {
            Ok(()) => made = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    if made {
        File::open(maildir)?.sync_all()?;
        if let Some(parent) = maildir.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// The directory that already holds it: `new`, or `cur` once a mail reader has seen it and added flags.
fn find<'a>(copy: &Copy, new: &'a Path, cur: &'a Path) -> io::Result<Option<&'a Path>> {
    if new.join(&copy.base).try_exists()? {
        return Ok(Some(new));
    }
    // Attempts are counted durably before they begin, so the first finds nothing that was read already; and a
    // `cur` that nobody tidies holds thousands of names.
    if copy.attempt <= 1 {
        return Ok(None);
    }
    for entry in fs::read_dir(cur)? {
        let name = entry?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&copy.base));
        // Flags follow a colon; some servers add `,S=size` first.
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ',', ';', '!'])) {
            return Ok(Some(cur));
        }
    }
    Ok(None)
}

fn write(copy: &Copy, draft: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    file.write_all(copy.trace.as_bytes())?;
    let mut reader = copy.body.reader().map_err(io::Error::other)?;
    loop {
        let text = reader.fill_buf()?;
        if text.is_empty() {
            break;
        }
        let taken = text.len();
        file.write_all(text)?;
        reader.consume(taken);
    }
    file.sync_all()
}
