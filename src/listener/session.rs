//! The dialogue of RFC 5321 without I/O. In: one command line, its CRLF cut off, or an event (TLS is up,
//! the password was checked, DATA is over). Out: a reply, and what the shell does next. Knows no socket, no
//! store and no clock. Never says 250 for a message without a [`Receipt`].

use std::net::IpAddr;

use super::command::{self, Command, Forward, Mail, Mechanism, Rcpt};
use super::data::Fault;
use super::guard::{Attempt, Client, Guard, Room};
use super::pending::Pending;
use super::reply::Reply;
use super::sasl::{Credentials, Exchange, Turn};
use super::{AcceptError, Lookup, Standing};
use crate::envelope::{Address, ListenerKind, Peer, Recipient, ReturnPath};
use crate::limits::{RECIPIENTS_OVERSHOOT_MAX, SESSION_ERRORS_MAX, SESSION_JUNK_MAX};
use crate::spool::{Receipt, SpoolError};
use crate::store::StoreError;
use crate::world::Monotonic;

/// What is the same for every session of one port.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) hostname: String,
    pub(super) kind: ListenerKind,
    pub(super) starttls: StartTls,
    pub(super) size_max: u64,
    pub(super) recipients_max: usize,
}

/// Whether STARTTLS can be had on this port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartTls {
    Offered,
    Absent,
}

/// What the session may look at while it decides.
pub(super) struct Facts<'a> {
    pub(super) directory: &'a dyn Lookup,
    pub(super) guard: &'a Guard,
    pub(super) room: Room,
    pub(super) now: Monotonic,
}

/// What the shell says and does.
#[must_use]
pub(super) struct Step {
    pub(super) reply: Reply,
    pub(super) action: Action,
}

/// What the shell does after the reply.
pub(super) enum Action {
    /// Reads the next line.
    Listen,
    /// Starts TLS, unless octets already follow; then [`Session::tls_started`].
    StartTls,
    /// Checks a password; then [`Session::password_checked`]. The reply is void.
    CheckPassword(Credentials),
    /// Reads DATA; then [`Session::data_over`].
    ReadData(Box<Pending>),
    /// Says so and closes.
    Close,
}

/// What a password check came to.
pub(super) enum Checked {
    Right {
        account: String,
    },
    Wrong,
    /// Nobody can tell now.
    Unknown,
}

/// What became of DATA.
pub(super) enum Outcome {
    Spooled(Receipt),
    Refused(AcceptError),
    Faulty(Fault),
    /// Not encrypted, on a relay port (decision 9).
    Clear,
    /// The body could not be written: no room, or a broken disk.
    NoRoom,
    NoStore,
}

/// A line that is no command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadLine {
    TooLong,
    /// Its end does not come.
    Endless,
    BareLineEnd,
}

#[derive(Debug)]
struct Helo {
    name: String,
    extended: bool,
}

/// MAIL was said.
#[derive(Debug)]
struct Transaction {
    mail: Mail,
    recipients: Vec<Recipient>,
    /// RCPT commands so far, refused and repeated ones too.
    named: usize,
}

/// Who logged in.
#[derive(Debug)]
struct Login {
    account: String,
    /// As it stood before the password was checked: a revocation since then ends the login.
    revocations: Option<u64>,
}

impl Login {
    fn stands(&self, directory: &dyn Lookup) -> bool {
        self.revocations.is_some() && directory.revocations(&self.account) == self.revocations
    }
}

/// One dialogue.
pub(super) struct Session {
    setup: Setup,
    ip: IpAddr,
    client: Client,
    /// Version and cipher, once protected.
    tls: Option<String>,
    helo: Option<Helo>,
    account: Option<Login>,
    exchange: Option<Exchange>,
    /// Whose password is being checked, by the name that was typed.
    checking: Option<Login>,
    transaction: Option<Transaction>,
    errors: u32,
    junk: u32,
}

