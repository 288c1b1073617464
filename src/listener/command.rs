//! One command line as a value. In: a line, its CRLF cut off by the shell. Out: a [`Command`], or the reply that refuses it.
//! `smtp-proto` parses verbs, mechanisms and parameters, but only after our own checks, and never an address: paths are
//! taken from the raw line and parsed by [`Address`], and `smtp-proto` sees an empty path in their place.

use smtp_proto::{
    AUTH_LOGIN, AUTH_PLAIN, Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_RET_FULL,
    MAIL_RET_HDRS, MAIL_SMTPUTF8, Request,
};

use super::reply::Reply;
use crate::envelope::{Address, ReturnPath};

/// ENVID: RFC 3461 §4.4.
const ENVID_MAX: usize = 100;
/// ORCPT: RFC 3461 §4.2.
const ORCPT_MAX: usize = 500;
/// EHLO domain: RFC 5321 §4.5.3.1.2.
const HELO_MAX: usize = 255;
/// RFC 1870 §4: twenty digits.
const SIZE_DIGITS_MAX: usize = 20;

/// What a client may ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Mail(Mail),
    Rcpt(Rcpt),
    Data,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    StartTls,
    Auth {
        mechanism: Mechanism,
        initial: Option<String>,
    },
    /// Not mail at all, or a chunk that was never offered: what follows must not be read as commands.
    Foreign,
}

/// What AUTH can use (RFC 4616, and LOGIN for old clients).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
}

/// MAIL FROM.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) return_path: ReturnPath,
    pub(super) size: Option<u64>,
    pub(super) body: Option<String>,
    pub(super) ret: Option<String>,
    pub(super) envid: Option<String>,
}

/// RCPT TO.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rcpt {
    pub(super) to: Forward,
    pub(super) notify: Option<String>,
    pub(super) orcpt: Option<String>,
}

/// A forward path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Forward {
    To(Address),
    /// `<postmaster>` without a domain (RFC 5321 §4.5.1).
    Postmaster,
}

/// Reads a line.
///
/// # Errors
/// The reply that refuses it.
pub(super) fn parse(line: &[u8]) -> Result<Command, Reply> {
    if line.iter().any(u8::is_ascii_control) {
        return Err(syntax("control characters are not part of a command"));
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(syntax("a command is ASCII"));
    };
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim_matches(' ');
    if verb.is_empty() {
        // `smtp-proto` would skip blanks before the verb.
        return Err(syntax("a command begins with its verb"));
    }
    match verb.to_ascii_uppercase().as_str() {
        "MAIL" => return mail(rest).map(Command::Mail),
        "RCPT" => return rcpt(rest).map(Command::Rcpt),
        // Postfix `smtpd_forbidden_commands`; BDAT's octets would follow at once (RFC 3030 §2).
        "CONNECT" | "GET" | "POST" | "BDAT" => return Ok(Command::Foreign),
        _ => {}
    }
    if !line.is_ascii() {
        return Err(syntax("a command is ASCII"));
    }
    let request = format!("{verb} {rest}\r\n");
    let request = Request::parse(&mut request.as_bytes().iter());
    match request.map_err(|error| refused(&error))? {
        Request::Ehlo { .. } => helo(rest).map(Command::Ehlo),
        Request::Helo { .. } => helo(rest).map(Command::Helo),
        Request::Auth { mechanism, .. } => auth(mechanism, rest),
        Request::Data => bare(rest, Command::Data),
        Request::Rset => bare(rest, Command::Rset),
        Request::Quit => bare(rest, Command::Quit),
        // RFC 3207 §4: no parameters. ETT SMTP 17.
        Request::StartTls => bare(rest, Command::StartTls),
        Request::Noop { .. } => Ok(Command::Noop),
        Request::Vrfy { .. } => Ok(Command::Vrfy),
        Request::Expn { .. } => Ok(Command::Expn),
        Request::Help { .. } => Ok(Command::Help),
        _ => Err(Reply::new(502, "5.5.1", "command not implemented")),
    }
}

fn syntax(text: &'static str) -> Reply {
    Reply::new(500, "5.5.2", text)
}

fn argument(text: &'static str) -> Reply {
    Reply::new(501, "5.5.4", text)
}

