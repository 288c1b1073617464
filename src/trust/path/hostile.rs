//! What hostile bags cost: counted, not timed. `benches/judge` times them.

use super::*;
use crate::trust::testing::NOW;
use crate::trust::testing::bags::{Bag, all, among, strangers};

fn parse(ders: &[Vec<u8>]) -> Vec<Arc<Certificate>> {
    let read = |der: &Vec<u8>| Certificate::parse(der).expect("a certificate");
    ders.iter().map(read).collect()
}

fn judge(bag: &Bag) -> (Result<Path, Failure>, Work) {
    let leaf = Certificate::parse(&bag.leaf).expect("a certificate");
    let between = parse(&bag.between);
    let mut rules = Rules::rfc5280();
    rules.policies.explicit = crate::trust::Switch::Off;
    let question = Question {
        bag: &between,
        anchors: &AnchorSet::new(parse(&bag.anchors)),
        rules: &rules,
        evidence: &Evidence::default(),
        now: NOW,
    };
    let mut work = Work::default();
    let found = find_path(&leaf, &question, &mut work);
    (found, work)
}

fn check(bag: &Bag) -> (usize, usize, usize) {
    let (found, work) = judge(bag);
    let what = &bag.what;
    match (bag.limit, &found) {
        (None, Ok(_)) => {}
        (Some(limit), Err(failure)) => {
            assert!(
                failure.why.detail.contains(limit),
                "{what}: {:?}",
                failure.why
            );
            assert!(
                failure.path.len() <= PATH_DEPTH_MAX + 2 || limit == "limit of",
                "{what}"
            );
        }
        (_, found) => panic!("{what}: {found:?}"),
    }
    assert!(work.signature_checks() <= SIGNATURE_CHECKS_MAX, "{what}");
    assert!(work.paths() <= PATHS_MAX + 1, "{what}");
    assert!(work.steps() <= PATH_STEPS_MAX + 1, "{what}");
    // What was booked beyond the limit was not done.
    assert!(work.policy_nodes() <= POLICY_WORK_MAX + 10_000, "{what}");
    (work.signature_checks(), work.paths(), work.policy_nodes())
}

#[test]
fn every_hostile_bag_ends_within_the_budgets_and_names_what_it_met() {
    for bag in all() {
        check(&bag);
    }
}

#[test]
fn ten_thousand_anchors_change_nothing_of_what_a_hostile_bag_costs() {
    let others = strangers(2_000);
    for bag in all() {
        let alone = judge(&bag).1;
        let crowd = judge(&among(&bag, &others)).1;
        // Twenty of them have the root's name: each costs a check, until the limit.
        let more = SIGNATURE_CHECKS_MAX - alone.signature_checks();
        let extra = crowd
            .signature_checks()
            .saturating_sub(alone.signature_checks());
        assert!(extra <= more, "{}", bag.what);
        assert!(crowd.paths() <= PATHS_MAX + 1, "{}", bag.what);
    }
}
