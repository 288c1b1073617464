//! One conversation with one SMTP or LMTP server: greeting, EHLO or HELO or LHLO, STARTTLS, then
//! transactions. In: a hop, a mailing. Out: what the server said for each recipient. Commands and replies
//! go through `lettre`, the rest is ours (`docs/decisions/0004-lettre-outward.md`). Never decides whether
//! to try again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Starttls};
use lettre::transport::smtp::extension::{
    ClientId, MailBodyParameter, MailParameter, RcptParameter,
};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::crypto::tls::{self, ClientContext, PeerCheck};
use crate::envelope::Address;
use crate::limits::{
    CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, LAST_WORDS_TIMEOUT, RELAY_BLOCK_TIMEOUT,
    RELAY_COMMAND_TIMEOUT, RELAY_DATA_TIMEOUT,
};
use crate::store::Body;
use crate::world::World;

use super::data::{Chunks, DataError, Lines};
use super::stream::{Shared, Stream};

/// Which language the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    /// RFC 2033: LHLO, and one reply for each recipient after the dot.
    Lmtp,
}

/// What is demanded of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsRule {
    /// STARTTLS if offered, any certificate; in the clear if the handshake fails (RFC 7435; G-078): what
    /// travels is sealed.
    Opportunistic,
    /// STARTTLS if offered, and then the certificate must be right.
    OfferedVerified,
    /// STARTTLS with the right certificate, or nothing.
    Demanded,
    /// No STARTTLS.
    Never,
}

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A server to talk to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Hop<'a> {
    /// The name that its certificate must have.
    pub(crate) host: &'a str,
    pub(crate) place: Place,
    pub(crate) protocol: Protocol,
    pub(crate) tls: TlsRule,
}

/// What we bring to every conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) world: &'a World,
    pub(crate) tls: &'a ClientContext,
    /// The EHLO name.
    pub(crate) hello: &'a str,
}

/// Delivery status notifications that are asked for, where the server offers them (RFC 3461).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dsn<'a> {
    /// Nothing is said.
    Unsaid,
    /// NOTIFY=NEVER: nobody waits for news of this one (a report).
    Never,
    /// NOTIFY=FAILURE,DELAY, headers only, with this ENVID.
    Track(&'a str),
}

/// One message for one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mailing<'a> {
    /// `None` is `<>`.
    pub(crate) from: Option<&'a Address>,
    pub(crate) to: &'a [Address],
    /// Lines put before the body.
    pub(crate) head: &'a str,
    pub(crate) body: &'a Body,
    pub(crate) lines: Lines,
    pub(crate) dsn: Dsn<'a>,
}

/// What the server said for one recipient, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// 2xx: it is theirs now.
    Taken(String),
    /// 4xx.
    Later(String),
    /// 5xx.
    Refused(String),
}

/// Why there is no answer for anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection, or it ended before the message was wholly sent: another host may do better.
    Lost(String),
    /// The text may not be sent as it is.
    Unsendable(String),
    /// Our own copy cannot be read now.
    Body(String),
}

/// A connection that is no more use; why.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lost(String);

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost.0)
    }
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn positive(&self) -> bool {
        self.code < 400
    }

    /// RFC 5321 §3.8: 421 closes the channel, whatever it answers.
    fn closes(&self) -> bool {
        self.code == 421
    }

    fn words(&self) -> String {
        // RFC 5321 §4.5.3.1.5 gives a line 512 octets; what operators and journals keep need not be longer.
        let text = self.lines.join(" ");
        // A control character would speak to the operator's terminal.
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.trim().chars().take(512).map(clean).collect();
        format!("{} {text}", self.code)
    }

    fn said(&self) -> Said {
        match self.code {
            200..300 => Said::Taken(self.words()),
            500..600 => Said::Refused(self.words()),
            _ => Said::Later(self.words()),
        }
    }
}

/// What the server offers (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Offers {
    pipelining: bool,
    eight_bit: bool,
    starttls: bool,
    dsn: bool,
    utf8: bool,
    /// Offered, and the limit if one is named.
    size: Option<Option<u64>>,
}

