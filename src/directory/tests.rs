//! The directory over a real store: what is written is what the snapshot says.

use super::*;
use crate::envelope::Address;
use crate::journal::Actor;
use crate::route::Destination;
use crate::store::{KeyEncryptionKey, Paths, Store, Wake};
use crate::trust::Profile;
use crate::world::{Timestamp, World};

async fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let paths = Paths {
        database: place.path().join("carepost.db"),
        blobs: place.path().join("blobs"),
    };
    let world = World::at(Timestamp::from_unix_s(1_795_309_323));
    let key = KeyEncryptionKey::new([7; 32]);
    let store = Store::open(&paths, "test", key, world)
        .await
        .expect("the store opens");
    add_domain(&store, actor(), "d.example", Profile::V1_3)
        .await
        .expect("written");
    (place, store)
}

fn actor() -> Actor {
    Actor::Operator("tester".to_owned())
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("parses")
}

fn maildir(path: &str) -> Destination {
    Destination::Maildir(path.into())
}

async fn set(
    store: &Store,
    text: &str,
    path: &str,
    holder: Option<&str>,
    npi: Option<&str>,
) -> bool {
    set_address(store, actor(), &address(text), &maildir(path), holder, npi)
        .await
        .expect("written")
}

async fn sql(store: &Store, statement: &'static str) {
    store
        .write("test", move |tx| {
            Box::pin(async move {
                sqlx::query(statement).execute(tx.conn().await?).await?;
                tx.wake(Wake::Snapshots);
                Ok(())
            })
        })
        .await
        .expect("written");
}

async fn holders(store: &Store) -> Vec<(String, Option<String>)> {
    store
        .read("test", |conn| {
            Box::pin(async move {
                Ok(sqlx::query_as("SELECT name, npi FROM holder ORDER BY name")
                    .fetch_all(conn)
                    .await?)
            })
        })
        .await
        .expect("read")
}

#[tokio::test]
async fn a_domain_is_added_once() {
    let (_place, store) = store().await;
    let again = add_domain(&store, actor(), "d.example", Profile::V1_2).await;
    assert!(!again.expect("written"));
    let rows = list_domains(&store).await.expect("read");
    let [row] = rows.as_slice() else {
        panic!("one domain: {rows:?}")
    };
    assert_eq!(
        (row.name.as_str(), row.profile.as_str()),
        ("d.example", "v1.3")
    );
}

#[tokio::test]
async fn an_address_is_found_in_any_case_and_gone_when_removed() {
    let (_place, store) = store().await;
    assert!(set(&store, "Dr.A@d.example", "/m/a", Some("A"), None).await);
    assert!(!set(&store, "a@elsewhere.example", "/m/a", None, None).await);
    let directory = load(&store).await.expect("loads");
    let entry = directory
        .entry(&address("dr.a@D.example"))
        .expect("is there");
    assert_eq!(entry.destination, maildir("/m/a"));
    assert_eq!(entry.address.written(), "Dr.A@d.example");
    assert_eq!(directory.len(), 1);
    // RFC 5321 §4.5.1.
    let postmaster = directory
        .entry(&address("Postmaster@d.example"))
        .expect("is there");
    assert_eq!(postmaster.destination, maildir("/m/a"));
    assert!(directory.entry(&address("b@d.example")).is_none());

    let epoch = store.epoch();
    let gone = address("DR.A@d.example");
    assert!(
        remove_address(&store, actor(), &gone)
            .await
            .expect("written")
    );
    assert!(store.epoch() > epoch);
    assert!(
        !remove_address(&store, actor(), &gone)
            .await
            .expect("written")
    );
    let directory = load(&store).await.expect("loads");
    assert!(directory.entry(&gone).is_none());
    assert!(directory.entry(&address("postmaster@d.example")).is_none());
    assert_eq!(holders(&store).await, []);
}

#[tokio::test]
async fn a_holder_is_one_person_by_identifier_else_by_name() {
    let (_place, store) = store().await;
    let npi = Some("1234567893");
    set(&store, "a@d.example", "/m/a", Some("Ann Old"), npi).await;
    set(&store, "b@d.example", "/m/b", Some("Ann New"), npi).await;
    set(&store, "c@d.example", "/m/c", Some("Ann New"), None).await;
    set(&store, "e@d.example", "/m/e", Some("Ann New"), None).await;
    set(&store, "f@d.example", "/m/f", None, None).await;
    let name = || "Ann New".to_owned();
    let mut found = holders(&store).await;
    found.sort();
    assert_eq!(found, [(name(), None), (name(), npi.map(str::to_owned))]);
    let rows = list_addresses(&store, Some("d.example"))
        .await
        .expect("read");
    let first = rows.first().expect("there are rows");
    assert_eq!(
        (first.address.as_str(), first.route.as_str()),
        ("a@d.example", "maildir:/m/a")
    );
    assert_eq!(first.holder.as_deref(), Some("Ann New"));
    assert_eq!(
        list_addresses(&store, Some("x.example"))
            .await
            .expect("read"),
        []
    );
    assert_eq!(list_addresses(&store, None).await.expect("read").len(), 5);
}

