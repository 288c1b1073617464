//! Keys and signature algorithms as certificates write them (RFC 3279, RFC 4055, RFC 5480, RFC 5758).
//! In: SubjectPublicKeyInfo and AlgorithmIdentifier. Out: numbers for `crypto`, or the name of what is
//! refused.

use x509_parser::prelude::FromDer;
use x509_parser::signature_algorithm::SignatureAlgorithm as Parsed;
use x509_parser::x509::AlgorithmIdentifier;

use crate::crypto::{CryptoError, Curve, DigestAlgorithm, PublicKey, SignatureAlgorithm};
use crate::limits::RSA_BITS_MAX;

use super::oid::dotted;
use super::tlv::{self, Element, tag};

/// Octets of the largest modulus.
const SALT_MAX: usize = 1_024;

/// A public key as far as it could be read.
pub(super) struct ReadKey {
    pub key: Result<PublicKey, CryptoError>,
    pub text: String,
    pub fault: Option<String>,
    /// What one signature check costs, in hundredths of one with P-256.
    pub cost: u32,
}

impl ReadKey {
    fn unread(what: String) -> Self {
        Self {
            key: Err(CryptoError),
            text: what.clone(),
            fault: Some(what),
            cost: 0,
        }
    }
}

/// Reads SubjectPublicKeyInfo: RSA, P-256 or P-384.
pub(super) fn read_key(spki: Element<'_>) -> ReadKey {
    let parts = || {
        let parts = tlv::all(spki.value)?;
        let [algorithm, key] = parts.as_slice() else {
            return None;
        };
        let (oid, parameters) = algorithm_parts(*algorithm)?;
        match key.value.split_first()? {
            (0, octets) if key.tag == tag::BIT_STRING => Some((oid, parameters, octets)),
            _ => None,
        }
    };
    let Some((oid, parameters, octets)) = parts() else {
        return ReadKey::unread("a key that does not decode".to_owned());
    };
    match (dotted(oid).as_str(), parameters) {
        // RFC 3279 §2.3.1: parameters are NULL; absent ones are common and as clear.
        (
            "1.2.840.113549.1.1.1",
            None
            | Some(Element {
                tag: tag::NULL,
                value: [],
                ..
            }),
        ) => read_rsa(octets),
        // RFC 5480 §2.1.1: a named curve; parameters written out are refused (CVE-2020-0601).
        ("1.2.840.10045.2.1", Some(curve)) if curve.tag == tag::OID => read_ec(curve.value, octets),
        (oid, _) => ReadKey::unread(format!("a key of kind {oid}")),
    }
}

/// (OID, parameters).
fn algorithm_parts(algorithm: Element<'_>) -> Option<(&[u8], Option<Element<'_>>)> {
    if algorithm.tag != tag::SEQUENCE {
        return None;
    }
    let parts = tlv::all(algorithm.value)?;
    match parts.as_slice() {
        [oid] if oid.tag == tag::OID => Some((oid.value, None)),
        [oid, parameters] if oid.tag == tag::OID => Some((oid.value, Some(*parameters))),
        _ => None,
    }
}

fn read_rsa(octets: &[u8]) -> ReadKey {
    let numbers = || {
        let numbers = tlv::all(tlv::only(octets, tag::SEQUENCE)?.value)?;
        match numbers.as_slice() {
            [modulus, exponent] => Some((tlv::unsigned(*modulus)?, tlv::unsigned(*exponent)?)),
            _ => None,
        }
    };
    let Some((modulus, exponent)) = numbers() else {
        return ReadKey::unread("an RSA key that does not decode".to_owned());
    };
    let bits = bit_length(modulus);
    let text = format!("RSA {bits}");
    let (key, fault) = if bits > u64::from(RSA_BITS_MAX) {
        (
            Err(CryptoError),
            Some(format!("{text}, over {RSA_BITS_MAX}")),
        )
    } else {
        // RFC 8017 §3.1: both odd, e at least 3; and e of at most 64 bits, because larger ones cost time.
        let key = PublicKey::rsa(modulus, exponent);
        let fault = key.is_err().then(|| format!("{text} with bad numbers"));
        (key, fault)
    };
    ReadKey {
        key,
        text,
        fault,
        cost: rsa_cost(bits, bit_length(exponent)),
    }
}

/// Cost of one check, in hundredths of one with P-256: grows with the square of the modulus and with the
/// length of the exponent. RSA 2048 with 65537 measured 0.3 of P-256.
fn rsa_cost(bits: u64, exponent_bits: u64) -> u32 {
    let kilobits = bits.div_ceil(1024).min(64);
    let cost = kilobits
        .saturating_mul(kilobits)
        .saturating_mul(exponent_bits.clamp(17, 64));
    u32::try_from(cost / 2).unwrap_or(u32::MAX)
}