fn refused(error: &Error) -> Reply {
    match error {
        Error::UnknownCommand => Reply::new(500, "5.5.1", "command not known"),
        Error::SyntaxError { syntax } => Reply::new(501, "5.5.4", format!("syntax: {syntax}")),
        // RFC 5321 §4.1.1.11.
        Error::UnsupportedParameter { .. } => unsupported(),
        Error::InvalidParameter { param } => {
            Reply::new(501, "5.5.4", format!("wrong value of {param}"))
        }
        _ => argument("syntax error in the arguments"),
    }
}

fn unsupported() -> Reply {
    Reply::new(555, "5.5.4", "parameter not supported")
}

/// A command that takes no argument (RFC 5321 §4.1.1).
fn bare(rest: &str, command: Command) -> Result<Command, Reply> {
    if rest.is_empty() {
        Ok(command)
    } else {
        Err(argument("this command takes no argument"))
    }
}

/// What the client calls itself. Its truth is not asked for (RFC 5321 §4.1.4; G-087).
fn helo(rest: &str) -> Result<String, Reply> {
    let fine =
        (1..=HELO_MAX).contains(&rest.len()) && rest.bytes().all(|octet| octet.is_ascii_graphic());
    if fine {
        Ok(rest.to_owned())
    } else {
        Err(argument("syntax: EHLO domain"))
    }
}

fn auth(mechanism: u64, rest: &str) -> Result<Command, Reply> {
    let mechanism = match mechanism {
        AUTH_PLAIN => Mechanism::Plain,
        AUTH_LOGIN => Mechanism::Login,
        // RFC 4954 §4.
        _ => return Err(Reply::new(504, "5.5.4", "mechanism not offered")),
    };
    let mut words = rest.split(' ').filter(|word| !word.is_empty()).skip(1);
    let initial = words.next().map(str::to_owned);
    // `smtp-proto` does not look at further words.
    match words.next() {
        None => Ok(Command::Auth { mechanism, initial }),
        Some(_) => Err(argument("syntax: AUTH mechanism [initial-response]")),
    }
}

/// Takes `FROM:<path>` or `TO:<path>` apart: the path without its brackets, and the parameters.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (found, after) = rest.split_at_checked(keyword.len())?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let after = after.trim_start_matches(' ').strip_prefix('<')?;
    let end = path_end(after)?;
    let (path, parameters) = (after.get(..end)?, after.get(end + 1..)?);
    let apart = parameters.is_empty() || parameters.starts_with(' ');
    apart.then_some((path, parameters))
}

/// Where the closing bracket is: the first outside a quoted string (RFC 5321 §4.1.2).
fn path_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn address(path: &str, enhanced: &'static str) -> Result<Address, Reply> {
    if !path.is_ascii() {
        // RFC 6531 §3.5: SMTPUTF8 is not offered (G-073).
        return Err(Reply::new(553, "5.6.7", "the address must be ASCII"));
    }
    if path.starts_with('@') {
        // RFC 5321 appendix C: source routes are obsolete, and the classic way to an open relay.
        return Err(Reply::new(553, enhanced, "source routes are not followed"));
    }
    Address::parse(path).map_err(|error| Reply::new(501, enhanced, error.to_string()))
}

fn mail(rest: &str) -> Result<Mail, Reply> {
    let Some((path, parameters)) = path(rest, "FROM:") else {
        return Err(argument("syntax: MAIL FROM:<address> [parameters]"));
    };
    let return_path = match path {
        // Reports come so (RFC 5321 §4.5.5).
        "" => ReturnPath::Null,
        path => ReturnPath::To(address(path, "5.1.7")?),
    };
    let raw = Parameters::read(parameters)?;
    let line = format!("MAIL FROM:<>{parameters}\r\n");
    let parsed = match Request::parse(&mut line.as_bytes().iter()) {
        Ok(Request::Mail { from }) => from,
        Ok(_) => return Err(argument("syntax error in the parameters")),
        Err(error) => return Err(refused(&error)),
    };
    if parsed.flags & MAIL_SMTPUTF8 != 0 {
        return Err(Reply::new(555, "5.6.7", "SMTPUTF8 is not offered"));
    }
    let known =
        parsed.flags & !(MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_RET_FULL | MAIL_RET_HDRS) == 0;
    if !known || !raw.only(&["SIZE", "BODY", "RET", "ENVID", "AUTH"]) {
        return Err(unsupported());
    }
    let envid = raw.value("ENVID").map(str::to_owned);
    if envid
        .as_ref()
        .is_some_and(|id| id.len() > ENVID_MAX || !is_xtext(id))
    {
        return Err(argument("wrong value of ENVID"));
    }
    Ok(Mail {
        return_path,
        size: raw.value("SIZE").map(size).transpose()?,
        body: raw.value("BODY").map(str::to_ascii_uppercase),
        ret: raw.value("RET").map(str::to_ascii_uppercase),
        envid,
    })
}

