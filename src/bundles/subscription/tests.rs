//! Bundles over a refresh: what is applied, what is held, what stays.

use super::*;
use crate::bundles::{load, make};
use crate::discover::{Resolver, ResolverSettings};
use crate::envelope::Address;
use crate::fetch::{Allowed, Rest};
use crate::trust::RevocationRules;
use crate::trust::testing::{Made, Make, events, open_store};

fn ann() -> Actor {
    Actor::Operator("ann".into())
}

fn fetcher(store: &Store) -> Fetcher {
    let world = store.world().clone();
    let servers = vec![([127, 0, 0, 1], 9).into()];
    let resolver = Resolver::new(&ResolverSettings { servers }, world.clone()).expect("a resolver");
    let allowed = Allowed {
        nets: Vec::new(),
        rest: Rest::Nothing,
    };
    Fetcher::new(world, resolver, allowed, None).expect("a client")
}

fn bundle(anchors: &[&Made]) -> Vec<u8> {
    let anchors: Vec<_> = anchors
        .iter()
        .map(|one| one.certificate.der().to_vec())
        .collect();
    make(&anchors, None, None, crate::trust::testing::NOW).expect("made")
}

fn wanted(name: &str, octets: Vec<u8>) -> Wanted {
    Wanted {
        name: name.to_owned(),
        source: Source::File {
            name: "b.p7b".to_owned(),
            octets,
        },
        signer: None,
        profile: "default".to_owned(),
        direction: "both".to_owned(),
        interval: Duration::ZERO,
        revocation: None,
        drop_percent: 20,
    }
}

async fn inbound(store: &Store) -> Arc<crate::trust::AnchorSet> {
    let address = Address::parse("a@d.example").expect("an address");
    let anchors = load(store, RevocationRules::default())
        .await
        .expect("loads");
    Arc::clone(&anchors.of(&address).expect("ours").inbound)
}

fn cas(count: usize) -> Vec<Made> {
    (0..count)
        .map(|at| Make::ca(&format!("CA {at}")).by_itself())
        .collect()
}

#[tokio::test]
async fn a_large_loss_waits_until_what_was_shown_is_approved() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_store(dir.path()).await;
    let (cas, client) = (cas(5), fetcher(&store));
    let all: Vec<&Made> = cas.iter().collect();
    add(&store, &client, ann(), wanted("b", bundle(&all)))
        .await
        .expect("added");
    assert_eq!(inbound(&store).await.len(), 5);
    // One of five goes by itself, and is trusted no longer at once.
    let refresh_with = async |octets| refresh(&store, &client, ann(), "b", Some(octets)).await;
    let done = refresh_with(bundle(&all[..4])).await.expect("refreshed");
    assert_eq!(done.outcome, "changed");
    assert!(!inbound(&store).await.contains(&cas[4].certificate));
    // Two of four wait.
    let held = refresh_with(bundle(&all[..2])).await.expect("refreshed");
    assert_eq!((held.outcome, held.diff.removed.len()), ("held", 2));
    assert_eq!(inbound(&store).await.len(), 4);
    let id = diff(&store, &client, "b", None).await.expect("shown").diff;
    assert_eq!(id, held.diff.diff);
    let other = Change::default().id("b");
    let refused = approve(&store, ann(), "b", &other, "x").await;
    assert!(matches!(refused, Err(BundleError::OtherDiff(now)) if now == id));
    approve(&store, ann(), "b", &id, "announced on the list")
        .await
        .expect("approved");
    assert_eq!(inbound(&store).await.len(), 2);
    let nothing = approve(&store, ann(), "b", &id, "x").await;
    assert!(matches!(nothing, Err(BundleError::NothingHeld(_))));
    // An empty one waits whatever the threshold.
    assert_eq!(
        refresh_with(bundle(&[])).await.expect("refreshed").outcome,
        "held"
    );
    assert_eq!(inbound(&store).await.len(), 2);
    // What holds nothing back takes its place.
    assert_eq!(
        refresh_with(bundle(&all[..2]))
            .await
            .expect("refreshed")
            .outcome,
        "unchanged"
    );
    assert_eq!(show(&store, "b").await.expect("there").held, None);
    remove(&store, ann(), "b").await.expect("removed");
    assert_eq!(inbound(&store).await.len(), 0);
    let expected = [
        "bundle-added",
        "bundle-changed",
        "bundle-changed",
        "bundle-held",
        "bundle-changed",
        "bundle-held",
        "bundle-removed",
    ];
    assert_eq!(events(&store).await, expected);
}

#[tokio::test]
async fn what_cannot_be_read_or_fetched_leaves_the_last_good_anchors() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_store(dir.path()).await;
    let (cas, client) = (cas(2), fetcher(&store));
    let all: Vec<&Made> = cas.iter().collect();
    let empty = add(&store, &client, ann(), wanted("b", bundle(&[]))).await;
    assert!(matches!(empty, Err(BundleError::Empty)));
    add(&store, &client, ann(), wanted("b", bundle(&all)))
        .await
        .expect("added");
    let again = add(&store, &client, ann(), wanted("b", bundle(&all))).await;
    assert!(matches!(again, Err(BundleError::Taken(_))));
    for _ in 0..2 {
        let failed = refresh(&store, &client, ann(), "b", Some(b"<html>".to_vec())).await;
        assert!(matches!(failed, Err(BundleError::Read(_))));
    }
    assert_eq!(inbound(&store).await.len(), 2);
    let row = show(&store, "b").await.expect("there");
    assert!(row.alarm.is_some_and(|alarm| alarm.contains("2 times")));
    assert_eq!(
        events(&store).await,
        ["bundle-added", "bundle-changed", "bundle-failed"]
    );
    refresh(&store, &client, ann(), "b", Some(bundle(&all)))
        .await
        .expect("refreshed");
    assert_eq!(show(&store, "b").await.expect("there").alarm, None);
}

#[tokio::test]
async fn an_anchor_of_two_bundles_stays_while_one_holds_it_and_the_strictest_mode_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_store(dir.path()).await;
    let (cas, client) = (cas(2), fetcher(&store));
    for (name, members, mode) in [
        ("one", &cas[..], Some("off")),
        ("two", &cas[..1], Some("soft")),
    ] {
        let members: Vec<&Made> = members.iter().collect();
        let wanted = Wanted {
            revocation: mode.map(str::to_owned),
            ..wanted(name, bundle(&members))
        };
        add(&store, &client, ann(), wanted).await.expect("added");
    }
    assert_eq!(inbound(&store).await.len(), 2);
    remove(&store, ann(), "one").await.expect("removed");
    let left = inbound(&store).await;
    assert!(left.len() == 1 && left.contains(&cas[0].certificate));
    // An exclusion is an override with a reason, and can be undone.
    let print = cas[0].certificate.fingerprint_hex();
    let without = exclude(
        &store,
        ann(),
        "two",
        &print[..20],
        Some("incident 7".into()),
    )
    .await;
    without.expect("excluded");
    assert!(inbound(&store).await.is_empty());
    exclude(&store, ann(), "two", &print, None)
        .await
        .expect("undone");
    assert_eq!(inbound(&store).await.len(), 1);
}
