//! Trust bundles over real HTTP: made with `carepost bundle make` and `openssl`, followed by a running gateway.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use carepost::crypto::issue;
use carepost::trust::Certificate;
use carepost::world::World;
use serde_json::Value;

use crate::dns::Dns;
use crate::partner::{Partner, letter};
use crate::web::Web;
use crate::world::{Ca, Gateway, Identity, Valid, carepost, leg_of, run, wait};

const SENDER: &str = "dr.smith@direct.partner.test";
const HERE: &str = "a@direct.north.test";

struct House {
    folder: tempfile::TempDir,
    _dns: Dns,
    identity: Identity,
    partner: Partner,
    gateway: Gateway,
    web: Web,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dns = Dns::start();
        let identity = Identity::new(folder.path(), "direct.north.test");
        let partner = Partner::new(folder.path(), "direct.partner.test", &dns);
        let gateway = Gateway::init(folder.path(), &identity, &dns);
        let published = identity.leaf.certificate.as_slice();
        dns.hisp(&identity.domain, gateway.ip, Some(published));
        let web = Web::start();
        gateway.configure("allow = []", &format!("allow = [\"{}\"]", web.net()));
        gateway.person(HERE);
        Self {
            folder,
            _dns: dns,
            identity,
            partner,
            gateway,
            web,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The CA certificate of somebody, in a file.
    fn ca(&self, name: &str) -> PathBuf {
        let domain = format!("direct.{name}.test");
        let ca = Ca::new(&format!("CA of {name}"));
        let leaf = ca.domain(&domain, Valid::Now);
        Identity::of(self.folder.path(), &domain, ca, leaf).file("ca.pem")
    }

    /// `bundle make` of these, with more arguments; its octets.
    fn make(&self, anchors: &[&Path], more: &[&str]) -> Vec<u8> {
        let out = self.path("made.p7b");
        let mut command = carepost();
        command.args(["bundle", "make", "--out"]).arg(&out);
        for anchor in anchors {
            command.arg("--anchor").arg(anchor);
        }
        run(command.args(more));
        std::fs::read(out).expect("made")
    }

    fn send(&self, id: &str) {
        let text = letter(SENDER, &[HERE], id, "fine");
        let to = [&self.identity.leaf];
        let last = self
            .partner
            .send(self.gateway.ip, SENDER, &[HERE], &text, &to);
        assert!(last.starts_with("250 "), "{last}");
    }

    fn show(&self, name: &str) -> Value {
        self.gateway.ask(&["bundle", "show", name])
    }
}

/// A bundle is what is trusted; what its publisher takes out is trusted no longer, caches included, and a partner that this
/// would cut off is named before.
#[test]
fn a_gateway_follows_a_bundle() {
    let mut house = House::new();
    let partner = house.partner.identity.file("ca.pem");
    let others: Vec<PathBuf> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| house.ca(name))
        .collect();
    let others: Vec<&Path> = others.iter().map(PathBuf::as_path).collect();
    let all = [&[partner.as_path()], others.as_slice()].concat();
    house.web.put("/b.p7b", &house.make(&all, &[]));
    house.gateway.serve();
    house.send("0@direct.partner.test");
    let message = house
        .gateway
        .leg("0@direct.partner.test", "in", HERE, "refused");
    assert_eq!(leg_of(&message, HERE).expect("a leg")["reason"], "no-path");

    let url = house.web.url("/b.p7b");
    let added = house.gateway.ask(&[
        "bundle",
        "add",
        "community",
        &url,
        "--interval",
        "1",
        "--drop",
        "50",
    ]);
    assert_eq!(
        added["added"].as_array().map(Vec::len),
        Some(5),
        "{added:#}"
    );
    house.send("1@direct.partner.test");
    house.gateway.mail_with(HERE, "1@direct.partner.test");

