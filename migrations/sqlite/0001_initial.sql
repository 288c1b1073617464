-- The first schema. Tables of short rows that are found by a text key are kept in that key's order (WITHOUT ROWID): one tree to change, not two.
-- Times are BIGINT microseconds UTC. Ids are text. Enumerations are the words of the code.
-- Every owned row carries tenant_id. "immutable" columns are written once.

-- Who owns what. A single clinic is the tenant 'default'.
CREATE TABLE tenant (
    id          TEXT PRIMARY KEY,
    created_at  BIGINT NOT NULL,
    suspended   BIGINT NOT NULL DEFAULT 0      -- 1: no new mail
);
INSERT INTO tenant (id, created_at) VALUES ('default', 0);

-- Domains that are ours.
CREATE TABLE domain (
    name        TEXT PRIMARY KEY,              -- lower-case A-label
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    profile     TEXT NOT NULL DEFAULT 'v1.3',  -- v1.3 | v1.2
    unknown_recipient TEXT NOT NULL DEFAULT 'reject', -- reject (550 at RCPT) | accept (processed, then failed)
    trust_in    TEXT NOT NULL DEFAULT 'default',      -- trust profile for what comes in
    trust_out   TEXT NOT NULL DEFAULT 'default',      -- trust profile for what goes out
    created_at  BIGINT NOT NULL
);

-- Named sets of anchors and policy that domains point to.
CREATE TABLE trust_profile (
    name        TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id)
);
INSERT INTO trust_profile (name, tenant_id) VALUES ('default', 'default');

CREATE TABLE anchor (
    fingerprint TEXT NOT NULL,                 -- SHA-256 of the DER, lower-case hex
    profile     TEXT NOT NULL REFERENCES trust_profile (name),
    direction   TEXT NOT NULL DEFAULT 'both',  -- in | out | both
    label       TEXT NOT NULL,                 -- what the operator calls it
    der         BLOB NOT NULL,
    added_at    BIGINT NOT NULL,
    added_by    TEXT NOT NULL,
    PRIMARY KEY (fingerprint, profile)
);

-- Our certificates and their keys.
CREATE TABLE identity (
    id          TEXT PRIMARY KEY,              -- SHA-256 of the certificate, lower-case hex
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    domain      TEXT NOT NULL,                 -- the domain it serves
    address_key TEXT,                          -- set if bound to one address
    certificate BLOB NOT NULL,                 -- DER
    chain       BLOB NOT NULL,                 -- concatenated DER of intermediates, leaf's issuer first
    wrapped_key BLOB NOT NULL,                 -- PKCS#8 DER under the key-encryption key
    state       TEXT NOT NULL DEFAULT 'active',-- active | decrypt-only | retired
    not_before  BIGINT NOT NULL,
    not_after   BIGINT NOT NULL,
    added_at    BIGINT NOT NULL,
    added_by    TEXT NOT NULL
);
CREATE INDEX identity_domain ON identity (domain);

-- Logins of clinics.
CREATE TABLE account (
    name        TEXT PRIMARY KEY,              -- the login, lower case
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    disabled    BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL
);
-- One password a device; revoking one leaves the others.
CREATE TABLE account_password (
    id          TEXT PRIMARY KEY,
    account     TEXT NOT NULL REFERENCES account (name),
    label       TEXT NOT NULL,
    hash        TEXT NOT NULL,                 -- tagged: $argon2id$...
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);
CREATE INDEX account_password_account ON account_password (account);
-- Which addresses an account may send as.
CREATE TABLE account_address (
    account     TEXT NOT NULL REFERENCES account (name),
    address_key TEXT NOT NULL,
    PRIMARY KEY (account, address_key)
);

