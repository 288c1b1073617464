//! Certificates that were revoked, and status that cannot be had: what the roads do, and what `trust check` finds over real HTTP.
//! OCSP answers come from `openssl ocsp`.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use carepost::crypto::issue;
use carepost::trust::Certificate;
use carepost::world::World;
use serde_json::Value;

use crate::dns::Dns;
use crate::partner::{Partner, letter};
use crate::web::Web;
use crate::world::{Ca, Gateway, Identity, Sink, carepost, events, leg_of, run};

const SENDER: &str = "dr.smith@direct.partner.test";
const HERE: &str = "a@direct.north.test";

/// A gateway whose partner's certificate names a CRL.
struct House {
    _folder: tempfile::TempDir,
    _dns: Dns,
    identity: Identity,
    ca: Ca,
    partner: Partner,
    gateway: Gateway,
}

impl House {
    fn new(crl: &str, web: &Web) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dns = Dns::start();
        let identity = Identity::new(folder.path(), "direct.north.test");
        let ca = Ca::new("CA of the partner");
        let leaf = ca.pointing("direct.partner.test", crl);
        let ours = Ca(ca.0.clone());
        let partner = Partner {
            identity: Identity::of(folder.path(), "direct.partner.test", ca, leaf),
            sink: Sink::start(),
        };
        let published = partner.identity.leaf.certificate.as_slice();
        dns.hisp("direct.partner.test", partner.sink.ip, Some(published));
        let gateway = Gateway::init(folder.path(), &identity, &dns);
        let published = identity.leaf.certificate.as_slice();
        dns.hisp(&identity.domain, gateway.ip, Some(published));
        gateway.configure("allow = []", &format!("allow = [\"{}\"]", web.net()));
        gateway.trust(&partner.identity);
        gateway.person(HERE);
        Self {
            _folder: folder,
            _dns: dns,
            identity,
            ca: ours,
            partner,
            gateway,
        }
    }

    /// A CRL of the partner's CA.
    fn crl(&self, revoked: &[Vec<u8>]) -> Vec<u8> {
        let now = World::real().now();
        let (from, until) = (
            now.minus(Duration::from_secs(60)),
            now.plus(Duration::from_secs(3_600)),
        );
        issue::crl(&self.ca.0, revoked, from, until).expect("a CRL")
    }

    fn serial(&self) -> Vec<u8> {
        let leaf = Certificate::parse(&self.partner.identity.leaf.certificate).expect("parses");
        leaf.serial().to_vec()
    }

    fn send(&self, id: &str) {
        let text = letter(SENDER, &[HERE], id, "fine");
        let last = self.partner.send(
            self.gateway.ip,
            SENDER,
            &[HERE],
            &text,
            &[&self.identity.leaf],
        );
        assert!(last.starts_with("250 "), "{last}");
    }
}

fn reason(message: &Value) -> &str {
    leg_of(message, HERE)
        .and_then(|leg| leg["reason"].as_str())
        .unwrap_or_default()
}

/// A list is fetched once, serves both roads, and outlives the process; a signer that it lists is refused, and hears nothing.
#[test]
fn a_signer_is_judged_by_a_list_that_is_fetched_once_and_kept() {
    let web = Web::start();
    let mut house = House::new(&web.url("/ca.crl"), &web);
    web.put("/ca.crl", &house.crl(&[]));
    house.gateway.serve();
    for id in ["1@direct.partner.test", "2@direct.partner.test"] {
        house.send(id);
        house.gateway.mail_with(HERE, id);
    }
    let to = "dr.smith@direct.partner.test";
    let text = letter(HERE, &[to], "3@direct.north.test", "fine");
    let id = house.gateway.submit(HERE, &[to], &text).id();
    house.gateway.leg(&id, "out", to, "relayed");
    assert_eq!(web.answers("/ca.crl"), [200]);
    house.gateway.stop();
    house.gateway.serve();
    house.send("4@direct.partner.test");
    house.gateway.mail_with(HERE, "4@direct.partner.test");
    assert_eq!(web.answers("/ca.crl"), [200], "it was on disk");

    // The nearest refused: the same with the certificate on the list.
    let other = Web::start();
    let mut house = House::new(&other.url("/ca.crl"), &other);
    other.put("/ca.crl", &house.crl(&[house.serial()]));
    house.gateway.serve();
    house.send("5@direct.partner.test");
    let message = house
        .gateway
        .leg("5@direct.partner.test", "in", HERE, "refused");
    assert_eq!(reason(&message), "revoked", "{message:#}");
    assert!(house.gateway.mail(HERE).is_empty());
    let text = letter(HERE, &[to], "6@direct.north.test", "fine");
    let id = house.gateway.submit(HERE, &[to], &text).id();
    house.gateway.leg(&id, "out", to, "failed");
    assert!(house.partner.sink.received().is_empty());
}

