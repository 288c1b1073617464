//! MIME and addresses. In: octets. Asserted: what is read does not depend on chunks; what is handed on has
//! the header that was read; an address is read again as it was written.

use std::io::{BufReader, Read};

use crate::envelope::{Address, MessageId};
use crate::limits::LINE_OCTETS_MAX;
use crate::mime::{
    Canonical, ContentType, Header, LoneCr, Multipart, TransferEncoding, asks_final_delivery,
    inspect, mailboxes, seven_bit,
};
use crate::route::Destination;

use super::pki::pki;

/// Addresses, ids and routes.
pub fn address(data: &[u8]) {
    if let Ok(read) = Address::parse_octets(data) {
        let again = Address::parse(read.written()).expect("as it was written");
        assert_eq!(read, again);
        let key = Address::parse(read.key()).expect("a key is an address");
        assert_eq!(key.key(), read.key());
        assert!(
            !read.written().contains(['\r', '\n', '\0', '<', '>']) || read.written().contains('"')
        );
        assert!(!read.written().chars().any(char::is_control));
    }
    let text = String::from_utf8_lossy(data);
    if let Some(id) = MessageId::parse(&text) {
        assert!(id.as_str().bytes().all(|octet| octet.is_ascii_graphic()));
    }
    if let Ok(Destination::Maildir(path) | Destination::LmtpSocket(path)) =
        Destination::parse(&text)
    {
        assert!(path.is_absolute() && !path.to_string_lossy().contains("/../"));
    }
}

/// Header blocks, and every field value read as everything.
pub fn mime_header(data: &[u8]) {
    let mut source = data;
    let Ok(header) = Header::read(&mut source) else {
        return;
    };
    let read = data.len() - source.len();
    assert_eq!(header.octets(), &data[..read]);
    let mut slow = BufReader::with_capacity(1, data);
    assert_eq!(Header::read(&mut slow).as_ref(), Ok(&header));
    same_when_handed_on(&header);
    let _ = (
        header.content_type(),
        header.disposition(),
        header.transfer_encoding(),
        asks_final_delivery(&header),
    );
    for field in header.fields() {
        let value = field.value();
        let _ = (ContentType::parse(&value), TransferEncoding::parse(&value));
        for address in mailboxes(&value).unwrap_or_default().addresses {
            assert!(Address::parse(address.written()).is_ok());
        }
    }
}

/// What is judged is what the next system reads: the header's canonical form has the same fields.
fn same_when_handed_on(header: &Header) {
    let mut octets = Vec::new();
    Canonical::new(header.octets(), LoneCr::Break)
        .read_to_end(&mut octets)
        .expect("memory reads");
    let again = Header::read(&mut octets.as_slice()).expect("it was read before");
    let fields = |header: &Header| -> Vec<(String, String)> {
        header
            .fields()
            .map(|field| (field.name().to_owned(), field.value()))
            .collect()
    };
    assert_eq!(fields(header), fields(&again));
}

/// Multiparts, by chunks of any size.
pub fn mime_multipart(data: &[u8]) {
    let Some((&step, data)) = data.split_first() else {
        return;
    };
    let whole = parts(data, data.len().max(1));
    assert_eq!(whole, parts(data, 1 + usize::from(step)));
    if let Some(parts) = &whole {
        assert!(parts.concat().len() <= data.len());
    }
}

fn parts(data: &[u8], step: usize) -> Option<Vec<Vec<u8>>> {
    let mut multipart = Multipart::new(BufReader::with_capacity(step, data), "b");
    let mut parts = Vec::new();
    while let Some(mut part) = multipart.next_part().ok()? {
        let mut octets = Vec::new();
        part.read_to_end(&mut octets).ok()?;
        parts.push(octets);
    }
    Some(parts)
}

/// Transfer encodings, line ends, and making a message 7-bit.
pub fn mime_transfer(data: &[u8]) {
    let Some((&step, data)) = data.split_first() else {
        return;
    };
    let step = 1 + usize::from(step);
    for encoding in [
        TransferEncoding::Identity,
        TransferEncoding::Base64,
        TransferEncoding::QuotedPrintable,
    ] {
        let read = |step| {
            let mut out = Vec::new();
            let source = BufReader::with_capacity(step, data);
            encoding.decode(source).read_to_end(&mut out).ok()?;
            Some(out)
        };
        let whole = read(data.len().max(1));
        assert_eq!(whole, read(step));
        assert!(whole.is_none_or(|out| out.len() <= data.len()));
    }
    for lone in [LoneCr::Keep, LoneCr::Break] {
        let read = |step| {
            let mut out = Vec::new();
            Canonical::new(BufReader::with_capacity(step, data), lone)
                .read_to_end(&mut out)
                .expect("memory reads");
            out
        };
        assert_eq!(read(data.len().max(1)), read(step));
    }
    if let Ok(body) = seven_bit(&pki().body(data), &pki().bodies) {
        let mut octets = Vec::new();
        let mut reader = body.reader().expect("a body in memory");
        reader.read_to_end(&mut octets).expect("a body in memory");
        assert!(octets.is_ascii() && !octets.contains(&0));
        for line in octets.split(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            assert!(!line.contains(&b'\r') && line.len() <= LINE_OCTETS_MAX);
        }
        inspect(octets.as_slice()).expect("it is fit now");
    }
}

pub(super) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let header = "From: \"A, (b)\" <a@b.example>\r\nTo: g: c@d.example, (x) <e@f.example>;\r\n\
        Content-Type: multipart/signed; boundary=\"b\"; name*0=a; name*1*=%20b\r\n\
        Content-Disposition: attachment; filename*=utf-8'en'x.p7m\r\n\
        Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n\r\nbody\r\n";
    let texts: &[&str] = match target {
        "address" => &[
            "Dr.A@b.example",
            "\"a b\"@xn--kruter-cua.example",
            "<1@b.example>",
            "maildir:/var/mail/a",
            "smtp+tls://[::1]:25",
        ],
        "mime_header" => &[header],
        "mime_multipart" => &["\x07pre\r\n--b\r\n\r\none\r\n--b \r\ntwo\r\n--b--\r\n"],
        _ => &[
            "\x05Content-Type: text/plain; charset=utf-8\r\n\r\nK\u{e4}se =3D =\r\n QUJD\r\n",
            "\x01QUJDRA==\r\n",
            "\x09Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\u{e4}\r\n--b--\r\n",
        ],
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
