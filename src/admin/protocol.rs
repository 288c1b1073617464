//! What is said over `admin.sock`: one JSON request a line, one JSON answer a line. The client and the
//! server share these types, and so does a command that runs alone. In: lines. Out: [`Request`], [`Reply`],
//! [`Failure`]. Never prints a password.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bundles::{AnchorError, BundleError};
use crate::certs::ImportError;
use crate::directory::AccountError;
use crate::store::{KekError, StoreError};

/// What a command ends with (sysexits.h).
pub mod exit {
    /// It failed, for a reason that was told.
    pub const FAILED: u8 = 1;
    /// The command line was wrong.
    pub const USAGE: u8 = 2;
    /// What it needs is not there: no carepost runs, a port is in use.
    pub const UNAVAILABLE: u8 = 69;
    /// Our own fault.
    pub const SOFTWARE: u8 = 70;
    /// A file is there already, or cannot be made.
    pub const CANT_CREATE: u8 = 73;
    /// Try again later.
    pub const TEMPFAIL: u8 = 75;
    /// This user may not.
    pub const NOPERM: u8 = 77;
    /// The configuration, the key-encryption key or the database does not fit.
    pub const CONFIG: u8 = 78;
}

/// A text that never shows in a debug print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// Every verb that reaches live state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Request {
    DomainAdd(DomainAdd),
    DomainList,
    AccountAdd(AccountAdd),
    AccountList,
    AccountPasswordAdd(PasswordAdd),
    AccountPasswordRevoke(PasswordRevoke),
    AddressImport(AddressImport),
    AddressList(AddressList),
    AddressAdd(AddressAdd),
    AddressRm(AddressRm),
    AnchorImport(AnchorImport),
    AnchorList,
    AnchorRm(AnchorRm),
    AnchorExport(AnchorExport),
    BundleAdd(BundleAdd),
    BundleList,
    BundleShow(BundleName),
    BundleRefresh(BundleFile),
    BundleDiff(BundleFile),
    BundleApprove(BundleApprove),
    BundleExclude(BundleExclude),
    BundleRm(BundleName),
    TrustProfileAdd(TrustProfileAdd),
    TrustProfileList,
    TrustProfileShow(TrustProfileName),
    TrustProfileAssign(TrustProfileAssign),
    CertImport(CertImport),
    CertList,
    CertRecords,
    MessageList(MessageList),
    MessageShow(MessageShow),
    MessageCancel(MessageCancel),
    QueueList,
    QueueRetry(QueueItem),
    QueueHold(QueueItem),
    QueueRelease(QueueItem),
    Health,
    Check,
}

macro_rules! requests {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$meta])* pub $field: $type,)+ }
        )+
    };
}

requests! {
    /// Makes a domain ours. `profile`: v1.3 or v1.2.
    DomainAdd { name: String, profile: String, }
    /// Makes a login that may send as these addresses.
    AccountAdd { name: String, addresses: Vec<String>, }
    /// Gives a login one more password; made by us unless `chosen`.
    PasswordAdd { account: String, label: String, #[serde(default)] chosen: Option<Hidden>, }
    /// Takes one password away.
    PasswordRevoke { account: String, label: String, }
    /// Upserts addresses from CSV.
    AddressImport { csv: String, mode: ImportMode, }
    /// All addresses, or one domain's.
    AddressList { #[serde(default)] domain: Option<String>, }
    /// Adds or changes one address.
    AddressAdd {
        address: String,
        route: String,
        #[serde(default)] holder: Option<String>,
        #[serde(default)] npi: Option<String>,
    }
    /// Removes one address.
    AddressRm { address: String, }
    /// Trusts the certificates of a file (`octets`: base64 of PEM or DER).
    AnchorImport {
        octets: String,
        #[serde(default)] label: Option<String>,
        profile: String,
        direction: String,
    }
    /// Trusts one no longer.
    AnchorRm { which: String, }
    /// Gives anchors away: of a profile, or one.
    AnchorExport { #[serde(default)] profile: Option<String>, #[serde(default)] which: Option<String>, }
    /// Follows a bundle: `source` is a URL, or the name of the file that `octets` (base64) came from.
    BundleAdd {
        name: String,
        source: String,
        #[serde(default)] octets: Option<String>,
        #[serde(default)] signer: Option<String>,
        profile: String,
        direction: String,
        interval_s: u64,
        #[serde(default)] revocation: Option<String>,
        drop_percent: u32,
    }
    /// One bundle.
    BundleName { name: String, }
    /// One bundle, with octets (base64) instead of what its source has.
    BundleFile { name: String, #[serde(default)] octets: Option<String>, }
    /// Applies the change that was shown.
    BundleApprove { name: String, diff: String, reason: String, }
    /// Does not trust one anchor of a bundle; does again without a reason.
    BundleExclude { name: String, which: String, #[serde(default)] reason: Option<String>, }
    /// Makes a trust profile; `bundles`: name and direction.
    TrustProfileAdd { name: String, bundles: Vec<(String, String)>, }
    /// One trust profile.
    TrustProfileName { name: String, }
    /// Points a domain to a trust profile.
    TrustProfileAssign { domain: String, profile: String, direction: String, }
    /// Takes in an identity: PKCS#12 with its password, or PEM certificates with a PEM key (all base64).
    CertImport {
        certificate: String,
        #[serde(default)] key: Option<Hidden>,
        #[serde(default)] password: Option<Hidden>,
    }
    /// The latest messages that fit.
    MessageList {
        #[serde(default)] address: Option<String>,
        #[serde(default)] state: Option<String>,
        #[serde(default)] message_id: Option<String>,
        #[serde(default)] limit: Option<u32>,
    }
    /// One message by tracking id, or those of a Message-ID.
    MessageShow { id: String, }
    /// Takes a message out.
    MessageCancel { id: String, }
    /// One piece of work, or all of a message's.
    QueueItem { id: String, }
}

/// Whether an import is done or only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportMode {
    Apply,
    DryRun,
}

/// Why not: what happened, what to do, and the exit code that says which kind it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub happened: String,
    #[serde(rename = "do")]
    pub remedy: String,
    pub code: u8,
}

impl Failure {
    /// Of its parts.
    pub fn new(code: u8, happened: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            happened: happened.into(),
            remedy: remedy.into(),
            code,
        }
    }

    /// Of a station's error, which has two lines already.
    pub fn of(code: u8, text: &str) -> Self {
        let (happened, remedy) = text.split_once("\n  do: ").unwrap_or((text, ""));
        let remedy = if remedy.is_empty() {
            "see the log of `carepost serve`"
        } else {
            remedy
        };
        Self::new(code, happened, remedy)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n  do: {}", self.happened, self.remedy)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::InUse(_) | StoreError::Full(_) | StoreError::Closed => exit::TEMPFAIL,
            StoreError::Newer { .. } | StoreError::OtherKey { .. } => exit::CONFIG,
            StoreError::Path { .. } => exit::CANT_CREATE,
            StoreError::Database { .. } | StoreError::Body(_) => exit::UNAVAILABLE,
            StoreError::Row { .. } | StoreError::Panicked { .. } => exit::FAILED,
        };
        Self::of(code, &error.to_string())
    }
}

impl From<KekError> for Failure {
    fn from(error: KekError) -> Self {
        Self::of(exit::CONFIG, &error.to_string())
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => error.into(),
            error => Self::of(exit::FAILED, &error.to_string()),
        }
    }
}