/// A list that cannot be had puts the verdict off; when the wait is over, hard refuses and soft grants with a note.
#[test]
fn a_verdict_without_status_waits_and_then_follows_the_mode() {
    for (mode, state) in [("hard", "refused"), ("soft", "delivered")] {
        let web = Web::start();
        let mut house = House::new(&web.url("/none.crl"), &web);
        house
            .gateway
            .configure("mode = \"hard\"", &format!("mode = \"{mode}\""));
        house.gateway.configure("\nwait_s = 1800", "\nwait_s = 1");
        house.gateway.serve();
        house.send("1@direct.partner.test");
        let message = house
            .gateway
            .leg("1@direct.partner.test", "in", HERE, state);
        assert_eq!(events(&message, "undecided"), 1, "{message:#}");
        assert_eq!(web.answers("/none.crl"), [404], "the failure is remembered");
        let text = message.to_string();
        assert!(text.contains("CRL http://"), "{message:#}");
        match mode {
            "hard" => assert_eq!(reason(&message), "revocation-unknown"),
            _ => assert!(text.contains("no CRL for it is at hand"), "{message:#}"),
        }
    }
}

/// What is undecided is so on disk: after a restart it is judged again, and delivered once the list can be had.
#[test]
fn an_undecided_message_is_judged_again_when_the_list_is_there() {
    let web = Web::start();
    let mut house = House::new(&web.url("/late.crl"), &web);
    house.gateway.serve();
    house.send("1@direct.partner.test");
    let id = "1@direct.partner.test";
    let message = house.gateway.leg(id, "in", HERE, "undecided");
    assert!(house.gateway.mail(HERE).is_empty());
    house.gateway.stop();
    web.put("/late.crl", &house.crl(&[]));
    house.gateway.serve();
    let tracking = message["id"].as_str().expect("an id");
    house.gateway.ask(&["queue", "retry", tracking]);
    house.gateway.mail_with(HERE, id);
    let message = house.gateway.leg(id, "in", HERE, "delivered");
    assert_eq!(events(&message, "granted"), 1, "{message:#}");
    assert_eq!(web.answers("/late.crl"), [404, 200]);
}

/// Whoever names no pointer is accepted, and the journal says so.
#[test]
fn a_certificate_without_a_pointer_is_accepted_and_journalled() {
    let web = Web::start();
    let mut house = House::new(&web.url("/ca.crl"), &web);
    web.put("/ca.crl", &house.crl(&[]));
    let silent = house
        .ca
        .domain("direct.silent.test", crate::world::Valid::Now);
    let ca = Ca(house.ca.0.clone());
    let identity = Identity::of(&house.gateway.dir, "direct.silent.test", ca, silent);
    let sealed = Partner {
        identity,
        sink: Sink::start(),
    };
    house.gateway.serve();
    let sender = "dr.x@direct.silent.test";
    let text = letter(sender, &[HERE], "1@direct.silent.test", "fine");
    sealed.send(
        house.gateway.ip,
        sender,
        &[HERE],
        &text,
        &[&house.identity.leaf],
    );
    let message = house
        .gateway
        .leg("1@direct.silent.test", "in", HERE, "delivered");
    assert!(
        message.to_string().contains("revocation.no_pointer"),
        "{message:#}"
    );
    assert!(web.answers("/ca.crl").is_empty());
}

// ---- trust check --------------------------------------------------------------------------------

