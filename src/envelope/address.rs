//! A Direct address: `local@domain` over a fully qualified domain name, nothing around it.

use std::fmt;
use std::hash::{Hash, Hasher};

/// RFC 5321 §4.5.3.1.1.
const LOCAL_MAX: usize = 64;
/// RFC 5321 §4.5.3.1.2.
const DOMAIN_MAX: usize = 255;
/// RFC 1035 §2.3.4.
const LABEL_MAX: usize = 63;

/// One mailbox. Compared, hashed and indexed by its key: local part in ASCII lower case,
/// domain as lower-case A-labels. Replies use it as it was written.
#[derive(Clone)]
pub struct Address {
    written: String,
    key: String,
    at: usize,
}

/// Why it is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`, or nothing on one side of it.
    #[error("an address is local-part@domain")]
    Shape,
    /// A character that no local part holds unquoted, or a broken quoted string.
    #[error("the part before @ holds a character that is not allowed there")]
    Local,
    /// Longer than RFC 5321 allows.
    #[error("the address is too long: 64 octets before @, 255 after")]
    Length,
    /// Not a fully qualified domain name.
    #[error("the part after @ is not a fully qualified domain name")]
    Domain,
}

impl Address {
    /// Parses a bare addr-spec: no display name, no comment, no source route.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let at = text.rfind('@').ok_or(AddressError::Shape)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Shape);
        }
        if local.len() > LOCAL_MAX || domain.len() > DOMAIN_MAX {
            return Err(AddressError::Length);
        }
        check_local(local)?;
        let domain_key = domain_key(domain)?;
        let mut key = local.to_ascii_lowercase();
        key.push('@');
        key.push_str(&domain_key);
        Ok(Self {
            written: text.to_owned(),
            key,
            at,
        })
    }

    /// Parses raw octets; anything but UTF-8 is refused.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn parse_octets(octets: &[u8]) -> Result<Self, AddressError> {
        Self::parse(std::str::from_utf8(octets).map_err(|_| AddressError::Local)?)
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What is compared.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The local part as it was written (name constraints compare it octet for octet, RFC 5280 §7.5).
    pub fn local(&self) -> &str {
        &self.written[..self.at]
    }

    /// The domain, lower-case A-labels.
    pub fn domain(&self) -> &str {
        // The key's local part is as long as the written one: ASCII lower-casing keeps lengths.
        &self.key[self.at + 1..]
    }
}

fn check_local(local: &str) -> Result<(), AddressError> {
    if let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return check_quoted(inner);
    }
    // RFC 5321 §4.1.2 Dot-string; RFC 6531 §3.3 lets UTF-8 in (such a local part never binds).
    let atom = |part: &str| !part.is_empty() && part.chars().all(is_atext);
    if local.split('.').all(atom) {
        Ok(())
    } else {
        Err(AddressError::Local)
    }
}

fn check_quoted(inner: &str) -> Result<(), AddressError> {
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let plain = matches!(c, ' '..='~') && c != '"' && c != '\\';
        let escaped = c == '\\' && matches!(chars.next(), Some(' '..='~'));
        if !plain && !escaped {
            return Err(AddressError::Local);
        }
    }
    if inner.is_empty() {
        Err(AddressError::Local)
    } else {
        Ok(())
    }
}

fn is_atext(c: char) -> bool {
    // RFC 5322 §3.2.3.
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

/// The comparison form of a domain name: lower-case A-labels, at least two labels, no trailing dot.
///
/// # Errors
/// [`AddressError::Domain`].
pub(crate) fn domain_key(domain: &str) -> Result<String, AddressError> {
    let key = idna::domain_to_ascii_strict(domain).map_err(|_| AddressError::Domain)?;
    let label = |part: &str| {
        (1..=LABEL_MAX).contains(&part.len())
            && part
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let fine = key.len() <= DOMAIN_MAX
        && key.contains('.')
        && key.split('.').all(label)
        // A last label of digits only is an IPv4 address, not a domain (RFC 3696 §2).
        && key.rsplit('.').next().is_some_and(|last| !last.bytes().all(|octet| octet.is_ascii_digit()));
    if fine {
        Ok(key)
    } else {
        Err(AddressError::Domain)
    }
}

/// A domain as it is kept and compared: see [`Address::domain`].
///
/// # Errors
/// [`AddressError::Domain`].
pub fn parse_domain(text: &str) -> Result<String, AddressError> {
    domain_key(text)
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_by_key_and_shown_as_written() {
        let a = Address::parse("Dr.Smith@Direct.Example.ORG").expect("parses");
        assert_eq!(
            a,
            Address::parse("dr.smith@direct.example.org").expect("parses")
        );
        assert_eq!(a.written(), "Dr.Smith@Direct.Example.ORG");
        assert_eq!(a.domain(), "direct.example.org");
        assert_eq!(a.local(), "Dr.Smith");
        let umlaut = Address::parse("a@kräuter.example").expect("parses");
        assert_eq!(umlaut.domain(), "xn--kruter-cua.example");
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        use AddressError::{Domain, Length, Local, Shape};
        for (text, why) in [
            ("a", Shape),
            ("@d.example", Shape),
            ("a@", Shape),
            ("a@localhost", Domain),
            ("a@[1.2.3.4]", Domain),
            ("a@1.2.3.4", Domain),
            ("a@d.example.", Domain),
            ("a b@d.example", Local),
            ("a..b@d.example", Local),
            ("\"a\"b\"@d.example", Local),
            ("a\0@d.example", Local),
            ("a@b@d.example", Local),
            ("a@d_e.example", Domain),
        ] {
            assert_eq!(Address::parse(text), Err(why), "{text}");
        }
        assert_eq!(
            Address::parse(&format!("{}@d.example", "a".repeat(65))),
            Err(Length)
        );
        assert!(Address::parse(&format!("{}@d.example", "a".repeat(64))).is_ok());
        assert!(Address::parse("\"a b\"@d.example").is_ok());
    }
}