/// `smtp-proto` begins anew where its number overflows; we do not.
fn size(digits: &str) -> Result<u64, Reply> {
    let fine =
        digits.len() <= SIZE_DIGITS_MAX && digits.bytes().all(|octet| octet.is_ascii_digit());
    if fine {
        // Twenty digits may exceed 64 bits: then it is too large in any case.
        Ok(digits.parse().unwrap_or(u64::MAX))
    } else {
        Err(argument("wrong value of SIZE"))
    }
}

fn rcpt(rest: &str) -> Result<Rcpt, Reply> {
    let Some((path, parameters)) = path(rest, "TO:") else {
        return Err(argument("syntax: RCPT TO:<address> [parameters]"));
    };
    let to = if path.eq_ignore_ascii_case("postmaster") {
        Forward::Postmaster
    } else {
        Forward::To(address(path, "5.1.3")?)
    };
    let raw = Parameters::read(parameters)?;
    let line = format!("RCPT TO:<a@b.example>{parameters}\r\n");
    match Request::parse(&mut line.as_bytes().iter()) {
        Ok(Request::Rcpt { .. }) => {}
        Ok(_) => return Err(argument("syntax error in the parameters")),
        Err(error) => return Err(refused(&error)),
    }
    if !raw.only(&["NOTIFY", "ORCPT"]) {
        return Err(unsupported());
    }
    let notify = raw.value("NOTIFY").map(str::to_ascii_uppercase);
    if notify.as_deref().is_some_and(|value| !is_notify(value)) {
        return Err(argument("wrong value of NOTIFY"));
    }
    let orcpt = raw.value("ORCPT").map(str::to_owned);
    if orcpt.as_deref().is_some_and(|value| !is_orcpt(value)) {
        return Err(argument("wrong value of ORCPT"));
    }
    Ok(Rcpt { to, notify, orcpt })
}

/// RFC 3461 §4.1: NEVER stands alone. (`smtp-proto` lets others follow it.)
fn is_notify(value: &str) -> bool {
    let word = |word| matches!(word, "SUCCESS" | "FAILURE" | "DELAY");
    value == "NEVER" || value.split(',').all(word)
}

/// RFC 3461 §4.2: addr-type ";" xtext.
fn is_orcpt(value: &str) -> bool {
    value.len() <= ORCPT_MAX
        && value
            .split_once(';')
            .is_some_and(|(kind, address)| !kind.is_empty() && is_xtext(address))
}

/// RFC 3461 §4: printable but `+` and `=`, or `+` and two hexadecimal digits.
fn is_xtext(value: &str) -> bool {
    let mut octets = value.bytes();
    let hex = |octet: Option<u8>| matches!(octet, Some(b'0'..=b'9' | b'A'..=b'F'));
    while let Some(octet) = octets.next() {
        let fine = match octet {
            b'+' => hex(octets.next()) && hex(octets.next()),
            octet => octet.is_ascii_graphic() && octet != b'=',
        };
        if !fine {
            return false;
        }
    }
    !value.is_empty()
}

/// ESMTP parameters as they were written, keys in upper case.
struct Parameters<'a>(Vec<(String, &'a str)>);

