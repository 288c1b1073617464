//! What a bundle says about itself: the XML in its content (D-005 to D-008).
//! In: octets of the bundle's publisher. Out: [`Metadata`], or why it is not read. No document type, no
//! entities but XML's own five, bounded in size, depth and count.

use quick_xml::events::Event;
use quick_xml::reader::Reader;
use serde::Serialize;

use crate::limits::{METADATA_DEPTH_MAX, METADATA_OCTETS_MAX, METADATA_VALUES_MAX};
use crate::world::Timestamp;

/// TrustBundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    pub profile: Option<String>,
    pub distribution_points: Vec<String>,
    /// RFC 3339.
    pub valid_from: Option<String>,
    pub valid_to: Option<String>,
    /// How many anchors it lists, if it lists them.
    pub anchors: Option<usize>,
}

impl Metadata {
    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let until = self.valid_to.as_deref().and_then(Timestamp::parse_rfc3339);
        until.is_some_and(|until| until < now)
    }
}

/// Reads it.
///
/// # Errors
/// A sentence.
pub(super) fn read(octets: &[u8]) -> Result<Metadata, String> {
    if octets.len() > METADATA_OCTETS_MAX {
        return Err("its metadata is larger than the limit".to_owned());
    }
    let text = std::str::from_utf8(octets).map_err(|_| "its metadata is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut found = Found::default();
    loop {
        let event = reader.read_event();
        match event.map_err(|error| format!("its metadata is no XML: {error}"))? {
            Event::Start(tag) => found.open(tag.local_name().as_ref())?,
            Event::Empty(tag) => {
                found.open(tag.local_name().as_ref())?;
                found.close();
            }
            Event::End(_) => found.close(),
            Event::Text(text) => found.text.push_str(&text.xml10_content()),
            Event::CData(text) => found.text.push_str(&text.xml10_content()),
            Event::GeneralRef(name) => {
                let known = name.resolve_char_ref().ok().flatten();
                let name: &str = &name;
                found.text.push(
                    known
                        .or(entity(name))
                        .ok_or("its metadata has an entity of its own")?,
                );
            }
            Event::DocType(_) => return Err("its metadata has a document type".to_owned()),
            Event::Eof => break,
            _ => {}
        }
    }
    match found.root {
        true => Ok(found.metadata),
        false => Err("its metadata is no TrustBundle".to_owned()),
    }
}

/// XML 1.0 §4.6.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[derive(Default)]
struct Found {
    root: bool,
    /// Names from the root to here.
    way: Vec<String>,
    text: String,
    metadata: Metadata,
}

impl Found {
    fn open(&mut self, name: &str) -> Result<(), String> {
        if self.way.len() >= METADATA_DEPTH_MAX {
            return Err("its metadata is nested too deep".to_owned());
        }
        self.root |= self.way.is_empty() && name == "TrustBundle";
        self.way.push(name.to_owned());
        self.text.clear();
        if self.way.get(1).map(String::as_str) == Some("Anchors") {
            let count = self.metadata.anchors.get_or_insert(0);
            *count = count.saturating_add(usize::from(self.way.len() == 3 && name == "Anchor"));
        }
        Ok(())
    }

    fn close(&mut self) {
        let value = std::mem::take(&mut self.text).trim().to_owned();
        let way: Vec<&str> = self.way.iter().map(String::as_str).collect();
        let metadata = &mut self.metadata;
        match way.as_slice() {
            [_, "Profile"] => metadata.profile = Some(value),
            [_, "DistributionPoint"]
                if metadata.distribution_points.len() < METADATA_VALUES_MAX =>
            {
                metadata.distribution_points.push(value);
            }
            [_, "ValidFrom"] => metadata.valid_from = time(&value),
            [_, "ValidTo"] => metadata.valid_to = time(&value),
            _ => {}
        }
        self.way.pop();
    }
}

/// xsd:dateTime; without a zone it is UTC.
fn time(text: &str) -> Option<String> {
    let at = Timestamp::parse_rfc3339(text);
    let at = at.or_else(|| Timestamp::parse_rfc3339(&format!("{text}Z")))?;
    Some(at.rfc3339())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_tells_its_profile_points_and_time() {
        let xml = br#"<?xml version="1.0"?><t:TrustBundle xmlns:t="x"><!-- c --><t:Profile>A &amp; B</t:Profile>
            <t:DistributionPoint>https://a.example/b.p7b</t:DistributionPoint><DistributionPoint>http://c</DistributionPoint>
            <ValidFrom>2026-01-01T00:00:00</ValidFrom><ValidTo>2026-12-01T00:00:00+01:00</ValidTo>
            <Anchors><Anchor><X509IssuerSerial/></Anchor><Anchor/></Anchors></t:TrustBundle>"#;
        let found = read(xml).expect("reads");
        assert_eq!(found.profile.as_deref(), Some("A & B"));
        assert_eq!(
            found.distribution_points,
            ["https://a.example/b.p7b", "http://c"]
        );
        assert_eq!(found.valid_to.as_deref(), Some("2026-11-30T23:00:00Z"));
        assert_eq!(found.valid_from.as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(found.anchors, Some(2));
        assert!(found.is_over(Timestamp(i64::MAX)) && !found.is_over(Timestamp(0)));
    }

    #[test]
    fn hostile_metadata_is_refused() {
        let deep = "<a>".repeat(METADATA_DEPTH_MAX + 1);
        let large = format!(
            "<TrustBundle>{}</TrustBundle>",
            "x".repeat(METADATA_OCTETS_MAX)
        );
        for xml in [
            "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><TrustBundle><Profile>&e;</Profile></TrustBundle>",
            "<TrustBundle><Profile>&e;</Profile></TrustBundle>",
            "<TrustBundle><Profile></TrustBundle>",
            "<Other/>",
            "plain",
            "",
            deep.as_str(),
            large.as_str(),
        ] {
            assert!(
                read(xml.as_bytes()).is_err(),
                "{}",
                &xml[..xml.len().min(80)]
            );
        }
    }
}
