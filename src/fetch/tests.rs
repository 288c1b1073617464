//! A real server on loopback that behaves badly, and what the client makes of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::discover::ResolverSettings;
use crate::journal::Reason;
use crate::trust::testing::{DAY, Make, MakeCrl, NOW, distribution_point, extension, point_name};
use crate::trust::{
    AnchorSet, Evidence, NoPointer, Question, RevocationMode, RevocationRules, RevocationScope,
    Rules, Tried, Waiting, Work, find_path,
};

/// Answers each request by a script; keeps what it was asked.
struct Web {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
}

impl Web {
    async fn start(script: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let world = World::real();
        let port = world
            .listen(([127, 0, 0, 1], 0).into())
            .await
            .expect("a port");
        let address = port.local().expect("an address");
        let (asked, open) = (
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::<AtomicUsize>::default(),
        );
        let (keep, count, script) = (Arc::clone(&asked), Arc::clone(&open), Arc::new(script));
        tokio::spawn(async move {
            loop {
                let Ok(mut socket) = port.accept().await else {
                    return;
                };
                count.fetch_add(1, Ordering::SeqCst);
                let (keep, script) = (Arc::clone(&keep), Arc::clone(&script));
                tokio::spawn(async move {
                    let mut octets = [0; 4096];
                    let read = socket.read(&mut octets).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&octets[..read]).into_owned();
                    keep.lock().expect("held for moments").push(head.clone());
                    let said = script(&head);
                    if said.is_empty() {
                        // Silence.
                        std::future::pending::<()>().await;
                    }
                    drop(socket.write_all(&said).await);
                });
            }
        });
        Self {
            address,
            asked,
            open,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("held for moments").clone()
    }
}

fn fetcher_at(world: World, nets: &[&str]) -> Fetcher {
    let allowed = Allowed {
        nets: nets
            .iter()
            .map(|net| Net::parse(net).expect("a net"))
            .collect(),
        rest: Rest::Public,
    };
    let settings = ResolverSettings {
        servers: vec![([127, 0, 0, 1], 9).into()],
    };
    let resolver = Resolver::new(&settings, world.clone()).expect("a resolver");
    Fetcher::new(world, resolver, allowed, None).expect("a client")
}

fn fetcher(nets: &[&str]) -> Fetcher {
    fetcher_at(World::real(), nets)
}

const LOOPBACK: &[&str] = &["127.0.0.1/32"];

fn get(url: &str) -> Order {
    Order::get(url, 1_000, Duration::from_secs(5))
}

