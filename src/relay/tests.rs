//! Relaying against scripted servers on loopback.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::crypto::issue::{KeyKind, Purpose, Template, issue, make_key, pem_certificate, pem_key};
use crate::crypto::tls::ServerContext;
use crate::discover::tests::{Zone, a, mx};
use crate::store::{Bodies, Body, KeyEncryptionKey};
use crate::world::{Socket, Timestamp};

/// What a server does about one line.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Say(String),
    /// Say and hang up.
    End(String),
    /// 220, then a handshake.
    Protect,
    /// 220 and more, in one packet, then a handshake (CVE-2011-0411 turned round).
    Inject,
}

/// From the number of the connection and the line; the greeting is asked for with an empty line, the end of a message with a
/// dot.
pub(crate) type Script = fn(usize, &str) -> Act;

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) at: SocketAddr,
    /// Lines heard, with the number of the connection; message text left out.
    heard: Arc<Mutex<Vec<String>>>,
    /// Messages, dots unstuffed.
    messages: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A server with every extension.
pub(crate) fn usual(line: &str) -> Act {
    let word = line.split([' ', ':']).next().unwrap_or_default();
    let reply = match word {
        "" => "220 peer ESMTP",
        "EHLO" | "LHLO" => {
            "250-peer\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 10000000\r\n250 DSN"
        }
        "HELO" | "MAIL" | "RCPT" | "RSET" => "250 2.1.0 ok",
        "DATA" => "354 go on",
        "." => "250 2.0.0 taken",
        "QUIT" => return Act::End("221 2.0.0 bye".to_owned()),
        _ => "500 5.5.1 what?",
    };
    Act::Say(reply.to_owned())
}

impl Peer {
    pub(crate) async fn start(at: impl Into<SocketAddr>, script: Script) -> Self {
        let port = TcpListener::bind(at.into()).await.expect("a free port");
        let peer = Self::new(port.local_addr().expect("bound"));
        let served = peer.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, from)) = port.accept().await {
                number += 1;
                stream.set_nodelay(true).expect("a TCP socket");
                let socket = Socket::new(Box::new(stream), from);
                tokio::spawn(served.clone().converse(socket, number, script));
            }
        });
        peer
    }

    pub(crate) fn new(at: SocketAddr) -> Self {
        Self {
            at,
            heard: Arc::default(),
            messages: Arc::default(),
        }
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic holds it").clone()
    }

    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.messages.lock().expect("no panic holds it").clone()
    }

    async fn converse(self, socket: Socket, number: usize, script: Script) {
        let socket = match self.talk(socket, number, script).await {
            Some(socket) => socket,
            None => return,
        };
        let tls = server_tls().accept(socket).await;
        if let Ok(stream) = tls {
            self.talk_protected(stream, number, script).await;
        }
    }

    async fn talk_protected(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin,
        number: usize,
        script: Script,
    ) {
        let mut stream = BufReader::new(stream);
        let _end = self.lines(&mut stream, number, script).await;
    }

    /// Greets and answers; gives the socket back for a handshake.
    pub(crate) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: S,
        number: usize,
        script: Script,
    ) -> Option<S> {
        let mut stream = BufReader::new(socket);
        match script(number, "") {
            Act::Say(text) => send(&mut stream, &text).await?,
            act => {
                if let Act::End(text) = act {
                    send(&mut stream, &text).await;
                }
                return None;
            }
        }
        self.lines(&mut stream, number, script).await?;
        Some(stream.into_inner())
    }

    async fn lines<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        number: usize,
        script: Script,
    ) -> Option<()> {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            self.hear(number, line);
            match script(number, line) {
                Act::Say(text) => {
                    send(stream, &text).await?;
                    if text.starts_with("354") {
                        self.message(stream).await?;
                        match script(number, ".") {
                            Act::Say(text) => send(stream, &text).await?,
                            Act::End(text) => {
                                send(stream, &text).await?;
                                return None;
                            }
                            Act::Protect | Act::Inject => return None,
                        }
                    }
                }
                Act::End(text) => {
                    send(stream, &text).await?;
                    return None;
                }
                Act::Protect => {
                    send(stream, "220 2.0.0 go on").await?;
                    return Some(());
                }
                Act::Inject => {
                    send(stream, "220 2.0.0 go on\r\n250 injected").await?;
                    return Some(());
                }
            }
        }
    }

    fn hear(&self, number: usize, line: &str) {
        let mut heard = self.heard.lock().expect("no panic holds it");
        heard.push(format!("{number} {line}"));
    }

    async fn message<S: AsyncRead + Unpin>(&self, stream: &mut BufReader<S>) -> Option<()> {
        let mut text = Vec::new();
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            assert!(line.ends_with(b"\r\n"), "only CRLF ends a line");
            match line.as_slice() {
                b".\r\n" => break,
                [b'.', rest @ ..] => text.extend_from_slice(rest),
                rest => text.extend_from_slice(rest),
            }
        }
        let mut messages = self.messages.lock().expect("no panic holds it");
        messages.push(text);
        Some(())
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> Option<()> {
    stream
        .write_all(format!("{text}\r\n").as_bytes())
        .await
        .ok()
}

