-- Trust bundles (D-001 to D-023). A bundle is one community's set of anchors, kept whole; trust profiles point to bundles.
CREATE TABLE bundle (
    name        TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenant (id),
    source      TEXT NOT NULL,                 -- http(s) URL, or file:NAME
    signer      BLOB,                          -- DER that its signature must lead to; NULL: it is not signed
    revocation  TEXT,                          -- hard | soft | off below its anchors; NULL: as the gateway
    interval_s  BIGINT NOT NULL,               -- between refreshes; 0: never by itself
    drop_percent BIGINT NOT NULL,              -- a larger loss of anchors waits for approval
    digest      TEXT,                          -- SHA-256 of the octets that its anchors came from, hex
    metadata    TEXT,                          -- JSON of what it says about itself
    etag        TEXT,
    last_modified TEXT,
    heard_at    BIGINT NOT NULL,               -- when its source last answered as it should
    changed_at  BIGINT NOT NULL,               -- when its anchors last changed
    due_at      BIGINT,                        -- next refresh; NULL: never by itself
    failures    BIGINT NOT NULL DEFAULT 0,     -- since it was last heard
    last_error  TEXT,
    held        BLOB,                          -- octets that wait for approval
    held_at     BIGINT,
    held_why    TEXT,
    created_at  BIGINT NOT NULL,
    created_by  TEXT NOT NULL
);
CREATE INDEX bundle_due_at ON bundle (due_at) WHERE due_at IS NOT NULL;
-- Its anchors, as last applied.
CREATE TABLE bundle_anchor (
    bundle      TEXT NOT NULL REFERENCES bundle (name),
    fingerprint TEXT NOT NULL,                 -- SHA-256 of the DER, lower-case hex
    der         BLOB NOT NULL,
    PRIMARY KEY (bundle, fingerprint)
);
-- Anchors of a bundle that an operator does not trust all the same (D-018).
CREATE TABLE bundle_exclusion (
    bundle      TEXT NOT NULL REFERENCES bundle (name),
    fingerprint TEXT NOT NULL,
    reason      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    PRIMARY KEY (bundle, fingerprint)
);
-- Which bundles a trust profile holds, and for which way.
CREATE TABLE trust_profile_bundle (
    profile     TEXT NOT NULL REFERENCES trust_profile (name),
    bundle      TEXT NOT NULL REFERENCES bundle (name),
    direction   TEXT NOT NULL,                 -- in | out | both
    PRIMARY KEY (profile, bundle)
);
