//! The dialogues of `tests/wire/*.smtp`, played against the session without a socket, and the limits to the
//! step.

use std::collections::VecDeque;
use std::path::Path;

use super::data::{DataReader, Fed};
use super::guard::{Client, Guard, Room};
use super::pending::Pending;
use super::session::{Action, BadLine, Checked, Facts, Outcome, Session, Setup, StartTls, Step};
use super::wire::{Cut, Input};
use super::{AcceptError, Lookup, Standing, guard};
use crate::envelope::{Address, ListenerKind, TrackingId};
use crate::limits::{
    RECIPIENTS_OVERSHOOT_MAX, SESSION_ERRORS_MAX, SESSION_JUNK_MAX,
    UNKNOWN_RECIPIENTS_PER_HOUR_MAX, UNKNOWN_RECIPIENTS_WINDOW,
};
use crate::spool::{Receipt, SpoolError};
use crate::store::StoreError;
use crate::world::{Timestamp, World};

const TLS: &str = "TLSv1.3 TLS_AES_256_GCM_SHA384";

/// clinic.example refuses unknown recipients, open.example takes them; `desk` sends as dr.a@clinic.example.
struct Table {
    desk: bool,
    revocations: u64,
}

impl Lookup for Table {
    fn standing(&self, address: &Address) -> Standing {
        match (address.domain(), address.key()) {
            ("open.example", _)
            | (_, "dr.a@clinic.example" | "dr.b@clinic.example" | "dr.c@clinic.example")
            | (_, "dr.d@clinic.example" | "postmaster@clinic.example") => Standing::Taken,
            ("clinic.example", _) => Standing::Unknown,
            _ => Standing::Foreign,
        }
    }

    fn postmaster(&self, _hostname: &str) -> Option<Address> {
        Address::parse("postmaster@clinic.example").ok()
    }

    fn may_send_as(&self, account: &str, address: &Address) -> bool {
        self.revocations(account).is_some() && address.key() == "dr.a@clinic.example"
    }

    fn revocations(&self, account: &str) -> Option<u64> {
        (self.desk && account == "desk").then_some(self.revocations)
    }
}

/// The shell of a session, without sockets: what `conversation` does, as text.
struct Stage {
    world: World,
    table: Table,
    guard: std::sync::Arc<Guard>,
    room: Room,
    answer: String,
    session: Session,
    input: Input,
    data: Option<(DataReader, Pending, Vec<u8>)>,
    said: VecDeque<String>,
    closed: bool,
    /// What was taken: `return path -> recipients: body`.
    taken: Vec<String>,
}

impl Stage {
    fn new(kind: ListenerKind, tls: &str) -> Self {
        let limits = guard::tests::limits();
        let setup = Setup {
            hostname: "mx.gateway.example".into(),
            kind,
            starttls: if tls == "starttls" {
                StartTls::Offered
            } else {
                StartTls::Absent
            },
            size_max: limits.message_size,
            recipients_max: limits.recipients,
        };
        let described = (tls == "implicit").then(|| TLS.to_owned());
        let ip = "192.0.2.7".parse().expect("an IP address");
        let mut stage = Self {
            world: World::at(Timestamp::from_unix_s(1_795_309_323)),
            table: Table {
                desk: true,
                revocations: 0,
            },
            guard: Guard::new(&limits),
            room: Room::Enough,
            answer: String::new(),
            session: Session::new(setup, ip, described),
            input: Input::new(),
            data: None,
            said: VecDeque::new(),
            closed: false,
            taken: Vec::new(),
        };
        let greeting = Step {
            reply: stage.session.greeting(),
            action: Action::Listen,
        };
        stage.follow(greeting);
        stage
    }