impl Offers {
    fn read(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => offers.pipelining = true,
                "8BITMIME" => offers.eight_bit = true,
                "STARTTLS" => offers.starttls = true,
                "DSN" => offers.dsn = true,
                "SMTPUTF8" => offers.utf8 = true,
                // RFC 1870 §3: 0 or nothing means no fixed limit.
                "SIZE" => {
                    let limit = words.next().and_then(|digits| digits.parse().ok());
                    offers.size = Some(limit.filter(|&limit| limit > 0));
                }
                _ => {}
            }
        }
        offers
    }
}

/// An open conversation.
pub(crate) struct Session {
    world: World,
    smtp: AsyncSmtpConnection,
    wire: Shared,
    protocol: Protocol,
    offers: Offers,
    tls: Option<String>,
    /// A transaction was begun on it before.
    used: bool,
    /// Between transactions, nothing left over.
    tidy: bool,
}

/// Why a conversation could not be opened.
enum OpenError {
    Lost(Lost),
    /// TLS was offered and failed.
    Handshake(String),
}

impl From<Lost> for OpenError {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl Session {
    /// Connects, greets, protects.
    ///
    /// # Errors
    /// [`Failure::Lost`]; a refusal to talk is one too: another host may be willing (RFC 5321 §5.1).
    pub(crate) async fn open(caller: Caller<'_>, hop: &Hop<'_>) -> Result<Self, Failure> {
        match Self::attempt(caller, hop, hop.tls).await {
            Ok(session) => Ok(session),
            Err(OpenError::Handshake(_)) if hop.tls == TlsRule::Opportunistic => {
                match Self::attempt(caller, hop, TlsRule::Never).await {
                    Ok(session) => Ok(session),
                    Err(OpenError::Lost(lost)) => Err(lost.into()),
                    Err(OpenError::Handshake(why)) => Err(Failure::Lost(why)),
                }
            }
            Err(OpenError::Handshake(why)) => Err(Failure::Lost(format!("TLS: {why}"))),
            Err(OpenError::Lost(lost)) => Err(lost.into()),
        }
    }

    async fn attempt(caller: Caller<'_>, hop: &Hop<'_>, rule: TlsRule) -> Result<Self, OpenError> {
        let stream = connect(caller.world, &hop.place).await?;
        let mut session = Self::over(caller.world, stream, hop.protocol).await?;
        let greeting = session.reply(RELAY_COMMAND_TIMEOUT).await?;
        if !(200..300).contains(&greeting.code) {
            return Err(Lost(format!("greeted with {}", greeting.words())).into());
        }
        session.hello(caller.hello).await?;
        match rule {
            TlsRule::Never => Ok(session),
            TlsRule::Opportunistic | TlsRule::OfferedVerified if !session.offers.starttls => {
                Ok(session)
            }
            TlsRule::Demanded if !session.offers.starttls => {
                Err(Lost("TLS is demanded, STARTTLS is not offered".to_owned()).into())
            }
            TlsRule::Opportunistic => session.protect(caller, hop, PeerCheck::Any).await,
            TlsRule::OfferedVerified | TlsRule::Demanded => {
                session.protect(caller, hop, PeerCheck::Verify).await
            }
        }
    }

    /// Puts `lettre` on a stream. What it says and hears at first is our prologue, not the peer's.
    async fn over(world: &World, stream: Stream, protocol: Protocol) -> Result<Self, Lost> {
        let wire = Shared::new(stream);
        let me = ClientId::Domain("prologue".to_owned());
        let smtp = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &me)
            .await
            .map_err(|error| Lost(error.to_string()))?;
        wire.speak();
        Ok(Self {
            world: world.clone(),
            smtp,
            wire,
            protocol,
            offers: Offers::default(),
            tls: None,
            used: false,
            tidy: true,
        })
    }

    /// EHLO; HELO for servers that know no other (RFC 5321 §4.1.4); LHLO for LMTP (RFC 2033 §4.1).
    async fn hello(&mut self, name: &str) -> Result<(), Lost> {
        let verb = match self.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let reply = self.say(&format!("{verb} {name}\r\n")).await?;
        if (200..300).contains(&reply.code) {
            self.offers = Offers::read(&reply);
            return Ok(());
        }
        if self.protocol == Protocol::Lmtp || reply.code < 500 {
            return Err(Lost(format!("{verb} was answered {}", reply.words())));
        }
        let reply = self.say(&format!("HELO {name}\r\n")).await?;
        self.offers = Offers::default();
        if (200..300).contains(&reply.code) {
            Ok(())
        } else {
            Err(Lost(format!("HELO was answered {}", reply.words())))
        }
    }

