//! Encrypt: one content key, one RecipientInfo for each certificate, base64 under a minimal outer header
//!
//! In: the signed entity. Out: the sealed body. Streamed in chunks; the scratch body holds ciphertext only.

use std::io::Write;

use crate::cms::{EnvelopedPlan, Identifier, KeyTransRecipient};
use crate::crypto::{Encryptor, PublicKey, Secret};
use crate::journal::Reason;
use crate::limits::{PIECE, RECIPIENT_INFOS_MAX, RSA_BITS_MAX, RSA_BITS_MIN};
use crate::mime::Base64Lines;
use crate::store::{Bodies, Body};
use crate::trust::Certificate;
use crate::world::World;

use super::entity::{Signed, unwritable};
use super::{SealError, Suite};

/// The outer header after the copied fields (ETT DTS 133a, 201, 202, 203).
const OUTER_TYPE: &[u8] = b"MIME-Version: 1.0\r\n\
    Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=\"smime.p7m\"\r\n\
    Content-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\r\n";

/// The same for AuthEnvelopedData (RFC 8551 §3.2.2).
const OUTER_TYPE_AUTHENTICATED: &[u8] = b"MIME-Version: 1.0\r\n\
    Content-Type: application/pkcs7-mime; smime-type=authEnveloped-data; name=\"smime.p7m\"\r\n\
    Content-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\r\n";

/// Encrypts for these certificates.
pub(super) fn encrypt(
    signed: &Signed<'_>,
    certificates: &[&Certificate],
    suite: Suite,
    bodies: &Bodies,
    world: &World,
) -> Result<Body, SealError> {
    let cipher = suite.cipher;
    let mut cek = Secret::new(vec![0; cipher.key_len()]);
    world.fill_random(&mut cek);
    let mut iv = vec![0; cipher.iv_len()];
    world.fill_random(&mut iv);
    let recipients = wrap_for(certificates, suite, &cek)?;
    let too_large = || SealError::unfit(Reason::OverLimit, "the message is too large");
    let encrypted_len = signed
        .len()
        .and_then(|len| cipher.encrypted_len(len))
        .ok_or_else(too_large)?;
    let plan = EnvelopedPlan::new(&recipients, cipher, &iv, encrypted_len).map_err(unwritable)?;

    let mut sink = bodies.writer();
    sink.append(signed.outer())?;
    sink.append(if cipher.is_aead() {
        OUTER_TYPE_AUTHENTICATED
    } else {
        OUTER_TYPE
    })?;
    let mut lines = Base64Lines::new(sink);
    lines.write_all(&plan.head)?;
    let unfit = |_| SealError::unfit(Reason::WeakAlgorithm, "the content does not encrypt");
    let mut encryptor = Encryptor::new(cipher, &cek, &iv, &[]).map_err(unfit)?;
    let mut encrypted = Vec::with_capacity(PIECE + 64);
    signed.write(&mut |clear| {
        for chunk in clear.chunks(PIECE) {
            encrypted.clear();
            encryptor.update(chunk, &mut encrypted).map_err(unfit)?;
            lines.write_all(&encrypted)?;
        }
        Ok(())
    })?;
    encrypted.clear();
    let tag = encryptor.finish(&mut encrypted).map_err(unfit)?;
    lines.write_all(&encrypted)?;
    lines.write_all(&plan.tail(tag.as_deref()))?;
    Ok(lines.finish()?.finish()?)
}

/// One RecipientInfo a key: recipients under one certificate share it, for two that name one key are
/// refused by careful peers.
fn wrap_for(
    certificates: &[&Certificate],
    suite: Suite,
    cek: &Secret,
) -> Result<Vec<KeyTransRecipient>, SealError> {
    let mut keys: Vec<&PublicKey> = Vec::new();
    let mut recipients = Vec::new();
    for certificate in certificates {
        let unfit = |what: &str| {
            let subject = certificate.subject_text();
            SealError::unfit(Reason::WeakKey, format!("the key of {subject} {what}"))
        };
        let key = certificate
            .public_key()
            .map_err(|_| unfit("is of an unknown kind"))?;
        if keys.iter().any(|other| other.same_as(key)) {
            continue;
        }
        if !key.is_rsa() {
            return Err(unfit(
                "is an elliptic curve key; only RSA is encrypted for yet",
            ));
        }
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&key.bits()) {
            return Err(unfit(&format!("has {} bits (A-019)", key.bits())));
        }
        let encrypted_key = key
            .wrap_cek(suite.transport, cek)
            .map_err(|_| unfit("does not encrypt"))?;
        recipients.push(KeyTransRecipient {
            rid: Identifier::IssuerAndSerial {
                issuer: certificate.issuer().to_vec(),
                serial: certificate.serial().to_vec(),
            },
            transport: suite.transport,
            encrypted_key,
        });
        keys.push(key);
    }
    if recipients.is_empty() || recipients.len() > RECIPIENT_INFOS_MAX {
        let detail = format!("{} recipients for one message", recipients.len());
        return Err(SealError::unfit(Reason::OverLimit, detail));
    }
    Ok(recipients)
}
