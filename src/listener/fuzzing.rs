//! The dialogue for the fuzzer. In: octets as a client sends them, in pieces. Asserted: what the client
//! hears is printable, in lines that RFC 5321 allows, and DATA ends where the standard says.

use std::time::Duration;

use super::data::{DataReader, Fed};
use super::guard::{Guard, Room};
use super::pending::Pending;
use super::session::{Action, Checked, Facts, Outcome, Session, Setup, StartTls, Step};
use super::wire::{Cut, Input};
use super::{AcceptError, Lookup, Standing};
use crate::config::Limits;
use crate::envelope::{Address, ListenerKind, TrackingId};
use crate::world::{Timestamp, World};

const SIZE_MAX: u64 = 10_000;

struct Table;

impl Lookup for Table {
    fn standing(&self, address: &Address) -> Standing {
        match address.domain() {
            "open.example" => Standing::Taken,
            "clinic.example" if address.local().starts_with("dr.") => Standing::Taken,
            "clinic.example" => Standing::Unknown,
            _ => Standing::Foreign,
        }
    }

    fn postmaster(&self, _hostname: &str) -> Option<Address> {
        Address::parse("postmaster@clinic.example").ok()
    }

    fn may_send_as(&self, _account: &str, address: &Address) -> bool {
        address.key() == "dr.a@clinic.example"
    }

    fn revocations(&self, account: &str) -> Option<u64> {
        (account == "desk").then_some(0)
    }
}

fn limits() -> Limits {
    Limits {
        message_size: SIZE_MAX,
        recipients: 5,
        command_timeout: Duration::from_secs(300),
        connections: 10,
        connections_per_client: 10,
        free_octets: 0,
        free_inodes: 0,
        processed_wait: Duration::from_secs(3_600),
        dispatched_wait: Duration::from_secs(3_600),
    }
}

/// The shell of a session, without sockets.
struct Stage {
    world: World,
    guard: std::sync::Arc<Guard>,
    session: Session,
    input: Input,
    data: Option<(DataReader, Pending, Vec<u8>)>,
    closed: bool,
}

pub(crate) fn session(data: &[u8]) {
    let [how, step, wire @ ..] = data else {
        return;
    };
    let kind = if how & 1 == 0 {
        ListenerKind::Relay
    } else {
        ListenerKind::Submission
    };
    let tls = (how & 2 != 0).then(|| "TLSv1.3".to_owned());
    let starttls = if how & 4 == 0 {
        StartTls::Offered
    } else {
        StartTls::Absent
    };
    let setup = Setup {
        hostname: "mx.gateway.example".to_owned(),
        kind,
        starttls,
        size_max: SIZE_MAX,
        recipients_max: 5,
    };
    let ip = std::net::IpAddr::from([192, 0, 2, 7]);
    let mut stage = Stage {
        world: World::at(Timestamp::from_unix_s(1_795_309_323)),
        guard: Guard::new(&limits()),
        session: Session::new(setup, ip, tls),
        input: Input::new(),
        data: None,
        closed: false,
    };
    for piece in wire.chunks(1 + usize::from(*step)) {
        stage.send(piece);
    }
}

impl Stage {
    fn send(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && !self.closed {
            let space = self.input.space();
            let count = octets.len().min(space.len());
            assert!(count > 0, "room for more after Cut::More");
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
            let step = match self.input.cut() {
                Cut::More => return,
                Cut::Line(line) => self.ask(|session, facts| session.line(&line, facts)),
                Cut::Bad(bad) => self.session.bad_line(bad),
            };
            self.follow(step);
        }
    }