impl<'a> Parameters<'a> {
    /// RFC 5321 §4.1.2: `keyword ["=" value]`; no keyword twice, no empty value.
    fn read(text: &'a str) -> Result<Self, Reply> {
        let mut found: Vec<(String, &str)> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let key = key.to_ascii_uppercase();
            let empty = value.is_empty() && word.contains('=');
            if empty || !word.is_ascii() || found.iter().any(|(known, _)| *known == key) {
                return Err(argument("syntax error in the parameters"));
            }
            found.push((key, value));
        }
        Ok(Self(found))
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| *value)
    }

    fn only(&self, keys: &[&str]) -> bool {
        self.0
            .iter()
            .all(|(known, _)| keys.contains(&known.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply's first line, or nothing if the line is a command.
    fn refusal(line: &[u8]) -> String {
        let mut out = Vec::new();
        if let Err(reply) = parse(line) {
            reply.write_to(&mut out);
        }
        String::from_utf8(out).expect("replies are ASCII")
    }

    fn return_path(line: &str) -> Option<String> {
        match parse(line.as_bytes()) {
            Ok(Command::Mail(mail)) => Some(match mail.return_path {
                ReturnPath::Null => String::new(),
                ReturnPath::To(address) => address.written().to_owned(),
            }),
            _ => None,
        }
    }

    #[test]
    fn an_address_comes_from_the_raw_line_quotes_and_all() {
        for (line, path) in [
            ("MAIL FROM:<>", Some("")),
            ("mail from:<a@b.example>", Some("a@b.example")),
            ("MAIL FROM: <a@b.example> SIZE=1", Some("a@b.example")),
            // `smtp-proto` gives `a b@b.example` for this one.
            ("MAIL FROM:<\"a b\"@b.example>", Some("\"a b\"@b.example")),
            (
                "MAIL FROM:<\"a>\\\"b\"@b.example>",
                Some("\"a>\\\"b\"@b.example"),
            ),
            (
                "MAIL FROM:<a%c.example@b.example>",
                Some("a%c.example@b.example"),
            ),
            (
                "MAIL FROM:<c.example!a@b.example>",
                Some("c.example!a@b.example"),
            ),
            ("MAIL FROM:<@c.example:a@b.example>", None),
            ("MAIL FROM:<@c.example,@d.example:a@b.example>", None),
            ("MAIL FROM:a@b.example", None),
            ("MAIL FROM:<a@b.example", None),
            ("MAIL FROM:<a@b.example>SIZE=1", None),
            ("MAIL FROM:<a@b.example>>", None),
            ("MAIL FROM <a@b.example>", None),
            ("MAIL FROM:<a@b@c.example>", None),
            ("MAIL FROM:<a b@c.example>", None),
            ("MAIL FROM:< >", None),
            ("MAIL", None),
        ] {
            assert_eq!(return_path(line).as_deref(), path, "{line}");
        }
    }

    #[test]
    fn parameters_are_kept_as_sent_and_checked() {
        let line = b"MAIL FROM:<> size=20 body=8bitmime RET=hdrs ENVID=Qq+2B AUTH=<>";
        let Ok(Command::Mail(mail)) = parse(line) else {
            panic!("it is a command");
        };
        assert_eq!(mail.size, Some(20));
        assert_eq!(mail.body.as_deref(), Some("8BITMIME"));
        assert_eq!(mail.ret.as_deref(), Some("HDRS"));
        assert_eq!(mail.envid.as_deref(), Some("Qq+2B"));
        let line = b"RCPT TO:<a@b.example> NOTIFY=success,DELAY ORCPT=rfc822;A+2B@b.example";
        let Ok(Command::Rcpt(rcpt)) = parse(line) else {
            panic!("it is a command");
        };
        assert_eq!(rcpt.notify.as_deref(), Some("SUCCESS,DELAY"));
        assert_eq!(rcpt.orcpt.as_deref(), Some("rfc822;A+2B@b.example"));
    }

    #[test]
    fn what_smtp_proto_lets_pass_is_refused_here() {
        let envid = |octets| format!("MAIL FROM:<> ENVID={}", "x".repeat(octets));
        assert_eq!(refusal(envid(100).as_bytes()), "");
        for (line, start) in [
            (&b" NOOP"[..], "500 "),
            (b"NOOP\0", "500 5.5.2"),
            (b"NO\rOP", "500 5.5.2"),
            (b"MAIL\tFROM:<>", "500 5.5.2"),
            (b"DATA now", "501 5.5.4"),
            (b"RSET all", "501 5.5.4"),
            (b"QUIT x", "501 5.5.4"),
            (b"STARTTLS abcd", "501 5.5.4"),
            (b"EHLO", "501 5.5.4"),
            (b"EHLO two words", "501 5.5.4"),
            (b"AUTH PLAIN AGEAYg== more", "501 5.5.4"),
            (b"AUTH CRAM-MD5", "504 5.5.4"),
            (b"AUTH NOSUCH", "504 5.5.4"),
            (b"LHLO a.example", "502 5.5.1"),
            (b"ETRN a.example", "502 5.5.1"),
            (b"NOSUCH", "500 5.5.1"),
            (b"", "500 5.5.2"),
            (b"MAIL FROM:<> SIZE=1 SIZE=2", "501 5.5.4"),
            // `smtp-proto` reads 3 here.
            (b"MAIL FROM:<> SIZE=184467440737095516153", "501 5.5.4"),
            (b"MAIL FROM:<> SIZE= 1", "501 5.5.4"),
            (b"MAIL FROM:<> SIZE=-1", "501 5.5.4"),
            (b"MAIL FROM:<> BODY=BINARYMIME", "555 5.5.4"),
            (b"MAIL FROM:<> BODY=9BIT", "501 5.5.4"),
            (b"MAIL FROM:<> RET=ALL", "501 5.5.4"),
            (b"MAIL FROM:<> ENVID=a=b", "501 5.5.4"),
            (b"MAIL FROM:<> ENVID=a+2", "501 5.5.4"),
            (envid(101).as_bytes(), "501 5.5.4"),
            (b"MAIL FROM:<> HOLDFOR=10", "555 5.5.4"),
            (b"MAIL FROM:<> REQUIRETLS", "555 5.5.4"),
            (b"MAIL FROM:<> NOSUCH=1", "555 5.5.4"),
            (b"MAIL FROM:<> SMTPUTF8", "555 5.6.7"),
            (b"MAIL FROM:<\xc3\xa4@b.example>", "553 5.6.7"),
            (b"MAIL FROM:<\xe4@b.example>", "500 5.5.2"),
            (b"EHLO \xc3\xa4.example", "500 5.5.2"),
            (b"RCPT TO:<>", "501 5.1.3"),
            (b"RCPT TO:<a@localhost>", "501 5.1.3"),
            (b"RCPT TO:<a@[192.0.2.1]>", "501 5.1.3"),
            (b"RCPT TO:<@c.example:a@b.example>", "553 5.1.3"),
            (b"RCPT TO:<a@b.example> NOTIFY=NEVER,SUCCESS", "501 5.5.4"),
            (b"RCPT TO:<a@b.example> NOTIFY=", "501 5.5.4"),
            (b"RCPT TO:<a@b.example> ORCPT=a@b.example", "501 5.5.4"),
            (
                b"RCPT TO:<a@b.example> RRVS=2014-04-03T23:01:00Z",
                "555 5.5.4",
            ),
        ] {
            let text = refusal(line);
            assert!(
                text.starts_with(start),
                "{}: {text}",
                String::from_utf8_lossy(line)
            );
        }
        let local = |octets: usize| format!("RCPT TO:<{}@b.example>", "x".repeat(octets));
        assert_eq!(refusal(local(64).as_bytes()), "");
        // ETT SMTP 12.
        assert!(refusal(local(65).as_bytes()).starts_with("501 5.1.3"));
    }

    #[test]
    fn no_octets_make_the_parser_panic() {
        let mut runner = proptest::test_runner::TestRunner::default();
        let verbs = proptest::sample::select(vec![
            "MAIL FROM:<",
            "RCPT TO:<a@b.example> ",
            "MAIL FROM:<> ",
            "AUTH ",
            "EHLO ",
            "",
        ]);
        let tails = proptest::collection::vec(proptest::num::u8::ANY, 0..80);
        let promise = |(verb, tail): (&str, Vec<u8>)| {
            let _ = parse(&[verb.as_bytes(), &tail].concat());
            Ok(())
        };
        runner.run(&(verbs, tails), promise).expect("never panics");
    }
}
