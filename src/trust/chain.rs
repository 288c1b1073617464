//! One certificate against the rules that need no other (usage, validity, strength), and one complete chain
//! against those that do (RFC 5280 §6.1): path length, name constraints, policies.
//! In: certificates whose signatures were checked. Out: nothing, or the first rule that is broken, with the
//! values.

use crate::journal::Reason;
use crate::limits::NAME_COMPARISONS_MAX;
use crate::world::Timestamp;

use super::certificate::{Lapse, Seat};
use super::path::Work;
use super::policy::{Policies, PolicyFault};
use super::rules::{EMAIL_PROTECTION, ExtendedUsage, PathPurpose, Rules, Standard, Switch};
use super::{Certificate, Distrust};

const ANY_EXTENDED_KEY_USAGE: &str = "2.5.29.37.0";

/// Characters of evidence: names in certificates are the sender's, and may be very long.
const DETAIL_MAX: usize = 600;

/// Why not, naming the certificate.
pub(super) fn distrust(reason: Reason, certificate: &Certificate, what: &str) -> Distrust {
    let id = certificate.fingerprint_hex();
    let id = id.get(..16).unwrap_or(&id);
    let detail = format!("{} ({id}): {what}", certificate.subject_text());
    let plain = |c: char| if c.is_control() { '?' } else { c };
    Distrust {
        reason,
        detail: detail.chars().take(DETAIL_MAX).map(plain).collect(),
    }
}

/// A limit was met: neither trusted nor refuted, hence refused.
pub(super) fn over(limit: &str, value: usize) -> Distrust {
    Distrust {
        reason: Reason::OutOfBudget,
        detail: format!("not decided: limit of {value} {limit}"),
    }
}

/// Whether a certificate of ours may sign at that time: everything that is asked of a leaf, but no path
///
///
/// # Errors
/// [`Distrust`].
pub fn check_usable_for_signing(leaf: &Certificate, at: Timestamp) -> Result<(), Distrust> {
    check_leaf(leaf, &Rules::direct(PathPurpose::Sign), at)
}

/// Whether a certificate of ours may be encrypted for at that time.
///
/// # Errors
/// [`Distrust`].
pub fn check_usable_for_opening(leaf: &Certificate, at: Timestamp) -> Result<(), Distrust> {
    check_leaf(leaf, &Rules::direct(PathPurpose::Encrypt), at)
}

/// Whether the certificate may serve as leaf for this purpose now; at an anchor's place, too.
pub(super) fn check_leaf(
    leaf: &Certificate,
    rules: &Rules,
    now: Timestamp,
) -> Result<(), Distrust> {
    check_form(leaf, Seat::BelowAnchor, rules)?;
    if leaf.is_ca() && rules.ca_as_leaf == Switch::Off {
        let what = "basicConstraints says cA (A-018)";
        return Err(distrust(Reason::LeafIsCa, leaf, what));
    }
    check_validity(leaf, now)?;
    check_key(leaf, rules)?;
    check_leaf_usage(leaf, rules)?;
    check_extended_usage(leaf, rules)
}

/// Whether the certificate may issue others now. Holds for anchors as well: an expired one is refused
/// and so is one that is no CA.
pub(super) fn check_issuer(
    issuer: &Certificate,
    seat: Seat,
    rules: &Rules,
    now: Timestamp,
) -> Result<(), Distrust> {
    check_form(issuer, seat, rules)?;
    // RFC 5280 §6.1.4 (k), (n); G-032, G-035.
    if !issuer.is_ca() {
        let what =
            "it issued a certificate, but basicConstraints does not say cA (RFC 5280 §4.2.1.9)";
        return Err(distrust(Reason::NotCa, issuer, what));
    }
    if issuer.key_usage().is_some_and(|usage| !usage.key_cert_sign) {
        let what = "it issued a certificate, but keyUsage lacks keyCertSign (RFC 5280 §4.2.1.3)";
        return Err(distrust(Reason::NotCa, issuer, what));
    }
    if issuer.subject_name.is_empty() {
        let what = "a CA without a subject name (RFC 5280 §4.1.2.6)";
        return Err(distrust(Reason::NotCa, issuer, what));
    }
    check_validity(issuer, now)?;
    check_key(issuer, rules)?;
    check_extended_usage(issuer, rules)
}