fn bit_length(number: &[u8]) -> u64 {
    let octets = u64::try_from(number.len()).unwrap_or(u64::MAX);
    let spare = number
        .first()
        .map_or(0, |first| u64::from(first.leading_zeros()));
    octets.saturating_mul(8).saturating_sub(spare)
}

fn read_ec(curve: &[u8], point: &[u8]) -> ReadKey {
    // OpenSSL has fast arithmetic for P-256 alone; P-384 measured 8 to 10 times its cost.
    let (curve, text, cost) = match dotted(curve).as_str() {
        "1.2.840.10045.3.1.7" => (Curve::P256, "P-256", 100),
        "1.3.132.0.34" => (Curve::P384, "P-384", 1_000),
        other => return ReadKey::unread(format!("a key on curve {other}")),
    };
    let key = PublicKey::ec(curve, point);
    let fault = key
        .is_err()
        .then(|| format!("{text} with a point that is not on the curve"));
    ReadKey {
        key,
        text: text.to_owned(),
        fault,
        cost,
    }
}

/// How a certificate or a CRL is signed; the error names what is refused (A-021: SHA-256 or better).
pub(super) fn read_signature_algorithm(
    algorithm: Element<'_>,
) -> Result<SignatureAlgorithm, String> {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    let (oid, parameters) =
        algorithm_parts(algorithm).ok_or("an algorithm that does not decode")?;
    let oid = dotted(oid);
    let found = match oid.as_str() {
        "1.2.840.113549.1.1.10" => return read_pss(algorithm),
        "1.2.840.113549.1.1.11" => SignatureAlgorithm::RsaPkcs1(Sha256),
        "1.2.840.113549.1.1.12" => SignatureAlgorithm::RsaPkcs1(Sha384),
        "1.2.840.113549.1.1.13" => SignatureAlgorithm::RsaPkcs1(Sha512),
        "1.2.840.10045.4.3.2" => SignatureAlgorithm::Ecdsa(Sha256),
        "1.2.840.10045.4.3.3" => SignatureAlgorithm::Ecdsa(Sha384),
        "1.2.840.10045.4.3.4" => SignatureAlgorithm::Ecdsa(Sha512),
        "1.2.840.113549.1.1.4" => return Err("MD5 with RSA".to_owned()),
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => return Err("SHA-1 with RSA".to_owned()),
        "1.2.840.10045.4.1" => return Err("SHA-1 with ECDSA".to_owned()),
        _ => return Err(format!("algorithm {oid}")),
    };
    let is_rsa = matches!(found, SignatureAlgorithm::RsaPkcs1(_));
    match parameters {
        None => Ok(found),
        // RFC 4055 §5: NULL, and absent must be accepted. RFC 5758 §3.2: absent.
        Some(Element {
            tag: tag::NULL,
            value: [],
            ..
        }) if is_rsa => Ok(found),
        Some(_) => Err(format!("algorithm {oid} with odd parameters")),
    }
}

/// RSASSA-PSS (RFC 4055 §3.1): MGF1, trailer 1, SHA-2 for both digests.
fn read_pss(algorithm: Element<'_>) -> Result<SignatureAlgorithm, String> {
    let odd = || "RSASSA-PSS with odd parameters".to_owned();
    let (_, algorithm) = AlgorithmIdentifier::from_der(algorithm.whole).map_err(|_| odd())?;
    let Ok(Parsed::RSASSA_PSS(parameters)) = Parsed::try_from(&algorithm) else {
        return Err(odd());
    };
    let mask = parameters.mask_gen_algorithm().map_err(|_| odd())?;
    let salt = usize::try_from(parameters.salt_length()).map_err(|_| odd())?;
    // The largest salt fills the modulus; OpenSSL makes such ones unless told otherwise.
    let plain = parameters.trailer_field() == 1
        && mask.mgf.to_id_string() == "1.2.840.113549.1.1.8"
        && salt <= SALT_MAX;
    let digest = sha2(&parameters.hash_algorithm_oid().to_id_string());
    let mgf = sha2(&mask.hash.to_id_string());
    match (digest, mgf) {
        (Some(digest), Some(mgf)) if plain => Ok(SignatureAlgorithm::RsaPss { digest, mgf, salt }),
        (Some(_), Some(_)) => Err(odd()),
        _ => Err("RSASSA-PSS with a digest below SHA-256".to_owned()),
    }
}

fn sha2(oid: &str) -> Option<DigestAlgorithm> {
    match oid {
        "2.16.840.1.101.3.4.2.1" => Some(DigestAlgorithm::Sha256),
        "2.16.840.1.101.3.4.2.2" => Some(DigestAlgorithm::Sha384),
        "2.16.840.1.101.3.4.2.3" => Some(DigestAlgorithm::Sha512),
        _ => None,
    }
}
