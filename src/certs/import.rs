//! Taking in an identity; listing them.
//! In: a key file that was read. Out: a row, after the certificate was found fit and the key found to be its
//! own.

use std::sync::Arc;

use crate::crypto::issue::KeyFile;
use crate::envelope::Address;
use crate::journal::{Actor, Entry, Event};
use crate::limits::CERTIFICATES_MAX;
use crate::store::{Store, StoreError, Tx, Wake};
use crate::trust::{Certificate, check_usable_for_opening, check_usable_for_signing};
use crate::world::Timestamp;

use super::keyring::named_domains;
use super::sql::{self, StoredIdentity};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(
        "the certificate is unusable: {0}\n  do: ask the CA for one with a subjectAltName for your domain, RSA 2048 or P-256"
    )]
    Unfit(String),
    #[error(
        "the key does not belong to the certificate\n  do: export both again from where they were made"
    )]
    Mismatch,
    #[error(
        "the certificate is for {0}, which is not a domain of ours\n  do: `carepost domain add` first"
    )]
    ForeignDomain(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row for the operator.
#[derive(Clone, Debug, serde::Serialize)]
pub struct IdentityRow {
    pub fingerprint: String,
    pub domain: String,
    pub bound_to: String,
    pub subject: String,
    pub state: String,
    pub not_before: String,
    pub not_after: String,
    /// RSA 2048, P-256...
    pub key: String,
}

/// Checks and stores a key file; the domains and addresses come from its subjectAltName. Returns the row.
/// Importing it again changes nothing. An expired certificate is taken in for opening late mail only.
///
/// # Errors
/// [`ImportError`].
pub async fn add_identity(
    store: &Store,
    actor: Actor,
    file: &KeyFile,
) -> Result<IdentityRow, ImportError> {
    let leaf = Certificate::parse(&file.certificate).map_err(|why| unfit(&why.0))?;
    if !leaf
        .public_key()
        .is_ok_and(|public| public.same_as(&file.key.public()))
    {
        return Err(ImportError::Mismatch);
    }
    let now = store.world().now();
    let state = fit_state(&leaf, now)?;
    let chain = ordered_chain(&leaf, &file.chain)?;
    let domains = store
        .read("certs.domains", |conn| Box::pin(sql::domains(conn)))
        .await?;
    let (domain, tenant_id) = served_domain(&leaf, &domains)?;
    let key = file
        .key
        .to_pkcs8()
        .map_err(|_| unfit("its key cannot be stored"))?;
    let id = leaf.fingerprint_hex();
    let row = StoredIdentity {
        wrapped_key: store.key().wrap(store.world(), &id, &key),
        address_key: bound_address(&leaf, &domain),
        id,
        tenant_id,
        domain,
        certificate: leaf.der().to_vec(),
        chain: chain.concat(),
        state: state.to_owned(),
        not_before: leaf.not_before().0,
        not_after: leaf.not_after().0,
        added_at: now.0,
        added_by: actor.word().to_owned(),
    };
    let shown = shown(&row);
    store
        .write("certs.add_identity", move |tx| {
            Box::pin(keep(tx, actor, row))
        })
        .await?;
    Ok(shown)
}

async fn keep(tx: &mut Tx, actor: Actor, row: StoredIdentity) -> Result<(), StoreError> {
    if !sql::insert(tx.conn().await?, &row).await? {
        return Ok(());
    }
    let event = Event::IdentityAdded {
        fingerprint: row.id,
        domain: row.domain,
        not_after: Timestamp(row.not_after).rfc3339(),
    };
    tx.record(Entry::operator(&row.tenant_id, actor, event));
    tx.wake(Wake::Snapshots);
    Ok(())
}

fn unfit(why: &str) -> ImportError {
    ImportError::Unfit(why.to_owned())
}

/// The state in which it is taken in, if it is of use at all.
fn fit_state(leaf: &Certificate, now: Timestamp) -> Result<&'static str, ImportError> {
    // Whether it has expired or is not valid yet does not matter for what it is made for.
    let then = leaf.not_after();
    let refused = match check_usable_for_signing(leaf, then) {
        Ok(()) => return Ok(if now > then { "decrypt-only" } else { "active" }),
        Err(refused) => refused,
    };
    // Separate pairs for signing and opening are common (F-019).
    match check_usable_for_opening(leaf, then) {
        Ok(()) => Ok("decrypt-only"),
        Err(_) => Err(ImportError::Unfit(refused.detail)),
    }
}

/// The domain of ours that it serves, and whose that is. A dNSName comes before the domain of an rfc822Name.
fn served_domain(
    leaf: &Certificate,
    ours: &[(String, String)],
) -> Result<(String, String), ImportError> {
    let named = named_domains(leaf);
    let first = leaf.san_dns().iter().map(|name| name.to_ascii_lowercase());
    let found = first
        .chain(named.iter().cloned())
        .find_map(|name| ours.iter().find(|(domain, _)| *domain == name).cloned());
    found.ok_or_else(|| match named.into_iter().next() {
        Some(name) => ImportError::ForeignDomain(name),
        None => unfit("it has no subjectAltName with a mail domain or address (A-010, A-011)"),
    })
}