    /// `directory` and `guard` are borrowed beside the session.
    fn with_facts(&mut self, ask: impl FnOnce(&mut Session, &Facts<'_>) -> Step) {
        let facts = Facts {
            directory: &self.table,
            guard: &self.guard,
            room: self.room,
            now: self.world.monotonic(),
        };
        let step = ask(&mut self.session, &facts);
        self.follow(step);
    }

    fn send(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && !self.closed {
            let space = self.input.space();
            let count = octets.len().min(space.len());
            space[..count].copy_from_slice(&octets[..count]);
            self.input.filled(count);
            octets = &octets[count..];
            self.work();
        }
    }

    fn work(&mut self) {
        while !self.closed {
            if self.data.is_some() {
                if !self.work_data() {
                    return;
                }
                continue;
            }
            match self.input.cut() {
                Cut::More => return,
                Cut::Line(line) => self.with_facts(|session, facts| session.line(&line, facts)),
                Cut::Bad(bad) => {
                    let step = self.session.bad_line(bad);
                    self.follow(step);
                }
            }
        }
    }

    /// Whether DATA is over.
    fn work_data(&mut self) -> bool {
        let (mut reader, pending, mut body) = self.data.take().expect("in DATA");
        let used = match reader.feed(self.input.pending(), &mut body) {
            Fed::End { used } => used,
            Fed::More => {
                self.input.consume(usize::MAX);
                self.data = Some((reader, pending, body));
                return false;
            }
        };
        self.input.consume(used);
        let outcome = match reader.fault() {
            Some(fault) => Outcome::Faulty(fault),
            None => self.outcome(pending, &body),
        };
        let step = self.session.data_over(outcome);
        self.follow(step);
        true
    }

    fn outcome(&mut self, pending: Pending, body: &[u8]) -> Outcome {
        let store = |error| Outcome::Refused(AcceptError::Spool(SpoolError::Store(error)));
        match std::mem::take(&mut self.answer).as_str() {
            "full" => store(StoreError::Full("disk".into())),
            "closed" => store(StoreError::Closed),
            "clear" => Outcome::Clear,
            "loop" => Outcome::Refused(AcceptError::Refused {
                enhanced: "5.4.6",
                text: "loop".into(),
            }),
            "reused" => Outcome::Refused(AcceptError::Refused {
                enhanced: "5.6.0",
                text: "Message-ID\r\n250 used".into(),
            }),
            _ => {
                let id = TrackingId::new(&self.world);
                let envelope = pending.envelope(id, self.world.now());
                let to: Vec<_> = envelope
                    .recipients
                    .iter()
                    .map(|to| to.address.key())
                    .collect();
                let from = envelope.return_path.address().map_or("<>", Address::key);
                let body = String::from_utf8_lossy(body).replace("\r\n", "|");
                self.taken
                    .push(format!("{from} -> {}: {body}", to.join(",")));
                Outcome::Spooled(Receipt::for_tests(id))
            }
        }
    }

    fn follow(&mut self, step: Step) {
        if let Action::CheckPassword(login) = step.action {
            let checked = match login.password.as_str() {
                "right" => Checked::Right {
                    account: login.name,
                },
                "nobody-knows" => Checked::Unknown,
                _ => Checked::Wrong,
            };
            return self.with_facts(|session, facts| session.password_checked(checked, facts));
        }
        let mut out = Vec::new();
        step.reply.write_to(&mut out);
        let text = String::from_utf8(out).expect("replies are ASCII");
        self.said.extend(text.lines().map(str::to_owned));
        match step.action {
            Action::StartTls if self.input.pending().is_empty() => {
                self.session.tls_started(TLS.to_owned());
            }
            Action::Close | Action::StartTls => self.closed = true,
            Action::ReadData(pending) => {
                self.data = Some((DataReader::new(10_000), *pending, Vec::new()));
            }
            Action::Listen | Action::CheckPassword(_) => {}
        }
    }

    fn direct(&mut self, order: &str) {
        match order {
            "room low" => self.room = Room::Low,
            "revoke desk" => self.table.desk = false,
            "revoke a password" => self.table.revocations += 1,
            "silent" => assert_eq!(self.said, VecDeque::new() as VecDeque<String>),
            "closed" => assert!(self.closed && self.said.is_empty(), "{:?}", self.said),
            "nothing taken" => assert_eq!(self.taken, Vec::<String>::new()),
            order => match order.split_once(' ') {
                Some(("answer", answer)) => self.answer = answer.to_owned(),
                Some(("taken", taken)) => assert_eq!(self.taken.remove(0), taken),
                _ => panic!("no such order: {order}"),
            },
        }
    }

    /// Sends a line and returns the code of the (only) reply.
    fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        let reply = self.said.pop_front().unwrap_or_default();
        assert!(self.said.is_empty(), "{line}: {reply} and {:?}", self.said);
        reply.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }
}

/// `\r`, `\n`, `\0`, `\t`, `\\` and `\xNN` as in Rust.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        out.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
            }
            _ => b'\\',
        });
    }
    out
}

