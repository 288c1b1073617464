//! One SMTP reply: code, enhanced code, text. In: what the session decided. Out: the lines for the wire.
//! Promises printable ASCII and CRLF, and that the 250 after DATA exists only where a [`Receipt`] was given up for it.

use std::borrow::Cow;

use crate::spool::Receipt;

/// Octets of text in one line: RFC 5321 §4.5.3.1.5 allows 512 with code, enhanced code and CRLF.
const TEXT_MAX: usize = 400;

/// What the client hears. Only the listener makes them, but for [`Reply::accepted`].
///
/// The 250 after DATA costs a receipt, and a receipt buys one:
/// ```
/// # use carepost::{listener::Reply, spool::Receipt};
/// fn answer(receipt: Receipt) -> Vec<Reply> {
///     vec![Reply::accepted(receipt)]
/// }
/// ```
/// The same receipt cannot answer twice:
/// ```compile_fail
/// # use carepost::{listener::Reply, spool::Receipt};
/// fn answer(receipt: Receipt) -> Vec<Reply> {
///     vec![Reply::accepted(receipt), Reply::accepted(receipt)]
/// }
/// ```
/// and there is no 250 for an id that was never written down:
/// ```compile_fail
/// # use carepost::{listener::Reply, envelope::TrackingId};
/// fn answer(receipt: TrackingId) -> Vec<Reply> {
///     vec![Reply::accepted(receipt)]
/// }
/// ```
#[must_use = "the client waits for it"]
#[derive(Debug)]
pub struct Reply {
    code: u16,
    /// RFC 3463; empty where RFC 2034 §4 wants none: greeting, EHLO and HELO, 3xx.
    enhanced: &'static str,
    text: Cow<'static, str>,
    /// The lines after the first (EHLO).
    more: Vec<String>,
}

impl Reply {
    /// The 250 at the end of DATA: the message is on disk (RFC 5321 §4.2.5).
    pub fn accepted(receipt: Receipt) -> Self {
        let text = format!("accepted id={}", receipt.message());
        Self::new(250, "2.0.0", text)
    }

    /// A reply of one line.
    pub(super) fn new(
        code: u16,
        enhanced: &'static str,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            enhanced,
            text: text.into(),
            more: Vec::new(),
        }
    }

    /// The reply to EHLO.
    pub(super) fn capabilities(hostname: &str, more: Vec<String>) -> Self {
        Self {
            more,
            ..Self::new(250, "", hostname.to_owned())
        }
    }

    /// 4xx and 5xx.
    pub(super) fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// Appends the lines.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        let texts = std::iter::once(self.text.as_ref()).chain(self.more.iter().map(String::as_str));
        let last = self.more.len();
        for (index, text) in texts.enumerate() {
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if index == last { b' ' } else { b'-' });
            if !self.enhanced.is_empty() {
                out.extend_from_slice(self.enhanced.as_bytes());
                out.push(b' ');
            }
            // Texts of other stations may quote the message; nothing of it becomes a second line.
            out.extend(text.bytes().take(TEXT_MAX).map(printable));
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn printable(octet: u8) -> u8 {
    if matches!(octet, b' '..=b'~') {
        octet
    } else {
        b'?'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).expect("replies are ASCII")
    }

    #[test]
    fn a_reply_has_its_enhanced_code_and_one_line() {
        let reply = Reply::new(550, "5.6.0", "no\r\n250 yes \u{e9}");
        assert_eq!(written(&reply), "550 5.6.0 no??250 yes ??\r\n");
        let long = Reply::new(550, "5.6.0", "x".repeat(5_000));
        assert!(written(&long).len() < 512);
    }

    #[test]
    fn capabilities_take_a_line_each_without_enhanced_codes() {
        let reply = Reply::capabilities("mx.example", vec!["SIZE 9".into(), "DSN".into()]);
        assert_eq!(
            written(&reply),
            "250-mx.example\r\n250-SIZE 9\r\n250 DSN\r\n"
        );
    }
}
