//! The ERROR rules by which the ONC Edge Testing Tool validates a Direct message, as complaints about what we send. The numbers
//! are that tool's. In: the message as it went over the wire; as `openssl` decrypted it; as `openssl` verified it. Out: complaints,
//! none if the tool would find no error. What an author wrote is not ours to judge: text parts of messages are not looked into.

/// A header and what follows it.
pub struct Entity {
    pub fields: Vec<(String, String)>,
    pub body: String,
}

impl Entity {
    /// Splits and unfolds; line ends may be CRLF or LF.
    pub fn parse(text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut fields = Vec::<(String, String)>::new();
        for line in head.lines() {
            match fields.last_mut() {
                Some((_, value)) if line.starts_with([' ', '\t']) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                _ => {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    fields.push((name.to_owned(), value.trim().to_owned()));
                }
            }
        }
        Self {
            fields,
            body: body.to_owned(),
        }
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn one(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    pub fn media_type(&self) -> String {
        let value = self.one("Content-Type");
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// As written, quotes included.
    pub fn raw_parameter(&self, field: &str, name: &str) -> Option<&str> {
        self.one(field).split(';').skip(1).find_map(|piece| {
            let (key, value) = piece.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case(name)
                .then_some(value.trim())
        })
    }

    pub fn parameter(&self, field: &str, name: &str) -> Option<&str> {
        self.raw_parameter(field, name)
            .map(|value| value.trim_matches('"'))
    }

    /// The parts of a multipart.
    pub fn parts(&self) -> Vec<Self> {
        let boundary = self
            .parameter("Content-Type", "boundary")
            .unwrap_or("no boundary");
        let body = format!("\n{}", self.body);
        let inside = body
            .split(&format!("\n--{boundary}--"))
            .next()
            .unwrap_or_default();
        let start = format!("\n--{boundary}\n");
        let parts = inside.split(&start).skip(1);
        parts.map(Self::parse).collect()
    }
}

/// Collects complaints.
#[derive(Default)]
struct Book(Vec<String>);

impl Book {
    fn must(&mut self, holds: bool, rule: &str, what: &str) {
        if !holds {
            self.0.push(format!("DTS {rule}: {what}"));
        }
    }
}

/// Rules for any header: ASCII, well formed dates and versions, no blind copies, sound MIME fields.
fn header(book: &mut Book, entity: &Entity) {
    for (name, value) in &entity.fields {
        book.must(
            name.is_ascii() && value.is_ascii(),
            "196",
            &format!("{name} is not ASCII"),
        );
    }
    for date in entity.all("Date") {
        book.must(is_date(date), "114", &format!("Date: {date}"));
    }
    for version in entity.all("MIME-Version") {
        let digits: Vec<&str> = version.split('.').collect();
        let fine = digits.len() == 2
            && digits
                .iter()
                .all(|digit| digit.len() == 1 && digit.parse::<u8>().is_ok());
        book.must(fine, "102b", &format!("MIME-Version: {version}"));
    }
    book.must(entity.all("Bcc").is_empty(), "120", "there is a Bcc");
    for name in [
        "From",
        "Sender",
        "Message-ID",
        "Subject",
        "Content-Type",
        "MIME-Version",
        "Date",
    ] {
        book.must(
            entity.all(name).len() <= 1,
            "115",
            &format!("more than one {name}"),
        );
    }
    mime(book, entity);
}

fn mime(book: &mut Book, entity: &Entity) {
    let kind = entity.one("Content-Type");
    if kind.is_empty() {
        return;
    }
    let media = entity.media_type();
    let (_, subtype) = media.split_once('/').unwrap_or_default();
    book.must(!subtype.is_empty(), "191", &format!("no subtype in {kind}"));
    for name in ["Content-Type", "Content-Transfer-Encoding", "MIME-Version"] {
        book.must(
            !entity.one(name).contains('('),
            "190",
            &format!("a comment in {name}"),
        );
    }
    if media.starts_with("multipart/") {
        let raw = entity
            .raw_parameter("Content-Type", "boundary")
            .unwrap_or_default();
        let bare = raw.trim_matches('"');
        book.must(
            (1..=70).contains(&bare.len()),
            "137",
            &format!("boundary {raw}"),
        );
        book.must(
            raw.starts_with('"') || !bare.contains(':'),
            "139",
            &format!("boundary {raw}"),
        );
        let encoding = entity.one("Content-Transfer-Encoding").to_ascii_lowercase();
        let fine = ["", "7bit", "8bit", "binary"].contains(&encoding.as_str());
        book.must(fine, "148", &format!("a multipart in {encoding}"));
    }
}

/// `EEE, dd MMM yyyy HH:mm:ss Z`
fn is_date(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let [day, date, month, year, clock, zone] = words.as_slice() else {
        return false;
    };
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|digit| digit.is_ascii_digit())
    };
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"];
    let times: Vec<&str> = clock.split(':').collect();
    days.contains(day)
        && (digits(date, 2) || digits(date, 1))
        && months.contains(month)
        && digits(year, 4)
        && times.len() == 3
        && times.iter().all(|part| digits(part, 2))
        && zone
            .strip_prefix(['+', '-'])
            .is_some_and(|offset| digits(offset, 4))
}

/// What went over the wire.
pub fn outer(text: &str) -> Vec<String> {
    let mut book = Book::default();
    let entity = Entity::parse(text);
    header(&mut book, &entity);
    let media = entity.media_type();
    book.must(
        media == "application/pkcs7-mime",
        "133a",
        &format!("the content type is {media}"),
    );
    let name = entity.parameter("Content-Type", "name");
    book.must(
        name.is_some_and(is_smime_file),
        "201",
        &format!("name={name:?}"),
    );
    let kind = entity.parameter("Content-Type", "smime-type");
    book.must(
        kind.is_none_or(|kind| kind == "enveloped-data"),
        "202",
        &format!("smime-type={kind:?}"),
    );
    let file = entity.parameter("Content-Disposition", "filename");
    book.must(
        file.is_none_or(is_smime_file),
        "161",
        &format!("filename={file:?}"),
    );
    let id = entity.one("Message-ID");
    book.must(
        id.is_empty() || is_id(id),
        "121",
        &format!("Message-ID: {id}"),
    );
    book.0
}

fn is_smime_file(name: &str) -> bool {
    let Some((stem, kind)) = name.split_once('.') else {
        return false;
    };
    stem == "smime" && ["p7m", "p7c", "p7z", "p7s"].contains(&kind)
}

/// What was encrypted; `cms`: what `openssl cms -cmsout -print` says of the signature.
pub fn signed(text: &str, cms: &str) -> Vec<String> {
    let mut book = Book::default();
    let entity = Entity::parse(text);
    header(&mut book, &entity);
    let media = entity.media_type();
    book.must(
        media == "multipart/signed",
        "133b",
        &format!("the content type is {media}"),
    );
    let micalg = entity
        .parameter("Content-Type", "micalg")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let fine = micalg.contains("sha") && (micalg.contains('1') || micalg.contains("256"));
    book.must(fine, "160", &format!("micalg={micalg}"));
    let protocol = entity.raw_parameter("Content-Type", "protocol");
    let exactly = Some("\"application/pkcs7-signature\"");
    book.must(
        protocol == exactly,
        "205",
        &format!("protocol={protocol:?}"),
    );
    let parts = entity.parts();
    book.must(parts.len() == 2, "207", &format!("{} parts", parts.len()));
    parts.iter().for_each(|part| mime(&mut book, part));
    if let Some(signature) = parts.last() {
        let encoding = signature
            .one("Content-Transfer-Encoding")
            .to_ascii_lowercase();
        book.must(
            encoding == "base64",
            "206",
            &format!("the signature is in {encoding}"),
        );
        let file = signature.parameter("Content-Disposition", "filename");
        book.must(
            file.is_none_or(is_smime_file),
            "161",
            &format!("filename={file:?}"),
        );
    }
    book.must(
        cms.contains("d.certificate:"),
        "164",
        "the signature carries no certificate",
    );
    let digest = cms.split("digestAlgorithms:").nth(1).unwrap_or_default();
    let digest = digest.split("encapContentInfo").next().unwrap_or_default();
    let same = match micalg.replace('-', "").as_str() {
        "sha1" => digest.contains("sha1"),
        "sha256" => digest.contains("sha256"),
        _ => false,
    };
    book.must(
        same,
        "165",
        &format!("micalg={micalg}, but the digest is {digest}"),
    );
    book.0
}

/// What `openssl x509 -text` says of the signer.
pub fn certificate(text: &str) -> Vec<String> {
    let mut book = Book::default();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let algorithm = value("Signature Algorithm:");
    let known = ["sha256WithRSAEncryption", "ecdsa-with-SHA256"];
    book.must(
        known.contains(&algorithm.as_str()),
        "222",
        &format!("signed with {algorithm}"),
    );
    let subject = value("Subject:");
    book.must(!subject.is_empty(), "225", "no subject");
    book.must(
        !subject.contains("CN = *"),
        "SVAP",
        "a wildcard in the subject",
    );
    let names = text
        .split("Subject Alternative Name:")
        .nth(1)
        .and_then(|rest| rest.lines().nth(1));
    let names = names.unwrap_or_default().trim();
    book.must(
        !names.is_empty() && !names.contains(','),
        "240",
        &format!("subjectAltName {names}"),
    );
    let bits = value("Public-Key:");
    let bits: u32 = bits
        .trim_matches(['(', ')'])
        .trim_end_matches(" bit")
        .parse()
        .unwrap_or(0);
    let curve = text.contains("id-ecPublicKey");
    book.must(curve || bits >= 2_048, "RSA", &format!("{bits} bits"));
    book.0
}

/// What was signed: the entity that wraps the message, or the message itself.
pub fn inner(text: &str) -> Vec<String> {
    let mut book = Book::default();
    let entity = Entity::parse(text);
    mime(&mut book, &entity);
    let message = match entity.media_type().as_str() {
        "message/rfc822" => Entity::parse(&entity.body),
        _ => entity,
    };
    header(&mut book, &message);
    for (name, rule) in [
        ("Date", "114"),
        ("From", "115"),
        ("To", "118"),
        ("Message-ID", "121"),
        ("MIME-Version", "102b"),
    ] {
        book.must(!message.one(name).is_empty(), rule, &format!("no {name}"));
    }
    book.must(
        is_id(message.one("Message-ID")),
        "121",
        &format!("Message-ID: {}", message.one("Message-ID")),
    );
    if message.media_type().starts_with("multipart/") {
        let parts = message.parts();
        book.must(!parts.is_empty(), "137", "a multipart without parts");
        parts.iter().for_each(|part| mime(&mut book, part));
    }
    if message.media_type() == "multipart/report" {
        report(&mut book, &message);
    }
    book.0
}

fn report(book: &mut Book, message: &Entity) {
    book.must(
        message.all("Disposition-Notification-To").is_empty(),
        "452",
        "an MDN asks for an MDN",
    );
    for part in message.parts() {
        let kind = part.media_type();
        if kind == "text/plain" {
            book.must(part.body.is_ascii(), "195", "text that is not ASCII");
        }
        if kind == "message/disposition-notification" {
            notification(book, &Entity::parse(&format!("{}\n\n", part.body.trim())));
        }
    }
}

fn notification(book: &mut Book, fields: &Entity) {
    let recipient = |text: &str| {
        let (kind, address) = text.split_once(';').unwrap_or_default();
        !kind.is_empty()
            && kind.bytes().all(|octet| octet.is_ascii_alphanumeric())
            && is_addr_spec(address)
    };
    book.must(
        recipient(fields.one("Final-Recipient")),
        "460",
        &format!("Final-Recipient: {}", fields.one("Final-Recipient")),
    );
    for value in fields.all("Original-Recipient") {
        book.must(
            recipient(value) && value.starts_with("rfc822;"),
            "454",
            &format!("Original-Recipient: {value}"),
        );
    }
    for value in fields.all("Reporting-UA") {
        let product = value.split(';').next().unwrap_or_default();
        let fine = |c: char| c.is_ascii_alphanumeric() || "_.- ".contains(c);
        book.must(
            product.chars().all(fine),
            "457",
            &format!("Reporting-UA: {value}"),
        );
    }
    for value in fields.all("MDN-Gateway") {
        book.must(value.contains(';'), "458", &format!("MDN-Gateway: {value}"));
    }
    let id = fields.one("Original-Message-ID");
    book.must(is_id(id), "461", &format!("Original-Message-ID: {id}"));
    book.must(
        is_disposition(fields.one("Disposition")),
        "462",
        &format!("Disposition: {}", fields.one("Disposition")),
    );
    for (name, rule) in [
        ("Failure", "463"),
        ("Error", "464"),
        ("Warning", "465"),
        ("Extension", "466"),
    ] {
        for value in fields.all(name) {
            let fine = |c: char| c.is_ascii_alphanumeric() || "_.,- ".contains(c);
            book.must(value.chars().all(fine), rule, &format!("{name}: {value}"));
        }
    }
}

fn is_disposition(text: &str) -> bool {
    let Some((mode, kind)) = text.split_once(';') else {
        return false;
    };
    let modes = [
        "manual-action/MDN-sent-manually",
        "automatic-action/MDN-sent-automatically",
    ];
    let kind = kind.trim_start().split('/').next().unwrap_or_default();
    let kinds = [
        "displayed",
        "processed",
        "deleted",
        "dispatched",
        "denied",
        "failed",
    ];
    modes.contains(&mode) && kinds.contains(&kind)
}

/// `<a@b>` with dot-atoms on both sides.
fn is_id(text: &str) -> bool {
    let inside = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    inside.is_some_and(is_addr_spec)
}

fn is_addr_spec(text: &str) -> bool {
    let atom = |part: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        part.split('.')
            .all(|piece| !piece.is_empty() && piece.chars().all(fine))
    };
    text.split_once('@')
        .is_some_and(|(left, right)| atom(left) && atom(right))
}

