//! The directory's SQL, in words that SQLite and PostgreSQL both know.

pub(super) const DOMAIN_ADD: &str = "INSERT INTO domain (name, tenant_id, profile, created_at) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING";
pub(super) const DOMAIN_LIST: &str = "SELECT d.name, d.tenant_id, d.profile, d.unknown_recipient, d.trust_in, d.trust_out, \
     (SELECT COUNT(*) FROM address a WHERE a.domain = d.name) FROM domain d ORDER BY d.name";
pub(super) const DOMAIN_TENANT: &str = "SELECT tenant_id FROM domain WHERE name = $1";
pub(super) const DOMAIN_TENANTS: &str = "SELECT name, tenant_id FROM domain";
pub(super) const DOMAIN_LOAD: &str =
    "SELECT name, tenant_id, profile, unknown_recipient FROM domain";

pub(super) const ROUTE_KEEP: &str =
    "INSERT INTO route (id, tenant_id, kind) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
pub(super) const HOLDER_BY_NPI: &str =
    "SELECT id FROM holder WHERE tenant_id = $1 AND npi = $2 ORDER BY id LIMIT 1";
pub(super) const HOLDER_BY_NAME: &str =
    "SELECT id FROM holder WHERE tenant_id = $1 AND name = $2 AND npi IS NULL ORDER BY id LIMIT 1";
pub(super) const HOLDER_ADD: &str =
    "INSERT INTO holder (id, tenant_id, name, npi) VALUES ($1, $2, $3, $4)";
pub(super) const HOLDER_RENAME: &str = "UPDATE holder SET name = $2 WHERE id = $1";
/// Nobody's name is kept longer than an address of theirs.
pub(super) const HOLDER_SWEEP: &str = "DELETE FROM holder WHERE source = 'local' \
     AND id NOT IN (SELECT holder_id FROM address WHERE holder_id IS NOT NULL)";

pub(super) const ADDRESS_SET: &str = "INSERT INTO address (key, written, domain, tenant_id, holder_id, route_id, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key) DO UPDATE SET written = excluded.written, \
     holder_id = excluded.holder_id, route_id = excluded.route_id, updated_at = excluded.updated_at";
pub(super) const ADDRESS_REMOVE: &str =
    "DELETE FROM address WHERE key = $1 RETURNING written, tenant_id";
/// `$1` is '' for all domains.
pub(super) const ADDRESS_LIST: &str = "SELECT a.written, a.route_id, h.name, h.npi, a.state FROM address a \
     LEFT JOIN holder h ON h.id = a.holder_id WHERE ($1 = '' OR a.domain = $1) ORDER BY a.key";
pub(super) const ADDRESS_COMPARE: &str = "SELECT a.key, a.written, a.route_id, h.name, h.npi FROM address a \
     LEFT JOIN holder h ON h.id = a.holder_id";
pub(super) const ADDRESS_LOAD: &str =
    "SELECT written, tenant_id, state, route_id FROM address ORDER BY key";

pub(super) const ACCOUNT_ADD: &str = "INSERT INTO account (name, tenant_id, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
pub(super) const ACCOUNT_TENANT: &str = "SELECT tenant_id FROM account WHERE name = $1";
pub(super) const ACCOUNT_ADDRESS_ADD: &str =
    "INSERT INTO account_address (account, address_key) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub(super) const ACCOUNT_LIST: &str = "SELECT name, tenant_id, disabled FROM account ORDER BY name";
pub(super) const ACCOUNT_ADDRESS_LIST: &str =
    "SELECT account, address_key FROM account_address ORDER BY account, address_key";
/// An enabled account of a tenant that is not suspended, once for each address, and once with NULL if
/// it has none.
pub(super) const SENDER_LOAD: &str = "SELECT c.name, c.tenant_id, s.address_key, \
     (SELECT COUNT(*) FROM account_password p WHERE p.account = c.name AND p.revoked_at IS NOT NULL) FROM account c \
     JOIN tenant t ON t.id = c.tenant_id LEFT JOIN account_address s ON s.account = c.name \
     WHERE c.disabled = 0 AND t.suspended = 0";

pub(super) const PASSWORD_ADD: &str = "INSERT INTO account_password (id, account, label, hash, created_at) VALUES ($1, $2, $3, $4, $5)";
pub(super) const PASSWORD_ACTIVE: &str =
    "SELECT id FROM account_password WHERE account = $1 AND label = $2 AND revoked_at IS NULL";
pub(super) const PASSWORD_REVOKE: &str = "UPDATE account_password SET revoked_at = $3 \
     WHERE account = $1 AND label = $2 AND revoked_at IS NULL";
pub(super) const PASSWORD_LIST: &str =
    "SELECT account, label, created_at, revoked_at FROM account_password ORDER BY created_at, id";
pub(super) const PASSWORD_HASHES: &str = "SELECT p.hash FROM account_password p JOIN account c ON c.name = p.account \
     JOIN tenant t ON t.id = c.tenant_id \
     WHERE c.name = $1 AND c.disabled = 0 AND t.suspended = 0 AND p.revoked_at IS NULL ORDER BY p.created_at DESC, p.id";