fn ok(body: &[u8], extra: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{extra}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn to(place: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn only_public_or_named_addresses_are_connected_to() {
    let web = Web::start(|_| ok(b"fine", "")).await;
    let refused = fetcher(&[])
        .fetch(&get(&web.url("/")))
        .await
        .expect_err("loopback");
    assert!(matches!(refused, FetchError::Forbidden { .. }), "{refused}");
    assert_eq!(refused.fault(), Fault::Never);
    let port = web.address.port();
    // Other writings of the same address.
    for host in [
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0",
    ] {
        let url = format!("http://{host}:{port}/");
        let refused = fetcher(&[]).fetch(&get(&url)).await.expect_err(host);
        assert!(
            matches!(refused, FetchError::Forbidden { .. }),
            "{host}: {refused}"
        );
    }
    for url in [
        "file:///etc/passwd",
        "ldap://127.0.0.1/",
        "http://a:b@127.0.0.1/",
        "http://",
        "x",
    ] {
        let refused = fetcher(LOOPBACK).fetch(&get(url)).await.expect_err(url);
        assert!(matches!(refused, FetchError::BadUrl(_)), "{url}: {refused}");
    }
    assert_eq!(web.open.load(Ordering::SeqCst), 0, "a connection was made");
    let fetched = fetcher(LOOPBACK)
        .fetch(&get(&web.url("/a?b#c")))
        .await
        .expect("fetched");
    assert!(matches!(fetched, Fetched::New { octets, .. } if octets == b"fine"));
    assert!(web.asked()[0].starts_with("GET /a?b HTTP/1.1\r\n"));
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_each_is_checked_anew() {
    let web = Web::start(|head| match head.split(' ').nth(1) {
        Some("/one") => to("/two"),
        Some("/two") => ok(b"fine", ""),
        Some("/loop") => to("/loop"),
        Some("/inside") => to("http://10.0.0.1/"),
        Some("/file") => to("file:///etc/passwd"),
        _ => to(""),
    })
    .await;
    let client = fetcher(LOOPBACK);
    let ask = async |path: &str| client.fetch(&get(&web.url(path))).await;
    assert!(matches!(ask("/one").await, Ok(Fetched::New { .. })));
    let before = web.asked().len();
    assert!(matches!(ask("/loop").await, Err(FetchError::Redirect(_))));
    assert_eq!(web.asked().len() - before, 4, "three redirects and no more");
    assert!(matches!(
        ask("/inside").await,
        Err(FetchError::Forbidden { .. })
    ));
    assert!(matches!(ask("/file").await, Err(FetchError::BadUrl(_))));
    let post = Order {
        body: Some(("application/ocsp-request", vec![0x30])),
        ..get(&web.url("/one"))
    };
    assert!(matches!(
        client.fetch(&post).await,
        Err(FetchError::Redirect(_))
    ));
    let secure = Url::parse("https://a.example/x").expect("a URL");
    let down = elsewhere(&secure, "http://a.example/y", &get("x"));
    assert!(matches!(down, Err(FetchError::Redirect(_))));
    let stays = elsewhere(&secure, "/y", &get("x")).expect("a URL");
    assert_eq!(stays.as_str(), "https://a.example/y");
}

#[tokio::test]
async fn a_server_that_says_too_much_or_nothing_or_nonsense_is_cut_off() {
    let web = Web::start(|head| match head.split(' ').nth(1) {
        Some("/fits") => ok(&[7; 1_000], ""),
        Some("/long") => ok(&[7; 1_001], ""),
        Some("/chunks") => {
            let chunk = [b"3e8\r\n".as_slice(), &[7; 1_000], b"\r\n"].concat();
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
                &chunk,
                &chunk,
            ]
            .concat()
        }
        Some("/zip") => ok(b"x", "Content-Encoding: gzip\r\n"),
        Some("/head") => ok(b"x", &"X-A: b\r\n".repeat(200)),
        Some("/cut") => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_vec(),
        Some("/gone") => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Some("/busy") => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Some("/same") => b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
        Some("/other") => b"SSH-2.0-x\r\n".to_vec(),
        _ => Vec::new(),
    })
    .await;
    let client = fetcher(LOOPBACK);
    let ask = async |path: &str| client.fetch(&get(&web.url(path))).await;
    assert!(ask("/fits").await.is_ok());
    for path in ["/long", "/chunks"] {
        assert_eq!(ask(path).await, Err(FetchError::TooLarge(1_000)), "{path}");
    }
    for path in ["/zip", "/head", "/cut", "/other"] {
        let broken = ask(path).await.expect_err(path);
        assert!(matches!(broken, FetchError::Broken(_)), "{path}: {broken}");
    }
    let gone = ask("/gone").await.expect_err("404");
    assert_eq!(
        (&gone, gone.fault()),
        (&FetchError::Status(404), Fault::Never)
    );
    let busy = ask("/busy").await.expect_err("503");
    assert_eq!(
        (&busy, busy.fault()),
        (&FetchError::Status(503), Fault::Later)
    );
    // Nobody asked whether it is the same.
    assert_eq!(ask("/same").await, Err(FetchError::Status(304)));
    let hurried = Order {
        longest: Duration::from_millis(200),
        ..get(&web.url("/silent"))
    };
    assert_eq!(client.fetch(&hurried).await, Err(FetchError::TooSlow));
}

#[tokio::test]
async fn what_is_at_hand_is_not_sent_twice() {
    let web = Web::start(|head| {
        let known = head.to_ascii_lowercase().contains("if-none-match: \"v1\"");
        match known {
            true => b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
            false => ok(b"one", "ETag: \"v1\"\r\n"),
        }
    })
    .await;
    let client = fetcher(LOOPBACK);
    let first = client.fetch(&get(&web.url("/"))).await.expect("fetched");
    let Fetched::New { validators, .. } = first else {
        panic!("nothing came");
    };
    let again = Order {
        known: validators,
        ..get(&web.url("/"))
    };
    assert_eq!(client.fetch(&again).await, Ok(Fetched::Same));
}

/// A leaf below a root that publishes a CRL at `url`, and the judging of it.
struct Case {
    root: crate::trust::testing::Made,
    leaf: crate::trust::testing::Made,
    mode: RevocationMode,
}

impl Case {
    fn new(url: &str, mode: RevocationMode) -> Self {
        let root = Make::crl_ca("Root").by_itself();
        let pointer = distribution_point(&[point_name(url)]);
        let leaf = Make::leaf(&[(1, "ann@d.example")])
            .serial(7)
            .with(pointer)
            .by(&root);
        Self { root, leaf, mode }
    }

    fn judge(
        &self,
        evidence: &Evidence,
        now: crate::world::Timestamp,
    ) -> (Option<Reason>, Vec<crate::trust::Need>) {
        let asked = RevocationRules {
            mode: self.mode,
            scope: RevocationScope::All,
            no_pointer: NoPointer::Accept,
        };
        let question = Question {
            bag: &[],
            anchors: &AnchorSet::new([Arc::clone(&self.root.certificate)]),
            rules: &Rules::rfc5280().asking(asked),
            evidence,
            now,
        };
        let mut work = Work::default();
        let found = find_path(&self.leaf.certificate, &question, &mut work);
        (
            found.err().map(|failure| failure.why.reason),
            work.take_needs(),
        )
    }

    async fn settle(
        &self,
        cache: &EvidenceCache,
        waiting: Waiting,
        now: crate::world::Timestamp,
    ) -> Option<Reason> {
        let judge = |evidence: Evidence| std::future::ready(Some(self.judge(&evidence, now)));
        let judged = cache.settle(cache.at_hand(), waiting, judge, |(_, needs)| needs.clone());
        judged.await.expect("judged").0
    }
}

type Served = Arc<Mutex<Option<Vec<u8>>>>;

/// Serves a list, or 503.
async fn list_server() -> (Web, Served) {
    let served = Served::default();
    let serve = Arc::clone(&served);
    let web = Web::start(move |_| match &*serve.lock().expect("held for moments") {
        Some(list) => ok(list, ""),
        None => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(),
    })
    .await;
    (web, served)
}

#[tokio::test]
async fn a_list_is_fetched_once_for_all_and_outlives_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let (web, served) = list_server().await;
    let case = Case::new(&web.url("/a.crl"), RevocationMode::Hard);
    *served.lock().expect("held") = Some(MakeCrl::new().by(&case.root));
    let world = World::at(NOW);
    let cache = EvidenceCache::new(fetcher_at(world.clone(), LOOPBACK), Some(folder.path()));
    let ask = || case.settle(&cache, Waiting::Possible, NOW);
    assert_eq!(tokio::join!(ask(), ask(), ask()), (None, None, None));
    assert_eq!(web.asked().len(), 1, "fetched once");
    // What is at hand serves without a question.
    assert_eq!(case.judge(&cache.at_hand(), NOW).0, None);
    // The next process finds it on disk.
    let next = EvidenceCache::new(fetcher_at(world.clone(), LOOPBACK), Some(folder.path()));
    assert_eq!(case.settle(&next, Waiting::Possible, NOW).await, None);
    assert_eq!(web.asked().len(), 1, "read from disk");
    // An hour later it is asked for again by itself, and what was revoked since is known.
    world.advance(crate::limits::CRL_REFRESH);
    let newer = MakeCrl {
        this_update: NOW,
        ..MakeCrl::new()
    };
    *served.lock().expect("held") = Some(newer.listing(&[7], vec![]).by(&case.root));
    next.refresh().await;
    assert_eq!(web.asked().len(), 2);
    assert_eq!(case.judge(&next.at_hand(), NOW).0, Some(Reason::Revoked));
    // The old one sent again, however often, does not bring it back.
    *served.lock().expect("held") = Some(MakeCrl::new().by(&case.root));
    for asked in 3..6 {
        world.advance(crate::limits::CRL_REFRESH);
        next.refresh().await;
        assert_eq!(web.asked().len(), asked);
        assert_eq!(case.judge(&next.at_hand(), NOW).0, Some(Reason::Revoked));
    }
    // Nor does a new start.
    let last = EvidenceCache::new(fetcher_at(world.clone(), LOOPBACK), Some(folder.path()));
    let revoked = Some(Reason::Revoked);
    assert_eq!(case.settle(&last, Waiting::Possible, NOW).await, revoked);
}

#[tokio::test]
async fn status_not_to_be_had_is_put_off_then_refused_or_passed_with_a_note() {
    let (web, served) = list_server().await;
    let world = World::at(NOW);
    for (mode, expected) in [
        (RevocationMode::Hard, Some(Reason::RevocationUnknown)),
        (RevocationMode::Soft, None),
    ] {
        let case = Case::new(&web.url(&format!("/{}.crl", mode.word())), mode);
        let cache = EvidenceCache::new(fetcher_at(world.clone(), LOOPBACK), None);
        let before = web.asked().len();
        let unknown = Some(Reason::RevocationUnknown);
        assert_eq!(case.settle(&cache, Waiting::Possible, NOW).await, unknown);
        // The failure is remembered: the same question at once asks nobody.
        assert_eq!(case.settle(&cache, Waiting::Over, NOW).await, expected);
        assert_eq!(web.asked().len() - before, 1);
        world.advance(crate::limits::FETCH_FAILED_KEPT + Duration::from_secs(1));
        *served.lock().expect("held") = Some(MakeCrl::new().by(&case.root));
        assert_eq!(case.settle(&cache, Waiting::Possible, NOW).await, None);
        assert_eq!(web.asked().len() - before, 2);
        *served.lock().expect("held") = None;
    }
    // A list that is over, and none newer to be had.
    let case = Case::new(&web.url("/old.crl"), RevocationMode::Hard);
    let cache = EvidenceCache::new(fetcher_at(world.clone(), LOOPBACK), None);
    *served.lock().expect("held") = Some(MakeCrl::new().by(&case.root));
    let later = NOW.plus(DAY / 2);
    assert_eq!(case.settle(&cache, Waiting::Over, later).await, None);
    let much_later = NOW.plus(DAY).plus(Duration::from_secs(1));
    let evidence = cache.at_hand();
    assert_eq!(case.judge(&evidence, much_later).0, Some(Reason::Expired));
    assert_eq!(
        evidence.tried(&crate::trust::Need::Crl(web.url("/old.crl"))),
        None::<&Tried>
    );
}

/// G-039: lists of public CAs are this large.
#[tokio::test]
async fn a_list_of_ten_megabytes_is_read_and_counts() {
    let (web, served) = list_server().await;
    let case = Case::new(&web.url("/large.crl"), RevocationMode::Hard);
    let idle = vec![extension("1.2.3.4", false, &[5; 400])];
    let mut large = MakeCrl::new().listing(&[7], Vec::new());
    for number in 0..25_000_u32 {
        large = large.listing(&[&[1], &number.to_be_bytes()[..]].concat(), idle.clone());
    }
    let large = large.by(&case.root);
    assert!(large.len() > 10 * 1024 * 1024, "{}", large.len());
    *served.lock().expect("held") = Some(large);
    let cache = EvidenceCache::new(fetcher_at(World::at(NOW), LOOPBACK), None);
    let judged = case.settle(&cache, Waiting::Possible, NOW).await;
    assert_eq!(judged, Some(Reason::Revoked));
    assert_eq!(web.asked().len(), 1);
}

/// D-009: https is verified by root and name; there is no way to have it otherwise.
#[tokio::test]
async fn a_server_without_a_good_certificate_is_not_listened_to() {
    use crate::crypto::issue::{
        KeyKind, Purpose, Template, issue, make_key, pem_certificate, pem_key,
    };
    use crate::crypto::tls::ServerContext;
    let world = World::real();
    let template = Template {
        common_name: "web".to_owned(),
        purpose: Purpose::Server {
            names: vec!["127.0.0.1".to_owned()],
        },
        not_before: world.now().minus(DAY),
        not_after: world.now().plus(DAY),
        crl_url: None,
        claimed_ski: None,
    };
    let key = make_key(KeyKind::P256).expect("a key");
    let issued = issue(&world, &template, &key, None).expect("issued");
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("web.crt"), folder.path().join("web.key"));
    std::fs::write(&certificate, pem_certificate(&issued.certificate)).expect("written");
    std::fs::write(&key, pem_key(&issued.key).expect("PEM")).expect("written");
    let server = ServerContext::load(&certificate, &key).expect("a server");
    let port = world
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a port");
    let address = port.local().expect("an address");
    tokio::spawn(async move {
        while let Ok(socket) = port.accept().await {
            let Ok(mut stream) = server.accept(socket).await else {
                continue;
            };
            let mut octets = [0; 4096];
            let _asked = stream.read(&mut octets).await;
            drop(stream.write_all(&ok(b"fine", "")).await);
            drop(stream.shutdown().await);
        }
    });
    let settings = ResolverSettings {
        servers: vec![([127, 0, 0, 1], 9).into()],
    };
    let resolver = Resolver::new(&settings, world.clone()).expect("a resolver");
    let allowed = || Allowed {
        nets: vec![Net::parse("127.0.0.0/8").expect("a net")],
        rest: Rest::Nothing,
    };
    let client = |roots: Option<&Path>| {
        Fetcher::new(world.clone(), resolver.clone(), allowed(), roots).expect("a client")
    };
    let url = format!("https://{address}/");
    let fetched = client(Some(&certificate)).fetch(&get(&url)).await;
    assert!(matches!(fetched, Ok(Fetched::New { .. })), "{fetched:?}");
    let refused = client(None).fetch(&get(&url)).await;
    assert!(matches!(refused, Err(FetchError::Tls(..))), "{refused:?}");
    let other = format!("https://127.0.0.2:{}/", address.port());
    let refused = client(Some(&certificate)).fetch(&get(&other)).await;
    assert!(refused.is_err(), "{refused:?}");
}
