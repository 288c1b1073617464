//! Which names are asked for an address's certificate, in which order. In: an address. Out: steps. Pure.

use hickory_proto::rr::Name;

use crate::envelope::Address;

use super::Source;

/// One step of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask for CERT at this absolute name: no search suffix is ever added (C-006).
    Ask { source: Source, name: Name },
    /// This step cannot be asked; why, for the trace (C-005).
    Skip { source: Source, why: String },
}

/// Address-bound first, then domain-bound (C-001, C-002).
pub(crate) fn plan(address: &Address) -> [Step; 2] {
    [
        step(Source::DnsAddress, address_name(address)),
        step(Source::DnsDomain, domain_name(address.domain())),
    ]
}

/// The absolute DNS name of a domain or host.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn domain_name(domain: &str) -> Result<Name, String> {
    absolute(domain.split('.'))
}

/// `local.domain.`: the `@` becomes a dot, and dots of the local part separate labels too, as publishers do it (C-004).
fn address_name(address: &Address) -> Result<Name, String> {
    let local = address.local().to_ascii_lowercase();
    // RFC 1035 §2.3.1 lets a label hold anything; a quoted or non-ASCII local part has no agreed form in DNS.
    if !local.bytes().all(|octet| octet.is_ascii_graphic()) || local.starts_with('"') {
        return Err("the part before @ has no form in DNS".to_owned());
    }
    absolute(local.split('.').chain(address.domain().split('.')))
}

fn absolute<'a>(labels: impl Iterator<Item = &'a str>) -> Result<Name, String> {
    let mut octets = Vec::new();
    for label in labels {
        // RFC 1035 §2.3.4.
        if label.is_empty() || label.len() > 63 {
            return Err(format!(
                "a label of {} octets, 1 to 63 are allowed",
                label.len()
            ));
        }
        octets.push(label.as_bytes());
    }
    let mut name = Name::from_labels(octets).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

fn step(source: Source, name: Result<Name, String>) -> Step {
    match name {
        Ok(name) => Step::Ask { source, name },
        Err(why) => Step::Skip { source, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(address: &str) -> [String; 2] {
        let address = Address::parse(address).expect("a valid address");
        plan(&address).map(|step| match step {
            Step::Ask { name, .. } => name.to_ascii(),
            Step::Skip { why, .. } => why,
        })
    }

    #[test]
    fn the_address_is_asked_before_its_domain_and_dots_separate_labels() {
        assert_eq!(
            names("John.Smith@Direct.Example.org"),
            ["john.smith.direct.example.org.", "direct.example.org."]
        );
    }

    #[test]
    fn a_local_part_that_dns_cannot_name_skips_one_step_only() {
        let long = format!("{}@d.example", "a".repeat(64));
        for address in [long.as_str(), "\"a b\"@d.example", "ä@d.example"] {
            let [first, second] = names(address);
            assert!(first.contains(' '), "{address} gave {first}");
            assert_eq!(second, "d.example.");
        }
        // 63 octets is the last that fits (RFC 1035 §2.3.4).
        let [first, _] = names(&format!("{}@d.example", "a".repeat(63)));
        assert!(first.ends_with("a.d.example."));
    }
}
