//! Reason codes: one closed, published list (`docs/reasons.md`), with their texts apart from the code that decides.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal: $happened:literal; $todo:literal,)+) => {
        /// Why something is as it is. The code is stable; the text may improve.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the road.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What happened, one sentence.
            pub fn happened(self) -> &'static str {
                match self { $(Self::$variant => $happened,)+ }
            }

            /// What to do about it, one sentence.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $todo,)+ }
            }
        }
    };
}

impl Reason {
    /// Reads [`Reason::code`] back.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

reasons! {
    // ---- open ----
    /// The message is not S/MIME encrypted.
    NotEncrypted = "not-encrypted": "the message was not encrypted"; "ask the sender's HISP to encrypt",
    /// The CMS structure cannot be read.
    Malformed = "malformed": "the message could not be read as S/MIME"; "send the sender's HISP the time and our id",
    /// A limit of size, depth or count was met.
    OverLimit = "over-limit": "the message is larger or deeper than a limit allows"; "see the detail; limits are in docs/ARCHITECTURE.md",
    /// No RecipientInfo names a key of the recipient.
    NoKey = "no-key": "it was encrypted for a key that this recipient does not have"; "publish the current certificate, or import the key it names",
    /// Two RecipientInfos name one key (CVE-2019-1563).
    DoubledRecipient = "doubled-recipient": "two recipient entries name the same key"; "treat as an attack on the key unless the sender's software is known to do this",
    /// Decryption gave nothing usable.
    DecryptFailed = "decrypt-failed": "it could not be decrypted"; "check that the sender uses the current certificate",
    /// A cipher, digest or key transport that is refused.
    WeakAlgorithm = "weak-algorithm": "it uses an algorithm that is refused"; "ask the sender's HISP to use AES and SHA-256",
    /// Decrypted, but not signed.
    NotSigned = "not-signed": "the message was not signed"; "ask the sender's HISP to sign",
    /// Some part of it is signed, and other parts are not.
    PartlySigned = "partly-signed": "only a part of the message was signed"; "a system on the way adds to mail, or somebody wants what is added to look signed",
    /// A detached signature with content of its own, beside the content it came with (RFC 5652 §5.2).
    TwoContents = "two-contents": "the signature came with two contents"; "treat as an attack: readers would show different ones",
    /// The signature does not fit the content.
    BadSignature = "bad-signature": "the signature does not fit the content: it was changed on the way"; "ask the sender to send again; if it repeats, a system on the way alters mail",
    /// A signed attribute is missing, doubled or wrong (G-011).
    BadAttributes = "bad-attributes": "the signed attributes are missing, doubled or wrong"; "report it to the sender's HISP",
    /// Not wrapped in message/rfc822, where the profile wants it.
    NotWrapped = "not-wrapped": "the signed content is not a wrapped message"; "set the domain's profile to v1.2 to accept such mail",
    /// From, Sender, To, Date or Message-ID missing or doubled.
    BadHeaders = "bad-headers": "a required header field is missing or doubled"; "report it to the sender's HISP",
    /// From or Sender shows another address than the one it holds.
    MisleadingSender = "misleading-sender": "the sender's name shows another address than the sender's"; "treat as an attack; if it is none, the sender must change the display name",
    /// MAIL FROM is neither the inner From nor Sender.
    EnvelopeSender = "envelope-sender": "the SMTP sender is not the sender inside the message"; "report it to the sender's HISP",
    /// RCPT TO is not in the inner To or Cc.
    EnvelopeRecipient = "envelope-recipient": "this recipient is not named inside the message"; "the message was sent on to someone its author did not name",
    /// No signer is bound to the sender.
    SignerNotSender = "signer-not-sender": "the signer's certificate does not belong to the sender"; "ask the sender's HISP for a certificate with the right subjectAltName",
    // ---- trust ----
    /// No path from the certificate to an anchor.
    NoPath = "no-path": "no path leads from the certificate to a trust anchor"; "import the partner's anchor: `carepost anchor import FILE`",
    /// A certificate of the path has expired.
    Expired = "expired": "a certificate has expired"; "the certificate's owner must renew it",
    /// A certificate of the path is not valid yet.
    NotYetValid = "not-yet-valid": "a certificate is not valid yet"; "check both clocks",
    /// A signature in the path is wrong.
    BadIssuerSignature = "bad-issuer-signature": "a certificate was not signed by the issuer it names"; "treat as forged",
    /// An issuer is not a CA, or may not sign certificates.
    NotCa = "not-a-ca": "a certificate that is not a CA issued another"; "treat as forged",
    /// The path is longer than a CA allows.
    PathTooLong = "path-too-long": "the path is longer than a CA in it allows"; "report it to the issuing CA",
    /// A CA signs its own mail.
    LeafIsCa = "leaf-is-ca": "the certificate is a CA, not an end entity"; "the sender must use an end-entity certificate",
    /// keyUsage or extendedKeyUsage forbids it.
    WrongUsage = "wrong-usage": "the certificate's key usage does not allow this"; "the owner must use a certificate made for it",
    /// The certificate belongs to another address or domain (A-010, A-011, C-040).
    NotBound = "not-bound": "the certificate belongs to another address or domain"; "the publisher must fix the certificate",
    /// An extension that must be understood is not, or does not decode.
    BadExtension = "bad-extension": "a certificate extension is unknown and critical, doubled or broken"; "report it to the issuing CA",
    /// The octets are no certificate that can be read.
    BadCertificate = "bad-certificate": "the certificate cannot be read"; "ask its owner for the certificate again, as DER or PEM",
    /// A line of a batch is not understood; nothing was judged.
    BadQuestion = "bad-question": "the question cannot be understood"; "see the detail; names and values are those of docs/cli.md",
    /// We failed; nothing was judged.
    OwnFault = "own-fault": "carepost stopped while judging"; "report it with the files; nothing was decided",
    /// No certificate policy that is asked for holds along the path (RFC 5280 §6.1).
    CertificatePolicy = "certificate-policy": "no certificate policy that is asked for holds along the path"; "report it to the issuing CA",
    /// A filter of the operator's refuses it.
    Filtered = "filtered": "the certificate breaks a rule of this profile's filter"; "see the rule in the detail; the operator may change the filter",
    /// A name constraint excludes the name.
    NameConstraint = "name-constraint": "a CA in the path may not issue for this name"; "report it to the issuing CA",
    /// RSA below 2048 bits, or a curve that is not P-256 or P-384.
    WeakKey = "weak-key": "the certificate's key is too weak or of an unknown kind"; "the owner needs a new certificate",
    /// The certificate's own signature uses a refused digest.
    WeakCertificateSignature = "weak-certificate-signature": "a certificate is signed with a refused algorithm"; "the owner needs a new certificate",
    /// Revoked.
    Revoked = "revoked": "a certificate was revoked"; "the owner needs a new certificate",
    /// Revocation status could not be had.
    RevocationUnknown = "revocation-unknown": "whether the certificate is revoked could not be learnt"; "check that the CA's CRL address can be reached",
    /// A limit of the search was met before a verdict.
    OutOfBudget = "out-of-budget": "the certificates need more work than a limit allows"; "treat as an attack; see the detail",
    /// The recipient's domain has no usable identity.
    NoIdentity = "no-identity": "we have no valid certificate for our own side"; "see `carepost cert list`; import or renew one",
    // ---- route and deliver ----
    /// No such address.
    UnknownRecipient = "unknown-recipient": "there is no such address here"; "add it with `carepost address add`, if it should exist",
    /// The address is disabled, full or moved.
    AddressInactive = "address-inactive": "the address is disabled, full or has moved"; "see `carepost address list`",
    /// The edge refused for good.
    EdgeRefused = "edge-refused": "the clinic's mail system refused it"; "see the detail: its own words",
    /// The edge could not be reached, or said later.
    EdgeUnavailable = "edge-unavailable": "the clinic's mail system cannot take it now"; "it is tried again by itself",
    /// Tried for as long as it makes sense.
    QueueExpired = "queue-expired": "it could not be handed over in the time allowed"; "find out why the other side was not reachable, then send again",
    // ---- discover and relay ----
    /// No certificate was found (C-013, A-089).
    NoCertificate = "no-certificate": "no certificate is published for this address"; "check the address; ask its HISP to publish the certificate in DNS",
    /// The answer could not be had; another try follows (C-017).
    DiscoveryUnavailable = "discovery-unavailable": "the recipient's certificate could not be looked up now"; "it is tried again by itself",
    /// The recipient's domain takes no mail (RFC 7505), or has no address.
    NoMailHost = "no-mail-host": "the recipient's domain has no mail host"; "check the address",
    /// The next hop refused for good.
    HopRefused = "hop-refused": "the recipient's mail host refused it"; "see the detail: its own words",
    /// The next hop could not be reached, or said later.
    HopUnavailable = "hop-unavailable": "the recipient's mail host cannot take it now"; "it is tried again by itself",
    // ---- answers ----
    /// No `processed` in time (B-013).
    NoProcessed = "no-processed": "the recipient's system did not confirm in time that it accepted the message"; "ask the recipient whether it arrived before sending again",
    /// No `dispatched` in time (B-014).
    NoDispatched = "no-dispatched": "the recipient's system did not confirm in time that it delivered the message"; "ask the recipient whether it arrived before sending again",
    /// The other side reported failure (B-010).
    ReportedFailed = "reported-failed": "the recipient's system reported that it could not deliver the message"; "check the address with the recipient",
    /// A report that fits nothing we sent, or not from whom it speaks for.
    UnmatchedReport = "unmatched-report": "a report that belongs to no message of ours"; "nothing; it was ignored",
    // ---- submission ----
    /// The account may not send as this address (E-011).
    SenderNotYours = "sender-not-yours": "this login may not send as that address"; "use an address of the account, or the login of that address; the operator makes one with `carepost account add`",
    // ---- operator ----
    /// Three crashes while opening it.
    Poison = "poison": "carepost stopped three times while working on it"; "report it with `carepost message show`; release it with `carepost queue release`",
    /// An operator held it.
    HeldByOperator = "held-by-operator": "an operator put it on hold"; "release it with `carepost queue release`",
    /// An operator cancelled it.
    CancelledByOperator = "cancelled-by-operator": "an operator cancelled it"; "nothing",
}