#[test]
fn the_linter_complains_about_each_rule_and_not_about_what_keeps_it() {
    let fine = "Date: Sun, 22 Nov 2026 01:02:03 +0000\r\nFrom: a@b.c\r\nTo: d@e.f\r\nMessage-ID: <1@b.c>\r\nMIME-Version: 1.0\r\n";
    let sealed = format!(
        "{fine}Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=\"smime.p7m\"\r\n\r\nAAAA"
    );
    assert_eq!(outer(&sealed), [""; 0]);
    for (from, to, rule) in [
        ("Sun, 22", "22", "114"),
        ("MIME-Version: 1.0", "MIME-Version: 1.0.0", "102b"),
        ("To: d@e.f", "To: d@e.f\r\nBcc: g@h.i", "120"),
        ("pkcs7-mime", "octet-stream", "133a"),
        ("; name=\"smime.p7m\"", "", "201"),
        ("enveloped-data", "signed-data", "202"),
        ("<1@b.c>", "<1 2@b.c>", "121"),
    ] {
        let complaints = outer(&sealed.replace(from, to));
        assert!(
            complaints
                .iter()
                .any(|one| one.starts_with(&format!("DTS {rule}"))),
            "{rule}: {complaints:?}"
        );
    }
    let mdn = format!(
        "{fine}Content-Type: multipart/report; report-type=disposition-notification; boundary=\"x\"\r\n\r\n\
         --x\r\nContent-Type: text/plain\r\n\r\nfine\r\n--x\r\nContent-Type: message/disposition-notification\r\n\r\n\
         Reporting-UA: gw.b.c\r\nFinal-Recipient: rfc822;a@b.c\r\nOriginal-Message-ID: <1@e.f>\r\n\
         Disposition: automatic-action/MDN-sent-automatically;failed\r\nFailure: no such mailbox\r\n--x--\r\n"
    );
    assert_eq!(inner(&mdn), [""; 0]);
    for (from, to, rule) in [
        (
            "MIME-Version: 1.0",
            "Disposition-Notification-To: a@b.c\r\nMIME-Version: 1.0",
            "452",
        ),
        ("gw.b.c", "gw/1", "457"),
        ("rfc822;a@b.c", "a@b.c", "460"),
        ("<1@e.f>", "1@e.f", "461"),
        ("automatically;failed", "automatically;lost", "462"),
        ("no such mailbox", "550: no (such) mailbox", "463"),
        ("boundary=\"x\"", "boundary=x:y", "139"),
        ("Date: ", "Fate: ", "114"),
    ] {
        let complaints = inner(&mdn.replace(from, to));
        assert!(
            complaints
                .iter()
                .any(|one| one.starts_with(&format!("DTS {rule}"))),
            "{rule}: {complaints:?}"
        );
    }
}