    /// STARTTLS (RFC 3207). What was said before it counts for nothing after (G-066).
    async fn protect(
        mut self,
        caller: Caller<'_>,
        hop: &Hop<'_>,
        check: PeerCheck,
    ) -> Result<Self, OpenError> {
        let reply = self.say(&Starttls.to_string()).await?;
        if reply.code != 220 {
            return match check {
                PeerCheck::Any if !reply.closes() => Ok(self),
                _ => Err(Lost(format!("STARTTLS was answered {}", reply.words())).into()),
            };
        }
        // RFC 3207 §5, CVE-2011-0411: octets that came before the handshake are nobody's.
        let Some(Stream::Clear(socket)) = self.wire.take() else {
            return Err(Lost("unprotected octets after STARTTLS".to_owned()).into());
        };
        let handshake = caller.tls.connect(socket, hop.host, check);
        let stream = match caller.world.within(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Err(OpenError::Handshake(why)),
            Err(_) => {
                return Err(OpenError::Handshake(
                    "the handshake took too long".to_owned(),
                ));
            }
        };
        let described = tls::describe(&stream);
        let stream = Stream::Protected(Box::new(stream));
        let mut session = Self::over(caller.world, stream, hop.protocol).await?;
        session.tls = Some(described);
        session.hello(caller.hello).await?;
        Ok(session)
    }

    /// TLS version and cipher, if protected.
    pub(crate) fn tls(&self) -> Option<&str> {
        self.tls.as_deref()
    }

    /// Whether another transaction may follow on it.
    pub(crate) fn is_tidy(&self) -> bool {
        self.tidy && self.wire.is_quiet()
    }

    /// Says goodbye; whether it is heard does not matter.
    pub(crate) async fn quit(mut self) {
        if self.is_tidy() && self.write(Quit.to_string().as_bytes()).await.is_ok() {
            let _goodbye = self.reply(LAST_WORDS_TIMEOUT).await;
        }
    }

    /// One transaction. As many answers as recipients, in their order.
    ///
    /// # Errors
    /// [`Failure`]; then nobody has the message.
    pub(crate) async fn send(&mut self, mailing: &Mailing<'_>) -> Result<Vec<Said>, Failure> {
        if let Some(refusal) = self.unfit(mailing) {
            return Ok(mailing.to.iter().map(|_| refusal.clone()).collect());
        }
        self.tidy = false;
        let mut answers = self.envelope(mailing).await?;
        if answers.iter().all(Option::is_some) {
            self.reset().await;
            return Ok(settle(answers, &Said::Later(String::new())));
        }
        let chunks = Chunks::of(mailing.head, mailing.body, mailing.lines);
        let chunks = chunks.map_err(data_failure)?;
        let go = self.say(&Data.to_string()).await?;
        if go.closes() {
            return Err(Failure::Lost(go.words()));
        }
        if !(300..400).contains(&go.code) {
            let said = match go.said() {
                // A yes to DATA is 354; any other yes is no promise.
                Said::Taken(words) => Said::Later(words),
                other => other,
            };
            return Ok(settle(answers, &said));
        }
        if let Some(said) = self.text(chunks).await? {
            return Ok(settle(answers, &said));
        }
        self.verdicts(&mut answers).await;
        Ok(settle(answers, &Said::Later("no answer".to_owned())))
    }

    /// RSET after a transaction that came to nothing, so that the connection can carry another.
    async fn reset(&mut self) {
        let reply = self.say("RSET\r\n").await;
        self.tidy = reply.is_ok_and(|reply| (200..300).contains(&reply.code));
    }

    /// Why it need not even be tried with this server.
    fn unfit(&self, mailing: &Mailing<'_>) -> Option<Said> {
        // RFC 1870 §6.1.
        let octets = wire_octets(mailing);
        if let Some(Some(limit)) = self.offers.size
            && octets > limit
        {
            let why = format!("552 the message has {octets} octets, the server takes {limit}");
            return Some(Said::Refused(why));
        }
        // RFC 6531 §3.2.
        let ascii = |address: &Address| address.local().is_ascii();
        if !self.offers.utf8 && !mailing.from.into_iter().chain(mailing.to).all(ascii) {
            let why = "553 5.6.7 the server does not take addresses beyond ASCII".to_owned();
            return Some(Said::Refused(why));
        }
        None
    }