-- The provider directory: who, where, how.
CREATE TABLE holder (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    name        TEXT NOT NULL,
    npi         TEXT,                          -- National Provider Identifier, 10 digits
    source      TEXT NOT NULL DEFAULT 'local',
    external_id TEXT
);
CREATE TABLE route (
    id          TEXT PRIMARY KEY,              -- the route as written: maildir:/path, smtp://host:25, lmtp://host:24, lmtp:unix:/path
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    kind        TEXT NOT NULL                  -- maildir | smtp | lmtp
);
CREATE TABLE address (
    key         TEXT PRIMARY KEY,
    written     TEXT NOT NULL,
    domain      TEXT NOT NULL REFERENCES domain (name),
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    holder_id   TEXT REFERENCES holder (id),
    route_id    TEXT NOT NULL REFERENCES route (id),
    state       TEXT NOT NULL DEFAULT 'active',-- active | disabled | full | moved
    source      TEXT NOT NULL DEFAULT 'local',
    external_id TEXT,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX address_domain ON address (domain);

-- Settings inherited global -> tenant -> domain -> account.
CREATE TABLE setting (
    scope       TEXT NOT NULL,                 -- 'global', 'tenant:x', 'domain:x', 'account:x'; 'store': its own
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    actor       TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);

-- Octets of messages, always under the key-encryption key. data is NULL if they are in the blob file of that id.
CREATE TABLE body (
    id          TEXT PRIMARY KEY,
    size        BIGINT NOT NULL,               -- plaintext octets
    data        BLOB
);

-- One message. direction 'in': taken from the wire. 'out': bound for another HISP. 'notice': clear text for a local edge.
CREATE TABLE message (
    id          TEXT PRIMARY KEY,              -- TrackingId
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    direction   TEXT NOT NULL,                 -- in | out | notice
    kind        TEXT NOT NULL,                 -- message | mdn | dsn; an inbound one is 'message' until opened
    listener    TEXT,                          -- relay | submission; NULL if made here
    account     TEXT,
    peer        TEXT,                          -- IP address
    helo        TEXT,
    tls         TEXT,
    return_path TEXT,                          -- NULL: <>
    envid       TEXT,
    ret         TEXT,
    body_type   TEXT,
    message_id  TEXT,                          -- RFC 5322 Message-ID octets, once known
    sender      TEXT,                          -- From as written, once known
    sender_key  TEXT,                          -- From, what is compared
    about       TEXT,                          -- a report or notice made here: the message it is about
    hint        BLOB,                          -- a report made here: DER of a certificate that serves if none is published
    size        BIGINT NOT NULL,
    body_id     TEXT,                          -- NULL after purge
    digest      TEXT,                          -- SHA-256 of what was opened (in) or of the draft (out), hex
    received_at BIGINT NOT NULL,
    final_at    BIGINT                         -- every leg is final
);
CREATE INDEX message_message_id ON message (message_id, sender_key);
CREATE INDEX message_received_at ON message (received_at);
CREATE INDEX message_about ON message (about) WHERE about IS NOT NULL;

-- One recipient of one message.
CREATE TABLE leg (
    message_id  TEXT NOT NULL REFERENCES message (id),
    recipient_key TEXT NOT NULL,
    recipient   TEXT NOT NULL,                 -- as written
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    state       TEXT NOT NULL,                 -- journal::LegState
    reason      TEXT,                          -- journal::Reason, why it is in that state
    detail      TEXT,                          -- evidence in words
    notify      TEXT,
    orcpt       TEXT,
    asked       BIGINT NOT NULL DEFAULT 0,     -- 1: delivery notification was asked for (B-001)
    anchor      TEXT,                          -- fingerprint of the anchor that vouched
    signer      TEXT,                          -- fingerprint of the certificate that was judged
    token       TEXT,                          -- of the last relay attempt; a clear DSN must bring it back
    answer      TEXT,                          -- final answer: delivered | failed; set once
    answer_due  BIGINT,                        -- when silence becomes failure; NULL: nothing is awaited
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (message_id, recipient_key)
) WITHOUT ROWID;
CREATE INDEX leg_answer_due ON leg (answer_due) WHERE answer_due IS NOT NULL;
CREATE INDEX leg_token ON leg (token) WHERE token IS NOT NULL;
-- Whom our senders wrote to, and when last: who may report to them (decision: a report speaks for a recipient).
CREATE TABLE correspondent (
    sender_key  TEXT NOT NULL,
    domain      TEXT NOT NULL,                 -- the recipient's
    recipient_key TEXT NOT NULL,
    recipient   TEXT NOT NULL,                 -- as last written
    at          BIGINT NOT NULL,
    PRIMARY KEY (sender_key, domain, recipient_key)
) WITHOUT ROWID;

-- Work to do. One row is one piece of work; it is gone when it is done.
CREATE TABLE job (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    kind        TEXT NOT NULL,                 -- open | deliver | relay
    message_id  TEXT NOT NULL REFERENCES message (id),
    recipient_key TEXT NOT NULL DEFAULT '',    -- deliver: the one recipient
    destination TEXT NOT NULL DEFAULT '',      -- relay: the recipients' domain; deliver: the route
    state       TEXT NOT NULL DEFAULT 'ready', -- ready | held
    due_at      BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    attempt     BIGINT NOT NULL DEFAULT 0,     -- committed before the work begins
    lease_node  TEXT,
    lease_token TEXT,
    lease_until BIGINT,
    last_error  TEXT,
    created_at  BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX job_due ON job (state, due_at);
CREATE INDEX job_message ON job (message_id);

-- Inbound duplicates: the same CMS octets for the same recipient (A-109).
CREATE TABLE seen (
    recipient_key TEXT NOT NULL,
    digest      TEXT NOT NULL,                 -- SHA-256 of the decoded outer CMS octets, hex
    message_id  TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (recipient_key, digest)
) WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at);

-- Submitted Message-IDs (E-012).
CREATE TABLE submitted (
    sender_key  TEXT NOT NULL,
    message_id  TEXT NOT NULL,                 -- RFC 5322 Message-ID
    digest      TEXT NOT NULL,                 -- SHA-256 of what was submitted and for whom, hex
    tracking_id TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (sender_key, message_id)
) WITHOUT ROWID;
CREATE INDEX submitted_at ON submitted (at);

-- What happened. Append-only; seq is given by the writer.
CREATE TABLE journal (
    node        TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    tenant_id   TEXT NOT NULL,
    actor       TEXT NOT NULL,                 -- 'carepost', or who typed the command
    message_id  TEXT,                          -- TrackingId
    recipient_key TEXT,
    event       TEXT NOT NULL,
    facts       TEXT NOT NULL,                 -- JSON object
    PRIMARY KEY (node, seq)
);
CREATE INDEX journal_message ON journal (message_id);
-- One row for each commit group: hash = SHA-256(previous hash of this node || canonical rows of the group).
CREATE TABLE journal_seal (
    node        TEXT NOT NULL,
    first_seq   BIGINT NOT NULL,
    last_seq    BIGINT NOT NULL,
    hash        TEXT NOT NULL,
    PRIMARY KEY (node, last_seq)
) WITHOUT ROWID;