/// Root, sub CA and leaf, made by `openssl`, with the pointers that a test wants.
struct Pki {
    folder: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pki = Self { folder };
        let root = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign";
        pki.request("root");
        std::fs::write(pki.path("root.ext"), root).expect("written");
        pki.openssl(
            "x509 -req -in root.csr -signkey root.key -days 30 -extfile root.ext -out root.pem",
        );
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("a file")
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command
            .args(arguments.split(' '))
            .current_dir(self.folder.path());
        run(&mut command);
    }

    fn request(&self, name: &str) {
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -subj /CN={name} -out {name}.csr"
        ));
    }

    fn issue(&self, name: &str, by: &str, serial: u32, extensions: &str) {
        self.request(name);
        std::fs::write(self.path(&format!("{name}.ext")), extensions).expect("written");
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -set_serial {serial} -days 30 -extfile {name}.ext -out {name}.pem"
        ));
        self.openssl(&format!("x509 -in {name}.pem -outform DER -out {name}.der"));
    }

    fn sub(&self, extra: &str) {
        let ca = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign";
        self.issue("sub", "root", 2, &format!("{ca}\n{extra}"));
    }

    fn leaf(&self, extra: &str) {
        let mail = "keyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\n\
                    subjectAltName=DNS:direct.leaf.test";
        self.issue("leaf", "sub", 7, &format!("{mail}\n{extra}"));
    }

    /// An empty CRL, or one that lists these numbers.
    fn crl(&self, by: &str, revoked: &[u32]) -> Vec<u8> {
        let until = "301122000000Z";
        let lines = revoked
            .iter()
            .map(|serial| format!("R\t{until}\t261101000000Z\t{serial:02X}\tunknown\t/CN=x\n"));
        std::fs::write(self.path("index.txt"), lines.collect::<String>()).expect("written");
        std::fs::write(self.path("number"), "01\n").expect("written");
        let config = "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=3\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
        std::fs::write(self.path("ca.cnf"), config).expect("written");
        self.openssl(&format!(
            "ca -gencrl -config ca.cnf -cert {by}.pem -keyfile {by}.key -out {by}.crl.pem"
        ));
        self.openssl(&format!("crl -in {by}.crl.pem -outform DER -out {by}.crl"));
        self.read(&format!("{by}.crl"))
    }

    /// `trust check` of the leaf; exit code and answer.
    fn check(&self, more: &[&str]) -> (i32, Value) {
        let output = carepost()
            .current_dir(self.folder.path())
            .args([
                "--json", "trust", "check", "--leaf", "leaf.pem", "--anchor", "root.pem",
            ])
            .args(more)
            .output()
            .expect("it starts");
        let answer = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap_or(-1), answer)
    }

    fn ends(&self, more: &[&str], code: i32, reason: Option<&str>) {
        let (ended, answer) = self.check(more);
        assert_eq!(ended, code, "{more:?}: {answer:#}");
        assert_eq!(answer["reason"].as_str(), reason, "{more:?}: {answer:#}");
    }
}

/// The issuer that is missing is fetched in each form that RFC 5280 names, from the networks that are named, and not otherwise.
#[test]
fn a_missing_issuer_is_fetched_where_authority_info_access_says() {
    let web = Web::start();
    let (pki, net) = (Pki::new(), web.net());
    pki.sub("");
    pki.leaf(&format!(
        "authorityInfoAccess=caIssuers;URI:{}",
        web.url("/sub")
    ));
    pki.openssl("crl2pkcs7 -nocrl -certfile sub.pem -outform DER -out sub.p7c");
    pki.openssl("crl2pkcs7 -nocrl -certfile sub.pem -outform PEM -out sub.p7pem");
    let off = ["--revocation", "off"];
    let live = ["--revocation", "off", "--allow-net", net.as_str()];
    web.put("/sub", &pki.read("sub.der"));
    pki.ends(&off, 1, Some("no-path"));
    pki.ends(
        &["--revocation", "off", "--allow-net", "192.0.2.0/24"],
        1,
        Some("no-path"),
    );
    assert!(web.answers("/sub").is_empty(), "fetched without leave");
    for form in ["sub.der", "sub.pem", "sub.p7c", "sub.p7pem"] {
        web.put("/sub", &pki.read(form));
        pki.ends(&live, 0, None);
    }
    for (name, other) in [
        ("junk", b"junk".to_vec()),
        ("another", pki.read("leaf.der")),
    ] {
        web.put("/sub", &other);
        pki.ends(&live, 1, Some("no-path"));
        assert_eq!(web.answers("/sub").last(), Some(&200), "{name}");
    }
    web.remove("/sub");
    pki.ends(&live, 1, Some("no-path"));
}

/// CRLs of the whole chain are fetched; without them there is no verdict under hard, and a note under soft.
#[test]
fn lists_of_the_whole_chain_are_fetched() {
    let web = Web::start();
    let (pki, net) = (Pki::new(), web.net());
    pki.sub(&format!(
        "crlDistributionPoints=URI:{}",
        web.url("/root.crl")
    ));
    pki.leaf(&format!(
        "crlDistributionPoints=URI:{}\nauthorityInfoAccess=caIssuers;URI:{}",
        web.url("/sub.crl"),
        web.url("/sub.cer")
    ));
    web.put("/sub.cer", &pki.read("sub.der"));
    let live = ["--allow-net", net.as_str()];
    let soft = ["--allow-net", net.as_str(), "--revocation", "soft"];
    pki.ends(&live, 75, Some("revocation-unknown"));
    pki.ends(&soft, 0, None);
    web.put("/sub.crl", &pki.crl("sub", &[]));
    pki.ends(&live, 75, Some("revocation-unknown"));
    web.put("/root.crl", &pki.crl("root", &[]));
    pki.ends(&live, 0, None);
    web.put("/sub.crl", &pki.crl("sub", &[7]));
    pki.ends(&live, 1, Some("revoked"));
    pki.ends(&soft, 1, Some("revoked"));
    web.put("/sub.crl", &pki.crl("sub", &[8]));
    web.put("/root.crl", &pki.crl("root", &[2]));
    pki.ends(&live, 1, Some("revoked"));
    // Signed by somebody else.
    web.put("/root.crl", &pki.crl("sub", &[]));
    pki.ends(&live, 75, Some("revocation-unknown"));
}

