//! Hand-overs to a Maildir, and to scripted servers on loopback.

use std::path::PathBuf;

use super::*;
use crate::discover::tests::Zone;
use crate::relay::tests::{Act, Peer, Scratch, address, scratch, usual};
use crate::route::EdgeTls;
use crate::world::Timestamp;

const TEXT: &[u8] = b"Subject: x\r\n\r\n.dots\r\nend\r\n";

struct Clinic {
    edge: Edge,
    scratch: Scratch,
    body: Body,
    message: TrackingId,
    recipient: Address,
}

async fn clinic() -> Clinic {
    let world = World::at(Timestamp::from_unix_s(1_795_309_323));
    let resolver = Zone::default().resolver(world.clone()).await;
    let tls = ClientContext::new(None).expect("a context");
    let scratch = scratch();
    Clinic {
        message: TrackingId::new(&world),
        recipient: address("Alice@clinic.example"),
        body: scratch.bodies.of(TEXT).expect("a body"),
        edge: Edge::new(world, resolver, "us.example".to_owned(), tls),
        scratch,
    }
}

impl Clinic {
    async fn hand(&self, destination: &Destination) -> HandOver {
        let parcel = Parcel {
            message: self.message,
            recipient: &self.recipient,
            return_path: ReturnPath::To(address("bob@hisp.example")),
            trace: "X-Carepost-Delivery: 1\r\n".to_owned(),
            body: &self.body,
            attempt: 2,
        };
        hand_over(&self.edge, destination, &parcel).await
    }

    fn maildir(&self) -> PathBuf {
        self.scratch.directory.path().join("alice")
    }

    fn files(&self, part: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.maildir().join(part)).expect("a Maildir");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }
}

#[tokio::test]
async fn a_maildir_gets_a_message_once_however_often_it_is_handed_over() {
    let clinic = clinic().await;
    let destination = Destination::Maildir(clinic.maildir());
    let first = clinic.hand(&destination).await;
    let HandOver::Done(name) = &first else {
        panic!("{first:?}");
    };
    assert!(name.starts_with("maildir 1795309323."), "{name}");
    let files = clinic.files("new");
    let expected = [&b"X-Carepost-Delivery: 1\r\n"[..], TEXT].concat();
    assert_eq!(std::fs::read(&files[0]).expect("readable"), expected);
    // The worker died before it could say so, and does it again.
    assert!(matches!(clinic.hand(&destination).await, HandOver::Done(_)));
    assert_eq!(clinic.files("new").len(), 1);
    // Meanwhile Alice has read it.
    let base = files[0]
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let read = clinic.maildir().join("cur").join(format!("{base}:2,S"));
    std::fs::rename(&files[0], read).expect("moved");
    assert!(matches!(clinic.hand(&destination).await, HandOver::Done(_)));
    assert!(clinic.files("new").is_empty());
    assert!(clinic.files("tmp").is_empty());
}

#[tokio::test]
async fn another_recipient_or_message_is_another_file() {
    let mut clinic = clinic().await;
    let destination = Destination::Maildir(clinic.maildir());
    clinic.hand(&destination).await;
    clinic.recipient = address("bob@clinic.example");
    clinic.hand(&destination).await;
    clinic.message = TrackingId::new(&clinic.edge.world);
    clinic.hand(&destination).await;
    assert_eq!(clinic.files("new").len(), 3);
}

#[tokio::test]
async fn a_disk_that_fails_or_is_not_there_means_later() {
    let clinic = clinic().await;
    let unmounted = clinic.scratch.directory.path().join("mnt/alice");
    let outcome = clinic.hand(&Destination::Maildir(unmounted.clone())).await;
    assert!(matches!(outcome, HandOver::Later(_)), "{outcome:?}");
    assert!(!unmounted.exists());
    std::fs::create_dir(clinic.maildir()).expect("made");
    std::fs::write(clinic.maildir().join("tmp"), b"").expect("written");
    let outcome = clinic.hand(&Destination::Maildir(clinic.maildir())).await;
    assert!(matches!(outcome, HandOver::Later(_)), "{outcome:?}");
    assert!(clinic.files("new").is_empty());
}

fn smtp(peer: &Peer, tls: EdgeTls) -> Destination {
    Destination::Smtp {
        host: peer.at.ip().to_string(),
        port: peer.at.port(),
        tls,
    }
}