    /// MAIL and RCPT, in one go where that is offered (G-071). `None` stands for an accepted recipient.
    async fn envelope(&mut self, mailing: &Mailing<'_>) -> Result<Vec<Option<Said>>, Failure> {
        let reused = std::mem::replace(&mut self.used, true);
        let recipients: Vec<String> = mailing.to.iter().map(|to| self.rcpt(to, mailing)).collect();
        let mail = self.mail(mailing);
        let together = self.offers.pipelining;
        if together {
            let all = format!("{mail}{}", recipients.concat());
            self.write(all.as_bytes()).await?;
        }
        let reply = self.turn(&mail, together).await?;
        // A kept connection that has had enough (one message each, 503, time-out) is not the message's
        // fault.
        if reply.closes() || (reused && !reply.positive()) {
            return Err(Failure::Lost(reply.words()));
        }
        if !reply.positive() {
            return Ok(recipients.iter().map(|_| Some(reply.said())).collect());
        }
        let mut answers = Vec::with_capacity(recipients.len());
        for rcpt in recipients {
            let reply = self.turn(&rcpt, together).await?;
            if reply.closes() {
                return Err(Failure::Lost(reply.words()));
            }
            answers.push(match reply.code {
                200..300 => None,
                // RFC 5321 §4.5.3.1.10: 552 here means "too many recipients", and is temporary.
                552 => Some(Said::Later(reply.words())),
                _ => Some(reply.said()),
            });
        }
        Ok(answers)
    }

    /// One command's reply; the command goes first unless all went together.
    async fn turn(&mut self, command: &str, together: bool) -> Result<Reply, Lost> {
        if together {
            self.reply(RELAY_COMMAND_TIMEOUT).await
        } else {
            self.say(command).await
        }
    }

    fn mail(&self, mailing: &Mailing<'_>) -> String {
        let mut parameters = Vec::new();
        if self.offers.size.is_some()
            && let Ok(octets) = usize::try_from(wire_octets(mailing))
        {
            parameters.push(MailParameter::Size(octets));
        }
        // What others wrote may hold 8-bit text; saying so is right even if it does not (RFC 6152 §3).
        if self.offers.eight_bit && mailing.lines == Lines::Mend {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if self.offers.utf8 && mailing.from.into_iter().chain(mailing.to).any(beyond_ascii) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if let Dsn::Track(token) = mailing.dsn
            && self.offers.dsn
        {
            // RFC 3461 §4.3, §4.4: headers suffice; the token tells which attempt a report is about.
            let other = |keyword: &str, value: &str| MailParameter::Other {
                keyword: keyword.to_owned(),
                value: Some(value.to_owned()),
            };
            parameters.push(other("RET", "HDRS"));
            parameters.push(other("ENVID", token));
        }
        Mail::new(mailing.from.map(said_as), parameters).to_string()
    }

    fn rcpt(&self, to: &Address, mailing: &Mailing<'_>) -> String {
        let notify = match mailing.dsn {
            _ if !self.offers.dsn => None,
            Dsn::Unsaid => None,
            Dsn::Never => Some("NEVER"),
            Dsn::Track(_) => Some("FAILURE,DELAY"),
        };
        let parameters = notify.map(|value| RcptParameter::Other {
            keyword: "NOTIFY".to_owned(),
            value: Some(value.to_owned()),
        });
        Rcpt::new(said_as(to), parameters.into_iter().collect()).to_string()
    }

    /// The text and the final dot. `Some` if the server refused it for good halfway.
    async fn text(&mut self, mut chunks: Chunks) -> Result<Option<Said>, Failure> {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(data_failure)?;
            if let Err(lost) = self.write(&chunk).await {
                // A server that closes in the middle has often said why.
                return match self.reply(LAST_WORDS_TIMEOUT).await {
                    Ok(reply) if reply.code >= 500 => Ok(Some(reply.said())),
                    Ok(reply) => Err(Failure::Lost(reply.words())),
                    Err(_) => Err(lost.into()),
                };
            }
        }
        Ok(None)
    }