    fn ask(&mut self, ask: impl FnOnce(&mut Session, &Facts<'_>) -> Step) -> Step {
        let facts = Facts {
            directory: &Table,
            guard: &self.guard,
            room: Room::Enough,
            now: self.world.monotonic(),
        };
        ask(&mut self.session, &facts)
    }

    fn work_data(&mut self) -> bool {
        let Some((mut reader, pending, mut body)) = self.data.take() else {
            return false;
        };
        let Fed::End { used } = reader.feed(self.input.pending(), &mut body) else {
            self.input.consume(usize::MAX);
            self.data = Some((reader, pending, body));
            return false;
        };
        self.input.consume(used);
        let outcome = match (reader.fault(), body.len() % 3) {
            (Some(fault), _) => Outcome::Faulty(fault),
            (None, 0) => Outcome::Clear,
            (None, 1) => Outcome::NoRoom,
            // No receipt is ever made here: only the spool makes them.
            (None, _) => Outcome::Refused(AcceptError::Refused {
                enhanced: "5.6.0",
                text: String::from_utf8_lossy(&body).into_owned(),
            }),
        };
        self.received(pending);
        let step = self.session.data_over(outcome);
        self.follow(step);
        true
    }

    fn received(&self, pending: Pending) {
        let id = TrackingId::new(&self.world);
        let field = pending.received("mx.gateway.example", id, self.world.now());
        let lines: Vec<_> = field.split("\r\n").collect();
        assert!(lines.iter().all(|line| !line.contains(['\r', '\n', '\0'])));
        assert!(
            lines
                .iter()
                .skip(1)
                .all(|line| line.is_empty() || line.starts_with('\t'))
        );
        let envelope = pending.envelope(id, self.world.now());
        assert!(!envelope.recipients.is_empty() && envelope.recipients.len() <= 5);
    }

    fn follow(&mut self, step: Step) {
        if let Action::CheckPassword(login) = step.action {
            let checked = match login.password.as_str() {
                "right" => Checked::Right {
                    account: login.name,
                },
                _ => Checked::Wrong,
            };
            let step = self.ask(|session, facts| session.password_checked(checked, facts));
            return self.follow(step);
        }
        heard(&step);
        match step.action {
            Action::StartTls if self.input.pending().is_empty() => {
                self.session.tls_started("TLSv1.3".to_owned());
            }
            Action::Close | Action::StartTls => self.closed = true,
            Action::ReadData(pending) => {
                self.data = Some((DataReader::new(SIZE_MAX), *pending, Vec::new()));
            }
            Action::Listen | Action::CheckPassword(_) => {}
        }
    }
}

/// RFC 5321 §4.2: lines of three digits, a blank or hyphen, printable text; at most 512 octets each.
fn heard(step: &Step) {
    let mut out = Vec::new();
    step.reply.write_to(&mut out);
    let text = String::from_utf8(out).expect("ASCII");
    let lines = text.strip_suffix("\r\n").expect("a whole line");
    for line in lines.split("\r\n") {
        assert!(line.len() <= 510 && line.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
        assert!(line.as_bytes()[..3].iter().all(u8::is_ascii_digit));
    }
}

pub(crate) fn data(data: &[u8]) {
    let Some((&step, wire)) = data.split_first() else {
        return;
    };
    let whole = read(wire, wire.len().max(1));
    assert_eq!(whole, read(wire, 1 + usize::from(step)));
    let from_line_start = [b"\r\n", wire].concat();
    let end = memchr::memmem::find(&from_line_start, b"\r\n.\r\n").map(|at| at + 3);
    assert_eq!(whole.map(|(_, _, used)| used), end);
}

type Message = (Vec<u8>, Option<super::data::Fault>, usize);

fn read(wire: &[u8], step: usize) -> Option<Message> {
    let mut reader = DataReader::new(SIZE_MAX);
    let (mut out, mut done) = (Vec::new(), 0);
    for piece in wire.chunks(step) {
        if let Fed::End { used } = reader.feed(piece, &mut out) {
            let fault = reader.fault();
            // What was put out is void after a fault.
            let message = if fault.is_none() { out } else { Vec::new() };
            return Some((message, fault, done + used));
        }
        done += piece.len();
    }
    None
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let relay = "EHLO a.example\r\nMAIL FROM:<x@a.example> SIZE=9 BODY=8BITMIME ENVID=a+20b RET=HDRS\r\n\
        RCPT TO:<dr.a@clinic.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+40b\r\nDATA\r\nA: b\r\n\r\n..x\r\n.\r\n\
        RSET\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nVRFY x\r\nHELP\r\nNOOP\r\nQUIT\r\n";
    // AGRlc2sAcmlnaHQ= is desk with its right password.
    let submission = "EHLO [192.0.2.1]\r\nAUTH PLAIN AGRlc2sAcmlnaHQ=\r\nMAIL FROM:<dr.a@clinic.example>\r\n\
        RCPT TO:<b@far.example>\r\nDATA\r\n.\r\nAUTH LOGIN\r\n*\r\nSTARTTLS\r\n";
    vec![
        [&[2, 200], relay.as_bytes()].concat(),
        [&[3, 9], submission.as_bytes()].concat(),
        [&[0, 1], relay.as_bytes()].concat(),
    ]
}
