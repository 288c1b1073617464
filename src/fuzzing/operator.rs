//! What comes from our own side: submissions, the configuration, CSV files. In: octets, or a script over
//! good ones. Asserted: a submission is never a message of somebody else's.

use std::io::Read;
use std::path::Path;

use crate::draft::prepare::prepare;
use crate::envelope::ListenerKind;
use crate::mime::Header;

use super::edit::{Script, edited};
use super::pki::{ALICE, HEADER, pki};

/// A submitted message.
pub fn submission(data: &[u8]) {
    let mut script = Script(data);
    let octets = if script.octet() & 1 == 0 {
        script.0.to_vec()
    } else {
        let good = format!("Received: by x\r\n{HEADER}Bcc: eve@direct.b.example\r\n\r\nText.\r\n");
        edited(good.as_bytes(), &mut script)
    };
    let pki = pki();
    let envelope = pki.envelope(ListenerKind::Submission);
    let directory = crate::directory::Directory::for_sender("desk", ALICE);
    let body = pki.body(&octets);
    let Ok(prepared) = prepare(&envelope, &body, &directory, &pki.bodies, &pki.world) else {
        return;
    };
    assert_eq!(prepared.draft.from.key(), ALICE);
    let mut reader = prepared.draft.body.reader().expect("a body in memory");
    let header = Header::read(&mut reader).expect("what is sent on is readable");
    for name in ["From", "Date", "Message-ID", "MIME-Version"] {
        assert!(header.exactly_one(name).is_ok(), "{name}");
    }
    assert!(header.all("Bcc").next().is_none());
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("a body in memory");
}

/// carepost.toml.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(error) = crate::config::parse(&text, Path::new("carepost.toml"), |_| None) {
        assert!(error.to_string().contains("do: "), "{error}");
    }
}

/// An address file.
pub fn csv(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    crate::directory::read_csv(&text);
}

pub(super) fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "submission" => vec![vec![1], [&[0], HEADER.as_bytes(), b"\r\nx\r\n"].concat()],
        "csv" => vec![
            b"address,route,holder,npi\r\na@d.example,maildir:/m/a,\"A, B\",1234567893\r\n".to_vec(),
        ],
        _ => vec![
            b"[node]\nhostname = \"mx.d.example\"\n[store]\n[[listener]]\nkind = \"relay\"\naddress = \"0.0.0.0:25\"\n[limits]\nmessage_size = \"36 MiB\"\n".to_vec(),
        ],
    }
}