    /// The answer to the dot: one for all, or with LMTP one for each recipient that was accepted, in order
    /// (RFC 2033 §4.2). A connection that ends here leaves it open whether the message arrived: it is tried
    /// again later, and the same Message-ID tells the other side (E-014).
    async fn verdicts(&mut self, answers: &mut [Option<Said>]) {
        let mut reply = None;
        let mut tidy = true;
        for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
            if reply.is_none() || self.protocol == Protocol::Lmtp {
                reply = Some(self.reply(RELAY_DATA_TIMEOUT).await);
            }
            *answer = match &reply {
                Some(Ok(reply)) => {
                    tidy &= !reply.closes();
                    Some(reply.said())
                }
                Some(Err(Lost(why))) => {
                    tidy = false;
                    Some(Said::Later(format!(
                        "{why}, after the whole message was sent"
                    )))
                }
                None => None,
            };
        }
        self.tidy = tidy;
    }

    async fn say(&mut self, command: &str) -> Result<Reply, Lost> {
        self.write(command.as_bytes()).await?;
        self.reply(RELAY_COMMAND_TIMEOUT).await
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Lost> {
        let world = self.world.clone();
        let wire = &mut self.wire;
        let writing = async {
            wire.write_all(octets).await?;
            wire.flush().await
        };
        match world.within(RELAY_BLOCK_TIMEOUT, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Lost(format!("the connection broke: {error}"))),
            Err(_) => Err(Lost("the server takes no more octets".to_owned())),
        }
    }

    async fn reply(&mut self, span: Duration) -> Result<Reply, Lost> {
        match self.world.within(span, self.smtp.read_response()).await {
            Err(_) => Err(Lost(format!("no reply in {} s", span.as_secs()))),
            Ok(Ok(response)) => Ok(Reply {
                code: response.code().into(),
                lines: response.message().map(str::to_owned).collect(),
            }),
            Ok(Err(error)) => match error.status() {
                Some(code) => Ok(Reply {
                    code: code.into(),
                    lines: std::error::Error::source(&error)
                        .map(|text| vec![text.to_string()])
                        .unwrap_or_default(),
                }),
                None => Err(Lost(format!("the connection broke: {error}"))),
            },
        }
    }
}

async fn connect(world: &World, place: &Place) -> Result<Stream, Lost> {
    match place {
        Place::Tcp(at) => match world.connect(*at, CONNECT_TIMEOUT).await {
            Ok(socket) => Ok(Stream::Clear(socket)),
            Err(error) => Err(Lost(error.to_string())),
        },
        Place::Unix(path) => match world
            .within(CONNECT_TIMEOUT, UnixStream::connect(path))
            .await
        {
            Ok(Ok(stream)) => Ok(Stream::Local(stream)),
            Ok(Err(error)) => Err(Lost(error.to_string())),
            Err(_) => Err(Lost("connection timed out".to_owned())),
        },
    }
}

/// RFC 1870 §4: CRLF counted, stuffed dots not.
fn wire_octets(mailing: &Mailing<'_>) -> u64 {
    let head = u64::try_from(mailing.head.len()).unwrap_or(u64::MAX);
    mailing.body.len().saturating_add(head)
}

fn beyond_ascii(address: &Address) -> bool {
    !address.local().is_ascii()
}

/// An address as `lettre` says it: local part as written, domain as A-labels.
fn said_as(address: &Address) -> lettre::Address {
    // `Address::parse` let no control character, space outside quotes or angle bracket in: nothing can end
    // the command early.
    lettre::Address::new_dangerous(address.local(), address.domain())
}

fn settle(answers: Vec<Option<Said>>, rest: &Said) -> Vec<Said> {
    let one = |answer: Option<Said>| answer.unwrap_or_else(|| rest.clone());
    answers.into_iter().map(one).collect()
}

fn data_failure(error: DataError) -> Failure {
    match error {
        DataError::NotCanonical(what) => Failure::Unsendable(format!("the text holds {what}")),
        DataError::Body(why) => Failure::Body(why),
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:?}, {:?})", self.protocol, self.tls)
    }
}