fn play(name: &str, script: &str) {
    let mut stage: Option<Stage> = None;
    for (number, line) in script.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        let (mark, text) = line.split_once(' ').unwrap_or((line, ""));
        if let ("!", Some((kind, tls))) = (mark, text.split_once(' '))
            && let Some(kind) = ListenerKind::from_word(kind)
        {
            stage = Some(Stage::new(kind, tls));
            continue;
        }
        if matches!(mark, "" | "#") {
            continue;
        }
        let stage = stage.as_mut().expect("a dialogue begins with its port");
        match mark {
            ">" => {
                assert!(!stage.closed, "{place}: it was closed");
                stage.send(&[unescape(text), b"\r\n".to_vec()].concat());
            }
            ">>" => stage.send(&unescape(text)),
            "<" => {
                let said = stage.said.pop_front().unwrap_or_default();
                assert!(
                    said.starts_with(text),
                    "{place}: {said:?} instead of {text:?}"
                );
            }
            "!" => stage.direct(text),
            _ => panic!("{place}: no such mark"),
        }
    }
    let stage = stage.expect("a dialogue begins with its port");
    assert!(
        stage.said.is_empty(),
        "{name}: not expected: {:?}",
        stage.said
    );
}

#[test]
fn the_dialogues_on_file_go_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder is read").path();
        if path.extension().is_some_and(|end| end == "smtp") {
            let script = std::fs::read_to_string(&path).expect("a dialogue is text");
            play(&path.display().to_string(), &script);
            played += 1;
        }
    }
    assert!(played >= 8, "only {played} dialogues were found");
}

#[test]
fn each_limit_of_a_session_holds_at_its_number() {
    let greeted = || {
        let mut stage = Stage::new(ListenerKind::Relay, "off");
        stage.said.clear();
        stage
    };
    // Errors: the last allowed is answered as such, the next closes.
    let mut stage = greeted();
    for _ in 0..SESSION_ERRORS_MAX {
        assert_eq!(stage.ask("NOSUCH"), "500 5.5.1");
    }
    assert_eq!(stage.ask("NOSUCH"), "421 4.7.0");
    assert!(stage.closed);
    // Junk.
    let mut stage = greeted();
    for _ in 0..SESSION_JUNK_MAX {
        assert_eq!(stage.ask("NOOP"), "250 2.0.0");
    }
    assert_eq!(stage.ask("NOOP"), "421 4.7.0");
    assert!(stage.closed);
    // SIZE.
    let mut stage = greeted();
    assert_eq!(stage.ask("HELO a.example"), "250 mx.gateway.example");
    assert_eq!(stage.ask("MAIL FROM:<> SIZE=10001"), "552 5.3.4");
    assert_eq!(
        stage.ask("MAIL FROM:<> SIZE=18446744073709551614"),
        "552 5.3.4"
    );
    assert_eq!(stage.ask("MAIL FROM:<> SIZE=10000"), "250 2.1.0");
    // Recipients: three, then 452, but a repeated one is no other.
    for name in ["a", "b", "c"] {
        assert_eq!(
            stage.ask(&format!("RCPT TO:<dr.{name}@clinic.example>")),
            "250 2.1.5"
        );
    }
    for _ in 3..3 + RECIPIENTS_OVERSHOOT_MAX - 1 {
        assert_eq!(stage.ask("RCPT TO:<dr.d@clinic.example>"), "452 4.5.3");
    }
    assert_eq!(stage.ask("RCPT TO:<Dr.A@Clinic.example>"), "250 2.1.5");
    for _ in 0..SESSION_ERRORS_MAX - 2 {
        assert_eq!(stage.ask("RCPT TO:<dr.d@clinic.example>"), "452 4.5.3");
    }
    assert_eq!(stage.ask("RCPT TO:<dr.d@clinic.example>"), "421 4.7.0");
}

#[test]
fn a_client_that_guesses_names_hears_nothing_more_for_an_hour() {
    let mut stage = Stage::new(ListenerKind::Relay, "off");
    stage.said.clear();
    stage.ask("HELO a.example");
    stage.ask("MAIL FROM:<>");
    // The session's own limit of errors is another matter.
    for number in 1..UNKNOWN_RECIPIENTS_PER_HOUR_MAX {
        stage.guard.unknown_recipient(
            Client::new("192.0.2.7".parse().expect("an IP address")),
            stage.world.monotonic(),
        );
        assert_eq!(
            stage.ask("RCPT TO:<dr.a@clinic.example>"),
            "250 2.1.5",
            "{number}"
        );
    }
    assert_eq!(stage.ask("RCPT TO:<dr.x@clinic.example>"), "550 5.1.1");
    assert_eq!(stage.ask("RCPT TO:<dr.y@clinic.example>"), "451 4.7.1");
    assert_eq!(stage.ask("RCPT TO:<dr.a@clinic.example>"), "451 4.7.1");
    assert_eq!(stage.ask("RCPT TO:<postmaster>"), "451 4.7.1");
    stage.world.advance(UNKNOWN_RECIPIENTS_WINDOW);
    assert_eq!(stage.ask("RCPT TO:<dr.a@clinic.example>"), "250 2.1.5");
}

