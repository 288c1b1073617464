//! Where everything must be at the end. In: Maildirs, what the sinks took, the gateway's own rows. Out: what is there, how often.
//! Samples are decrypted and verified by OpenSSL's CMS, which the gateway itself does not use.

use std::collections::HashMap;
use std::path::Path;

use carepost::crypto::issue::KeyFile;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkey::PKey;
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::Outcome;
use crate::corpus::Parties;
use crate::sink::field;

/// Message-IDs in a Maildir, with how often each is there.
pub fn maildir(path: &Path) -> Outcome<HashMap<String, usize>> {
    let mut found = HashMap::new();
    let folder = path.join("new");
    let Ok(files) = std::fs::read_dir(&folder) else {
        return Ok(found);
    };
    for file in files {
        let file = file.map_err(|error| error.to_string())?.path();
        let octets = head(&file)?;
        let id = field(&octets, "Message-ID")
            .ok_or_else(|| format!("{}: no Message-ID", file.display()))?;
        *found.entry(id).or_insert(0) += 1;
    }
    Ok(found)
}

/// How many messages are in a Maildir.
pub fn maildir_count(path: &Path) -> usize {
    std::fs::read_dir(path.join("new")).map_or(0, Iterator::count)
}

/// Enough of a file to hold its header.
fn head(path: &Path) -> Outcome<Vec<u8>> {
    use std::io::Read as _;
    let mut octets = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(16 * 1024).read_to_end(&mut octets))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(octets)
}

/// Decrypts what the gateway sealed for the peer, verifies its signature up to the gateway's CA, and returns the content.
pub fn unseal(octets: &[u8], parties: &Parties) -> Outcome<Vec<u8>> {
    let told =
        |error: openssl::error::ErrorStack| format!("a sealed message does not open: {error}");
    let KeyFile {
        key, certificate, ..
    } = &parties.peer;
    let pkcs8 = key.to_pkcs8().map_err(|error| error.to_string())?;
    let key = PKey::private_key_from_pkcs8(&pkcs8).map_err(told)?;
    let certificate = X509::from_der(certificate).map_err(told)?;
    let sealed = CmsContentInfo::smime_read_cms(octets).map_err(told)?;
    let entity = sealed.decrypt(&key, &certificate).map_err(told)?;
    let (mut signed, content) = smime_signed(&entity)?;
    let mut store = X509StoreBuilder::new().map_err(told)?;
    for der in &parties.gate.chain {
        store
            .add_cert(X509::from_der(der).map_err(told)?)
            .map_err(told)?;
    }
    // A purpose of its own is not what Direct certificates carry.
    store
        .set_purpose(openssl::x509::X509PurposeId::ANY)
        .map_err(told)?;
    let none = Stack::new().map_err(told)?;
    let mut out = Vec::new();
    signed
        .verify(
            Some(&none),
            Some(&store.build()),
            Some(&content),
            Some(&mut out),
            CMSOptions::BINARY,
        )
        .map_err(told)?;
    Ok(content)
}

/// Signature and signed octets of a multipart/signed.
fn smime_signed(entity: &[u8]) -> Outcome<(CmsContentInfo, Vec<u8>)> {
    let whole = String::from_utf8_lossy(entity).into_owned();
    let boundary = whole
        .split("boundary=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .ok_or("what was decrypted is not multipart/signed")?;
    let delimiter = format!("\r\n--{boundary}");
    let mut parts = whole.split(delimiter.as_str()).skip(1);
    let (content, signature) = (parts.next(), parts.next());
    let (content, signature) = content
        .zip(signature)
        .ok_or("multipart/signed lacks a part")?;
    let content = content
        .strip_prefix("\r\n")
        .ok_or("a boundary without its line end")?;
    let base64: String = signature
        .split_once("\r\n\r\n")
        .map(|(_, base64)| base64.split_whitespace().collect())
        .unwrap_or_default();
    let der = openssl::base64::decode_block(&base64).map_err(|error| error.to_string())?;
    let signed = CmsContentInfo::from_der(&der).map_err(|error| error.to_string())?;
    Ok((signed, content.as_bytes().to_vec()))
}

/// What the store of a gateway that does not run says, read from a copy.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Leased deliveries to a network edge and relays: Message-ID and recipient of each.
    pub in_flight: Vec<(String, String)>,
    /// Messages between T1 and T2: taken, not yet opened.
    pub taken: i64,
    /// Deliveries between T2 and T3.
    pub granted: i64,
    /// Relays between T2 and T4.
    pub relays: i64,
    /// Messages whose journal tells of their arrival and not of a delivery.
    pub journalled: i64,
}

/// Copies the database (with its WAL) and reads the copy, so that the next start finds what the kill left.
pub fn rows(database: &Path, scratch: &Path) -> Outcome<Rows> {
    let told = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(scratch).map_err(told)?;
    let copy = scratch.join("copy.db");
    for end in ["", "-wal", "-shm"] {
        let name = |path: &Path| format!("{}{end}", path.display());
        // A database that was closed has no WAL; an earlier copy's must not stay.
        let _ = std::fs::remove_file(name(&copy));
        if end != "-shm" && Path::new(&name(database)).exists() {
            std::fs::copy(name(database), name(&copy)).map_err(told)?;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(told)?;
    runtime
        .block_on(read(&copy))
        .map_err(|error: sqlx::Error| error.to_string())
}

async fn read(copy: &Path) -> Result<Rows, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(copy);
    let mut conn = SqliteConnection::connect_with(&options).await?;
    let in_flight: Vec<(String, String)> = sqlx::query_as(
        "SELECT COALESCE(m.message_id, m.id), l.recipient_key FROM job j \
         JOIN message m ON m.id = j.message_id JOIN leg l ON l.message_id = j.message_id \
         WHERE j.lease_token IS NOT NULL AND ((j.kind = 'deliver' AND l.recipient_key = j.recipient_key \
         AND j.destination NOT LIKE 'maildir:%') OR j.kind = 'relay')",
    )
    .fetch_all(&mut conn)
    .await?;
    let kinds: Vec<(String, i64)> = sqlx::query_as("SELECT kind, COUNT(*) FROM job GROUP BY kind")
        .fetch_all(&mut conn)
        .await?;
    let count = |kind: &str| {
        kinds
            .iter()
            .find(|(found, _)| found == kind)
            .map_or(0, |(_, count)| *count)
    };
    let journalled = sqlx::query_scalar(
        "SELECT COUNT(DISTINCT message_id) FROM journal WHERE event = 'accepted' AND facts LIKE '%relay%' AND message_id NOT IN \
         (SELECT message_id FROM journal WHERE event = 'delivered' AND message_id IS NOT NULL)",
    )
    .fetch_one(&mut conn)
    .await?;
    conn.close().await?;
    Ok(Rows {
        in_flight,
        taken: count("open"),
        granted: count("deliver"),
        relays: count("relay"),
        journalled,
    })
}
