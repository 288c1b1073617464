//! Fuzz targets: one function each. In: octets that anyone may have made. Out: nothing, or a panic, which
//! is the finding. Each target also asserts what its station promises: chunks do not matter, lines stay
//! lines, nothing unsigned is opened. Built only with the feature `fuzzing`; `scripts/fuzz` runs them.

mod certificates;
mod edit;
mod evidence;
mod mail;
mod opening;
mod operator;
mod pki;
mod reports;

pub use certificates::{certificate, cms_enveloped, cms_signed, dns_cert};
pub use evidence::{bundle, crl, ocsp};
pub use mail::{address, mime_header, mime_multipart, mime_transfer};
pub use opening::open;
pub use operator::{config, csv, submission};
pub use reports::report;

/// The SMTP dialogue, fed in pieces: replies are printable lines of at most 512 octets.
pub fn smtp_session(data: &[u8]) {
    crate::listener::fuzzing::session(data);
}

/// The reader of DATA: pieces do not matter, and only CRLF.CRLF ends it.
pub fn smtp_data(data: &[u8]) {
    crate::listener::fuzzing::data(data);
}

/// Takes octets that anyone may have made; panics if a promise is broken.
pub type Target = fn(&[u8]);

/// All targets by name, for the driver that needs no libFuzzer.
pub const TARGETS: [(&str, Target); 18] = [
    ("smtp_session", smtp_session),
    ("smtp_data", smtp_data),
    ("address", address),
    ("mime_header", mime_header),
    ("mime_multipart", mime_multipart),
    ("mime_transfer", mime_transfer),
    ("cms_enveloped", cms_enveloped),
    ("cms_signed", cms_signed),
    ("certificate", certificate),
    ("dns_cert", dns_cert),
    ("crl", crl),
    ("ocsp", ocsp),
    ("bundle", bundle),
    ("open", open),
    ("report", report),
    ("submission", submission),
    ("config", config),
    ("csv", csv),
];

/// Something small to begin with, for each target: made here, so that no foreign octets are kept.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "smtp_session" => crate::listener::fuzzing::seeds(),
        "smtp_data" => vec![b"\x01a\r\n..b\r\n.\r\nQUIT\r\n".to_vec()],
        "address" | "mime_header" | "mime_multipart" | "mime_transfer" => mail::seeds(target),
        "cms_enveloped" | "cms_signed" | "certificate" | "dns_cert" => certificates::seeds(target),
        "crl" | "ocsp" | "bundle" => evidence::seeds(),
        "open" => opening::seeds(),
        "report" => reports::seeds(),
        _ => operator::seeds(target),
    }
}