/// `openssl ocsp` as responder.
struct Responder {
    child: Child,
    /// Open, so that it can go on talking.
    _said: BufReader<ChildStdout>,
}

impl Responder {
    fn start(pki: &Pki, port: u16, signer: &str, status: &str, more: &str) -> Self {
        let (until, at) = ("301122000000Z", "261101000000Z");
        let line = match status {
            "good" => format!("V\t{until}\t\t07\tunknown\t/CN=leaf\n"),
            "revoked" => format!("R\t{until}\t{at}\t07\tunknown\t/CN=leaf\n"),
            _ => String::new(),
        };
        let index = pki.path("ocsp.txt");
        std::fs::write(&index, line).expect("written");
        let child = Command::new("openssl")
            .args([
                "ocsp",
                "-index",
                "ocsp.txt",
                "-CA",
                "sub.pem",
                "-ignore_err",
            ])
            .args([
                "-port",
                &port.to_string(),
                "-rsigner",
                &format!("{signer}.pem"),
            ])
            .args(["-rkey", &format!("{signer}.key")])
            .args(more.split(' '))
            .current_dir(pki.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("openssl is there");
        // `ACCEPT [::]:port`, once it listens. It serves one connection after the other: none is wasted on asking.
        let said = child.stdout.take().expect("a pipe");
        let mut said = BufReader::new(said);
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        assert!(line.starts_with("ACCEPT"), "{line}");
        Self { child, _said: said }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

fn free_port() -> u16 {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    port.local_addr().expect("an address").port()
}

/// A responder is believed if it is the CA, or certified by the CA for just this; unknown is not good.
#[test]
fn openssl_answers_and_only_those_who_may_are_believed() {
    let pki = Pki::new();
    let port = free_port();
    pki.sub("");
    pki.leaf(&format!(
        "authorityInfoAccess=OCSP;URI:http://127.0.0.1:{port}"
    ));
    let usage = "keyUsage=critical,digitalSignature\nextendedKeyUsage=";
    pki.issue(
        "delegate",
        "sub",
        8,
        &format!("{usage}OCSPSigning\nnoCheck=ignored"),
    );
    pki.issue("mail", "sub", 9, &format!("{usage}emailProtection"));
    pki.issue("above", "root", 10, &format!("{usage}OCSPSigning"));
    let live = [
        "--intermediate",
        "sub.pem",
        "--allow-net",
        "127.0.0.1/32",
        "--revocation-scope",
        "leaf",
    ];
    let unknown = (75, Some("revocation-unknown"));
    for (signer, status, more, (code, reason)) in [
        ("sub", "good", "-ndays 1", (0, None)),
        ("sub", "good", "-ndays 1 -resp_key_id", (0, None)),
        ("sub", "revoked", "-ndays 1", (1, Some("revoked"))),
        ("sub", "missing", "-ndays 1", unknown),
        // Without nextUpdate an answer of now is good for now.
        ("sub", "good", "-nmin 1", (0, None)),
        ("delegate", "good", "-ndays 1", (0, None)),
        ("delegate", "revoked", "-ndays 1", (1, Some("revoked"))),
        // It came without its certificate.
        ("delegate", "good", "-ndays 1 -resp_no_certs", unknown),
        ("mail", "good", "-ndays 1", unknown),
        ("above", "good", "-ndays 1", unknown),
        ("mail", "revoked", "-ndays 1", unknown),
    ] {
        let _responder = Responder::start(&pki, port, signer, status, more);
        let (ended, answer) = pki.check(&live);
        assert_eq!(ended, code, "{signer} {status} {more}: {answer:#}");
        assert_eq!(
            answer["reason"].as_str(),
            reason,
            "{signer} {status}: {answer:#}"
        );
    }
    // Nobody answers.
    pki.ends(&live, 75, Some("revocation-unknown"));
}
