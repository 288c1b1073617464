//! Every cap, with where its number comes from. Sizes in octets, spans in the type.
//! A cap that an operator may change is a default here and a key in the configuration.

use std::time::Duration;

// ---- listener ---------------------------------------------------------------------------------

/// Longest command line, CRLF included. Postfix `line_length_limit` 2048; RFC 5321 §4.5.3.1.4 asks for at least 512.
pub const COMMAND_LINE_MAX: usize = 2_048;
/// Longest line of DATA, CRLF included. RFC 5321 §4.5.3.1.6 asks for 1,000.
pub const TEXT_LINE_MAX: usize = 1_000;
/// Largest message. 25 MB referrals with base64 are 34 MiB; images come larger.
pub const MESSAGE_SIZE_MAX: u64 = 128 * 1024 * 1024;
/// Recipients of one transaction. RFC 5321 §4.5.3.1.8 asks for at least 100.
pub const RECIPIENTS_MAX: usize = 100;
/// Bad commands before the session is closed. Postfix `smtpd_hard_error_limit`.
pub const SESSION_ERRORS_MAX: u32 = 20;
/// Commands without a message before the session is closed. Postfix `smtpd_junk_command_limit` 100.
pub const SESSION_JUNK_MAX: u32 = 100;
/// Connections of one client address at once. Postfix `smtpd_client_connection_count_limit` 50.
pub const CONNECTIONS_PER_CLIENT_MAX: usize = 50;
/// Connections at once, all clients together.
pub const CONNECTIONS_MAX: usize = 2_000;
/// Longest wait for one command. RFC 5321 §4.5.3.2.7 asks for 5 minutes; ETT case 13 needs it configurable.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// Slowest DATA that is waited for, octets a second. Postfix `smtpd_min_data_rate` 500.
pub const DATA_RATE_MIN: u64 = 500;
/// Longest session. Ten of the longest commands.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(3_000);
/// How long input is read and thrown away after a bare CR or LF in DATA.
pub const DISCARD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Unknown recipients a client may name in an hour before it hears 451 for all (E-056: no harvest).
pub const UNKNOWN_RECIPIENTS_PER_HOUR_MAX: u32 = 20;
/// The hour of [`UNKNOWN_RECIPIENTS_PER_HOUR_MAX`].
pub const UNKNOWN_RECIPIENTS_WINDOW: Duration = Duration::from_secs(3_600);
/// Failed passwords of one client address for one login in [`AUTH_WINDOW`] before 454. NIST SP 800-63B
/// §5.2.2 allows at most 100.
pub const AUTH_FAILURES_MAX: u32 = 10;
/// Failed passwords of one client address, all logins together: a clinic behind one address is not locked
/// out by one wrong device.
pub const AUTH_FAILURES_PER_CLIENT_MAX: u32 = 100;
/// The window of [`AUTH_FAILURES_MAX`] and [`AUTH_FAILURES_PER_CLIENT_MAX`].
pub const AUTH_WINDOW: Duration = Duration::from_secs(900);
/// argon2id verifications at once: 19 MiB each (OWASP parameters).
pub const PASSWORD_CHECKS_AT_ONCE: usize = 2;
/// Right passwords remembered until the next change of the directory; 32 octets each.
pub const PASSWORDS_REMEMBERED_MAX: usize = 10_000;
/// Free octets on the store's file system below which mail is deferred with 452. Postfix `queue_minfree`
/// habit: 1.5 × the largest message.
pub const FREE_OCTETS_MIN: u64 = 192 * 1024 * 1024;
/// Free inodes below which mail is deferred with 452.
pub const FREE_INODES_MIN: u64 = 1_000;
/// The store's free room is asked for at most this often.
pub const ROOM_CHECK_EVERY: Duration = Duration::from_secs(1);
/// RCPT commands past [`RECIPIENTS_MAX`] that hear 452 before they count as errors. Postfix
/// `smtpd_recipient_overshoot_limit`.
pub const RECIPIENTS_OVERSHOOT_MAX: usize = 1_000;
/// Octets of an over-long command line that are read for its end before the session is closed: 32 of the longest lines.
pub const COMMAND_SKIP_MAX: usize = 64 * 1024;
/// Clients and logins that the listener remembers failures of; the oldest is forgotten first.
pub const CLIENTS_REMEMBERED_MAX: usize = 10_000;
/// How long sessions in DATA may go on after the order to stop. systemd kills after 90 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last reply and the TLS close of a session may take.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before the next accept when the process is out of descriptors; doubles to [`ACCEPT_PAUSE_MAX`].
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait before the next accept.
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Received fields in one message before it is a loop. RFC 5321 §6.3 asks for at least 100; Postfix
/// `hopcount_limit` 50.
pub const HOPS_MAX: usize = 50;

