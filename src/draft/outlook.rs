//! winmail.dat: mail that Outlook wrote in its own format (TNEF), which nobody but Outlook reads.
//! In: a submitted message. Out: whether it holds any. Opens nothing; a message that cannot be followed
//! holds none that anybody would see.

use std::io::BufRead;

use crate::limits::MIME_DEPTH_MAX;
use crate::mime::{ContentType, Header, Multipart};

/// What the sender is told: the settings, by the names that Outlook and Exchange give them.
pub(super) const ADVICE: &str = "Outlook made this message in Rich Text, as winmail.dat, which the receiver could not \
    read. Send it as HTML: Format Text, HTML. For good: File, Options, Mail, Message format, and for Rich Text to \
    Internet recipients choose Convert to HTML format. On Exchange: Set-RemoteDomain Default -TNEFEnabled $false";

/// Whether the entity or a part of it is TNEF; `rest` stands after the header.
pub(super) fn holds_tnef(header: &Header, rest: &mut dyn BufRead) -> bool {
    within(header, rest, MIME_DEPTH_MAX)
}

fn within(header: &Header, rest: &mut dyn BufRead, depth: usize) -> bool {
    let content_type = header.content_type().unwrap_or_default();
    if is_tnef(header, &content_type) {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let boundary = match content_type.boundary() {
        Ok(boundary) if content_type.kind() == "multipart" => boundary,
        _ => return false,
    };
    let mut parts = Multipart::new(rest, boundary);
    while let Ok(Some(mut part)) = parts.next_part() {
        let found = Header::read(&mut part).is_ok_and(|header| within(&header, &mut part, depth));
        if found {
            return true;
        }
    }
    false
}

/// By its type ([MS-OXTNEF] §1.8, and the name that IANA gave it later), or by its file name.
fn is_tnef(header: &Header, content_type: &ContentType) -> bool {
    if content_type.is("application", "ms-tnef") || content_type.is("application", "vnd.ms-tnef") {
        return true;
    }
    let disposition = header.disposition().ok().flatten();
    let filename = disposition.as_ref().and_then(|place| place.filename());
    let mut names = [content_type.parameter("name"), filename]
        .into_iter()
        .flatten();
    names.any(|name| name.eq_ignore_ascii_case("winmail.dat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> bool {
        let mut source = text.as_bytes();
        let header = Header::read(&mut source).expect("a header");
        holds_tnef(&header, &mut source)
    }

    #[test]
    fn outlooks_own_format_is_found_wherever_it_lies() {
        let part = |head: &str| {
            format!(
                "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nhello\r\n--a\r\n\
                 Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{head}\r\n\r\nAAAA\r\n--b--\r\n--a--\r\n"
            )
        };
        for head in [
            "Content-Type: application/ms-tnef; name=\"winmail.dat\"",
            "Content-Type: Application/VND.MS-TNEF",
            "Content-Type: application/octet-stream; name=WINMAIL.DAT",
            "Content-Disposition: attachment; filename=\"winmail.dat\"",
        ] {
            assert!(found(&part(head)), "{head}");
            assert!(found(&format!("{head}\r\n\r\nAAAA")), "{head}");
        }
        for head in [
            "Content-Type: application/pdf; name=\"winmail.dat.pdf\"",
            "Content-Type: text/plain",
            "Content-Disposition: attachment; filename=\"mail.dat\"",
        ] {
            assert!(!found(&part(head)), "{head}");
            assert!(!found(&format!("{head}\r\n\r\nwinmail.dat")), "{head}");
        }
        let deep = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n".repeat(1_000);
        assert!(!found(&deep));
    }
}