fn check_form(certificate: &Certificate, seat: Seat, rules: &Rules) -> Result<(), Distrust> {
    let bad = |what: &str| Err(distrust(Reason::BadExtension, certificate, what));
    match (certificate.defects(), rules.standard) {
        ([], Standard::Direct) => Ok(()),
        ([], Standard::Rfc5280) => {
            let counts = |lapse: &&Lapse| lapse.seat.is_none_or(|only| only == seat);
            let found = certificate.lapses.iter().filter(counts);
            let found: Vec<&str> = found.map(|lapse| lapse.what.as_str()).collect();
            match found.as_slice() {
                [] => Ok(()),
                found => bad(&format!("{} (RFC 5280 §4)", found.join("; "))),
            }
        }
        (defects, _) => bad(&defects.join("; ")),
    }
}

/// RFC 5280 §6.1.3 (a) (2); A-022. Both ends belong to the period.
fn check_validity(certificate: &Certificate, now: Timestamp) -> Result<(), Distrust> {
    if now < certificate.not_before() {
        let what = format!("valid from {}", certificate.not_before().rfc3339());
        return Err(distrust(Reason::NotYetValid, certificate, &what));
    }
    if now > certificate.not_after() {
        let what = format!("expired {}", certificate.not_after().rfc3339());
        return Err(distrust(Reason::Expired, certificate, &what));
    }
    Ok(())
}

///
fn check_key(certificate: &Certificate, rules: &Rules) -> Result<(), Distrust> {
    let least = rules.rsa_bits_min;
    let weak = |what: &str| Err(distrust(Reason::WeakKey, certificate, what));
    match (&certificate.key_fault, certificate.public_key()) {
        (Some(fault), _) => weak(fault),
        (None, Err(_)) => weak("its key cannot be read"),
        (None, Ok(key)) if key.is_rsa() && key.bits() < least => weak(&format!(
            "{}, at least {least} bits are asked for (A-019)",
            certificate.key_text()
        )),
        (None, Ok(_)) => Ok(()),
    }
}

/// Whether the key of a CRL's signer is one that counts.
pub(super) fn check_signer_key(signer: &Certificate, rules: &Rules) -> Result<(), Distrust> {
    check_key(signer, rules)
}

/// id-kp-OCSPSigning.
const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";

/// RFC 6960 §4.2.2.2: whether a certificate allows its key to answer for the CA that issued it; who issued it
/// is asked elsewhere. anyExtendedKeyUsage is not enough.
pub(super) fn check_responder(
    responder: &Certificate,
    rules: &Rules,
    now: Timestamp,
) -> Result<(), Distrust> {
    check_form(responder, Seat::BelowAnchor, rules)?;
    check_validity(responder, now)?;
    check_key(responder, rules)?;
    check_signature_kind(responder)?;
    let uses = responder.extensions.extended_key_usage.iter().flatten();
    let signs = responder
        .key_usage()
        .is_none_or(|usage| usage.digital_signature || usage.non_repudiation);
    if signs && uses.into_iter().any(|oid| oid == OCSP_SIGNING) {
        return Ok(());
    }
    let what = "extendedKeyUsage lacks OCSPSigning (RFC 6960 §4.2.2.2)";
    Err(distrust(Reason::WrongUsage, responder, what))
}

/// Whether the certificate's own signature is of a kind that counts.
pub(super) fn check_signature_kind(certificate: &Certificate) -> Result<(), Distrust> {
    match &certificate.signature_algorithm {
        Ok(_) => Ok(()),
        Err(what) => {
            let what = format!("signed with {what} (A-021)");
            Err(distrust(
                Reason::WeakCertificateSignature,
                certificate,
                &what,
            ))
        }
    }
}