impl From<AnchorError> for Failure {
    fn from(error: AnchorError) -> Self {
        match error {
            AnchorError::Store(error) => error.into(),
            error => Self::of(exit::FAILED, &error.to_string()),
        }
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Store(error) => error.into(),
            error @ BundleError::Fetch(_) => Self::of(exit::UNAVAILABLE, &error.to_string()),
            error => Self::of(exit::FAILED, &error.to_string()),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => error.into(),
            error => Self::of(exit::FAILED, &error.to_string()),
        }
    }
}

/// One line of answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    #[serde(rename = "ok")]
    Done(Value),
    #[serde(rename = "error")]
    Failed(Failure),
}

impl From<Result<Value, Failure>> for Reply {
    fn from(result: Result<Value, Failure>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(failure) => Self::Failed(failure),
        }
    }
}

impl From<Reply> for Result<Value, Failure> {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Done(value) => Ok(value),
            Reply::Failed(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_reads_back_from_its_line() {
        let id = || "01J".to_owned();
        for (request, line) in [
            (Request::DomainList, json!({"verb": "domain-list"})),
            (
                Request::QueueHold(QueueItem { id: id() }),
                json!({"verb": "queue-hold", "id": "01J"}),
            ),
            (
                Request::AddressImport(AddressImport {
                    csv: "a".into(),
                    mode: ImportMode::DryRun,
                }),
                json!({"verb": "address-import", "csv": "a", "mode": "dry-run"}),
            ),
            (
                Request::AccountPasswordAdd(PasswordAdd {
                    account: "a".into(),
                    label: "b".into(),
                    chosen: Some(Hidden("c".into())),
                }),
                json!({"verb": "account-password-add", "account": "a", "label": "b", "chosen": "c"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&request).expect("writes"), line);
            let read: Request = serde_json::from_value(line).expect("reads");
            assert_eq!(read, request);
        }
        let odd = json!({"verb": "queue-hold", "id": "01J", "force": true});
        assert!(serde_json::from_value::<Request>(odd).is_err());
        assert!(serde_json::from_value::<Request>(json!({"verb": "halt"})).is_err());
    }

    #[test]
    fn an_answer_reads_back_from_its_line() {
        let failure = Failure::of(exit::FAILED, "no account a\n  do: make one");
        for (reply, line) in [
            (Reply::Done(json!([1])), json!({"ok": [1]})),
            (
                Reply::Failed(failure),
                json!({"error": {"happened": "no account a", "do": "make one", "code": 1}}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&reply).expect("writes"), line);
            assert_eq!(serde_json::from_value::<Reply>(line).expect("reads"), reply);
        }
    }

    #[test]
    fn a_password_never_shows_in_a_debug_print() {
        let request = Request::CertImport(CertImport {
            certificate: "c".into(),
            key: Some(Hidden("sesame".into())),
            password: Some(Hidden("sesame".into())),
        });
        assert!(!format!("{request:?}").contains("sesame"));
    }
}
