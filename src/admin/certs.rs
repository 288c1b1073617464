//! `cert import|list`.

use zeroize::Zeroizing;

use crate::certs::{self, IdentityRow};
use crate::crypto::issue::{self, KeyFile};
use crate::journal::Actor;

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
