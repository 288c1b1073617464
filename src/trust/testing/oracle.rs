//! What others say of a chain, and why they may say otherwise than we do. `openssl verify` is a child process.

use std::path::Path;
use std::process::Command;

use crate::crypto::issue::pem_certificate;
use crate::journal::Reason;
use crate::trust::Switch;
use crate::trust::check::Answer;

use super::chance::Chain;
use super::{NOW, oid};

/// How strict OpenSSL is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    Usual,
    /// `-x509_strict`: the form of RFC 5280 §4 as well.
    Strict,
}

/// Whether `openssl verify` accepts, and its words.
pub fn openssl(folder: &Path, chain: &Chain, strictness: Strictness) -> (bool, String) {
    let [root, between @ .., leaf] = chain.ders.as_slice() else {
        panic!("a chain has a root and a leaf");
    };
    let write = |name: &str, ders: &[Vec<u8>]| {
        let text: String = ders.iter().map(|der| pem_certificate(der)).collect();
        std::fs::write(folder.join(name), text).expect("writes");
    };
    write("root.pem", std::slice::from_ref(root));
    write("leaf.pem", std::slice::from_ref(leaf));
    write("between.pem", &[between, &chain.beside].concat());
    let mut command = Command::new("openssl");
    command.args(["verify", "-no-CApath", "-no-CAstore", "-policy_check"]);
    let asked = &chain.asked;
    // Without a policy OpenSSL takes the user-initial-policy-set to be empty.
    let mut wanted: Vec<String> = asked.acceptable.iter().map(ToString::to_string).collect();
    if wanted.is_empty() {
        wanted.push("2.5.29.32.0".to_owned());
    }
    wanted.iter().for_each(|policy| {
        command.args(["-policy", policy]);
    });
    for (switch, flag) in [
        (asked.explicit, "-explicit_policy"),
        (asked.inhibit_mapping, "-inhibit_map"),
        (asked.inhibit_any, "-inhibit_any"),
    ] {
        if switch == Switch::On {
            command.arg(flag);
        }
    }
    if strictness == Strictness::Strict {
        command.arg("-x509_strict");
    }
    command.args(["-attime", &NOW.unix_s().to_string(), "-CAfile", "root.pem"]);
    if !between.is_empty() || !chain.beside.is_empty() {
        command.args(["-untrusted", "between.pem"]);
    }
    let output = command
        .arg("leaf.pem")
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    let words = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&words).into_owned(),
    )
}

/// Why we may refuse what another accepts; each is a row of docs/deviations.md.
pub fn why_we_refuse(answer: &Answer, chain: &Chain) -> Option<&'static str> {
    let detail = answer.detail.as_str();
    let root = chain.ders.first().map_or(&[][..], Vec::as_slice);
    let root_demands = ["2.5.29.36", "2.5.29.54"].iter().any(|dotted| {
        let oid = oid(dotted);
        root.windows(oid.len()).any(|window| window == oid)
    });
    match answer.reason? {
        Reason::BadCertificate => Some("DER is read strictly"),
        Reason::BadExtension => Some("the form that RFC 5280 §4 demands"),
        Reason::NameConstraint if detail.contains("cannot be applied") => {
            Some("a constraint that cannot be applied refuses")
        }
        Reason::NoPath if !answer.notes.is_empty() => {
            Some("a file that is no certificate is passed over")
        }
        Reason::NotCa if detail.contains("without a subject") => Some("a CA has a name"),
        Reason::CertificatePolicy if root_demands => {
            Some("what an anchor demands of policies holds")
        }
        Reason::WeakCertificateSignature => Some("algorithms below SHA-256, or odd parameters"),
        _ => None,
    }
}

/// Why OpenSSL may refuse what we accept.
pub fn why_openssl_refuses(answer: &Answer, words: &str) -> Option<&'static str> {
    let mut subjects: Vec<&str> = answer
        .path
        .iter()
        .map(|step| step.subject.as_str())
        .collect();
    subjects.sort_unstable();
    let two_of_one_name = subjects.windows(2).any(|pair| pair[0] == pair[1]);
    let says = |text: &str| words.contains(text);
    match () {
        () if says("unsupported name constraint") => {
            Some("OpenSSL does not compare this form of constraint")
        }
        () if says("certificate signature failure") && two_of_one_name => {
            Some("OpenSSL does not go back from the first issuer of that name")
        }
        _ => None,
    }
}

/// Why `-x509_strict` may refuse what we accept: rules for CAs that a path does without
/// (docs/deviations.md).
pub fn why_strict_refuses(words: &str) -> Option<&'static str> {
    [
        (
            "Missing Authority Key Identifier",
            "a PKI without key identifiers is let pass",
        ),
        (
            "Missing Subject Key Identifier",
            "a PKI without key identifiers is let pass",
        ),
        (
            "CA cert does not include key usage extension",
            "a CA without keyUsage may issue",
        ),
        (
            "Basic Constraints of CA cert not marked critical",
            "basicConstraints of a CA need not be critical",
        ),
    ]
    .into_iter()
    .find(|(text, _)| words.contains(text))
    .map(|(_, why)| why)
}
