//! What was fetched, kept on disk over restarts (G-039). In: a URL, octets, validators. Out: the same again.
//! One file a URL, written aside and renamed; nothing in it is believed, for all of it is signed. The oldest
//! files go when there are too many. Blocking: never on the reactor.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::crypto::{hex, sha256};
use crate::limits::{CRL_OCTETS_MAX, FETCHED_FILES_MAX, FETCHED_OCTETS_MAX};
use crate::world::Timestamp;

use super::Validators;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Kept(PathBuf);

/// One thing.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub octets: Vec<u8>,
    pub validators: Validators,
    /// When the server last said that it is right.
    pub at: Timestamp,
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Head {
    url: String,
    at: i64,
    #[serde(flatten)]
    validators: Validators,
}

impl Kept {
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    fn file(&self, url: &str) -> PathBuf {
        self.0.join(hex(&sha256(url.as_bytes())))
    }

    /// What is kept of this URL.
    pub fn load(&self, url: &str) -> Option<Item> {
        let mut octets = Vec::new();
        let most = u64::try_from(CRL_OCTETS_MAX)
            .ok()?
            .saturating_add(64 * 1024);
        std::fs::File::open(self.file(url))
            .ok()?
            .take(most)
            .read_to_end(&mut octets)
            .ok()?;
        let end = memchr::memchr(b'\n', &octets)?;
        let head: Head = serde_json::from_slice(octets.get(..end)?).ok()?;
        if head.url != url {
            return None;
        }
        Some(Item {
            octets: octets.split_off(end.saturating_add(1)),
            validators: head.validators,
            at: Timestamp(head.at),
        })
    }

    /// Keeps it; a full disk costs a fetch later, and is told.
    pub fn save(&self, url: &str, item: &Item) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        let head = Head {
            url: url.to_owned(),
            at: item.at.0,
            validators: item.validators.clone(),
        };
        let place = self.file(url);
        let aside = place.with_extension("new");
        let mut file = std::fs::File::create(&aside)?;
        serde_json::to_writer(&mut file, &head)?;
        file.write_all(b"\n")?;
        file.write_all(&item.octets)?;
        file.sync_all()?;
        std::fs::rename(&aside, &place)?;
        self.tidy()
    }

    fn tidy(&self) -> std::io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let about = entry.metadata()?;
            files.push((about.modified()?, about.len(), entry.path()));
        }
        files.sort();
        let mut octets: u64 = files.iter().map(|(_, size, _)| size).sum();
        let mut count = files.len();
        for (_, size, path) in files {
            if count <= FETCHED_FILES_MAX && octets <= FETCHED_OCTETS_MAX {
                break;
            }
            std::fs::remove_file(path)?;
            (count, octets) = (count.saturating_sub(1), octets.saturating_sub(size));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_for_its_url_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::new(&folder.path().join("fetched"));
        let item = Item {
            octets: b"\n{octets}\n".to_vec(),
            validators: Validators {
                etag: Some("\"1\"".to_owned()),
                last_modified: None,
            },
            at: Timestamp(7),
        };
        assert!(kept.load("http://a.example/1").is_none());
        kept.save("http://a.example/1", &item).expect("saves");
        let back = kept.load("http://a.example/1").expect("is there");
        assert_eq!(
            (back.octets, back.validators, back.at),
            (item.octets, item.validators, item.at)
        );
        assert!(kept.load("http://a.example/2").is_none());
    }
}
