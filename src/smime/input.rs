//! The operator's file as a body: a mail as it is; a bare CMS object under the header that it would have.
//! In: paths. Out: an [`Input`]. Scratch blobs are encrypted under a key that lives as long as the process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::crypto::hex;
use crate::limits::{FRAME, LINE_OCTETS_MAX, MESSAGE_SIZE_MAX};
use crate::store::{Bodies, Body, BodyError, BodyWriter, KeyEncryptionKey};
use crate::world::World;

use super::Task;

/// A directory for what does not fit into memory; gone with the value.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    bodies: Bodies,
}

impl Scratch {
    /// In the directory for temporary files; made when it is first needed.
    pub fn new(world: &World) -> Self {
        let name = format!("carepost-smime-{}", hex(&world.random::<16>()));
        let dir = std::env::temp_dir().join(name);
        let key = KeyEncryptionKey::new(world.random());
        Self {
            bodies: Bodies::new(&dir, key, world.clone()),
            dir,
        }
    }

    pub fn bodies(&self) -> &Bodies {
        &self.bodies
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made; what is left is ciphertext without a key.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What was read.
#[derive(Debug)]
pub(super) struct Input {
    pub body: Body,
    /// A CMS object without a mail around it.
    pub bare: bool,
}

/// Why not.
#[derive(Debug)]
pub(super) enum InputError {
    Unreadable(String),
    OverLimit,
    /// Our scratch directory.
    Ours(BodyError),
}

impl From<BodyError> for InputError {
    fn from(error: BodyError) -> Self {
        Self::Ours(error)
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Mail,
    /// DER or BER.
    Binary,
    /// Lines of base64, with or without PEM's lines around them.
    Text,
}

const BARE_BINARY: &[u8] =
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n";
const BARE_TEXT: &[u8] =
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n";

/// Reads a file, and what it signs if that lies beside it.
pub(super) fn read(
    path: &Path,
    content: Option<&Path>,
    task: Task,
    bodies: &Bodies,
    world: &World,
) -> Result<Input, InputError> {
    let mut source = open(path)?;
    let form = form(&mut source).map_err(|error| unreadable(path, &error))?;
    if form == Form::Mail {
        pass_mailbox_line(&mut source).map_err(|error| unreadable(path, &error))?;
    }
    let mut sink = Sink::new(bodies);
    match (content, form) {
        (None, Form::Mail) => sink.all(source, path)?,
        (None, Form::Binary) => {
            sink.put(BARE_BINARY)?;
            sink.all(source, path)?;
        }
        (None, Form::Text) => {
            sink.put(BARE_TEXT)?;
            sink.base64(source, path)?;
        }
        (Some(content), Form::Binary | Form::Text) if task == Task::Verify => {
            let boundary = format!("=_{}", hex(&world.random::<24>()));
            sink.put(
                format!(
                    "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n\
                     \tboundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
                )
                .as_bytes(),
            )?;
            sink.all(open(content)?, content)?;
            let encoding = if form == Form::Text {
                "base64"
            } else {
                "binary"
            };
            sink.put(
                format!(
                    "\r\n--{boundary}\r\nContent-Type: application/pkcs7-signature\r\n\
                     Content-Transfer-Encoding: {encoding}\r\n\r\n"
                )
                .as_bytes(),
            )?;
            if form == Form::Text {
                sink.base64(source, path)?;
            } else {
                sink.all(source, path)?;
            }
            sink.put(format!("\r\n--{boundary}--\r\n").as_bytes())?;
        }
        (Some(_), _) => {
            let what = "content beside it goes with a bare detached signature only";
            return Err(InputError::Unreadable(what.to_owned()));
        }
    }
    Ok(Input {
        body: sink.writer.finish()?,
        bare: form != Form::Mail,
    })
}

/// The octets of a bare CMS object or of a mail, decoded as far as the file's own form goes.
pub(super) fn read_raw(path: &Path, bodies: &Bodies, world: &World) -> Result<Input, InputError> {
    read(path, None, Task::Open, bodies, world)
}

/// A mail, whatever it begins with.
pub(super) fn read_mail(path: &Path, bodies: &Bodies) -> Result<Body, InputError> {
    let mut sink = Sink::new(bodies);
    sink.all(open(path)?, path)?;
    Ok(sink.writer.finish()?)
}

fn open(path: &Path) -> Result<BufReader<std::fs::File>, InputError> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(BufReader::with_capacity(FRAME, file))
}

fn unreadable(path: &Path, error: &std::io::Error) -> InputError {
    InputError::Unreadable(format!("{}: {error}", path.display()))
}

/// By its first octets. A SEQUENCE begins with 0x30, the character `0`, with which no header field begins.
fn form(source: &mut impl BufRead) -> std::io::Result<Form> {
    let start = source.fill_buf()?;
    let text = start.trim_ascii_start();
    let line = text.split(|octet| *octet == b'\n').next().unwrap_or(text);
    let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/=\r".contains(octet);
    Ok(if start.first() == Some(&0x30) {
        Form::Binary
    } else if text.starts_with(b"-----BEGIN ")
        || (text.starts_with(b"MI") && line.iter().all(is_base64))
    {
        Form::Text
    } else {
        Form::Mail
    })
}

/// Passes over the line that mailbox files put before each mail (RFC 4155), as saved mail often has it.
fn pass_mailbox_line(source: &mut impl BufRead) -> std::io::Result<()> {
    if source.fill_buf()?.starts_with(b"From ") {
        let limit = u64::try_from(LINE_OCTETS_MAX).unwrap_or(u64::MAX);
        source.take(limit).read_until(b'\n', &mut Vec::new())?;
    }
    Ok(())
}

/// A body in the making, within the largest message.
struct Sink {
    writer: BodyWriter,
}

impl Sink {
    fn new(bodies: &Bodies) -> Self {
        Self {
            writer: bodies.writer(),
        }
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), InputError> {
        self.writer.append(octets)?;
        if self.writer.len() > MESSAGE_SIZE_MAX {
            return Err(InputError::OverLimit);
        }
        Ok(())
    }

    fn all(&mut self, mut source: impl Read, path: &Path) -> Result<(), InputError> {
        let mut chunk = vec![0; FRAME];
        loop {
            let taken = match source.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(taken) => taken,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(path, &error)),
            };
            self.put(chunk.get(..taken).unwrap_or_default())?;
        }
    }