    // The source is asked again by itself, and says that nothing changed.
    wait("a conditional GET", || {
        house.web.answers("/b.p7b").contains(&304).then_some(())
    });
    let smaller = house.make(&others, &[]);
    std::fs::write(house.path("smaller.p7b"), &smaller).expect("written");
    let file = house.path("smaller.p7b").display().to_string();
    let diff = house
        .gateway
        .ask(&["bundle", "diff", "community", "--file", &file]);
    assert_eq!(diff["cut_off"][0], "direct.partner.test", "{diff:#}");
    house.web.put("/b.p7b", &smaller);
    wait("the anchor to go", || {
        (house.show("community")["anchors"] == 4).then_some(())
    });
    house.send("2@direct.partner.test");
    house
        .gateway
        .leg("2@direct.partner.test", "in", HERE, "refused");

    // A source that fails changes nothing, and is an alarm.
    house.web.put("/b.p7b", b"<html>we moved</html>");
    wait("the alarm", || {
        house.show("community")["alarm"].is_string().then_some(())
    });
    assert_eq!(house.show("community")["anchors"], 4);
    // A loss over the threshold waits, over a restart too.
    house.web.put("/b.p7b", &house.make(&others[..1], &[]));
    house.gateway.ask(&["bundle", "refresh", "community"]);
    house.gateway.stop();
    house.gateway.serve();
    assert_eq!(house.show("community")["anchors"], 4);
    let shown = house.gateway.ask(&["bundle", "diff", "community"]);
    let id = shown["diff"].as_str().expect("an id");
    house.gateway.refused(
        1,
        &[
            "bundle",
            "approve",
            "community",
            "--diff",
            "00",
            "--reason",
            "x",
        ],
    );
    house.gateway.ask(&[
        "bundle",
        "approve",
        "community",
        "--diff",
        id,
        "--reason",
        "announced",
    ]);
    assert_eq!(house.show("community")["anchors"], 1);
    house.gateway.ask(&["bundle", "rm", "community"]);
    assert_eq!(
        house.gateway.ask(&["bundle", "list"]),
        Value::Array(Vec::new())
    );
}

/// A signed subscription is never read unsigned, nor signed by another; `openssl` reads what we make, and we read what it signs.
#[test]
fn a_signed_bundle_is_believed_by_its_pinned_signer_alone() {
    let house = House::new();
    let partner = house.partner.identity.file("ca.pem");
    let file = |identity: &Identity, name: &str| identity.file(name).display().to_string();
    let publisher = Identity::new(house.folder.path(), "publisher.test");
    let stranger = Identity::new(house.folder.path(), "stranger.test");
    let by = |who: &Identity| {
        let (signer, key) = (file(who, "leaf.pem"), file(who, "leaf.key"));
        house.make(&[&partner], &["--signer", &signer, "--key", &key])
    };
    let (plain, signed) = (house.make(&[&partner], &[]), by(&publisher));
    let url = house.web.url("/b.p7m");
    for pinned in ["leaf.pem", "ca.pem"] {
        let pinned = file(&publisher, pinned);
        let add = ["bundle", "add", "s", &url, "--signer", &pinned];
        for (refused, what) in [
            (&plain, "it is not signed"),
            (&by(&stranger), "not by the pinned signer"),
        ] {
            house.web.put("/b.p7m", refused);
            let said = house.gateway.refused(1, &add);
            assert!(said.contains(what), "{said}");
        }
        house.web.put("/b.p7m", &signed);
        house.gateway.ask(&add);
        // Nor later.
        house.web.put("/b.p7m", &plain);
        house.gateway.refused(1, &["bundle", "refresh", "s"]);
        let shown = house.show("s");
        assert_eq!(shown["anchors"], 1);
        assert!(
            shown["alarm"]
                .as_str()
                .is_some_and(|alarm| alarm.contains("not signed")),
            "{shown:#}"
        );
        house.gateway.ask(&["bundle", "rm", "s"]);
    }
    // A signer below the pinned CA that its CA has revoked since.
    let ca = Ca::new("CA of publishers");
    let leaf = ca.pointing("revoked.test", &house.web.url("/ca.crl"));
    let (now, hour) = (World::real().now(), Duration::from_secs(3_600));
    let serial = Certificate::parse(&leaf.certificate)
        .expect("parses")
        .serial()
        .to_vec();
    let crl = |listed: &[Vec<u8>]| issue::crl(&ca.0, listed, now.minus(hour), now.plus(hour));
    house.web.put("/ca.crl", &crl(&[serial]).expect("a CRL"));
    let empty = crl(&[]).expect("a CRL");
    let revoked = Identity::of(house.folder.path(), "revoked.test", Ca(ca.0.clone()), leaf);
    house.web.put("/b.p7m", &by(&revoked));
    let pinned = file(&revoked, "ca.pem");
    let add = ["bundle", "add", "r", &url, "--signer", &pinned];
    let said = house.gateway.refused(1, &add);
    assert!(said.contains("revoked by a CRL"), "{said}");
    house.web.put("/ca.crl", &empty);
    house.gateway.ask(&add);

    let path = |name: &str| house.path(name).display().to_string();
    std::fs::write(house.path("ours.p7m"), &signed).expect("written");
    run(Command::new("openssl")
        .args([
            "cms",
            "-verify",
            "-inform",
            "DER",
            "-binary",
            "-in",
            &path("ours.p7m"),
            "-out",
            &path("inner.p7b"),
        ])
        .args(["-CAfile", &file(&publisher, "ca.pem"), "-purpose", "any"]));
    assert_eq!(
        std::fs::read(house.path("inner.p7b")).expect("written"),
        plain
    );
    let listed = run(Command::new("openssl").args([
        "pkcs7",
        "-inform",
        "DER",
        "-print_certs",
        "-in",
        &path("inner.p7b"),
    ]));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("CA of direct.partner.test"));
    run(Command::new("openssl")
        .args([
            "cms",
            "-sign",
            "-nodetach",
            "-binary",
            "-outform",
            "DER",
            "-in",
            &path("inner.p7b"),
            "-out",
            &path("theirs.p7m"),
        ])
        .args([
            "-signer",
            &file(&publisher, "leaf.pem"),
            "-inkey",
            &file(&publisher, "leaf.key"),
        ]));
    let theirs = path("theirs.p7m");
    house.gateway.ask(&[
        "bundle",
        "add",
        "t",
        &theirs,
        "--signer",
        &file(&publisher, "leaf.pem"),
    ]);
    assert_eq!(house.show("t")["anchors"], 1);
}

