//! Whether the certificate that signed a bundle was revoked (D-003): asked like that of a message's signer.
//! In: who signed, the pinned CA. Out: nothing, or why the bundle is not believed. A pinned signing
//! certificate is its own anchor: nobody but the operator can take it back.

use std::sync::Arc;

use crate::fetch::{EvidenceCache, Fetcher};
use crate::trust::{
    AnchorSet, Certificate, Distrust, Evidence, Need, NoPointer, Question, RevocationMode,
    RevocationRules, RevocationScope, Waiting, Work, find_path,
};
use crate::world::Timestamp;

use super::read::{ReadError, Signed, signer_rules};
use super::subscription::BundleError;

/// What a judgment came to, and what could be fetched for another.
type Judged = (Option<Distrust>, Vec<Need>);

pub(super) async fn check_status(
    fetcher: &Fetcher,
    signed: &Signed,
    pinned: &Arc<Certificate>,
    mode: RevocationMode,
    now: Timestamp,
) -> Result<(), BundleError> {
    let case = Arc::new((signed.clone(), Arc::clone(pinned)));
    let judge = |evidence: Evidence| {
        let case = Arc::clone(&case);
        let work = move || judged(&case.0, &case.1, &evidence, mode, now);
        async move { tokio::task::spawn_blocking(work).await.ok() }
    };
    let cache = EvidenceCache::new(fetcher.clone(), None);
    let settled = cache.settle(
        Evidence::default(),
        Waiting::Over,
        judge,
        |(_, needs): &Judged| needs.clone(),
    );
    match settled.await {
        Some((None, _)) => Ok(()),
        Some((Some(why), _)) => Err(ReadError::WrongSigner(why.detail).into()),
        None => Err(BundleError::Fetch(
            "judging its signer broke off".to_owned(),
        )),
    }
}

fn judged(
    signed: &Signed,
    pinned: &Arc<Certificate>,
    evidence: &Evidence,
    mode: RevocationMode,
    now: Timestamp,
) -> Judged {
    let asked = RevocationRules {
        mode,
        scope: RevocationScope::All,
        no_pointer: NoPointer::Accept,
    };
    let question = Question {
        bag: &signed.bag,
        anchors: &AnchorSet::new([Arc::clone(pinned)]),
        rules: &signer_rules().asking(asked),
        evidence,
        now,
    };
    let mut work = Work::default();
    match find_path(&signed.by, &question, &mut work) {
        Ok(_) => (None, Vec::new()),
        Err(failure) => (Some(failure.why), work.take_needs()),
    }
}
