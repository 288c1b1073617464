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
    colon
        .and_then(|colon| tokens.get(colon + 1..))
        .unwrap_or_default()
}

/// Joins words with the dots and the `@` between them; two words side by side are no addr-spec.
fn join(tokens: &[Token]) -> Option<String> {
    let mut text = String::new();
    let mut after_word = false;
    for token in tokens {
        let is_word = match token {
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
            // U+FFFD stands for octets that are no UTF-8; control characters are never part of a mailbox.
            '\u{fffd}' => return Err(MimeError::Malformed("an address field that is not UTF-8")),
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
    !c.is_control() && c != '\u{fffd}' && !" ()<>[]:;@\\,.\"".contains(c)
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
            "\u{fffd}@d.example",
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
