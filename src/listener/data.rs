//! The octets of DATA. In: buffers as they come off the wire. Out: the message, dots unstuffed, or what is wrong with it.
//! Only CRLF.CRLF ends it (G-061). A fault is noted and input thrown away to that true end, so that nothing of a bad
//! message is ever read as a command. Sans-IO; clean input is scanned by `memchr`, never octet by octet.

use memchr::memchr3;

use crate::limits::{HOPS_MAX, TEXT_LINE_MAX};

/// Why the message cannot be taken, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A CR without LF, or an LF without CR (RFC 5321 §2.3.8; CVE-2023-51764).
    BareLineEnd,
    /// An octet that no mail holds (RFC 5321 §4.5.2, RFC 6152 §2).
    Nul,
    /// Longer than [`TEXT_LINE_MAX`].
    LongLine,
    /// Larger than was announced in EHLO (RFC 1870 §6).
    TooLarge,
    /// More than [`HOPS_MAX`] Received fields (RFC 5321 §6.3).
    Loop,
}

/// What a buffer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// All of it was message.
    More,
    /// The end was within; this many octets belong to the message and its end.
    End { used: usize },
}

/// Where in a line the next octet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// After CRLF, or at the very start.
    LineStart,
    /// After a dot that began the line. It is dropped in any case (RFC 5321 §4.5.2).
    Dot,
    /// After a line that is `.` CR so far.
    DotCr,
    Text,
    Cr,
}

/// The strict reader of one message.
#[derive(Debug)]
pub(super) struct DataReader {
    at: At,
    /// Octets of the line so far, the stuffed dot not counted (RFC 5321 §4.5.3.1.6).
    line: usize,
    size: u64,
    size_max: u64,
    fault: Option<Fault>,
    header: Option<HeaderScan>,
}

impl DataReader {
    /// For a message of at most `size_max` octets.
    pub(super) fn new(size_max: u64) -> Self {
        Self {
            at: At::LineStart,
            line: 0,
            size: 0,
            size_max,
            fault: None,
            header: Some(HeaderScan::default()),
        }
    }

    /// What is wrong so far. What was put out is void then.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Reads `input`; appends what is message to `out`.
    pub(super) fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Fed {
        // Octets from here to `pos` are message and not yet put out.
        let mut kept = 0;
        let mut pos = 0;
        while let Some(&octet) = input.get(pos) {
            match self.at {
                At::LineStart if octet == b'.' => {
                    self.emit(input.get(kept..pos), out);
                    pos += 1;
                    kept = pos;
                    self.at = At::Dot;
                }
                At::Dot if octet == b'\r' => {
                    pos += 1;
                    kept = pos;
                    self.at = At::DotCr;
                }
                At::DotCr if octet == b'\n' => return Fed::End { used: pos + 1 },
                At::LineStart | At::Dot => self.at = At::Text,
                At::Cr if octet == b'\n' => {
                    pos += 1;
                    self.line_ended();
                }
                At::Cr | At::DotCr => {
                    self.note(Fault::BareLineEnd);
                    self.at = At::Text;
                }
                At::Text => pos = self.text(input, pos),
            }
        }
        self.emit(input.get(kept..pos), out);
        Fed::More
    }

    /// Reads text up to the next octet that matters; returns the position after that.
    fn text(&mut self, input: &[u8], from: usize) -> usize {
        let rest = input.get(from..).unwrap_or_default();
        let found = memchr3(b'\r', b'\n', 0, rest);
        let text = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
        if let Some(header) = &mut self.header {
            header.text(text);
        }
        self.grow_line(text.len());
        let Some(length) = found else {
            return input.len();
        };
        match rest.get(length) {
            Some(b'\r') => self.at = At::Cr,
            Some(b'\n') => self.note(Fault::BareLineEnd),
            _ => self.note(Fault::Nul),
        }
        from + length + 1
    }

    fn line_ended(&mut self) {
        let blank = self.line == 0;
        self.grow_line(2);
        if let Some(header) = &mut self.header {
            let hops = header.line_ended();
            if blank {
                self.header = None;
            }
            if hops > HOPS_MAX {
                self.note(Fault::Loop);
            }
        }
        self.line = 0;
        self.at = At::LineStart;
    }

    fn grow_line(&mut self, octets: usize) {
        self.line = self.line.saturating_add(octets);
        if self.line > TEXT_LINE_MAX {
            self.note(Fault::LongLine);
        }
    }

