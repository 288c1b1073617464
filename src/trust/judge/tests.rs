//! Who is trusted, for each recipient and in both directions.

use super::*;
use crate::crypto::issue::KeyKind;
use crate::trust::testing::*;
use crate::trust::{Profile, Side};
use crate::world::World;

const SENDER: &str = "ann@sender.example";

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

fn set(anchors: &[&Made]) -> Arc<AnchorSet> {
    Arc::new(AnchorSet::new(
        anchors.iter().map(|made| Arc::clone(&made.certificate)),
    ))
}

/// Our domains, each with its inbound and outbound anchors.
fn ours(domains: &[(&str, &Arc<AnchorSet>, &Arc<AnchorSet>)]) -> Anchors {
    let trust = |inbound: &Arc<AnchorSet>, outbound: &Arc<AnchorSet>| DomainTrust {
        tenant: "default".into(),
        profile: Profile::V1_3,
        inbound: Arc::clone(inbound),
        outbound: Arc::clone(outbound),
        revocation: RevocationRules::default(),
    };
    let mut all = HashMap::new();
    for (name, inbound, outbound) in domains {
        all.insert((*name).to_owned(), trust(inbound, outbound));
    }
    Anchors::new(all)
}

fn verdicts(judgment: &Judgment) -> Vec<(String, Option<Reason>)> {
    let granted = judgment
        .granted
        .iter()
        .map(|grant| (grant.recipient().to_string(), None));
    let refused = judgment
        .refused
        .iter()
        .map(|(who, why)| (who.to_string(), Some(why.reason)));
    granted.chain(refused).collect()
}

fn case<'a>(recipients: &'a [Address], signers: &[&'a Made]) -> Case<'a> {
    Case {
        message: TrackingId::new(&World::at(NOW)),
        digest: [7; 32],
        recipients,
        signers: signers.iter().map(|made| &made.certificate).collect(),
        bag: &[],
    }
}

fn facts(anchors: &Anchors) -> Facts<'_> {
    static EVIDENCE: std::sync::LazyLock<Evidence> = std::sync::LazyLock::new(Evidence::default);
    Facts {
        anchors,
        evidence: &EVIDENCE,
        now: NOW,
    }
}

fn inbound(trust: &DomainTrust) -> Vec<&Arc<AnchorSet>> {
    vec![&trust.inbound]
}

#[test]
fn trust_is_decided_for_each_recipient_by_its_own_anchors() {
    let (ours_ca, theirs) = (Make::ca("A").by_itself(), Make::ca("B").by_itself());
    let leaf = Make::leaf(&[(1, SENDER)]).by(&ours_ca);
    let (yes, no) = (set(&[&ours_ca]), set(&[&theirs]));
    let anchors = ours(&[("yes.example", &yes, &no), ("no.example", &no, &yes)]);
    let recipients = [
        address("x@yes.example"),
        address("y@no.example"),
        address("z@else.example"),
    ];
    let case = case(&recipients, &[&leaf]);
    let judgment = case.judge_each(&address(SENDER), facts(&anchors), inbound);
    let no_path = Some(Reason::NoPath);
    assert_eq!(
        verdicts(&judgment),
        [
            ("x@yes.example".to_owned(), None),
            ("y@no.example".to_owned(), no_path),
            ("z@else.example".to_owned(), no_path)
        ]
    );
    let grant = judgment.granted.first().expect("granted");
    assert_eq!(grant.message(), case.message);
    assert_eq!(grant.digest(), [7; 32]);
    assert_eq!(grant.signer(), leaf.certificate.fingerprint());
    assert_eq!(grant.anchor(), AnchorId(ours_ca.certificate.fingerprint()));
    assert_eq!(grant.path(), ["CN=Leaf", "CN=A"]);
}