impl Session {
    /// A new one; `tls` if the port speaks TLS from the first octet.
    pub(super) fn new(setup: Setup, ip: IpAddr, tls: Option<String>) -> Self {
        Self {
            setup,
            ip,
            client: Client::new(ip),
            tls,
            helo: None,
            account: None,
            exchange: None,
            checking: None,
            transaction: None,
            errors: 0,
            junk: 0,
        }
    }

    /// RFC 5321 §3.1.
    pub(super) fn greeting(&self) -> Reply {
        Reply::new(220, "", format!("{} ESMTP", self.setup.hostname))
    }

    /// One line.
    pub(super) fn line(&mut self, line: &[u8], facts: &Facts<'_>) -> Step {
        if let Some(exchange) = self.exchange.take() {
            let turn = exchange.turn(line);
            return self.auth_turn(turn, facts);
        }
        match command::parse(line) {
            Ok(command) => self.command(command, facts),
            Err(reply) => self.say(reply),
        }
    }

    /// A line that is none.
    pub(super) fn bad_line(&mut self, bad: BadLine) -> Step {
        let in_auth = self.exchange.take().is_some();
        match bad {
            // RFC 4954 §4.
            BadLine::TooLong if in_auth => {
                self.say(Reply::new(500, "5.5.6", "authentication line too long"))
            }
            BadLine::TooLong => self.say(Reply::new(500, "5.5.2", "line too long")),
            BadLine::Endless => close(Reply::new(500, "5.5.2", "line too long")),
            // What a lenient hop before us took for one line may be two (G-061).
            BadLine::BareLineEnd => close(Reply::new(
                500,
                "5.5.2",
                "lines end with CR LF and nothing else",
            )),
        }
    }

    /// The handshake is done: what was said before is forgotten (RFC 3207 §4.2).
    pub(super) fn tls_started(&mut self, description: String) {
        self.tls = Some(description);
        self.helo = None;
        self.account = None;
        self.transaction = None;
    }