/// Domains trust the profile that they point to, per direction; anchors can be given away.
#[test]
fn domains_point_to_trust_profiles() {
    let mut house = House::new();
    let partner = house.partner.identity.file("ca.pem");
    std::fs::write(house.path("b.p7b"), house.make(&[&partner], &[])).expect("written");
    let file = house.path("b.p7b").display().to_string();
    house.gateway.ask(&["trust", "profile", "add", "partners"]);
    house
        .gateway
        .ask(&["bundle", "add", "b", &file, "--profile", "partners"]);
    house.gateway.serve();
    house.send("1@direct.partner.test");
    house
        .gateway
        .leg("1@direct.partner.test", "in", HERE, "refused");
    let domain = "direct.north.test";
    house.gateway.ask(&[
        "trust",
        "profile",
        "assign",
        domain,
        "partners",
        "--direction",
        "in",
    ]);
    house.send("2@direct.partner.test");
    house.gateway.mail_with(HERE, "2@direct.partner.test");
    // For what goes out the domain trusts nobody still.
    let to = "dr.smith@direct.partner.test";
    let text = letter(HERE, &[to], "3@direct.north.test", "fine");
    let id = house.gateway.submit(HERE, &[to], &text).id();
    house.gateway.leg(&id, "out", to, "failed");
    let shown = house.gateway.ask(&["trust", "profile", "show", "partners"]);
    assert_eq!(shown["domains"][0], "direct.north.test (in)", "{shown:#}");
    let exported = house
        .gateway
        .ask(&["anchor", "export", "--profile", "partners"]);
    let pem = exported[0]["pem"].as_str().expect("PEM");
    assert_eq!(
        pem.trim(),
        std::fs::read_to_string(&partner).expect("PEM").trim()
    );
    house
        .gateway
        .refused(1, &["trust", "profile", "assign", domain, "none"]);
}
