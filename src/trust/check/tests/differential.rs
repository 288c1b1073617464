//! Chains made by chance and bent by chance, judged by us (`rfc5280`) and by `openssl verify`, which must
//! be installed. Where the verdicts differ there is a reason in `testing::oracle`, and in
//! docs/deviations.md; anything else is a fault of ours. `scripts/differential` runs thousands of them.

use super::*;
use crate::trust::testing::chance::{Chance, make_chain};
use crate::trust::testing::oracle::{
    Strictness, openssl, why_openssl_refuses, why_strict_refuses, why_we_refuse,
};

/// Chains that are made.
const CHAINS: u64 = 360;

#[test]
fn we_and_openssl_differ_only_where_a_reason_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chance = Chance(5_280);
    let (mut accepted, mut differ, mut faults) = (0, 0, Vec::new());
    for _ in 0..CHAINS {
        let chain = make_chain(&mut chance);
        let answer = check(&chain.case());
        let ours = answer.verdict == Verdict::Trusted;
        accepted += usize::from(ours);
        let (fine, words) = openssl(folder.path(), &chain, Strictness::Usual);
        let explained = match (ours, fine) {
            (true, false) => why_openssl_refuses(&answer, &words),
            (false, true) => why_we_refuse(&answer, &chain),
            (false, false) => continue,
            (true, true) => {
                let (fine, words) = openssl(folder.path(), &chain, Strictness::Strict);
                if fine {
                    continue;
                }
                why_strict_refuses(&words)
            }
        };
        differ += 1;
        if explained.is_none() {
            let (said, reason, detail) = (&chain.said, answer.reason, &answer.detail);
            faults.push(format!("{said}\n  ours {reason:?} {detail}\n  {words}"));
        }
    }
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
    // Chance must neither break all chains nor none, nor find reasons for everything.
    assert!((40..300).contains(&accepted), "{accepted} accepted");
    assert!(differ < 200, "{differ} differ");
}