/// The one address it is bound to, if it is not bound to the domain.
fn bound_address(leaf: &Certificate, domain: &str) -> Option<String> {
    if leaf
        .san_dns()
        .iter()
        .any(|name| name.eq_ignore_ascii_case(domain))
    {
        return None;
    }
    let mut addresses = leaf
        .san_mail()
        .iter()
        .filter_map(|name| Address::parse(name).ok());
    addresses
        .find(|address| address.domain() == domain)
        .map(|address| address.key().to_owned())
}

/// The intermediates in order, the leaf's issuer first; what does not belong to the path is left out.
fn ordered_chain(leaf: &Arc<Certificate>, found: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, ImportError> {
    if found.len() > CERTIFICATES_MAX {
        return Err(unfit(&format!(
            "it comes with more than {CERTIFICATES_MAX} certificates"
        )));
    }
    let parsed = found
        .iter()
        .map(|der| Certificate::parse(der))
        .collect::<Result<Vec<_>, _>>();
    let mut rest = parsed.map_err(|why| unfit(&format!("beside it lies {why}")))?;
    let mut chain = Vec::new();
    let mut below = Arc::clone(leaf);
    while let Some(at) = rest.iter().position(|one| one.subject() == below.issuer()) {
        below = rest.swap_remove(at);
        // A root sends itself to nobody: the receiver has it or does not trust it (RFC 8551 §2.3).
        if below.subject() == below.issuer() {
            break;
        }
        chain.push(below.der().to_vec());
    }
    Ok(chain)
}

/// All of them, by domain and expiry.
///
/// # Errors
/// [`StoreError`].
pub async fn list_identities(store: &Store) -> Result<Vec<IdentityRow>, StoreError> {
    let rows = store
        .read("certs.list", |conn| Box::pin(sql::all(conn)))
        .await?;
    Ok(rows.iter().map(shown).collect())
}

fn shown(row: &StoredIdentity) -> IdentityRow {
    let certificate = Certificate::parse(&row.certificate).ok();
    let of = |text: fn(&Certificate) -> &str| {
        certificate
            .as_deref()
            .map_or_else(|| "unreadable".to_owned(), |one| text(one).to_owned())
    };
    IdentityRow {
        fingerprint: row.id.clone(),
        domain: row.domain.clone(),
        bound_to: row
            .address_key
            .clone()
            .unwrap_or_else(|| row.domain.clone()),
        subject: of(Certificate::subject_text),
        state: row.state.clone(),
        not_before: Timestamp(row.not_before).rfc3339(),
        not_after: Timestamp(row.not_after).rfc3339(),
        key: of(Certificate::key_text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::{IdentityState, load};
    use crate::crypto::PrivateKey;
    use crate::crypto::issue::KeyKind;
    use crate::trust::Profile;
    use crate::trust::testing::*;

    fn file(made: &Made, key: &PrivateKey, chain: &[&Made]) -> KeyFile {
        KeyFile {
            key: key.clone(),
            certificate: made.certificate.der().to_vec(),
            chain: chain
                .iter()
                .map(|one| one.certificate.der().to_vec())
                .collect(),
        }
    }

    async fn add(store: &Store, file: &KeyFile) -> Result<IdentityRow, ImportError> {
        add_identity(store, Actor::Operator("ann".into()), file).await
    }

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[tokio::test]
    async fn an_identity_is_kept_wrapped_and_comes_back_with_its_chain() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let root = Make::ca("Root").by_itself();
        let upper = Make::ca("Upper").by(&root);
        let lower = Make::ca("Lower").by(&upper);
        let leaf = Make::leaf(&[(2, "D.example")]).by(&lower);
        let file = file(&leaf, &leaf.key, &[&root, &upper, &leaf, &lower]);
        let row = add(&store, &file).await.expect("is added");
        assert_eq!(
            (row.domain.as_str(), row.bound_to.as_str()),
            ("d.example", "d.example")
        );
        assert_eq!((row.key.as_str(), row.state.as_str()), ("P-256", "active"));
        add(&store, &file).await.expect("changes nothing");
        assert_eq!(events(&store).await, ["identity-added"]);
        assert_eq!(list_identities(&store).await.expect("lists").len(), 1);
        let ring = load(&store).await.expect("loads");
        let found = ring
            .signer(&address("x@d.example"), Profile::V1_3, NOW)
            .expect("signs");
        let chain: Vec<_> = found
            .chain
            .iter()
            .map(|one| one.subject_text().to_owned())
            .collect();
        assert_eq!(chain, ["CN=Lower", "CN=Upper"]);
        assert!(found.key.public().same_as(&leaf.key.public()));
        let clear = leaf.key.to_pkcs8().expect("encodes");
        let rows = store
            .read("test", |conn| Box::pin(sql::all(conn)))
            .await
            .expect("reads");
        let hidden = |row: &StoredIdentity| {
            !row.wrapped_key
                .windows(16)
                .any(|part| clear.windows(16).any(|other| other == part))
        };
        assert!(rows.iter().all(hidden));
    }

    #[tokio::test]
    async fn what_cannot_serve_us_is_refused_with_its_cause() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let root = Make::ca("Root").by_itself();
        let good = || Make::leaf(&[(1, "ann@d.example")]);
        let refused = async |made: &Made, key: &PrivateKey| {
            add(&store, &file(made, key, &[]))
                .await
                .expect_err("is refused")
        };
        let leaf = good().by(&root);
        assert!(matches!(
            refused(&leaf, &root.key).await,
            ImportError::Mismatch
        ));
        let foreign = Make::leaf(&[(2, "else.example")]).by(&root);
        let error = refused(&foreign, &foreign.key).await;
        assert!(matches!(error, ImportError::ForeignDomain(name) if name == "else.example"));
        for make in [
            Make::ca("CA"),
            Make::leaf(&[(6, "http://d.example")]),
            good().with(basic_constraints(true, None)),
            good().with(extension("1.2.3", true, &[])),
            good().extensions(vec![san(&[(2, "d.example")]), key_usage(0x04)]),
        ] {
            let made = make.by(&root);
            assert!(matches!(
                refused(&made, &made.key).await,
                ImportError::Unfit(_)
            ));
        }
        assert!(list_identities(&store).await.expect("lists").is_empty());
    }

    #[tokio::test]
    async fn late_mail_can_be_opened_with_what_no_longer_signs() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let root = Make::ca("Root").by_itself();
        let ann = address("ann@d.example");
        let old = Make {
            not_after: NOW.minus(DAY),
            ..Make::leaf(&[(1, "ann@d.example")])
        };
        let old = old.by(&root);
        let row = add(&store, &file(&old, &old.key, &[]))
            .await
            .expect("is added");
        assert_eq!(
            (row.state.as_str(), row.bound_to.as_str()),
            ("decrypt-only", "ann@d.example")
        );
        let rsa = key(KeyKind::Rsa(2048));
        let opens = Make::leaf(&[])
            .key(&rsa)
            .extensions(vec![san(&[(2, "d.example")]), key_usage(0x20)]);
        let opens = opens.by(&root);
        add(&store, &file(&opens, &rsa, &[]))
            .await
            .expect("is added");
        let ring = load(&store).await.expect("loads");
        assert_eq!(ring.for_recipient(&ann, Profile::V1_3).len(), 2);
        assert_eq!(
            ring.for_recipient(&address("bob@d.example"), Profile::V1_3)
                .len(),
            1
        );
        assert!(ring.signer(&ann, Profile::V1_3, NOW).is_none());
        let state = |one: &Arc<crate::certs::Identity>| one.state == IdentityState::DecryptOnly;
        assert!(ring.for_recipient(&ann, Profile::V1_3).iter().all(state));
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_used_is_an_alarm_of_its_domain_and_no_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open_store(dir.path()).await;
        let root = Make::ca("Root").by_itself();
        let (one, two) = (
            Make::leaf(&[(1, "ann@d.example")]).by(&root),
            Make::leaf(&[(1, "bob@d.example")]).by(&root),
        );
        add(&store, &file(&one, &one.key, &[]))
            .await
            .expect("is added");
        add(&store, &file(&two, &two.key, &[]))
            .await
            .expect("is added");
        let spoil = "UPDATE identity SET wrapped_key = (SELECT wrapped_key FROM identity WHERE id = $1) WHERE id = $2";
        let (from, to) = (
            one.certificate.fingerprint_hex(),
            two.certificate.fingerprint_hex(),
        );
        store
            .write("test", move |tx| {
                Box::pin(async move {
                    sqlx::query(spoil)
                        .bind(from)
                        .bind(to)
                        .execute(tx.conn().await?)
                        .await?;
                    Ok(())
                })
            })
            .await
            .expect("spoils");
        let ring = load(&store).await.expect("loads");
        let alarms = ring.alarms(NOW);
        assert_eq!(alarms.len(), 2, "{alarms:?}");
        assert!(
            alarms
                .iter()
                .any(|alarm| alarm.text.contains("cannot be unwrapped"))
        );
        assert!(alarms.iter().any(|alarm| alarm.text.contains("expires")));
        assert!(
            ring.signer(&address("ann@d.example"), Profile::V1_3, NOW)
                .is_some()
        );
        assert!(
            ring.signer(&address("bob@d.example"), Profile::V1_3, NOW)
                .is_none()
        );
    }
}
