//! Mailboxes of From, Sender, To, Cc (RFC 5322 §3.4, obsolete forms of §4.4 included).
//! In: an unfolded field value. Out: the addresses, and how many mailboxes could not be read.
//! Display names are passed over: nothing is ever decided by one.

use crate::envelope::Address;
use crate::limits::MAILBOXES_MAX;

use super::MimeError;

/// What an address field names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailboxes {
    /// In order.
    pub addresses: Vec<Address>,
    /// Mailboxes that hold no address we know how to compare. For From and Sender none is allowed.
    pub unread: usize,
    /// Groups. Readers show a group's name, which may look like an address: for From and Sender none is
    /// allowed, whatever RFC 6854 §2 lets in.
    pub groups: usize,
}

impl Mailboxes {
    /// The one mailbox, if there is exactly one and it was read.
    pub fn only(&self) -> Option<&Address> {
        match (self.addresses.as_slice(), self.unread, self.groups) {
            ([address], 0, 0) => Some(address),
            _ => None,
        }
    }
}

/// Reads an address list, groups included.
///
/// # Errors
/// [`MimeError`]: brackets, quotes or comments that do not end, or too many mailboxes.
pub fn mailboxes(value: &str) -> Result<Mailboxes, MimeError> {
    let mut found = Mailboxes::default();
    let mut mailbox = Vec::new();
    let mut in_angle = false;
    for token in tokens(value)? {
        match token {
            // A group's name ends with a colon, the group with a semicolon (RFC 5322 §3.4).
            Token::Special(',' | ';') if !in_angle => found.take(&mut mailbox)?,
            Token::Special(':') if !in_angle => {
                mailbox.clear();
                found.groups += 1;
            }
            other => {
                // Kept as the tokens come: looking back for each comma would cost the square of a field.
                match other {
                    Token::Special('<') => in_angle = true,
                    Token::Special('>') => in_angle = false,
                    _ => {}
                }
                mailbox.push(other);
            }
        }
    }
    found.take(&mut mailbox)?;
    Ok(found)
}