#[test]
fn a_signer_must_be_bound_to_the_sender_by_any_of_its_names() {
    let root = Make::ca("Root").by_itself();
    let anchors = ours(&[("d.example", &set(&[&root]), &set(&[]))]);
    let recipients = [address("x@d.example")];
    for (names, fine) in [
        (&[(1_u8, SENDER)][..], true),
        (&[(1, "ANN@Sender.example")], true),
        (&[(2, "sender.example")], true),
        (&[(1, "bob@other.example"), (2, "sender.example")], true),
        (&[(2, "other.example"), (2, "sender.example")], true),
        (&[(1, "bob@sender.example")], false),
        (&[(1, "ann@other.example")], false),
        (&[(2, "example")], false),
        (&[(2, "mail.sender.example")], false),
        (&[(2, "*.example")], false),
        (&[(2, "*.sender.example")], false),
    ] {
        let leaf = Make::leaf(names).by(&root);
        let case = case(&recipients, &[&leaf]);
        let judgment = case.judge_each(&address(SENDER), facts(&anchors), inbound);
        let expected = (!fine).then_some(Reason::NotBound);
        assert_eq!(
            verdicts(&judgment),
            [("x@d.example".to_owned(), expected)],
            "{names:?}"
        );
    }
}

#[test]
fn a_bad_signer_beside_a_good_one_neither_helps_nor_harms() {
    let (root, forger) = (Make::ca("Root").by_itself(), Make::ca("Root").by_itself());
    let anchors = ours(&[("d.example", &set(&[&root]), &set(&[]))]);
    let recipients = [address("x@d.example")];
    let good = Make::leaf(&[(1, SENDER)]).by(&root);
    let other = Make::leaf(&[(1, "bob@d.example")]).by(&root);
    let forged = Make::leaf(&[(1, SENDER)]).by(&forger);
    for (signers, expected) in [
        (&[&other, &forged, &good][..], None),
        (&[&other, &forged], Some(Reason::BadIssuerSignature)),
        (&[&other], Some(Reason::NotBound)),
        (&[], Some(Reason::NotBound)),
    ] {
        let case = case(&recipients, signers);
        let judgment = case.judge_each(&address(SENDER), facts(&anchors), inbound);
        assert_eq!(verdicts(&judgment), [("x@d.example".to_owned(), expected)]);
    }
}

#[test]
fn an_encryption_certificate_is_bound_rsa_and_trusted_by_the_sender() {
    let root = Make::ca("Root").by_itself();
    let rsa = key(KeyKind::Rsa(2048));
    let to = |names: &[(u8, &str)]| Make::leaf(names).key(&rsa).by(&root);
    let good = to(&[(1, "to@far.example")]);
    let foreign = to(&[(1, "else@far.example")]);
    let curve = Make::leaf(&[(1, "to@far.example")]).by(&root);
    let (yes, no) = (set(&[&root]), set(&[]));
    let anchors = ours(&[("out.example", &no, &yes), ("in.example", &yes, &no)]);
    let judge = |found: &[&Made], sender: &str, side| {
        let found: Vec<_> = found
            .iter()
            .map(|made| Arc::clone(&made.certificate))
            .collect();
        let (to, sender) = (address("to@far.example"), address(sender));
        match judge_recipient(
            &to,
            &found,
            &sender,
            side,
            &anchors,
            &Evidence::default(),
            NOW,
        ) {
            RecipientJudgment::Trusted(trusted) => Ok(trusted.certificate().fingerprint()),
            RecipientJudgment::Refused(why) => Err(why.reason),
            RecipientJudgment::Undecided(_) => Err(Reason::RevocationUnknown),
        }
    };
    let id = good.certificate.fingerprint();
    assert_eq!(
        judge(&[&foreign, &curve, &good], "s@out.example", Side::Outbound),
        Ok(id)
    );
    assert_eq!(
        judge(&[&foreign, &curve], "s@out.example", Side::Outbound),
        Err(Reason::WeakKey)
    );
    assert_eq!(
        judge(&[&foreign], "s@out.example", Side::Outbound),
        Err(Reason::NotBound)
    );
    assert_eq!(
        judge(&[], "s@out.example", Side::Outbound),
        Err(Reason::NoCertificate)
    );
    assert_eq!(
        judge(&[&good], "s@in.example", Side::Outbound),
        Err(Reason::NoPath)
    );
    assert_eq!(judge(&[&good], "s@in.example", Side::Either), Ok(id));
    assert_eq!(
        judge(&[&good], "s@else.example", Side::Outbound),
        Err(Reason::NoPath)
    );
}