/// enforced where keyUsage is present.
fn check_leaf_usage(leaf: &Certificate, rules: &Rules) -> Result<(), Distrust> {
    let Some(usage) = leaf.key_usage() else {
        return Ok(());
    };
    let is_rsa = leaf.public_key().is_ok_and(|key| key.is_rsa());
    let (allowed, lacking) = match rules.purpose {
        PathPurpose::Any => return Ok(()),
        // RFC 8550 §4.4.2: either bit; Direct asks for digitalSignature.
        PathPurpose::Sign if rules.standard == Standard::Rfc5280 => (
            usage.digital_signature || usage.non_repudiation,
            "keyUsage lacks digitalSignature and nonRepudiation (RFC 5280 §4.2.1.3)",
        ),
        PathPurpose::Sign => (
            usage.digital_signature,
            "keyUsage lacks digitalSignature (A-015)",
        ),
        PathPurpose::Encrypt if is_rsa => (
            usage.key_encipherment,
            "keyUsage lacks keyEncipherment (A-016)",
        ),
        PathPurpose::Encrypt => (usage.key_agreement, "keyUsage lacks keyAgreement (A-016)"),
    };
    if allowed {
        Ok(())
    } else {
        Err(distrust(Reason::WrongUsage, leaf, lacking))
    }
}

/// A-017; of CAs as well: one whose extendedKeyUsage leaves out mail does not vouch for mail.
fn check_extended_usage(certificate: &Certificate, rules: &Rules) -> Result<(), Distrust> {
    let (Some(found), ExtendedUsage::Only(wanted)) = (
        &certificate.extensions.extended_key_usage,
        &rules.extended_usage,
    ) else {
        return Ok(());
    };
    if found
        .iter()
        .any(|oid| oid == wanted || oid == ANY_EXTENDED_KEY_USAGE)
    {
        return Ok(());
    }
    let what = if wanted == EMAIL_PROTECTION {
        "extendedKeyUsage lacks emailProtection (A-017; RFC 8550 §4.4.4)".to_owned()
    } else {
        format!("extendedKeyUsage lacks {wanted} (RFC 5280 §4.2.1.12)")
    };
    Err(distrust(Reason::WrongUsage, certificate, &what))
}

/// What RFC 5280 §6.1.2 calls state variables.
struct State<'c, 'r> {
    /// max_path_length; u32::MAX is none.
    length_left: u32,
    constrained_by: Vec<&'c Certificate>,
    policies: Policies<'r>,
}

/// Whether a chain, anchor first and leaf last, keeps the rules that hold along a path. The certificates
/// themselves and their signatures were checked before.
pub(super) fn check_chain(
    chain: &[&Certificate],
    rules: &Rules,
    work: &mut Work,
) -> Result<(), Distrust> {
    let [anchor, issuers @ .., leaf] = chain else {
        return Err(over("certificates in a path", 0));
    };
    check_throughout(chain, rules)?;
    let below = issuers.len().saturating_add(1);
    let mut state = State {
        length_left: path_length(anchor),
        constrained_by: vec![anchor],
        policies: Policies::begin(below, anchor, &rules.policies, work.policies_left()),
    };
    let outcome = check_each(issuers, leaf, &mut state, work);
    work.note_policies(state.policies.made());
    outcome?;
    policy(leaf, state.policies.finish(leaf))
}

fn check_each<'c>(
    issuers: &[&'c Certificate],
    leaf: &Certificate,
    state: &mut State<'c, '_>,
    work: &mut Work,
) -> Result<(), Distrust> {
    for issuer in issuers {
        if !issuer.is_self_issued() {
            check_names(issuer, state, work)?;
        }
        policy(issuer, state.policies.check(issuer, false))?;
        descend(issuer, state)?;
    }
    check_names(leaf, state, work)?;
    policy(leaf, state.policies.check(leaf, true))
}