    fn emit(&mut self, octets: Option<&[u8]>, out: &mut Vec<u8>) {
        let octets = octets.unwrap_or_default();
        self.size = self.size.saturating_add(octets.len() as u64);
        if self.size > self.size_max {
            self.note(Fault::TooLarge);
        }
        if self.fault.is_none() {
            out.extend_from_slice(octets);
        }
    }

    /// Keeps the first fault; a bare line end outweighs the others, because after it the session is closed.
    fn note(&mut self, fault: Fault) {
        if self.fault.is_none() || fault == Fault::BareLineEnd {
            self.fault = Some(fault);
        }
    }
}

const RECEIVED: &[u8; 8] = b"received";

/// Counts Received fields by the first octets of each header line.
#[derive(Debug, Default)]
struct HeaderScan {
    start: Vec<u8>,
    hops: usize,
}

impl HeaderScan {
    fn text(&mut self, text: &[u8]) {
        let wanted = (RECEIVED.len() + 1).saturating_sub(self.start.len());
        self.start.extend(text.iter().take(wanted));
    }

    /// How many so far.
    fn line_ended(&mut self) -> usize {
        if let Some((name, after)) = self.start.split_at_checked(RECEIVED.len()) {
            // RFC 5322 §4.5.3: blanks before the colon are obsolete, and read.
            let colon = matches!(after.first(), Some(b':' | b' ' | b'\t'));
            if colon && name.eq_ignore_ascii_case(RECEIVED) {
                self.hops = self.hops.saturating_add(1);
            }
        }
        self.start.clear();
        self.hops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: u64 = u64::MAX;

    /// (message, fault, octets after the end) of `wire`, fed in pieces of `step`.
    fn read(wire: &[u8], step: usize, size_max: u64) -> Option<(Vec<u8>, Option<Fault>, Vec<u8>)> {
        let mut reader = DataReader::new(size_max);
        let mut out = Vec::new();
        let mut done = 0;
        for piece in wire.chunks(step) {
            if let Fed::End { used } = reader.feed(piece, &mut out) {
                return Some((out, reader.fault(), wire[done + used..].to_vec()));
            }
            done += piece.len();
        }
        None
    }

    fn fault_of(wire: &[u8]) -> Option<Fault> {
        read(wire, wire.len(), NO_LIMIT).expect("it ends").1
    }

    #[test]
    fn dots_are_unstuffed_and_only_the_lone_dot_ends() {
        for (wire, message) in [
            (&b".\r\n"[..], &b""[..]),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..a\r\n.\r\n", b".a\r\n"),
            (b"...\r\n..\r\n.\r\n", b"..\r\n.\r\n"),
            (b".a\r\n.\r\n", b"a\r\n"),
            (b"\r\n.\r\n", b"\r\n"),
            (b"a.\r\n.\r\n", b"a.\r\n"),
            (b"a\r\n\r\n.b.\r\n.\r\n", b"a\r\n\r\nb.\r\n"),
        ] {
            for step in 1..=wire.len() {
                let read = read(wire, step, NO_LIMIT);
                let wanted = Some((message.to_vec(), None, Vec::new()));
                assert_eq!(
                    read,
                    wanted,
                    "{:?} by {step}",
                    String::from_utf8_lossy(wire)
                );
            }
        }
    }

    #[test]
    fn what_follows_the_end_is_left_for_the_next_command() {
        let (_, _, rest) = read(b"a\r\n.\r\nQUIT\r\n", 99, NO_LIMIT).expect("it ends");
        assert_eq!(rest, b"QUIT\r\n");
    }

    /// Where the standard says that it ends, found the slow way.
    fn true_end(wire: &[u8]) -> Option<usize> {
        let from_line_start = [b"\r\n", wire].concat();
        let at = from_line_start
            .windows(5)
            .position(|five| five == b"\r\n.\r\n")?;
        Some(at + 3)
    }

    fn is_clean(wire: &[u8]) -> bool {
        let bare = |(at, octet): (usize, &u8)| match octet {
            b'\r' => wire.get(at + 1) != Some(&b'\n'),
            b'\n' => at == 0 || wire.get(at - 1) != Some(&b'\r'),
            octet => *octet == 0,
        };
        !wire.iter().enumerate().any(bare)
    }

    #[test]
    fn no_trick_with_line_ends_makes_two_messages_of_one() {
        // G-061, CVE-2023-51764: every string up to six octets before a block of commands.
        const ALPHABET: &[u8; 6] = b"\r\n.\0 x";
        const BLOCK: &[u8] = b"MAIL FROM:<a@evil.example>\r\nDATA\r\nevil";
        let mut tried = 0;
        for length in 1..=6u32 {
            for number in 0..6usize.pow(length) {
                let digits = (0..length).map(|place| number / 6usize.pow(place) % 6);
                let trick: Vec<u8> = digits.map(|digit| ALPHABET[digit]).collect();
                let wire = [b"Subject: x", trick.as_slice(), BLOCK, b"\r\n.\r\n"].concat();
                let end = true_end(&wire).expect("the block ends so");
                let step = if number % 2 == 0 { wire.len() } else { 1 };
                let (message, fault, rest) = read(&wire, step, NO_LIMIT).expect("it ends");
                assert_eq!(wire.len() - rest.len(), end, "{trick:?}");
                assert_eq!(fault.is_none(), is_clean(&wire[..end]), "{trick:?}");
                let whole = rest.is_empty() && fault.is_none();
                assert_eq!(whole, message.ends_with(b"evil\r\n"), "{trick:?}");
                // The rest can be commands only if the sender itself wrote CRLF.CRLF.
                assert!(rest.is_empty() || trick.windows(5).any(|five| five == b"\r\n.\r\n"));
                tried += 1;
            }
        }
        assert_eq!(tried, 55_986);
    }

    #[test]
    fn a_fault_is_told_and_its_nearest_kin_is_not_one() {
        let line = |octets: usize| [vec![b'x'; octets - 2], b"\r\n.\r\n".to_vec()].concat();
        let dotted = |octets: usize| [b".".to_vec(), line(octets)].concat();
        for (wire, fault) in [
            (b"a\nb\r\n.\r\n".to_vec(), Some(Fault::BareLineEnd)),
            (b"a\rb\r\n.\r\n".to_vec(), Some(Fault::BareLineEnd)),
            (b"a\r\r\n.\r\n".to_vec(), Some(Fault::BareLineEnd)),
            (b".\rx\r\n.\r\n".to_vec(), Some(Fault::BareLineEnd)),
            (b"a\0b\r\n.\r\n".to_vec(), Some(Fault::Nul)),
            (b"\0\n\r\n.\r\n".to_vec(), Some(Fault::BareLineEnd)),
            (b"a\x0cb\xff\r\n.\r\n".to_vec(), None),
            (line(TEXT_LINE_MAX - 1), None),
            (line(TEXT_LINE_MAX), None),
            (line(TEXT_LINE_MAX + 1), Some(Fault::LongLine)),
            (dotted(TEXT_LINE_MAX), None),
            (dotted(TEXT_LINE_MAX + 1), Some(Fault::LongLine)),
        ] {
            assert_eq!(
                fault_of(&wire),
                fault,
                "{:?}",
                String::from_utf8_lossy(&wire)
            );
        }
    }

    #[test]
    fn the_size_limit_holds_to_the_octet() {
        // RFC 1870 §5: dots that transparency added and the end are not counted.
        let wire = b"..345678\r\n.\r\n";
        for (size_max, fault) in [(8, Some(Fault::TooLarge)), (9, None), (10, None)] {
            for step in [1, 4, wire.len()] {
                let (_, found, _) = read(wire, step, size_max).expect("it ends");
                assert_eq!(found, fault, "{size_max} by {step}");
            }
        }
    }

    #[test]
    fn received_fields_of_the_header_are_counted_and_no_others() {
        let wire = |hops: usize| {
            let mut text = "rECEIVED : by a\r\n\tReceived: folded\r\n".repeat(hops);
            text.push_str("Received-SPF: none\r\n\r\nReceived: in the body\r\n.\r\n");
            text.into_bytes()
        };
        for (hops, fault) in [
            (HOPS_MAX - 1, None),
            (HOPS_MAX, None),
            (HOPS_MAX + 1, Some(Fault::Loop)),
        ] {
            let wire = wire(hops);
            assert_eq!(fault_of(&wire), fault);
            assert_eq!(read(&wire, 1, NO_LIMIT).expect("it ends").1, fault);
        }
    }
}