// ---- store ------------------------------------------------------------------------------------

/// Body octets kept in memory and in a row; larger ones are blobs.
pub const BODY_IN_MEMORY_MAX: usize = 256 * 1024;
/// Plaintext octets of one at-rest frame, and the largest chunk anything reads.
pub const FRAME: usize = 64 * 1024;
/// What a pass over octets holds at a time. Stays in a core's first caches, and is small beside a message of a page:
/// with buffers of a frame, clearing and giving back memory was a twentieth of its CPU.
pub const PIECE: usize = 16 * 1024;
/// Submissions in one group commit.
pub const COMMIT_GROUP_MAX: usize = 64;
/// Octets in one group commit.
pub const COMMIT_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Submissions that wait for the writer; more wait at their callers. Sixteen groups.
pub const SUBMISSIONS_WAITING_MAX: usize = 1_024;
/// Connections that read the database. Twice the cores of the smallest machine; WAL readers never wait for the writer.
pub const READERS: u32 = 4;
/// Journal entries that a slow listener may lag behind before it loses the oldest.
pub const EVENTS_LAG_MAX: usize = 4_096;
/// Journal rows in one INSERT. Ten binds each; SQLite allows 32,766 binds.
pub const JOURNAL_ROWS_PER_INSERT: usize = 16;
/// Journal rows of one message that are shown.
pub const JOURNAL_ROWS_READ_MAX: i64 = 10_000;

// ---- MIME and CMS -----------------------------------------------------------------------------

/// Header octets of one entity. Postfix `header_size_limit` 102,400, rounded up.
pub const HEADER_OCTETS_MAX: usize = 256 * 1024;
/// Header fields of one entity.
pub const HEADER_FIELDS_MAX: usize = 1_000;
/// Parameters of one Content-Type or Content-Disposition; no mail seen has more than 8.
pub const MIME_PARAMETERS_MAX: usize = 64;
/// Octets of white space after a boundary on its line (RFC 2046 §5.1.1 transport-padding; RFC 5322 §2.1.1
/// line length).
pub const BOUNDARY_PADDING_MAX: usize = 998;
/// Longest line that may be sent, without CRLF. RFC 5322 §2.1.1.
pub const LINE_OCTETS_MAX: usize = 998;
/// Mailboxes of one address field; RFC 5321 transactions of 100 recipients with room for groups.
pub const MAILBOXES_MAX: usize = 1_000;
/// MIME nesting. Postfix `mime_nesting_limit` is 100; no referral seen is deeper than 6.
pub const MIME_DEPTH_MAX: usize = 20;
/// Parts of one message.
pub const MIME_PARTS_MAX: usize = 1_000;
/// Octets of a decoded signature part; 20 certificates of 4 KiB with room to spare.
pub const SIGNATURE_OCTETS_MAX: usize = 1024 * 1024;
/// Octets of everything in an EnvelopedData before its content.
pub const ENVELOPE_HEAD_MAX: usize = 256 * 1024;
/// Octets of a report (MDN, DSN) that are read; a returned message may follow after them.
pub const REPORT_OCTETS_MAX: usize = 1024 * 1024;
/// ASN.1 nesting.
pub const ASN1_DEPTH_MAX: usize = 32;
/// RecipientInfos of one message: as many as recipients.
pub const RECIPIENT_INFOS_MAX: usize = 100;
/// Certificates in one SignedData.
pub const CERTIFICATES_MAX: usize = 20;
/// Certificates in one trust bundle. The largest accreditation bundle has some hundreds of anchors.
pub const BUNDLE_CERTIFICATES_MAX: usize = 10_000;
/// Octets of one trust bundle: its certificates at 3 KiB each, rounded up.
pub const BUNDLE_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// SignerInfos in one SignedData.
pub const SIGNERS_MAX: usize = 16;
/// Smallest RSA modulus, bits (A-019, ETT "SVAP 2022" §2.8).
pub const RSA_BITS_MIN: u32 = 2_048;
/// Largest RSA modulus, bits: verification cost grows with its square (OpenSSL's own cap is 16,384).
pub const RSA_BITS_MAX: u32 = 8_192;