/// What RFC 5280 §4.2.1 asks of every CA, and a PKI may leave out as a whole, but not in single certificates.
fn check_throughout(chain: &[&Certificate], rules: &Rules) -> Result<(), Distrust> {
    if rules.throughout == Switch::Off {
        return Ok(());
    }
    check_key_ids(chain)?;
    let [anchor, between @ .., _] = chain else {
        return Ok(());
    };
    let bare = between.iter().find(|one| one.key_usage().is_none());
    match (anchor.key_usage(), bare) {
        (Some(_), Some(bare)) => {
            let what = "a CA without keyUsage below an anchor that has it (RFC 5280 §4.2.1.3)";
            Err(distrust(Reason::BadExtension, bare, what))
        }
        _ => Ok(()),
    }
}

/// RFC 5280 §4.2.1.1, §4.2.1.2: every certificate but a self-issued one points at its issuer's key, and every
/// CA names its own. A PKI without any key identifier is let pass; one that leaves out single ones is not.
fn check_key_ids(chain: &[&Certificate]) -> Result<(), Distrust> {
    let points = |one: &Certificate| one.extensions.authority_key_id.is_some();
    if !chain.iter().any(|one| points(one)) {
        return Ok(());
    }
    let issuers = chain.split_last().map_or(&[][..], |(_, issuers)| issuers);
    let bad = |one: &Certificate, what: &str| Err(distrust(Reason::BadExtension, one, what));
    for one in chain {
        if !points(one) && !one.is_self_issued() {
            let what = "it has no authorityKeyIdentifier, though others of its path have one \
                        (RFC 5280 §4.2.1.1)";
            return bad(one, what);
        }
    }
    for one in issuers {
        if one.subject_key_id().is_none() {
            let what = "a CA without subjectKeyIdentifier, though its path uses key identifiers \
                        (RFC 5280 §4.2.1.2)";
            return bad(one, what);
        }
    }
    Ok(())
}

fn path_length(issuer: &Certificate) -> u32 {
    match issuer.extensions.basic_constraints {
        Some((true, Some(length))) => length,
        _ => u32::MAX,
    }
}

/// RFC 5280 §6.1.4: what this issuer demands of everything below it.
fn descend<'c>(issuer: &'c Certificate, state: &mut State<'c, '_>) -> Result<(), Distrust> {
    // RFC 5280 §6.1.4 (l), (m): self-issued certificates do not count.
    if !issuer.is_self_issued() {
        state.length_left = match state.length_left {
            u32::MAX => u32::MAX,
            left => left.checked_sub(1).ok_or_else(|| {
                let what = "one CA more than pathLenConstraint above it allows (RFC 5280 §6.1.4)";
                distrust(Reason::PathTooLong, issuer, what)
            })?,
        };
    }
    state.length_left = state.length_left.min(path_length(issuer));
    state.constrained_by.push(issuer);
    policy(issuer, state.policies.descend(issuer))
}

/// RFC 5280 §6.1.3 (b), (c); G-031.
fn check_names(
    certificate: &Certificate,
    state: &State<'_, '_>,
    work: &mut Work,
) -> Result<(), Distrust> {
    let names = certificate.names();
    for issuer in &state.constrained_by {
        let Some(constraints) = issuer.constraints() else {
            continue;
        };
        if !work.compare(constraints.cost(&names)) {
            return Err(over("name comparisons", NAME_COMPARISONS_MAX));
        }
        constraints.allow(&names).map_err(|what| {
            let by = issuer.subject_text();
            let what = format!("{what} of {by} (RFC 5280 §4.2.1.10)");
            distrust(Reason::NameConstraint, certificate, &what)
        })?;
    }
    Ok(())
}

fn policy(certificate: &Certificate, outcome: Result<(), PolicyFault>) -> Result<(), Distrust> {
    outcome.map_err(|fault| match fault {
        PolicyFault::Broken(what) => distrust(Reason::CertificatePolicy, certificate, &what),
        PolicyFault::Form(what) => distrust(Reason::BadExtension, certificate, &what),
        PolicyFault::OverLimit(what, limit) => over(what, limit),
    })
}