/// A self-signed certificate for another host than any test names.
pub(crate) fn server_tls() -> ServerContext {
    let world = World::real();
    let template = Template {
        common_name: "elsewhere.example".to_owned(),
        purpose: Purpose::Server {
            names: vec!["elsewhere.example".to_owned()],
        },
        not_before: world.now(),
        not_after: Timestamp(world.now().0 + 3_600_000_000),
        crl_url: None,
        claimed_ski: None,
    };
    let key = make_key(KeyKind::P256).expect("a key");
    let issued = issue(&world, &template, &key, None).expect("issued");
    let directory = tempfile::tempdir().expect("a directory");
    let paths = ["c.pem", "k.pem"].map(|name| directory.path().join(name));
    std::fs::write(&paths[0], pem_certificate(&issued.certificate)).expect("written");
    std::fs::write(&paths[1], pem_key(&key).expect("PEM")).expect("written");
    ServerContext::load(&paths[0], &paths[1]).expect("a context")
}

/// Bodies in a directory that goes when the test ends.
pub(crate) struct Scratch {
    pub(crate) bodies: Bodies,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn scratch() -> Scratch {
    let directory = tempfile::tempdir().expect("a directory");
    let blobs = directory.path().join("blobs");
    std::fs::create_dir(&blobs).expect("made");
    let key = KeyEncryptionKey::new([7; 32]);
    let bodies = Bodies::new(&blobs, key, World::real());
    Scratch { bodies, directory }
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

struct Road {
    relay: Relay,
    body: Body,
    _scratch: Scratch,
}

/// A relay that finds `zone`, and one message.
async fn road(zone: Zone, port: u16, text: &[u8]) -> Road {
    let world = World::real();
    let resolver = zone.resolver(world.clone()).await;
    let tls = ClientContext::new(None).expect("a context");
    let scratch = scratch();
    Road {
        relay: Relay::new(world, resolver, "us.example".to_owned(), port, tls),
        body: scratch.bodies.of(text).expect("a body"),
        _scratch: scratch,
    }
}

impl Road {
    async fn send(&self, to: &[&str], dsn: Dsn<'_>) -> Vec<Outcome> {
        let to: Vec<Address> = to.iter().copied().map(address).collect();
        let from = address("us@us.example");
        let mailing = Mailing {
            from: Some(&from),
            to: &to,
            head: "",
            body: &self.body,
            lines: Lines::Demand,
            dsn,
        };
        self.relay.send(&mailing, "d.example").await
    }
}

const TEXT: &[u8] = b"Subject: x\r\n\r\n.dots\r\n..\r\nend\r\n";

/// The domain with one mail host, on 127.0.0.1.
fn one_host() -> Zone {
    Zone::default()
        .with("d.example.", mx(10, "mx1.example."))
        .with("mx1.example.", a(1))
}

/// And a second choice, on 127.0.0.2.
fn two_hosts() -> Zone {
    one_host()
        .with("d.example.", mx(20, "mx2.example."))
        .with("mx2.example.", a(2))
}

async fn one_peer(script: Script) -> (Peer, Road) {
    let peer = Peer::start(([127, 0, 0, 1], 0), script).await;
    let road = road(one_host(), peer.at.port(), TEXT).await;
    (peer, road)
}

/// The first choice runs `script`, the second is usual.
async fn two_peers(script: Script) -> (Peer, Peer, Road) {
    loop {
        let first = Peer::start(([127, 0, 0, 1], 0), script).await;
        let second = IpAddr::from([127, 0, 0, 2]);
        let at = SocketAddr::new(second, first.at.port());
        if TcpListener::bind(at).await.is_ok() {
            let second = Peer::start(at, |_, line| usual(line)).await;
            let road = road(two_hosts(), first.at.port(), TEXT).await;
            return (first, second, road);
        }
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Relayed { host, reply, .. } => format!("relayed {host} {reply}"),
        Outcome::Later { reason, detail } => format!("later {reason} {detail}"),
        Outcome::Refused { reason, detail } => format!("refused {reason} {detail}"),
    }
}

#[tokio::test]
async fn a_server_that_knows_only_helo_gets_its_message() {
    let (peer, road) = one_peer(|_, line| match line {
        _ if line.starts_with("EHLO") => Act::Say("502 ehlo not supported - use helo".to_owned()),
        _ => usual(line),
    })
    .await;
    let outcomes = road.send(&["a@d.example"], Dsn::Track("t0")).await;
    assert_eq!(words(&outcomes[0]), "relayed mx1.example 250 2.0.0 taken");
    assert_eq!(peer.messages(), [TEXT]);
    let expected = [
        "1 EHLO us.example",
        "1 HELO us.example",
        "1 MAIL FROM:<us@us.example>",
        "1 RCPT TO:<a@d.example>",
        "1 DATA",
    ];
    assert_eq!(peer.heard(), expected);
}

#[tokio::test]
async fn every_recipient_gets_its_own_outcome() {
    let (peer, road) = one_peer(|_, line| match line {
        _ if line.starts_with("RCPT TO:<b") => Act::Say("450 4.2.2 full".to_owned()),
        _ if line.starts_with("RCPT TO:<c") => {
            Act::Say("550-5.1.1 no\r\n550 5.1.1 body".to_owned())
        }
        _ if line.starts_with("RCPT TO:<d") => Act::Say("552 too many".to_owned()),
        _ => usual(line),
    })
    .await;
    let to = [
        "a@d.example",
        "b@d.example",
        "c@d.example",
        "d@d.example",
        "e@d.example",
    ];
    let outcomes = road.send(&to, Dsn::Unsaid).await;
    let said: Vec<String> = outcomes.iter().map(words).collect();
    assert_eq!(
        said,
        [
            "relayed mx1.example 250 2.0.0 taken",
            "later hop-unavailable mx1.example: 450 4.2.2 full",
            "refused hop-refused mx1.example: 550 5.1.1 no body",
            "later hop-unavailable mx1.example: 552 too many",
            "relayed mx1.example 250 2.0.0 taken",
        ]
    );
    assert_eq!(peer.messages().len(), 1);
    // None accepted: no DATA, and the connection can still be used.
    let outcomes = road.send(&["c@d.example"], Dsn::Unsaid).await;
    assert!(matches!(outcomes[0], Outcome::Refused { .. }));
    let heard = peer.heard();
    assert_eq!(
        heard.iter().filter(|line| line.ends_with("DATA")).count(),
        1
    );
    assert_eq!(heard.last().map(String::as_str), Some("1 RSET"));
}

#[tokio::test]
async fn a_kept_connection_carries_the_next_message() {
    let (peer, road) = one_peer(|_, line| usual(line)).await;
    for _ in 0..3 {
        let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
        assert!(matches!(outcomes[0], Outcome::Relayed { .. }));
    }
    assert_eq!(peer.messages().len(), 3);
    assert!(peer.heard().iter().all(|line| line.starts_with("1 ")));
}

#[tokio::test]
async fn a_server_that_takes_one_message_a_connection_gets_each_on_a_new_one() {
    let scripts: [Script; 3] = [
        // 421 to the next command; hangs up at once; 503.
        |number, line| match line {
            _ if number == 1 && ONE.with_borrow(|done| *done) => {
                Act::End("421 one message each".to_owned())
            }
            _ => first_message_done(line),
        },
        |number, line| match line {
            "." if number == 1 => Act::End("250 taken".to_owned()),
            _ => usual(line),
        },
        |number, line| match line {
            _ if number == 1 && ONE.with_borrow(|done| *done) => Act::Say("503 no".to_owned()),
            _ => first_message_done(line),
        },
    ];
    for script in scripts {
        ONE.with_borrow_mut(|done| *done = false);
        let (peer, road) = one_peer(script).await;
        for _ in 0..2 {
            let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
            assert!(
                matches!(outcomes[0], Outcome::Relayed { .. }),
                "{outcomes:?}"
            );
        }
        assert_eq!(peer.messages().len(), 2);
        assert!(peer.heard().iter().any(|line| line.starts_with("2 MAIL")));
    }
}

thread_local! {
    /// The tests run on one thread each: whether the first message is through.
    static ONE: std::cell::RefCell<bool> = const { std::cell::RefCell::new(false) };
}

fn first_message_done(line: &str) -> Act {
    if line == "." {
        ONE.with_borrow_mut(|done| *done = true);
    }
    usual(line)
}

#[tokio::test]
async fn a_host_that_does_not_talk_or_breaks_off_makes_room_for_the_next() {
    let scripts: [Script; 5] = [
        |_, _| Act::End("554 5.7.1 no".to_owned()),
        |_, _| Act::End("421 4.3.2 later".to_owned()),
        |_, line| match line {
            _ if line.starts_with("EHLO") || line.starts_with("HELO") => {
                Act::Say("550 not you".to_owned())
            }
            _ => usual(line),
        },
        |_, line| match line {
            "DATA" => Act::End("354 go on".to_owned()),
            _ => usual(line),
        },
        |_, line| match line {
            _ if line.starts_with("RCPT") => Act::End("421 4.3.2 going down".to_owned()),
            _ => usual(line),
        },
    ];
    for script in scripts {
        let (first, second, road) = two_peers(script).await;
        let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
        assert_eq!(words(&outcomes[0]), "relayed mx2.example 250 2.0.0 taken");
        assert!(first.messages().is_empty());
        assert_eq!(second.messages(), [TEXT]);
    }
}

#[tokio::test]
async fn a_refusal_of_the_message_itself_is_not_carried_to_the_next_host() {
    let scripts: [(Script, &str); 4] = [
        (
            |_, line| match line {
                _ if line.starts_with("MAIL") => Act::Say("550 5.7.1 no".to_owned()),
                _ => usual(line),
            },
            "refused hop-refused mx1.example: 550 5.7.1 no",
        ),
        (
            |_, line| match line {
                "DATA" => Act::Say("451 4.3.0 later".to_owned()),
                _ => usual(line),
            },
            "later hop-unavailable mx1.example: 451 4.3.0 later",
        ),
        (
            |_, line| match line {
                "." => Act::Say("554 5.6.0 no".to_owned()),
                _ => usual(line),
            },
            "refused hop-refused mx1.example: 554 5.6.0 no",
        ),
        // Nobody knows whether it arrived; the next host would make it two.
        (
            |_, line| match line {
                "." => Act::Protect,
                _ => usual(line),
            },
            "later hop-unavailable mx1.example: the connection broke",
        ),
    ];
    for (script, expected) in scripts {
        let (_first, second, road) = two_peers(script).await;
        let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
        assert!(words(&outcomes[0]).starts_with(expected), "{outcomes:?}");
        assert!(second.messages().is_empty());
    }
}

#[tokio::test]
async fn a_large_message_arrives_octet_for_octet() {
    let text = b".a line of text that begins with a dot\r\n".repeat(50_000);
    let peer = Peer::start(([127, 0, 0, 1], 0), |_, line| usual(line)).await;
    let road = road(one_host(), peer.at.port(), &text).await;
    let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
    assert!(
        matches!(outcomes[0], Outcome::Relayed { .. }),
        "{outcomes:?}"
    );
    assert!(peer.messages() == [text]);
}

#[tokio::test]
async fn text_that_could_smuggle_a_command_is_never_finished() {
    let peer = Peer::start(([127, 0, 0, 1], 0), |_, line| usual(line)).await;
    let road = road(
        one_host(),
        peer.at.port(),
        b"a\r\n\n.\r\nMAIL FROM:<x@y.example>\r\n",
    )
    .await;
    let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
    assert!(
        matches!(outcomes[0], Outcome::Refused { .. }),
        "{outcomes:?}"
    );
    assert!(peer.messages().is_empty());
}

#[tokio::test]
async fn notifications_are_asked_for_where_they_are_offered() {
    for (dsn, mail, rcpt) in [
        (
            Dsn::Track("t0ken"),
            " RET=HDRS ENVID=t0ken",
            " NOTIFY=FAILURE,DELAY",
        ),
        (Dsn::Never, "", " NOTIFY=NEVER"),
        (Dsn::Unsaid, "", ""),
    ] {
        let (peer, road) = one_peer(|_, line| usual(line)).await;
        road.send(&["A.b@d.example"], dsn).await;
        let heard = peer.heard();
        let size = TEXT.len();
        assert_eq!(
            heard[1],
            format!("1 MAIL FROM:<us@us.example> SIZE={size}{mail}")
        );
        assert_eq!(heard[2], format!("1 RCPT TO:<A.b@d.example>{rcpt}"));
    }
}

#[tokio::test]
async fn starttls_is_used_where_offered_with_any_certificate() {
    let (peer, road) = one_peer(|_, line| match line {
        _ if line.starts_with("EHLO") => Act::Say("250-peer\r\n250 STARTTLS".to_owned()),
        "STARTTLS" => Act::Protect,
        _ => usual(line),
    })
    .await;
    let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
    let Outcome::Relayed { tls: Some(tls), .. } = &outcomes[0] else {
        panic!("{outcomes:?}");
    };
    assert!(tls.starts_with("TLSv1."), "{tls}");
    assert_eq!(peer.messages(), [TEXT]);
    let hellos = peer
        .heard()
        .iter()
        .filter(|line| line.contains("EHLO"))
        .count();
    assert_eq!(hellos, 2);
}

#[tokio::test]
async fn octets_injected_after_starttls_end_the_connection() {
    let (peer, road) = one_peer(|_, line| match line {
        _ if line.starts_with("EHLO") => Act::Say("250-peer\r\n250 STARTTLS".to_owned()),
        "STARTTLS" => Act::Inject,
        _ => usual(line),
    })
    .await;
    let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
    assert!(
        words(&outcomes[0]).contains("unprotected octets"),
        "{outcomes:?}"
    );
    assert!(peer.messages().is_empty());
}

#[tokio::test]
async fn where_tls_breaks_sealed_messages_go_in_the_clear() {
    let (peer, road) = one_peer(|number, line| match line {
        _ if line.starts_with("EHLO") => Act::Say("250-peer\r\n250 STARTTLS".to_owned()),
        // Says yes, then no TLS.
        "STARTTLS" if number == 1 => Act::Say("220 go on".to_owned()),
        _ => usual(line),
    })
    .await;
    let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
    assert!(
        matches!(&outcomes[0], Outcome::Relayed { tls: None, .. }),
        "{outcomes:?}"
    );
    assert_eq!(peer.messages(), [TEXT]);
}

#[tokio::test]
async fn a_domain_without_a_mail_host_is_refused_and_one_that_does_not_answer_waits() {
    for (zone, expected) in [
        (Zone::default(), "refused no-mail-host"),
        (
            Zone::default().with("d.example.", mx(0, ".")),
            "refused no-mail-host",
        ),
        (
            Zone::default().failing("d.example.", ResponseCode::ServFail),
            "later hop-unavailable",
        ),
        // Port 1 of loopback: nobody listens.
        (one_host(), "later hop-unavailable mx1.example [127.0.0.1]:"),
    ] {
        let road = road(zone, 1, TEXT).await;
        let outcomes = road
            .send(&["a@d.example", "b@d.example"], Dsn::Unsaid)
            .await;
        assert_eq!(outcomes.len(), 2);
        assert!(words(&outcomes[0]).starts_with(expected), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_server_that_takes_less_is_not_sent_more() {
    let (peer, road) = one_peer(|_, line| match line {
        _ if line.starts_with("EHLO") => Act::Say("250-peer\r\n250 SIZE 5".to_owned()),
        _ => usual(line),
    })
    .await;
    let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
    assert!(
        words(&outcomes[0]).contains("the server takes 5"),
        "{outcomes:?}"
    );
    assert_eq!(peer.heard(), ["1 EHLO us.example"]);
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient_after_the_dot() {
    let peer = Peer::start(([127, 0, 0, 1], 0), |_, line| match line {
        _ if line.starts_with("RCPT TO:<b") => Act::Say("550 5.1.1 no".to_owned()),
        "." => Act::Say("250 2.0.0 a\r\n452 4.2.2 c is full\r\n550 5.7.1 not d".to_owned()),
        _ => usual(line),
    })
    .await;
    let road = road(Zone::default(), 0, TEXT).await;
    let caller = Caller {
        world: &road.relay.world,
        tls: &road.relay.tls,
        hello: "us.example",
    };
    let hop = Hop {
        host: "127.0.0.1",
        place: Place::Tcp(peer.at),
        protocol: Protocol::Lmtp,
        tls: TlsRule::Never,
    };
    let to = ["a@d.example", "b@d.example", "c@d.example", "d@d.example"].map(address);
    let mailing = Mailing {
        from: None,
        to: &to,
        head: "Received: here\r\n",
        body: &road.body,
        lines: Lines::Mend,
        dsn: Dsn::Unsaid,
    };
    let sent = road
        .relay
        .pool
        .send(caller, &hop, "lmtp", &mailing)
        .await
        .expect("sent");
    let expected = [
        Said::Taken("250 2.0.0 a".to_owned()),
        Said::Refused("550 5.1.1 no".to_owned()),
        Said::Later("452 4.2.2 c is full".to_owned()),
        Said::Refused("550 5.7.1 not d".to_owned()),
    ];
    assert_eq!(sent.said, expected);
    assert_eq!(
        peer.heard()[..2],
        ["1 LHLO us.example", "1 MAIL FROM:<> SIZE=47 BODY=8BITMIME"]
    );
    assert_eq!(
        peer.messages(),
        [[&b"Received: here\r\n"[..], TEXT].concat()]
    );
}

#[tokio::test]
async fn a_reply_that_never_ends_or_cannot_be_read_loses_the_host_only() {
    let scripts: [Script; 3] = [
        |_, _| Act::End("2".repeat(100_000)),
        |_, _| Act::End("hello there".to_owned()),
        |_, _| Act::End("220-a\r\n".repeat(100_000)),
    ];
    for script in scripts {
        let (_first, second, road) = two_peers(script).await;
        let outcomes = road.send(&["a@d.example"], Dsn::Unsaid).await;
        assert!(
            matches!(outcomes[0], Outcome::Relayed { .. }),
            "{outcomes:?}"
        );
        assert_eq!(second.messages().len(), 1);
    }
}