#[tokio::test]
async fn an_account_sends_as_its_addresses_while_it_is_enabled() {
    let (_place, store) = store().await;
    let own = address("a@d.example");
    let foreign = add_account(&store, actor(), "x", &[own.clone(), address("a@e.example")]).await;
    assert!(matches!(foreign, Err(AccountError::ForeignAddress(_))));
    add_account(&store, actor(), "Clinic", std::slice::from_ref(&own))
        .await
        .expect("added");
    let again = add_account(&store, actor(), "clinic", &[]).await;
    assert!(matches!(again, Err(AccountError::Exists(_))));
    let directory = load(&store).await.expect("loads");
    assert!(directory.may_send_as("clinic", &address("A@D.example")));
    assert!(!directory.may_send_as("clinic", &address("b@d.example")));
    // Reports come back to what a login sends as, be there a mailbox or not.
    assert!(directory.is_sender(&address("A@D.example")));
    assert!(!directory.is_sender(&address("b@d.example")));
    assert_eq!(directory.tenant_of_account("clinic"), Some("default"));
    assert_eq!(directory.tenant_of_account("x"), None);
    for statement in [
        "UPDATE account SET disabled = 1",
        "UPDATE account SET disabled = 0",
        "UPDATE tenant SET suspended = 1",
    ] {
        sql(&store, statement).await;
        let enabled = statement.ends_with("disabled = 0");
        let directory = load(&store).await.expect("loads");
        assert_eq!(
            directory.may_send_as("clinic", &own),
            enabled,
            "{statement}"
        );
    }
}

#[tokio::test]
async fn a_password_works_until_it_is_revoked_and_no_longer() {
    let (_place, store) = store().await;
    add_account(&store, actor(), "clinic", &[])
        .await
        .expect("added");
    let secret = add_password(&store, actor(), "clinic", "desk", None)
        .await
        .expect("made");
    assert_eq!(secret.len(), 24);
    let taken = add_password(&store, actor(), "clinic", "desk", None).await;
    assert!(matches!(taken, Err(AccountError::LabelTaken(..))));
    let unknown = add_password(&store, actor(), "nobody", "desk", None).await;
    assert!(matches!(unknown, Err(AccountError::Unknown(_))));
    add_password(&store, actor(), "clinic", "phone", Some("chosen by hand"))
        .await
        .expect("made");

    let check = async |name: &str, password: &str| {
        verify_password(&store, name, password).await.expect("read")
    };
    let yes = Some("clinic".to_owned());
    // The second time from memory.
    for _ in 0..2 {
        assert_eq!(check("Clinic", &secret).await, yes);
        assert_eq!(check("clinic", "chosen by hand").await, yes);
        assert_eq!(check("clinic", "wrong").await, None);
        assert_eq!(check("nobody", &secret).await, None);
    }
    revoke_password(&store, actor(), "clinic", "desk")
        .await
        .expect("revoked");
    assert_eq!(check("clinic", &secret).await, None);
    assert_eq!(check("clinic", "chosen by hand").await, yes);
    // Sessions that were let in before end at their next command.
    let directory = load(&store).await.expect("read");
    assert_eq!(directory.revocations("clinic"), Some(1));
    assert_eq!(directory.revocations("nobody"), None);
    let again = revoke_password(&store, actor(), "clinic", "desk").await;
    assert!(matches!(again, Err(AccountError::NoSuchPassword(..))));
    sql(&store, "UPDATE account SET disabled = 1").await;
    assert_eq!(check("clinic", "chosen by hand").await, None);

    let accounts = list_accounts(&store).await.expect("read");
    let [account] = accounts.as_slice() else {
        panic!("one account: {accounts:?}")
    };
    let revoked: Vec<_> = account
        .passwords
        .iter()
        .map(|password| (password.label.as_str(), password.revoked_at.is_some()))
        .collect();
    assert_eq!(revoked.len(), 2);
    assert!(revoked.contains(&("desk", true)) && revoked.contains(&("phone", false)));
}

#[tokio::test]
async fn an_import_takes_good_rows_together_and_says_what_it_did() {
    let (_place, store) = store().await;
    let file = "address,route,holder,npi\n\
        a@d.example,maildir:/m/a,Ann,1234567893\n\
        b@d.example,maildir:/m/b,,1245319599\n\
        c@d.example,maildir:/m/c,,\n\
        x@elsewhere.example,maildir:/m/x,,\n";
    let import = async |text: &str, dry_run| {
        let report = import_csv(&store, actor(), text, dry_run).await;
        let report = report
            .expect("the store works")
            .expect("the header is right");
        (
            report.added,
            report.changed,
            report.unchanged,
            report.rejected,
        )
    };
    let foreign = vec![RejectedRow {
        line: 5,
        row: ["x@elsewhere.example", "maildir:/m/x", "", ""]
            .map(str::to_owned)
            .to_vec(),
        reason: "elsewhere.example is not a domain of ours".to_owned(),
    }];
    assert_eq!(import(file, true).await, (3, 0, 0, foreign.clone()));
    assert!(load(&store).await.expect("loads").is_empty());
    assert_eq!(import(file, false).await, (3, 0, 0, foreign.clone()));
    assert_eq!(load(&store).await.expect("loads").len(), 3);
    assert_eq!(import(file, false).await, (0, 0, 3, foreign.clone()));
    let moved = file.replace("/m/b", "/m/new").replace("Ann", "Anna");
    assert_eq!(import(&moved, false).await, (0, 2, 1, foreign));
    let directory = load(&store).await.expect("loads");
    let entry = directory.entry(&address("b@d.example")).expect("is there");
    assert_eq!(entry.destination, maildir("/m/new"));
    let refused = import_csv(&store, actor(), "address,fax\n", false).await;
    assert!(refused.expect("the store works").is_err());
}