// ---- trust ------------------------------------------------------------------------------------

/// Octets of one certificate. Certificates with long name lists stay below 10 KiB.
pub const CERTIFICATE_OCTETS_MAX: usize = 64 * 1024;
/// Before a certificate of ours expires, so long ahead comes an alarm. CAs ask for 2 to 4 weeks to reissue.
pub const IDENTITY_WARNING: Duration = Duration::from_secs(30 * 86_400);
/// Signature checks of one judgment. webpki's `Budget`: 100.
pub const SIGNATURE_CHECKS_MAX: usize = 100;
/// Certificates between leaf and anchor. No healthcare PKI seen is deeper than 4; four times that.
pub const PATH_DEPTH_MAX: usize = 16;
/// Complete paths tried for one leaf.
pub const PATHS_MAX: usize = 50;
/// Steps from certificate to issuer in the search of one judgment. An honest bag takes fewer than 20.
pub const PATH_STEPS_MAX: usize = 1_000;
/// Policies that are followed at one level of one path (RFC 9618 §5.1 bounds the graph; this bounds its width).
pub const POLICY_NODES_MAX: usize = 1_000;
/// Paths that one set of anchors remembers, by leaf; about 10 KiB each.
pub const VERDICTS_REMEMBERED_MAX: usize = 1_000;
/// Policies and mappings that are followed in all paths of one judgment: 50 paths of 8 CAs with 50 each.
pub const POLICY_WORK_MAX: usize = 20_000;
/// Certificates beside the leaf that one judgment looks at. A message brings at most [`CERTIFICATES_MAX`];
/// this bounds what is handed to `carepost trust check`.
pub const BAG_CERTIFICATES_MAX: usize = 1_000;
/// Signature checks of one judgment, by what they cost, in hundredths of one with P-256: 25 with P-384, 45
/// with RSA 8192; cheaper keys meet [`SIGNATURE_CHECKS_MAX`] first. Some 25 ms (docs/performance.md).
pub const SIGNATURE_COST_MAX: usize = 25_000;
/// Octets of one CRL. The largest lists of public CAs were below this; Direct's have some hundred entries.
pub const CRL_OCTETS_MAX: usize = 64 * 1024 * 1024;
/// Certificates whose status is asked for while that of another is: a CRL's signer, whose own CRL has a
/// signer. Two are in use.
pub const CRL_SIGNER_DEPTH_MAX: usize = 4;
/// Pointers of one kind that one certificate may make us follow. Those of public CAs hold one or two.
pub const POINTERS_MAX: usize = 4;
/// Things that one judgment may ask for at once: a chain of four with two pointers each, and room.
pub const NEEDS_MAX: usize = 16;
/// Octets of one OCSP answer; with a responder's certificate they have 2 KiB.
pub const OCSP_OCTETS_MAX: usize = 256 * 1024;
/// Certificates that one OCSP answer may speak of; we ask about one.
pub const OCSP_SINGLES_MAX: usize = 1_000;
/// How old an OCSP answer without nextUpdate may be (RFC 6960 §2.4: newer is always to be had).
pub const OCSP_FRESH_MAX: Duration = Duration::from_secs(300);
/// How far ahead another's clock may be in thisUpdate (G-044).
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
/// Octets of one file that `carepost trust check` reads: the largest CRL in PEM.
pub const CHECKED_FILE_OCTETS_MAX: u64 = 96 * 1024 * 1024;
/// Octets of one line of a batch: paths and addresses; a hundred of the longest are 450 KB.
pub const BATCH_LINE_OCTETS_MAX: usize = 1024 * 1024;
/// Name comparisons of one judgment. webpki's `Budget`: 250,000.
pub const NAME_COMPARISONS_MAX: usize = 250_000;

