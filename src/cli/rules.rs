//! The words by which a certificate is judged: the same at `trust check` and at `smime open|verify`.
//! In: options as they were typed, or stand in a line of a batch. Out: [`Rules`], or what is wrong with them.
//! Also how a batch is read. Never decides.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::admin::{Failure, exit};
use crate::limits::{BATCH_LINE_OCTETS_MAX, CHECKED_FILE_OCTETS_MAX};
use crate::trust::check::File;
use crate::trust::{
    ExtendedUsage, Oid, PathPurpose, PolicyRules, RevocationMode, RevocationScope, Rules, Switch,
};

/// The options as they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Words<'a> {
    pub purpose: Option<&'a str>,
    pub eku: Option<&'a str>,
    pub revocation: Option<&'a str>,
    pub revocation_scope: Option<&'a str>,
    pub policy: &'a [String],
    pub require_explicit_policy: bool,
    pub inhibit_policy_mapping: bool,
    pub inhibit_any_policy: bool,
}

impl Words<'_> {
    /// `base` is what holds where nothing is said; `revocation` where nothing is said of that.
    pub fn rules(&self, base: Rules, revocation: RevocationMode) -> Result<Rules, String> {
        Ok(Rules {
            purpose: choose(
                "purpose",
                self.purpose,
                base.purpose,
                &[
                    ("sign", PathPurpose::Sign),
                    ("encrypt", PathPurpose::Encrypt),
                    ("any", PathPurpose::Any),
                ],
            )?,
            extended_usage: match self.eku {
                None => base.extended_usage.clone(),
                Some("any") => ExtendedUsage::Any,
                Some(text) => ExtendedUsage::Only(oid("eku", text)?.to_string()),
            },
            policies: self.policies()?,
            revocation: choose(
                "revocation",
                self.revocation,
                revocation,
                &[
                    ("hard", RevocationMode::Hard),
                    ("soft", RevocationMode::Soft),
                    ("off", RevocationMode::Off),
                ],
            )?,
            revocation_scope: choose(
                "revocation-scope",
                self.revocation_scope,
                RevocationScope::All,
                &[
                    ("leaf", RevocationScope::Leaf),
                    ("all", RevocationScope::All),
                ],
            )?,
            ..base
        })
    }

    fn policies(&self) -> Result<PolicyRules, String> {
        let acceptable = self.policy.iter().map(|text| oid("policy", text));
        Ok(PolicyRules {
            acceptable: acceptable.collect::<Result<_, _>>()?,
            explicit: Switch::of(self.require_explicit_policy),
            inhibit_mapping: Switch::of(self.inhibit_policy_mapping),
            inhibit_any: Switch::of(self.inhibit_any_policy),
        })
    }
}

/// One of a few words.
fn choose<T: Copy>(
    name: &str,
    word: Option<&str>,
    default: T,
    words: &[(&str, T)],
) -> Result<T, String> {
    let Some(word) = word else {
        return Ok(default);
    };
    match words.iter().find(|(known, _)| *known == word) {
        Some((_, value)) => Ok(*value),
        None => {
            let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
            Err(format!("{name}: {word:?} is none of {}", known.join(", ")))
        }
    }
}

fn oid(name: &str, text: &str) -> Result<Oid, String> {
    Oid::parse(text).ok_or_else(|| format!("{name}: {text:?} is no OID"))
}

/// Files, or why they cannot be read.
pub(super) fn files(paths: &[PathBuf]) -> Vec<File> {
    paths.iter().map(|path| file(path)).collect()
}

/// A file, or why it cannot be read.
pub(super) fn file(path: &Path) -> File {
    let read = || {
        let mut octets = Vec::new();
        std::fs::File::open(path)?
            .take(CHECKED_FILE_OCTETS_MAX)
            .read_to_end(&mut octets)?;
        Ok(octets)
    };
    File {
        name: path.display().to_string(),
        octets: read().map_err(|error: std::io::Error| error.to_string()),
    }
}

/// A list, or its only element, or nothing.
pub(super) fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        One(T),
        More(Vec<T>),
        None(()),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(one) => vec![one],
        Either::More(more) => more,
        Either::None(()) => Vec::new(),
    })
}

/// Why a batch cannot be read.
pub(super) fn unread(place: &Path) -> impl Fn(std::io::Error) -> Failure {
    let place = place.display().to_string();
    move |error| {
        Failure::new(
            exit::USAGE,
            format!("{place}: {error}"),
            "give a file that this user can read, or - for standard input",
        )
    }
}

/// The lines of a batch; `-` is standard input.
pub(super) fn lines(place: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if place == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = std::fs::File::open(place).map_err(unread(place))?;
    Ok(Box::new(std::io::BufReader::new(file)))
}

/// The next line, cut at the limit; what is cut makes it no JSON.
pub(super) fn next_line(lines: &mut dyn BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = u64::try_from(BATCH_LINE_OCTETS_MAX).unwrap_or(u64::MAX);
    if lines.take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let mut last = line.last().copied();
    while line.len() >= BATCH_LINE_OCTETS_MAX && last != Some(b'\n') {
        let mut rest = Vec::new();
        if lines.take(limit).read_until(b'\n', &mut rest)? == 0 {
            break;
        }
        last = rest.last().copied();
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_ends_at_its_end() {
        let mut text = vec![b'x'; BATCH_LINE_OCTETS_MAX * 2 + 7];
        text.extend(b"\nnext\n");
        let mut lines: &[u8] = &text;
        let mut next = || next_line(&mut lines).expect("reads");
        assert_eq!(next().map(|line| line.len()), Some(BATCH_LINE_OCTETS_MAX));
        assert_eq!(next(), Some(b"next\n".to_vec()));
        assert_eq!(next(), None);
    }

    #[test]
    fn each_word_has_its_meaning_and_no_other_word_has_one() {
        let base = Rules::direct(PathPurpose::Sign);
        let read = |words: Words<'_>| words.rules(base.clone(), RevocationMode::Off);
        assert_eq!(read(Words::default()), Ok(base.clone()));
        let policies = ["1.2.3.4".to_owned()];
        let all = Words {
            purpose: Some("any"),
            eku: Some("any"),
            revocation: Some("soft"),
            revocation_scope: Some("leaf"),
            policy: &policies,
            require_explicit_policy: true,
            inhibit_policy_mapping: true,
            inhibit_any_policy: true,
        };
        let rules = read(all).expect("reads");
        assert_eq!(rules.purpose, PathPurpose::Any);
        assert_eq!(rules.extended_usage, ExtendedUsage::Any);
        assert_eq!(rules.revocation, RevocationMode::Soft);
        assert_eq!(rules.revocation_scope, RevocationScope::Leaf);
        assert_eq!(rules.policies.acceptable.len(), 1);
        assert_eq!(rules.policies.explicit, Switch::On);
        for odd in [
            Words {
                purpose: Some("signing"),
                ..Words::default()
            },
            Words {
                eku: Some("mail"),
                ..Words::default()
            },
            Words {
                revocation: Some("on"),
                ..Words::default()
            },
            Words {
                policy: &["any".to_owned()],
                ..Words::default()
            },
        ] {
            assert!(read(odd.clone()).is_err(), "{odd:?}");
        }
    }
}