#[test]
fn no_classic_trick_relays_through_us() {
    let mut stage = Stage::new(ListenerKind::Relay, "off");
    stage.said.clear();
    for (number, path) in [
        "a@elsewhere.example",
        "a%elsewhere.example@clinic.example",
        "elsewhere.example!a@clinic.example",
        "@clinic.example:a@elsewhere.example",
        "@clinic.example,@b.example:dr.a@clinic.example",
        "a@elsewhere.example@clinic.example",
        "\"a@elsewhere.example\"",
        "\"a@elsewhere.example\"@clinic.example",
        "a%elsewhere.example@[192.0.2.1]",
        "a@elsewhere.example,dr.a@clinic.example",
        "dr.a@clinic.example@elsewhere.example",
        "dr.a@sub.clinic.example",
        "dr.a@clinic.example.",
        "dr.a@notclinic.example",
        "dr.a",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        if number % 10 == 0 {
            stage = Stage::new(ListenerKind::Relay, "off");
            stage.said.clear();
            stage.ask("HELO a.example");
            stage.ask("MAIL FROM:<>");
        }
        let reply = stage.ask(&format!("RCPT TO:<{path}>"));
        assert!(reply.starts_with('5'), "{path}: {reply}");
    }
    assert_eq!(stage.ask("RCPT TO:<dr.a@clinic.example>"), "250 2.1.5");
}

#[test]
fn our_received_field_tells_of_a_peer_but_not_of_a_clinic() {
    let received = |kind, helo: &str| {
        let mut stage = Stage::new(kind, "implicit");
        stage.send(format!("EHLO {helo}\r\n").as_bytes());
        if kind == ListenerKind::Submission {
            let login = base64_simd::STANDARD.encode_to_string("\0desk\0right");
            stage.send(format!("AUTH PLAIN {login}\r\n").as_bytes());
        }
        stage.send(b"MAIL FROM:<>\r\nRCPT TO:<dr.a@clinic.example>\r\nDATA\r\n");
        let (_, pending, _) = stage.data.take().expect("in DATA");
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().expect("an id");
        pending.received("mx.gateway.example", id, stage.world.now())
    };
    assert_eq!(
        received(ListenerKind::Relay, "mx.b(c)<.example"),
        "Received: from mx.b?c??.example ([192.0.2.7])\r\n\t\
         by mx.gateway.example with ESMTPS id 01ARZ3NDEKTSV4RRFFQ69G5FAV;\r\n\t\
         Sun, 22 Nov 2026 01:02:03 +0000\r\n"
    );
    // G-086.
    assert_eq!(
        received(ListenerKind::Submission, "laptop-of-dr-a"),
        "Received: by mx.gateway.example with ESMTPSA id 01ARZ3NDEKTSV4RRFFQ69G5FAV;\r\n\t\
         Sun, 22 Nov 2026 01:02:03 +0000\r\n"
    );
}

#[test]
fn a_login_hears_at_once_that_a_colleague_has_no_mailbox() {
    let mut stage = Stage::new(ListenerKind::Submission, "implicit");
    stage.send(b"EHLO a.example\r\n");
    let login = base64_simd::STANDARD.encode_to_string("\0desk\0right");
    stage.send(format!("AUTH PLAIN {login}\r\n").as_bytes());
    stage.said.clear();
    assert_eq!(stage.ask("MAIL FROM:<dr.a@clinic.example>"), "250 2.1.0");
    assert_eq!(stage.ask("RCPT TO:<dr.x@clinic.example>"), "550 5.1.1");
    assert_eq!(stage.ask("RCPT TO:<dr.b@clinic.example>"), "250 2.1.5");
    assert_eq!(stage.ask("RCPT TO:<x@far.example>"), "250 2.1.5");
}

#[test]
fn an_authentication_line_too_long_ends_the_exchange() {
    let mut stage = Stage::new(ListenerKind::Submission, "implicit");
    stage.said.clear();
    stage.send(b"EHLO a.example\r\nAUTH PLAIN\r\n");
    stage.said.clear();
    let step = stage.session.bad_line(BadLine::TooLong);
    stage.follow(step);
    assert_eq!(stage.said.pop_front().expect("a reply")[..9], *"500 5.5.6");
    assert_eq!(stage.ask("NOOP"), "250 2.0.0");
}