// ---- bundles ----------------------------------------------------------------------------------

/// Octets of the metadata of a bundle: a list of 10,000 anchors at 100 octets each.
pub const METADATA_OCTETS_MAX: usize = 1024 * 1024;
/// Nesting of its XML; the schema has five levels.
pub const METADATA_DEPTH_MAX: usize = 16;
/// Distribution points that are kept of it.
pub const METADATA_VALUES_MAX: usize = 16;
/// One bundle, fetched: 32 MiB at 5 Mbit/s.
pub const BUNDLE_FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Between refreshes of a bundle unless the operator says otherwise. D-011: daily or less; a quarter of it.
pub const BUNDLE_INTERVAL: Duration = Duration::from_secs(6 * 3_600);
/// Anchors of a bundle, percent, that may go without an operator's approval (D-014).
pub const BUNDLE_DROP_PERCENT: u32 = 20;
/// First wait after a failed refresh; it doubles up to the interval.
pub const BUNDLE_RETRY: Duration = Duration::from_secs(300);
/// How often it is looked whether a bundle is due.
pub const BUNDLE_LOOK: Duration = Duration::from_secs(5);
/// Fingerprints of one change that the journal lists; the id of the change stands for all.
pub const BUNDLE_PRINTS_JOURNALLED: usize = 100;
/// Bundles that are refreshed in one look.
pub const BUNDLES_AT_ONCE_MAX: usize = 16;
/// Partners that are named as cut off by a change.
pub const PARTNERS_NAMED_MAX: i64 = 200;

// ---- fetch ------------------------------------------------------------------------------------

/// Octets of a URL that is followed. RFC 9110 §4.1 asks for at least 8,000.
pub const FETCH_URL_MAX: usize = 8_000;
/// Redirects of one fetch. RFC 9110 §15.4 leaves it open; those of CAs seen have one.
pub const FETCH_REDIRECTS_MAX: u32 = 3;
/// Octets of a response's head; hyper asks for at least 8,192.
pub const FETCH_HEAD_MAX: usize = 64 * 1024;
/// Fields of a response's head.
pub const FETCH_HEADERS_MAX: usize = 100;
/// Fetches at once, of either kind of URL: enough for one message's needs, too few to be a tool against others.
pub const FETCHES_AT_ONCE_MAX: usize = 16;
/// Orders under way, waiting ones included, beyond which none is taken that a stranger's certificate names
/// (AIA). Sixteen for each seat: what the seats serve within the time of one order.
pub const STRANGERS_ORDERS_MAX: usize = 256;
/// Lists of one place that are kept beside each other, the latest first: room for forged and for old ones.
pub const CRLS_KEPT_MAX: usize = 4;
/// Connecting to one address.
pub const FETCH_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may say nothing.
pub const FETCH_IDLE_MAX: Duration = Duration::from_secs(10);
/// One OCSP answer or issuer's certificate, redirects included.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// One CRL: 64 MiB at 5 Mbit/s.
pub const CRL_FETCH_TIMEOUT: Duration = Duration::from_secs(120);
/// A URL that failed is left alone so long. Ours: as long as the first wait of the queue.
pub const FETCH_FAILED_KEPT: Duration = Duration::from_secs(60);
/// A CRL is asked for again at most this often, however much it is wanted.
pub const CRL_AGAIN_MIN: Duration = Duration::from_secs(60);
/// A CRL is asked for again so long after the last time, whatever its nextUpdate says: CAs publish early when
/// they revoke.
pub const CRL_REFRESH: Duration = Duration::from_secs(3_600);
/// How often it is looked whether a CRL is due.
pub const REFRESH_LOOK: Duration = Duration::from_secs(60);
/// URLs of CRLs in memory; a community has tens of CAs.
pub const LISTS_KEPT_MAX: usize = 256;
/// Octets of CRLs in memory.
pub const LISTS_OCTETS_MAX: usize = 256 * 1024 * 1024;
/// OCSP answers in memory, 2 KiB each.
pub const ANSWERS_KEPT_MAX: usize = 2_000;
/// Octets of one file of issuers' certificates.
pub const AIA_OCTETS_MAX: usize = 1024 * 1024;
/// Certificates of one such file that are read.
pub const AIA_CERTIFICATES_MAX: usize = 20;
/// An issuer's certificate is kept so long.
pub const AIA_KEPT: Duration = Duration::from_secs(3_600);
/// Files of fetched things on disk.
pub const FETCHED_FILES_MAX: usize = 1_000;
/// Octets of them.
pub const FETCHED_OCTETS_MAX: u64 = 1024 * 1024 * 1024;
/// Rounds of judging and fetching in one attempt: as many as a chain has certificates (decision 4).
pub const EVIDENCE_ROUNDS_MAX: u32 = 4;
/// All rounds of one attempt together (decision 4).
pub const EVIDENCE_WAIT_MAX: Duration = Duration::from_secs(20);

