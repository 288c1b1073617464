//! Edits: a fuzzer's octets read as changes to a good message, so that deep code is reached. In: something
//! good, a script of octets. Out: something almost good.

/// Most octets that come out.
const LEN_MAX: usize = 128 * 1024;
/// Most changes of one script.
const EDITS_MAX: usize = 24;

/// Words that parsers stumble over.
const WORDS: [&[u8]; 40] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\0",
    b"--",
    b"\r\n--b\r\n",
    b"\r\n--b--\r\n",
    b"From: eve@direct.a.example\r\n",
    b"Sender: eve@direct.a.example\r\n",
    b"To: carol@direct.b.example\r\n",
    b"Cc: bob@direct.b.example\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: multipart/signed; boundary=b\r\n",
    b"Content-Type: multipart/report; boundary=b\r\n",
    b"Content-Type: application/pkcs7-mime\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Disposition: automatic-action/MDN-sent-automatically;failed\r\n",
    b"Original-Message-ID: <1@direct.a.example>\r\n",
    b"<bob@direct.b.example>",
    b"eve@direct.a.example: alice@direct.a.example;",
    b"=?utf-8?q?alice=40direct.a.example?=",
    b"(\\)",
    b"\"\\\"",
    b"=\r\n",
    b"=3D",
    b"====",
    b"\xff",
    b"\xc3",
    b"\x30\x80",
    b"\x00\x00",
    b"\x24\x80",
    b"\x04\x84\xff\xff\xff\xff",
    b"\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xa0\x80",
    b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
    b"\x1f\xff\xff\xff",
];

/// Reads numbers and pieces off a script; zeros when it is used up.
pub(super) struct Script<'s>(pub &'s [u8]);

impl<'s> Script<'s> {
    pub(super) fn octet(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn number(&mut self) -> usize {
        usize::from(self.octet()) << 8 | usize::from(self.octet())
    }

    fn piece(&mut self, most: usize) -> &'s [u8] {
        let (piece, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        piece
    }
}

/// The good octets, changed as the script says.
pub(super) fn edited(good: &[u8], script: &mut Script<'_>) -> Vec<u8> {
    let mut out = good.to_vec();
    for _ in 0..EDITS_MAX {
        if script.0.is_empty() || out.is_empty() {
            break;
        }
        edit(&mut out, script);
        out.truncate(LEN_MAX);
    }
    out
}

fn edit(out: &mut Vec<u8>, script: &mut Script<'_>) {
    let what = script.octet();
    let at = script.number() * out.len() / 65_536;
    let len = usize::from(script.octet());
    let end = (at + len).min(out.len());
    match what % 9 {
        0 => out[at] ^= 1 << (len % 8),
        1 => out[at] = script.octet(),
        2 => insert(out, at, script.piece(len % 32)),
        3 => drop(out.drain(at..end)),
        4 => insert(out, at, WORDS[len % WORDS.len()]),
        5 => {
            let from = script.number() * out.len() / 65_536;
            let to = (from + len * 4).min(out.len());
            let piece = out[from..to].to_vec();
            insert(out, at, &piece);
        }
        6 => {
            let again = vec![out[at]; len * 16];
            insert(out, at, &again);
        }
        7 => out.truncate(at),
        _ => {
            let piece = script.piece(len % 32);
            let end = (at + piece.len()).min(out.len());
            out[at..end].copy_from_slice(&piece[..end - at]);
        }
    }
}

fn insert(out: &mut Vec<u8>, at: usize, piece: &[u8]) {
    out.splice(at..at, piece.iter().copied());
}