    fn command(&mut self, command: Command, facts: &Facts<'_>) -> Step {
        match command {
            Command::Ehlo(name) => self.ehlo(name),
            Command::Helo(name) => self.helo(name),
            Command::Mail(mail) => self.mail(mail, facts),
            Command::Rcpt(rcpt) => self.rcpt(rcpt, facts),
            Command::Data => self.data(facts),
            Command::StartTls => self.starttls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial, facts),
            Command::Rset => {
                self.transaction = None;
                self.junk(Reply::new(250, "2.0.0", "ok"))
            }
            Command::Noop => self.junk(Reply::new(250, "2.0.0", "ok")),
            // RFC 5321 §3.5.3, §7.3: says nothing about anyone (G-090, E-056).
            Command::Vrfy => self.junk(Reply::new(252, "2.5.0", "send mail and see")),
            Command::Expn => self.junk(Reply::new(502, "5.5.1", "there are no lists here")),
            Command::Help => self.junk(Reply::new(214, "2.0.0", "see RFC 5321")),
            Command::Quit => close(Reply::new(221, "2.0.0", "bye")),
            Command::Foreign => close(Reply::new(502, "5.5.1", "command not implemented")),
        }
    }

    fn ehlo(&mut self, name: String) -> Step {
        self.helo = Some(Helo {
            name,
            extended: true,
        });
        self.transaction = None;
        let mut lines = vec![
            format!("SIZE {}", self.setup.size_max),
            "8BITMIME".to_owned(),
            "PIPELINING".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
        ];
        if self.tls.is_none() && self.setup.starttls == StartTls::Offered {
            lines.push("STARTTLS".to_owned());
        }
        // E-009: only where it can be said in private.
        if self.setup.kind == ListenerKind::Submission && self.tls.is_some() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        lines.push("DSN".to_owned());
        self.junk(Reply::capabilities(&self.setup.hostname, lines))
    }

    fn helo(&mut self, name: String) -> Step {
        self.helo = Some(Helo {
            name,
            extended: false,
        });
        self.transaction = None;
        self.junk(Reply::new(250, "", self.setup.hostname.clone()))
    }

    fn starttls(&mut self) -> Step {
        if self.tls.is_some() {
            return self.sequence("TLS is already there");
        }
        if self.setup.starttls == StartTls::Absent {
            return self.say(Reply::new(502, "5.5.1", "STARTTLS is not offered"));
        }
        Step {
            reply: Reply::new(220, "2.0.0", "ready"),
            action: Action::StartTls,
        }
    }

    fn auth(&mut self, mechanism: Mechanism, initial: Option<String>, facts: &Facts<'_>) -> Step {
        if self.setup.kind == ListenerKind::Relay {
            return self.say(Reply::new(502, "5.5.1", "no logins on this port"));
        }
        if self.tls.is_none() {
            return self.say(needs_tls());
        }
        // RFC 4954 §4: after EHLO, once, and not within a transaction.
        if self.helo.is_none() {
            return self.sequence("say EHLO first");
        }
        if self.account.is_some() || self.transaction.is_some() {
            return self.sequence("not now");
        }
        self.auth_turn(Exchange::begin(mechanism, initial.as_deref()), facts)
    }

    fn auth_turn(&mut self, turn: Turn, facts: &Facts<'_>) -> Step {
        match turn {
            Turn::Challenge(text, exchange) => {
                self.exchange = Some(exchange);
                listen(Reply::new(334, "", text))
            }
            Turn::Unreadable => self.say(Reply::new(501, "5.5.2", "cannot read that response")),
            Turn::Cancelled => self.say(Reply::new(501, "5.7.0", "authentication cancelled")),
            Turn::Complete(login) => {
                let attempt = facts
                    .guard
                    .password_attempt(self.client, &login.name, facts.now);
                if attempt == Attempt::Blocked {
                    return self.say(Reply::new(454, "4.7.0", "too many failures, try later"));
                }
                // Logins are kept in lower case.
                let key = login.name.trim().to_ascii_lowercase();
                self.checking = Some(Login {
                    revocations: facts.directory.revocations(&key),
                    account: login.name.clone(),
                });
                Step {
                    reply: Reply::new(454, "4.7.0", "not checked"),
                    action: Action::CheckPassword(login),
                }
            }
        }
    }

    /// The password was checked.
    pub(super) fn password_checked(&mut self, checked: Checked, facts: &Facts<'_>) -> Step {
        let (login, revocations) = match self.checking.take() {
            Some(login) => (login.account, login.revocations),
            None => (String::new(), None),
        };
        match checked {
            Checked::Right { account } => {
                self.account = Some(Login {
                    account,
                    revocations,
                });
                listen(Reply::new(235, "2.7.0", "welcome"))
            }
            Checked::Wrong => {
                facts.guard.password_failed(self.client, &login, facts.now);
                self.say(Reply::new(535, "5.7.8", "name or password is wrong"))
            }
            Checked::Unknown => self.say(Reply::new(454, "4.7.0", "cannot check now, try later")),
        }
    }

    fn mail(&mut self, mail: Mail, facts: &Facts<'_>) -> Step {
        if self.helo.is_none() {
            return self.sequence("say EHLO first");
        }
        if self.transaction.is_some() {
            return self.sequence("one message at a time");
        }
        if let Err(reply) = self.may_send(&mail, facts) {
            return self.say(reply);
        }
        if mail.size.is_some_and(|size| size > self.setup.size_max) {
            return self.say(too_large());
        }
        if facts.room == Room::Low {
            return self.say(no_room());
        }
        self.transaction = Some(Transaction {
            mail,
            recipients: Vec::new(),
            named: 0,
        });
        listen(Reply::new(250, "2.1.0", "ok"))
    }

    /// On submission: who sends, and as whom (E-011).
    fn may_send(&mut self, mail: &Mail, facts: &Facts<'_>) -> Result<(), Reply> {
        if self.setup.kind == ListenerKind::Relay {
            return Ok(());
        }
        if self.tls.is_none() {
            return Err(needs_tls());
        }
        // A login that was disabled meanwhile, or lost a password, is none.
        self.account.take_if(|login| !login.stands(facts.directory));
        let Some(Login { account, .. }) = &self.account else {
            return Err(Reply::new(530, "5.7.0", "authentication required"));
        };
        match &mail.return_path {
            // Mail programs send read receipts so (RFC 8098 §3).
            ReturnPath::Null => Ok(()),
            ReturnPath::To(sender) if facts.directory.may_send_as(account, sender) => Ok(()),
            ReturnPath::To(_) => Err(Reply::new(
                550,
                "5.7.1",
                "this login may not send as that address",
            )),
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt, facts: &Facts<'_>) -> Step {
        let Some(transaction) = &mut self.transaction else {
            return self.sequence("say MAIL first");
        };
        transaction.named = transaction.named.saturating_add(1);
        let named = transaction.named;
        let full = transaction.recipients.len() >= self.setup.recipients_max;
        let address = match self.admit_recipient(rcpt.to, facts) {
            Ok(address) => address,
            Err(reply) => return self.say(reply),
        };
        let Some(transaction) = &mut self.transaction else {
            return self.sequence("say MAIL first");
        };
        let known = transaction
            .recipients
            .iter()
            .any(|old| old.address == address);
        if full && !known || named > self.setup.recipients_max + RECIPIENTS_OVERSHOOT_MAX {
            // RFC 5321 §4.5.3.1.10: the client sends the others again. Not an error before it overdoes it.
            let reply = Reply::new(452, "4.5.3", "too many recipients, send the others again");
            let patient = named <= self.setup.recipients_max + RECIPIENTS_OVERSHOOT_MAX;
            return if patient {
                listen(reply)
            } else {
                self.say(reply)
            };
        }
        if !known {
            transaction.recipients.push(Recipient {
                address,
                notify: rcpt.notify,
                orcpt: rcpt.orcpt,
            });
        }
        listen(Reply::new(250, "2.1.5", "ok"))
    }

    /// Whether mail for this address is taken here.
    fn admit_recipient(&self, to: Forward, facts: &Facts<'_>) -> Result<Address, Reply> {
        let (guard, client, now) = (facts.guard, self.client, facts.now);
        let relay = self.setup.kind == ListenerKind::Relay;
        if relay && guard.harvests(client, now) {
            let text = "too many unknown recipients, try later";
            return Err(Reply::new(451, "4.7.1", text));
        }
        let unknown = || {
            guard.unknown_recipient(client, now);
            Reply::new(550, "5.1.1", "no such mailbox here")
        };
        let address = match to {
            Forward::To(address) => address,
            // G-088.
            Forward::Postmaster => {
                let postmaster = facts.directory.postmaster(&self.setup.hostname);
                return postmaster.ok_or_else(unknown);
            }
        };
        match facts.directory.standing(&address) {
            Standing::Taken => Ok(address),
            Standing::Unknown if relay => Err(unknown()),
            // A colleague's name misspelt is told at once; a login harvests nothing that its own list would not say.
            Standing::Unknown => Err(Reply::new(550, "5.1.1", "no such mailbox here")),
            // Our clinics write to anyone; where it goes is for the road out to find.
            Standing::Foreign if !relay => Ok(address),
            // never an open relay.
            Standing::Foreign => Err(Reply::new(550, "5.7.1", "that domain is not served here")),
        }
    }

    fn data(&mut self, facts: &Facts<'_>) -> Step {
        let Some(transaction) = self.transaction.take() else {
            return self.sequence("say MAIL first");
        };
        if transaction.recipients.is_empty() {
            self.transaction = Some(transaction);
            return self.say(Reply::new(554, "5.5.1", "no valid recipients"));
        }
        let ended = self.account.take_if(|login| !login.stands(facts.directory));
        if ended.is_some() {
            return self.say(Reply::new(530, "5.7.0", "authentication required"));
        }
        let protocol = self.protocol();
        let helo = self.helo.as_ref().map(|helo| helo.name.clone());
        let pending = Pending {
            kind: self.setup.kind,
            account: self.account.as_ref().map(|login| login.account.clone()),
            peer: Peer {
                ip: self.ip,
                helo: helo.unwrap_or_default(),
                tls: self.tls.clone(),
            },
            protocol,
            mail: transaction.mail,
            recipients: transaction.recipients,
        };
        Step {
            reply: Reply::new(354, "", "end with a dot on a line of its own"),
            action: Action::ReadData(Box::new(pending)),
        }
    }

    /// RFC 3848 §1; plain `SMTP` has no names for its protected forms.
    fn protocol(&self) -> &'static str {
        let extended = self.helo.as_ref().is_some_and(|helo| helo.extended);
        match (extended, self.tls.is_some(), self.account.is_some()) {
            (false, _, _) => "SMTP",
            (true, false, false) => "ESMTP",
            (true, true, false) => "ESMTPS",
            (true, false, true) => "ESMTPA",
            (true, true, true) => "ESMTPSA",
        }
    }

    /// DATA is over.
    pub(super) fn data_over(&mut self, outcome: Outcome) -> Step {
        let reply = match outcome {
            Outcome::Spooled(receipt) => {
                // As Postfix does: a session that brings mail may go on.
                self.errors = 0;
                self.junk = 0;
                return listen(Reply::accepted(receipt));
            }
            Outcome::Refused(error) => refused(error),
            Outcome::Faulty(Fault::BareLineEnd) => {
                let text = "bare CR or LF in the message";
                return close(Reply::new(550, "5.5.2", text));
            }
            Outcome::Faulty(Fault::Nul) => Reply::new(550, "5.6.0", "NUL in the message"),
            Outcome::Faulty(Fault::LongLine) => {
                Reply::new(550, "5.6.0", "a line is longer than 1000 octets")
            }
            Outcome::Faulty(Fault::TooLarge) => too_large(),
            Outcome::Faulty(Fault::Loop) => Reply::new(554, "5.4.6", "too many hops: a mail loop"),
            // Said of the outer type alone, before any key is used.
            Outcome::Clear => Reply::new(554, "5.7.1", "unencrypted mail is not accepted here"),
            Outcome::NoRoom => no_room(),
            Outcome::NoStore => Reply::new(451, "4.3.0", "cannot write it down now, try later"),
        };
        self.say(reply)
    }

    fn sequence(&mut self, text: &'static str) -> Step {
        self.say(Reply::new(503, "5.5.1", text))
    }

    /// A reply; a refusal counts as an error.
    fn say(&mut self, reply: Reply) -> Step {
        if reply.is_refusal() {
            self.errors = self.errors.saturating_add(1);
        }
        if self.errors > SESSION_ERRORS_MAX {
            return close(Reply::new(421, "4.7.0", "too many errors"));
        }
        listen(reply)
    }

    /// A reply to a command that brings no message nearer.
    fn junk(&mut self, reply: Reply) -> Step {
        self.junk = self.junk.saturating_add(1);
        if self.junk > SESSION_JUNK_MAX {
            return close(Reply::new(421, "4.7.0", "too many commands without mail"));
        }
        listen(reply)
    }
}

fn listen(reply: Reply) -> Step {
    Step {
        reply,
        action: Action::Listen,
    }
}

fn close(reply: Reply) -> Step {
    Step {
        reply,
        action: Action::Close,
    }
}

fn needs_tls() -> Reply {
    // RFC 3207 §4; A-124.
    Reply::new(530, "5.7.0", "say STARTTLS first")
}

fn too_large() -> Reply {
    Reply::new(552, "5.3.4", "message is larger than SIZE allows")
}

fn no_room() -> Reply {
    Reply::new(452, "4.3.1", "no room now, try later")
}

fn refused(error: AcceptError) -> Reply {
    match error {
        AcceptError::Spool(SpoolError::Store(StoreError::Full(_))) => no_room(),
        AcceptError::Spool(_) => Reply::new(451, "4.3.0", "cannot write it down now, try later"),
        AcceptError::Refused { enhanced, text } => {
            // RFC 3463 §3.5: X.4.6 is a loop, said with 554 everywhere else here.
            let code = if enhanced == "5.4.6" { 554 } else { 550 };
            Reply::new(code, enhanced, text)
        }
    }
}