// ---- discovery, relay, queue --------------------------------------------------------------------

/// CERT records of one answer that are looked at.
pub const CERT_RECORDS_MAX: usize = 64;
/// One DNS question, retries included.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time a discovered certificate is kept, whatever its TTL says (C-031).
pub const DISCOVERED_TTL_MAX: Duration = Duration::from_secs(3_600);
/// Longest time "not there" is kept (C-032).
pub const NOT_FOUND_TTL_MAX: Duration = Duration::from_secs(60);
/// Connecting to a next hop. RFC 5321 §4.5.3.2 gives 5 minutes for the greeting; a MX list is walked sooner.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// One SMTP command to a next hop. RFC 5321 §4.5.3.2.
pub const RELAY_COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
/// The reply to the final dot. RFC 5321 §4.5.3.2.6.
pub const RELAY_DATA_TIMEOUT: Duration = Duration::from_secs(600);
/// One block of message text to a next hop. RFC 5321 §4.5.3.2.5.
pub const RELAY_BLOCK_TIMEOUT: Duration = Duration::from_secs(180);
/// What a peer that stops taking text may still have to say. Ours.
pub const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);
/// One attempt at a domain, all its hosts together: it must end before its lease ([`LEASE`]) does.
pub const RELAY_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1_500);
/// Longest line of message text that is sent, CRLF not counted. RFC 5322 §2.1.1.
pub const SENT_LINE_MAX: usize = TEXT_LINE_MAX - 2;
/// Longest line of a reply. RFC 5321 §4.5.3.1.5 gives 512; `lettre` reads 1,000.
pub const REPLY_LINE_MAX: usize = 1_000;
/// Lines of one reply. EHLO replies seen have under 30; `lettre` parses all lines again with each new one.
pub const REPLY_LINES_MAX: u32 = 100;
/// Open connections kept for one next hop.
pub const KEPT_PER_HOP_MAX: usize = 4;
/// Open connections kept, all next hops together.
pub const KEPT_MAX: usize = 128;
/// How long an idle connection is kept. Most servers wait longer; a shorter stay is politer
/// (RFC 5321 §4.5.3.2.7: 5 minutes).
pub const KEPT_IDLE_MAX: Duration = Duration::from_secs(30);
/// Addresses tried of one host. Postfix `smtp_mx_address_limit` 5.
pub const ADDRESSES_PER_HOST_MAX: usize = 5;
/// Names whose DNS answers are kept.
pub const DNS_CACHE_NAMES_MAX: usize = 10_000;
/// Octets of certificates that are kept with them.
pub const DNS_CACHE_OCTETS_MAX: usize = 64 * 1024 * 1024;
/// MX hosts tried in one attempt.
pub const MX_HOSTS_MAX: usize = 10;
/// Wait after a first failed attempt; doubles with each further one. Postfix `minimal_backoff_time` is 300 s, too slow
/// for a sender who gives up after 60 minutes (B-013).
pub const RETRY_FIRST: Duration = Duration::from_secs(60);
/// Longest wait between attempts: four in each hour of a referral's life.
pub const RETRY_MAX: Duration = Duration::from_secs(900);
/// Wait after a worker broke off without settling its job.
pub const RETRY_BROKEN_OFF: Duration = Duration::from_secs(60);
/// Jobs shown to the operator at once.
pub const JOBS_SHOWN_MAX: i64 = 10_000;
/// How long a leased job belongs to its worker.
pub const LEASE: Duration = Duration::from_secs(1_800);
/// Attempts at opening before a message is held as poison.
pub const OPEN_ATTEMPTS_MAX: u32 = 3;
/// Wait for a processed MDN, from the 250 at submission (B-013; ETT and the Java implementation: 60 minutes).
pub const PROCESSED_WAIT: Duration = Duration::from_secs(3_600);
/// Wait for a dispatched MDN when one was asked for (B-014).
pub const DISPATCHED_WAIT: Duration = Duration::from_secs(3_600);
/// A referral is tried for as long as its processed timer runs.
pub const REFERRAL_QUEUE_LIFE: Duration = PROCESSED_WAIT;
/// A report is tried for a day.
pub const REPORT_QUEUE_LIFE: Duration = Duration::from_secs(86_400);
/// Edge hand-over is tried so long when `dispatched` was asked for: the answer must beat the sender's 60 minutes.
pub const EDGE_LIFE_ASKED: Duration = Duration::from_secs(3_000);
/// Edge hand-over is tried so long otherwise.
pub const EDGE_LIFE: Duration = Duration::from_secs(86_400);
/// Undecided trust waits so long for evidence.
pub const UNDECIDED_WAIT: Duration = Duration::from_secs(1_800);
/// Names in the certificates of one report that are looked up; honest ones hold one or two.
pub const REPORT_NAMES_MAX: usize = 32;
/// Attempts at a delivery or relay before the job is held as poison. A report that is tried for a day comes
/// to about 100; more are attempts that broke off.
pub const ATTEMPTS_MAX: u32 = 200;
/// Jobs that are leased at once by the queue's driver.
pub const LEASED_AT_ONCE_MAX: usize = 64;
/// Wait after the queue could not be asked.
pub const QUEUE_PAUSE: Duration = Duration::from_secs(5);
/// Characters of peers' words about one attempt that are kept.
pub const WORDS_MAX: usize = 2_000;
/// Duplicates are recognised so long (B-030).
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// Refused ciphertext is kept so long.
pub const REFUSED_RETENTION: Duration = Duration::from_secs(14 * 86_400);