#[tokio::test]
async fn an_edge_says_in_its_own_words_what_became_of_it() {
    for (script, expected) in [
        (
            (|_, line| usual(line)) as crate::relay::tests::Script,
            HandOver::Done("250 2.0.0 taken".to_owned()),
        ),
        (
            |_, line| match line {
                _ if line.starts_with("RCPT") => Act::Say("550 5.1.1 unknown".to_owned()),
                _ => usual(line),
            },
            HandOver::Never("550 5.1.1 unknown".to_owned()),
        ),
        (
            |_, line| match line {
                "." => Act::Say("452 4.2.2 full".to_owned()),
                _ => usual(line),
            },
            HandOver::Later("452 4.2.2 full".to_owned()),
        ),
    ] {
        let peer = Peer::start(([127, 0, 0, 1], 0), script).await;
        let clinic = clinic().await;
        let outcome = clinic.hand(&smtp(&peer, EdgeTls::Offered)).await;
        assert_eq!(outcome, expected);
        assert!(peer.heard()[1].starts_with("1 MAIL FROM:<bob@hisp.example>"));
    }
}

#[tokio::test]
async fn an_edge_that_cannot_prove_who_it_is_gets_nothing() {
    let offers: crate::relay::tests::Script = |_, line| match line {
        _ if line.starts_with("EHLO") => Act::Say("250-peer\r\n250 STARTTLS".to_owned()),
        "STARTTLS" => Act::Protect,
        _ => usual(line),
    };
    for (script, tls, arrives) in [
        (offers, EdgeTls::Offered, false),
        (offers, EdgeTls::Demanded, false),
        (offers, EdgeTls::Never, true),
        (|_, line| usual(line), EdgeTls::Demanded, false),
        (|_, line| usual(line), EdgeTls::Offered, true),
    ] {
        let peer = Peer::start(([127, 0, 0, 1], 0), script).await;
        let clinic = clinic().await;
        let outcome = clinic.hand(&smtp(&peer, tls)).await;
        assert_eq!(matches!(outcome, HandOver::Done(_)), arrives, "{outcome:?}");
        assert_eq!(
            matches!(outcome, HandOver::Later(_)),
            !arrives,
            "{outcome:?}"
        );
        assert_eq!(!peer.messages().is_empty(), arrives);
    }
}

#[tokio::test]
async fn bare_line_ends_of_the_sender_reach_an_edge_as_crlf() {
    let mut clinic = clinic().await;
    let text = b"Subject: x\n\na\n.\nMAIL FROM:<x@y.example>\n";
    clinic.body = clinic.scratch.bodies.of(text).expect("a body");
    let peer = Peer::start(([127, 0, 0, 1], 0), |_, line| usual(line)).await;
    let outcome = clinic.hand(&smtp(&peer, EdgeTls::Offered)).await;
    assert!(matches!(outcome, HandOver::Done(_)), "{outcome:?}");
    let messages = peer.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].ends_with(b"\r\na\r\n.\r\nMAIL FROM:<x@y.example>\r\n"));
}

#[tokio::test]
async fn lmtp_works_over_tcp_and_over_a_socket() {
    let clinic = clinic().await;
    let script: crate::relay::tests::Script = |_, line| usual(line);
    let peer = Peer::start(([127, 0, 0, 1], 0), script).await;
    let destination = Destination::Lmtp {
        host: "127.0.0.1".to_owned(),
        port: peer.at.port(),
    };
    let done = HandOver::Done("250 2.0.0 taken".to_owned());
    assert_eq!(clinic.hand(&destination).await, done);
    assert_eq!(peer.heard()[0], "1 LHLO us.example");

    let path = clinic.scratch.directory.path().join("lmtp");
    let outcome = clinic.hand(&Destination::LmtpSocket(path.clone())).await;
    assert!(matches!(outcome, HandOver::Later(_)), "{outcome:?}");
    let port = tokio::net::UnixListener::bind(&path).expect("bound");
    let peer = Peer::new(([127, 0, 0, 1], 0).into());
    let served = peer.clone();
    tokio::spawn(async move {
        let (stream, _) = port.accept().await.expect("a client");
        served.talk(stream, 1, script).await;
    });
    assert_eq!(clinic.hand(&Destination::LmtpSocket(path)).await, done);
    assert_eq!(peer.heard()[0], "1 LHLO us.example");
}

#[tokio::test]
async fn an_edge_whose_name_is_gone_is_tried_again() {
    let clinic = clinic().await;
    let destination = Destination::Smtp {
        host: "gone.example".to_owned(),
        port: 25,
        tls: EdgeTls::Offered,
    };
    let outcome = clinic.hand(&destination).await;
    assert!(matches!(outcome, HandOver::Later(_)), "{outcome:?}");
}