    /// The base64 of the first PEM block, or of the whole file.
    fn base64(&mut self, source: impl BufRead, path: &Path) -> Result<(), InputError> {
        // One octet over a limit tells that it was met; a line of base64 may be the whole file.
        let mut source = source.take(MESSAGE_SIZE_MAX + 1);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = source.read_until(b'\n', &mut line);
            if read.map_err(|error| unreadable(path, &error))? == 0 {
                return Ok(());
            }
            if line.starts_with(b"-----END ") {
                return Ok(());
            }
            // RFC 1421 §4.6: old PEM writes fields before the base64.
            if !line.starts_with(b"-----BEGIN ") && !line.contains(&b':') {
                self.put(&line)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_octets() {
        for (octets, expected) in [
            (&b"\x30\x80\x06\x09"[..], Form::Binary),
            (b"-----BEGIN CMS-----\nMIA", Form::Text),
            (b"\n-----BEGIN PKCS7-----\r\nMIA", Form::Text),
            (b"MIAGCSqGSIb3DQEHA6CAMIACAQAx\r\n", Form::Text),
            (b"MIME-Version: 1.0\r\n", Form::Mail),
            (b"From: ann@d.example\r\n", Form::Mail),
            (b"", Form::Mail),
            (b"\xff\xfe", Form::Mail),
        ] {
            assert_eq!(
                form(&mut &*octets).expect("memory reads"),
                expected,
                "{octets:?}"
            );
        }
    }
}
