//! Reports: read, settled, and answered. In: octets, or a script over a good report. Asserted: what is read
//! is bounded and printable; what we write about it keeps its lines and its header.

use std::io::Read;

use crate::envelope::MessageId;
use crate::journal::{LegState, Reason};
use crate::limits::RECIPIENTS_MAX;
use crate::mime::Header;
use crate::notify::{LegFacts, failure_notice, forwarded_mdn, parse_report, settle};

use super::edit::{Script, edited};
use super::pki::{self, ALICE, BOB, pki};

const MDN: &str = "From: <bob@direct.b.example>\r\nTo: alice@direct.a.example\r\nMessage-ID: <2@direct.b.example>\r\n\
    Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n--b\r\n\
    Content-Type: message/disposition-notification\r\n\r\nReporting-UA: x\r\nFinal-Recipient: rfc822;bob@direct.b.example\r\n\
    Original-Message-ID: <1@direct.a.example>\r\nDisposition: automatic-action/MDN-sent-automatically;failed\r\n\
    Failure: no\r\n\r\n--b--\r\n";
const DSN: &str = "From: <>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n--b\r\n\
    Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;b.example\r\nOriginal-Envelope-Id: token\r\n\r\n\
    Final-Recipient: rfc822;bob@direct.b.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp;550 no\r\n\r\n--b\r\n\
    Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@direct.a.example>\r\n\r\n--b--\r\n";

/// MDN and DSN.
pub fn report(data: &[u8]) {
    let mut script = Script(data);
    let octets = match script.octet() % 3 {
        0 => script.0.to_vec(),
        1 => edited(MDN.as_bytes(), &mut script),
        _ => edited(DSN.as_bytes(), &mut script),
    };
    let Ok(report) = parse_report(&pki().body(&octets)) else {
        return;
    };
    assert!(report.recipients.len() <= RECIPIENTS_MAX);
    let leg = LegFacts {
        recipient: pki::address(BOB),
        state: LegState::Relayed,
        asked: true,
        answer: None,
    };
    let _ = settle(&leg, &report);
    for said in &report.recipients {
        assert!(!said.text.chars().any(char::is_control), "{:?}", said.text);
        assert!(said.text.len() <= 4_096);
        let id = report.original.clone();
        let id = id.unwrap_or_else(|| MessageId::new(&pki().world, "direct.a.example"));
        let recipient = said.address.clone().unwrap_or(pki::address(BOB));
        answer(&said.text, &recipient, &id);
    }
}

/// What our own sender would be told.
fn answer(text: &str, recipient: &crate::envelope::Address, id: &MessageId) {
    let (pki, sender) = (pki(), pki::address(ALICE));
    let (bodies, world, host) = (&pki.bodies, &pki.world, "mx.a.example");
    let reason = Reason::ReportedFailed;
    let notices = [
        failure_notice(&sender, recipient, id, reason, text, host, bodies, world),
        forwarded_mdn(&sender, recipient, id, host, bodies, world),
    ];
    for notice in notices {
        let notice = notice.expect("a body in memory");
        let mut octets = Vec::new();
        let mut reader = notice.body.reader().expect("a body in memory");
        reader.read_to_end(&mut octets).expect("a body in memory");
        let text = String::from_utf8(octets).expect("ASCII");
        for line in text.split("\r\n") {
            assert!(line.is_ascii() && !line.contains(['\r', '\n', '\0']));
            assert!(line.len() <= 998, "{line}");
        }
        let header = Header::read(&mut text.as_bytes()).expect("a header");
        let names: Vec<_> = header.fields().map(|field| field.name()).collect();
        assert!(
            header.exactly_one("From").is_ok() && names.len() < 20,
            "{names:?}"
        );
        parse_report(&notice.body).expect("what we write, we read");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![1],
        vec![2],
        [&[0], MDN.as_bytes()].concat(),
        vec![1, 4, 0xa0, 0, 21],
    ]
}
