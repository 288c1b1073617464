//! `cert import|list`, and the DNS records that publish our certificates.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::certs::{self, IdentityRow};
use crate::crypto::issue::{self, KeyFile};
use crate::journal::Actor;
use crate::store::Named;

use super::{CertImport, Failure, Handle, decode, exit, usage};

const REMEDY: &str =
    "give a PKCS#12 file with its password, or a PEM certificate with --key and its PEM key";

pub async fn import(
    handle: &Handle,
    actor: Actor,
    asked: CertImport,
) -> Result<IdentityRow, Failure> {
    let certificate = Zeroizing::new(decode(&asked.certificate)?);
    let key = asked
        .key
        .as_ref()
        .map(|key| decode(&key.0).map(Zeroizing::new))
        .transpose()?;
    let password = Zeroizing::new(asked.password.map(|hidden| hidden.0).unwrap_or_default());
    // PKCS#12 stretches its password over many rounds.
    let read = tokio::task::spawn_blocking(move || match key {
        Some(key) => read_pem(&certificate, &key),
        None => issue::read_p12(&certificate, &password),
    });
    let file = read
        .await
        .map_err(|_| usage("the file could not be read", REMEDY))?
        .map_err(|sentence| Failure::new(exit::FAILED, sentence, REMEDY))?;
    Ok(certs::add_identity(&handle.store, actor, &file).await?)
}

/// The first certificate is the leaf (RFC 8446 §4.4.2 keeps the same order).
fn read_pem(certificates: &[u8], key: &[u8]) -> Result<KeyFile, String> {
    let mut found = issue::read_certificates(certificates)?.into_iter();
    let certificate = found
        .next()
        .ok_or_else(|| "the file holds no certificate".to_owned())?;
    Ok(KeyFile {
        key: issue::read_pem_key(key)?,
        certificate,
        chain: found.collect(),
    })
}

pub async fn list(handle: &Handle) -> Result<Vec<IdentityRow>, Failure> {
    Ok(certs::list_identities(&handle.store).await?)
}

/// One CERT record in zone-file form (RFC 4398 §2.2).
#[derive(Debug, Serialize)]
pub struct Record {
    pub name: String,
    pub record: String,
}

/// What to publish: the certificates that senders may encrypt for.
pub async fn records(handle: &Handle) -> Result<Vec<Record>, Failure> {
    let rows: Vec<(String, Option<String>, Vec<u8>)> = handle
        .store
        .read("certs::records", |conn| {
            Box::pin(async move {
                sqlx::query_as(
                    "SELECT domain, address_key, certificate FROM identity WHERE state = 'active' ORDER BY domain, id",
                )
                .fetch_all(conn)
                .await
                .named("certs::records")
            })
        })
        .await?;
    Ok(rows
        .iter()
        .map(|(domain, address, der)| record(domain, address.as_deref(), der))
        .collect())
}

/// An address-bound certificate is published at the address with its @ as a dot (C-001; dots of the local
/// part separate labels too, C-004), a domain-bound one at the domain.
fn record(domain: &str, address: Option<&str>, der: &[u8]) -> Record {
    let name = format!("{}.", address.unwrap_or(domain).replace('@', "."));
    // Type 1 is PKIX; the key tag and the algorithm are 0: no DNSSEC key is meant (RFC 4398 §2.1).
    let record = format!(
        "{name} 3600 IN CERT PKIX 0 0 {}",
        base64_simd::STANDARD.encode_to_string(der)
    );
    Record { name, record }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_published_where_senders_ask() {
        let domain = record("d.example", None, b"abc");
        assert_eq!(domain.record, "d.example. 3600 IN CERT PKIX 0 0 YWJj");
        let address = record("d.example", Some("a.b@d.example"), b"abc");
        assert_eq!(address.name, "a.b.d.example.");
    }
}