impl Mailboxes {
    fn take(&mut self, mailbox: &mut Vec<Token>) -> Result<(), MimeError> {
        let tokens = std::mem::take(mailbox);
        if tokens.is_empty() {
            return Ok(());
        }
        if self.addresses.len() + self.unread >= MAILBOXES_MAX {
            return Err(MimeError::OverLimit("mailboxes of one field"));
        }
        match addr_spec(&tokens).and_then(|text| Address::parse(&text).ok()) {
            Some(address) => self.addresses.push(address),
            None => self.unread += 1,
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// An atom, or a quoted string with its quotes.
    Word(String),
    /// A domain literal with its brackets.
    Literal(String),
    Special(char),
}

/// The address of one mailbox: between angle brackets if there are any, else all of it.
fn addr_spec(tokens: &[Token]) -> Option<String> {
    let open = tokens
        .iter()
        .position(|token| *token == Token::Special('<'));
    let inside = match open {
        None => tokens,
        Some(open) => {
            // Exactly one pair, and nothing after it: `<a@x.example> <b@y.example>` names nobody.
            let (last, rest) = tokens.get(open + 1..)?.split_last()?;
            if *last != Token::Special('>') {
                return None;
            }
            without_route(rest)
        }
    };
    join(inside)
}

/// Drops an obsolete source route, `@a,@b:` (RFC 5322 §4.4).
fn without_route(tokens: &[Token]) -> &[Token] {
    if tokens.first() != Some(&Token::Special('@')) {
        return tokens;
    }
    let colon = tokens
        .iter()
        .position(|token| *token == Token::Special(':'));
    let Some((route, rest)) = colon.and_then(|colon| tokens.split_at_checked(colon)) else {
        return &[];
    };
    // Each hop is `@domain`: `@alice@a.example:` shows somebody.
    let mut hops = route.split(|token| *token == Token::Special(','));
    let is_hop = |hop: &[Token]| {
        let at = |token: &&Token| **token == Token::Special('@');
        hop.is_empty()
            || (hop.first().is_some_and(|first| at(&first)) && hop.iter().filter(at).count() == 1)
    };
    match rest.split_first() {
        Some((_, rest)) if hops.all(is_hop) => rest,
        _ => &[],
    }
}

/// Joins words with the dots and the `@` between them; two words side by side are no addr-spec.
fn join(tokens: &[Token]) -> Option<String> {
    let mut text = String::new();
    let mut after_word = false;
    for token in tokens {
        let is_word = match token {
            // U+FFFD stands for octets that are no UTF-8: in a name they are somebody's Latin-1.
            Token::Word(word) if word.contains('\u{fffd}') => return None,
            Token::Word(word) => {
                text.push_str(word);
                true
            }
            Token::Literal(literal) => {
                text.push_str(literal);
                true
            }
            Token::Special(special @ ('.' | '@')) => {
                text.push(*special);
                false
            }
            Token::Special(_) => return None,
        };
        if is_word && after_word {
            return None;
        }
        after_word = is_word;
    }
    Some(text)
}

/// Cuts a value into tokens; white space and comments only separate.
fn tokens(value: &str) -> Result<Vec<Token>, MimeError> {
    let mut tokens = Vec::new();
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => {}
            '(' => skip_comment(&mut chars)?,
            '"' => tokens.push(Token::Word(delimited(c, '"', &mut chars)?)),
            '[' => tokens.push(Token::Literal(delimited(c, ']', &mut chars)?)),
            '<' | '>' | ':' | ';' | ',' | '@' | '.' | ')' | ']' | '\\' => {
                tokens.push(Token::Special(c));
            }
            // Control characters are never part of a mailbox.
            c if c.is_control() => {
                return Err(MimeError::Malformed(
                    "a control character in an address field",
                ));
            }
            c => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|next| is_atom_char(*next)) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn is_atom_char(c: char) -> bool {
    !c.is_control() && !" ()<>[]:;@\\,.\"".contains(c)
}

type Chars<'v> = std::iter::Peekable<std::str::Chars<'v>>;

fn skip_comment(chars: &mut Chars<'_>) -> Result<(), MimeError> {
    let mut depth = 1usize;
    while depth > 0 {
        match chars.next() {
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some('\\') => {
                chars.next();
            }
            Some(_) => {}
            None => return Err(MimeError::Malformed("a comment that does not end")),
        }
    }
    Ok(())
}

fn delimited(open: char, close: char, chars: &mut Chars<'_>) -> Result<String, MimeError> {
    let mut text = String::from(open);
    loop {
        let c = chars
            .next()
            .ok_or(MimeError::Malformed("a quoted string that does not end"))?;
        text.push(c);
        if c == '\\' {
            text.extend(chars.next());
        } else if c == close {
            return Ok(text);
        }
    }
}

/// Another address than `own` that readers might take for it: in the display name, in a comment, or within
/// the mailbox itself; also in encoded words (RFC 2047) and with look-alikes of `@`. The same person's
/// mailbox in a parent or child domain is none: `"ann@x.example" <ann@direct.x.example>`.
pub fn decoy(value: &str, own: &Address) -> Option<String> {
    let shown: String = decoded_words(value)
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| match c {
            '\u{ff20}' | '\u{fe6b}' => '@',
            '\u{ff0e}' | '\u{2024}' | '\u{3002}' => '.',
            c => c,
        })
        .collect();
    let mut rest = shown.as_str();
    while let Some((left, right)) = rest.split_once('@') {
        let local = last_run(left, is_local).trim_start_matches(['\'', '.']);
        let domain = first_run(right, is_domain_char).trim_matches(['.', '-']);
        if let Ok(other) = Address::parse(&format!("{local}@{domain}"))
            && !is_same_person(&other, own)
        {
            return Some(other.written().to_owned());
        }
        rest = right;
    }
    None
}

fn is_same_person(one: &Address, other: &Address) -> bool {
    let below = |child: &str, parent: &str| {
        child
            .strip_suffix(parent)
            .is_some_and(|rest| rest.ends_with('.'))
    };
    let (a, b) = (one.domain(), other.domain());
    one.local().eq_ignore_ascii_case(other.local()) && (a == b || below(a, b) || below(b, a))
}

fn is_local(c: char) -> bool {
    c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

fn is_domain_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// Blanks that take no room, marks of direction, and the backslash of a quoted pair.
fn is_invisible(c: char) -> bool {
    matches!(c, '\\' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || c.is_control() && c != '\t'
}

fn last_run(text: &str, is: fn(char) -> bool) -> &str {
    let start = text.rfind(|c| !is(c)).map_or(0, |at| {
        at + text
            .get(at..)
            .and_then(|rest| rest.chars().next())
            .map_or(1, char::len_utf8)
    });
    text.get(start..).unwrap_or_default()
}

fn first_run(text: &str, is: fn(char) -> bool) -> &str {
    let end = text.find(|c| !is(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Encoded words undone, wherever they stand (readers do so in quoted strings, too). Charsets are read as
/// UTF-8: for an address all that are in use agree, but UTF-16, whose NULs are dropped later, and UTF-7.
fn decoded_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((text, word)) = rest.split_once("=?") {
        let Some((decoded, after)) = encoded_word(word) else {
            out.push_str(text);
            out.push_str("=?");
            rest = word;
            continue;
        };
        // RFC 2047 §6.2: blanks between two encoded words are not shown.
        if !text.trim().is_empty() || out.is_empty() {
            out.push_str(text);
        }
        out.push_str(&decoded);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// After `=?`: the word's text, and what follows it.
fn encoded_word(word: &str) -> Option<(String, &str)> {
    let (charset, rest) = word.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (text, rest) = rest.split_once("?=")?;
    let octets = match encoding {
        "B" | "b" => {
            let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            base64_simd::forgiving_decode_to_vec(text.as_bytes()).ok()?
        }
        "Q" | "q" => unquoted(text),
        _ => return None,
    };
    let decoded = String::from_utf8_lossy(&octets).into_owned();
    let is_utf7 = charset.to_ascii_lowercase().starts_with("utf-7");
    Some((
        if is_utf7 {
            decoded.replace("+AEA-", "@")
        } else {
            decoded
        },
        rest,
    ))
}

/// The Q encoding (RFC 2047 §4.2).
fn unquoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, super::transfer::hex_pair(after)) {
            (b'=', Some(octet)) => {
                out.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'_', _) => out.push(b' '),
            _ => out.push(first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> (Vec<String>, usize) {
        let found = mailboxes(value).expect(value);
        let written = found
            .addresses
            .iter()
            .map(|address| address.written().to_owned());
        (written.collect(), found.unread)
    }

    #[test]
    fn mailboxes_are_found_in_every_form() {
        for value in [
            "a@d.example",
            " <a@d.example> ",
            "Dr. A. B <a@d.example>",
            "\"B, A <x@y.example>\" <a@d.example>",
            "(x@y.example) a@d.example (<z@y.example>)",
            "=?utf-8?q?x?= <a @ d . example>",
            "M\u{fffd}ller <a@d.example>",
            "<@r.example,@s.example:a@d.example>",
            "team: a@d.example;",
        ] {
            assert_eq!(read(value), (vec!["a@d.example".to_owned()], 0), "{value}");
        }
        let (two, _) =
            read("a@d.example, \"b c\"@d.example, , g: <c@d.example>, d@d.example;, e@d.example");
        assert_eq!(two.len(), 5);
        assert_eq!(two.get(1).map(String::as_str), Some("\"b c\"@d.example"));
        assert_eq!(read("undisclosed-recipients:;"), (vec![], 0));
        assert_eq!(read(""), (vec![], 0));
    }

    #[test]
    fn what_names_nobody_or_two_is_not_taken_for_one() {
        for value in [
            "a b@d.example",
            "<a@d.example> <b@d.example>",
            "<a@d.example> b@d.example",
            "a@d.example b@d.example",
            "<a@d.example",
            "a@localhost",
            "a@[127.0.0.1]",
            "Name",
            "<<a@d.example>>",
            "a@d.example>",
            "<@b@d.example:a@d.example>",
            "\u{fffd}@d.example",
            "<@r.example,b@d.example:a@d.example>",
        ] {
            assert_eq!(read(value), (vec![], 1), "{value}");
        }
        let pair = mailboxes("a@d.example, b@d.example").expect("reads");
        assert_eq!(pair.only(), None);
    }

    #[test]
    fn a_group_never_stands_for_one_sender() {
        // Readers show the name of the group, and it looks like another sender.
        for value in [
            "ceo@b.example: a@d.example;",
            "<ceo@b.example>: a@d.example",
            "\"CEO\" <ceo@b.example>: a@d.example;",
            "team: a@d.example;",
        ] {
            assert_eq!(mailboxes(value).expect(value).only(), None, "{value}");
        }
        let colon = mailboxes("\"ceo: b\" (x: y) <@r.example:a@d.example>").expect("reads");
        assert!(colon.only().is_some());
    }

    #[test]
    fn an_address_in_the_name_is_the_senders_own_or_a_decoy() {
        let own = Address::parse("mallory@m.example").expect("an address");
        for value in [
            "mallory@m.example",
            "\"mallory@m.example\" <mallory@m.example>",
            "'Mallory@M.example' <mallory@m.example>",
            "\"mallory@lab.m.example\" <mallory@m.example>",
            "Mallory @ The Lab <mallory@m.example>",
            "\"a@b\" <mallory@m.example>",
            "=?utf-8?q?M=C3=A4llory?= <mallory@m.example> (the lab)",
            "=?utf-8?b?not base64!?= <mallory@m.example>",
        ] {
            assert_eq!(decoy(value, &own), None, "{value}");
        }
        for value in [
            "\"alice@a.example\" <mallory@m.example>",
            "alice@a.example <mallory@m.example>",
            "mallory@m.example (alice@a.example)",
            "\"Alice <alice@a.example>\" <mallory@m.example>",
            "\"alice\\@a.example\" <mallory@m.example>",
            "=?utf-8?q?alice=40a=2Eexample?= <mallory@m.example>",
            "\"=?utf-8?q?alice=40a=2Eexample?=\" <mallory@m.example>",
            "=?utf-8?b?YWxpY2U=?= =?x?q?=40a.example?= <mallory@m.example>",
            "=?utf-16le?b?YQBAAGIALgBjAA==?= <mallory@m.example>",
            "=?utf-7?q?alice+AEA-a.example?= <mallory@m.example>",
            "=?utf-8?b?YWxpY2VAYS5leGFtcGxlAA==?=@m.example",
            "\"alice\u{ff20}a\u{ff0e}example\" <mallory@m.example>",
            "\"ali\u{200b}ce@a.example\" <mallory@m.example>",
            "\"mallory@a.example\" <mallory@m.example>",
        ] {
            let own = mailboxes(value).ok().and_then(|read| read.only().cloned());
            let own = own.unwrap_or(Address::parse("mallory@m.example").expect("an address"));
            assert!(decoy(value, &own).is_some(), "{value}");
        }
    }

    #[test]
    fn a_field_of_commas_costs_no_more_than_its_length() {
        let value = format!("<{}", ",".repeat(250_000));
        let started = std::time::Instant::now();
        assert_eq!(read(&value), (vec![], 1));
        // It took a minute when each comma looked back to the bracket.
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn what_does_not_end_or_is_not_text_is_refused() {
        for value in [
            "\"a <a@d.example>",
            "(a a@d.example",
            "a@d.example\u{0}",
            "[a",
        ] {
            assert!(mailboxes(value).is_err(), "{value:?}");
        }
        let many = vec!["a@d.example"; MAILBOXES_MAX + 1].join(",");
        assert_eq!(
            mailboxes(&many),
            Err(MimeError::OverLimit("mailboxes of one field"))
        );
    }
}