// ---- admin ------------------------------------------------------------------------------------

/// One request on admin.sock: a CSV of 100,000 addresses is 12 MB.
pub const ADMIN_LINE_MAX: u64 = 32 * 1024 * 1024;
/// Sessions on admin.sock at once: more than operators have hands.
pub const ADMIN_SESSIONS_MAX: u32 = 16;
/// How long a session on admin.sock may say nothing.
pub const ADMIN_IDLE: Duration = Duration::from_secs(60);
/// Wait after a failed accept on admin.sock (out of file descriptors): it may pass.
pub const ADMIN_PAUSE: Duration = Duration::from_secs(1);
/// Certificates in one anchor file; DirectTrust's whole bundle holds fewer.
pub const ANCHORS_PER_FILE_MAX: usize = 1_000;
/// Messages in one answer of `message list`.
pub const MESSAGES_LISTED_MAX: u32 = 1_000;
/// Journal rows of one message that are shown: 100 recipients with 50 events each.
pub const TIMELINE_MAX: i64 = 5_000;
/// Characters of a password that a person chose. NIST SP 800-63B §5.1.1.2 asks for 8; ours guard a mailbox
/// open to the Internet.
pub const PASSWORD_LENGTH_MIN: usize = 12;
/// One readiness check.
pub const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

// ---- smime ------------------------------------------------------------------------------------

/// Elements that `carepost smime inspect` prints; a message with 20 certificates has some 2,000.
pub const OUTLINE_LINES_MAX: usize = 5_000;
/// Octets of everything but strings that `carepost smime inspect` reads.
pub const OUTLINE_OCTETS_MAX: usize = 4 * 1024 * 1024;
