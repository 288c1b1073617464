//! `carepost trust check`: is this certificate trusted, for what, by which rules? Reads the named files and
//! prints what `trust::check` answers; fetches nothing without `--allow-net`, needs no configuration.

use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Failure, Request, TrustProfileAdd, TrustProfileAssign, TrustProfileName, exit};
use crate::discover::{Resolver, ResolverSettings};
use crate::envelope::Address;
use crate::fetch::{Allowed, EvidenceCache, Fetcher, Net, Rest};
use crate::journal::Reason;
use crate::trust::check::{Answer, Case, Verdict, check};
use crate::trust::{Evidence, PathPurpose, Profile, RevocationMode, Rules, Waiting};
use crate::world::{Timestamp, World};

use super::rules::{Words, file, files, lines, next_line, one_or_more, unread};
use super::table::table;
use super::{Desk, out};

#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Judge a certificate by the files beside it: exit 0 trusted, 1 not trusted, 75 cannot tell now
    Check(Box<Check>),
    /// Named sets of bundles and anchors that domains point to
    #[command(subcommand)]
    Profile(Profiles),
}

#[derive(Debug, Subcommand)]
pub enum Profiles {
    /// Make one, or give one more bundles
    Add {
        name: String,
        /// A bundle, for one way alone with :in or :out behind its name
        #[arg(long, value_name = "NAME[:in|:out|:both]")]
        bundle: Vec<String>,
    },
    /// List them
    List,
    /// One of them
    Show { name: String },
    /// Point a domain to one
    Assign {
        domain: String,
        profile: String,
        /// in: for mail that comes; out: for mail that goes; both
        #[arg(long, default_value = "both")]
        direction: String,
    },
}

impl Profiles {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let request = match self {
            Self::Add { name, bundle } => {
                let split = |text: String| match text.rsplit_once(':') {
                    Some((name, way)) => (name.to_owned(), way.to_owned()),
                    None => (text, "both".to_owned()),
                };
                let bundles = bundle.into_iter().map(split).collect();
                Request::TrustProfileAdd(TrustProfileAdd { name, bundles })
            }
            Self::List => Request::TrustProfileList,
            Self::Show { name } => Request::TrustProfileShow(TrustProfileName { name }),
            Self::Assign {
                domain,
                profile,
                direction,
            } => Request::TrustProfileAssign(TrustProfileAssign {
                domain,
                profile,
                direction,
            }),
        };
        let columns = [
            ("PROFILE", "name"),
            ("BUNDLES", "bundles"),
            ("ANCHORS", "anchors"),
            ("DOMAINS", "domains"),
        ];
        let value = desk.ask(request).await?;
        desk.show(&value, |value| match value {
            Value::Array(_) => table(value, &columns, "no trust profile"),
            one => table(&json!([one]), &columns, ""),
        });
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    asked: Asked,
    /// Read one JSON object a line with these same names (and `id`), write one answer a line; - is standard input
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = "-",
        conflicts_with = "leaf"
    )]
    batch: Option<PathBuf>,
}

/// The options; a line of a batch has the same names.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Asked {
    #[arg(skip)]
    id: Option<Value>,
    /// The certificate, PEM or DER
    #[arg(long, value_name = "FILE", required_unless_present = "batch")]
    leaf: Option<PathBuf>,
    /// Certificates that may lie on the path; nothing about them is trusted
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(alias = "intermediates", deserialize_with = "one_or_more")]
    intermediate: Vec<PathBuf>,
    /// Trust anchors
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "batch")]
    #[serde(alias = "anchors", deserialize_with = "one_or_more")]
    anchor: Vec<PathBuf>,
    /// Revocation lists
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[serde(alias = "crls", deserialize_with = "one_or_more")]
    crl: Vec<PathBuf>,
    /// When, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Whom it must belong to
    #[arg(long)]
    address: Option<String>,
    /// sign, encrypt or any [default: sign; any under rfc5280]
    #[arg(long)]
    purpose: Option<String>,
    /// What extendedKeyUsage must allow: an OID, or any [default: emailProtection; any under rfc5280]
    #[arg(long, value_name = "OID")]
    eku: Option<String>,
    /// hard, soft or off [default: hard; under rfc5280 off unless a CRL is given]
    #[arg(long)]
    revocation: Option<String>,
    /// leaf or all [default: all]
    #[arg(long, value_name = "SCOPE")]
    #[serde(alias = "revocation_scope")]
    revocation_scope: Option<String>,
    /// Certificate policies that are acceptable [default: any]
    #[arg(long, value_name = "OID", num_args = 1..)]
    #[serde(alias = "policies", deserialize_with = "one_or_more")]
    policy: Vec<String>,
    /// An acceptable policy must hold
    #[arg(long)]
    #[serde(alias = "require_explicit_policy")]
    require_explicit_policy: bool,
    /// Policies are not to be mapped
    #[arg(long)]
    #[serde(alias = "inhibit_policy_mapping")]
    inhibit_policy_mapping: bool,
    /// anyPolicy is no policy
    #[arg(long)]
    #[serde(alias = "inhibit_any_policy")]
    inhibit_any_policy: bool,
    /// Fetch what is missing (issuers, CRLs, OCSP answers), from these networks alone; 0.0.0.0/0 and ::/0 are all
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    #[serde(alias = "allow_net", deserialize_with = "one_or_more")]
    allow_net: Vec<String>,
    /// v1.3 or v1.2 of Direct, or rfc5280: path validation alone [default: v1.3]
    #[arg(long)]
    profile: Option<String>,
}

impl Trust {
    pub(super) async fn run(self, desk: &Desk) -> Result<u8, Failure> {
        let verb = match self {
            Self::Check(verb) => verb,
            Self::Profile(verb) => return verb.run(desk).await.map(|()| 0),
        };
        let now = World::real().now();
        match verb.batch {
            Some(place) => batch(&place, now).await,
            None => one(&verb.asked, desk, now).await,
        }
    }
}

async fn one(asked: &Asked, desk: &Desk, now: Timestamp) -> Result<u8, Failure> {
    let usage = |what| Failure::new(exit::USAGE, what, "add --help to see what is possible");
    let case = asked.case(now).map_err(usage)?;
    let nets = asked.nets().map_err(usage)?;
    let answer = answered(case, nets).await.ok_or_else(|| {
        Failure::new(
            exit::SOFTWARE,
            "carepost stopped while judging this certificate".to_owned(),
            "report it with the files; nothing was decided",
        )
    })?;
    desk.show(&json!(answer), |_| human(&answer));
    Ok(match answer.verdict {
        Verdict::Trusted => 0,
        Verdict::Untrusted => exit::FAILED,
        Verdict::Undetermined => exit::TEMPFAIL,
    })
}

/// None: our own fault. The process must answer the next line all the same. What is fetched is kept for this
/// one answer alone.
async fn answered(case: Case, nets: Vec<Net>) -> Option<Answer> {
    if nets.is_empty() {
        return checked(&case);
    }
    let world = World::real();
    let rest = Rest::Nothing;
    // Without a configured resolver there are addresses in URLs still.
    let nobody = ResolverSettings {
        servers: vec![(Ipv4Addr::LOCALHOST, 53).into()],
    };
    let resolver = Resolver::new(&ResolverSettings::default(), world.clone())
        .or_else(|_| Resolver::new(&nobody, world.clone()))
        .ok()?;
    let fetcher = Fetcher::new(world, resolver, Allowed { nets, rest }, None).ok()?;
    let judge = |evidence| {
        let case = Case {
            evidence,
            ..case.clone()
        };
        async move { checked(&case) }
    };
    let needs_of = |answer: &Answer| answer.needs.clone();
    EvidenceCache::new(fetcher, None)
        .settle(Evidence::default(), Waiting::Over, judge, needs_of)
        .await
}

fn checked(case: &Case) -> Option<Answer> {
    catch_unwind(AssertUnwindSafe(|| check(case))).ok()
}

fn human(answer: &Answer) -> String {
    let verdict = match answer.verdict {
        Verdict::Trusted => "trusted",
        Verdict::Untrusted => "not trusted",
        Verdict::Undetermined => "cannot tell now",
    };
    let mut text = match answer.reason {
        None => format!("{verdict}\n"),
        Some(reason) => format!(
            "{verdict}: {reason}: {}\n  {}\n  do: {}\n",
            reason.happened(),
            answer.detail,
            reason.remedy()
        ),
    };
    for step in &answer.path {
        let print = step.fingerprint.get(..16).unwrap_or_default();
        text.push_str(&format!("  {print}  {}\n", step.subject));
    }
    for note in &answer.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    text
}

/// 0 if every line was answered, 70 if we failed at one.
async fn batch(place: &Path, now: Timestamp) -> Result<u8, Failure> {
    let mut lines = lines(place)?;
    let mut code = 0;
    while let Some(line) = next_line(&mut *lines).map_err(unread(place))? {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (answer, ended) = line_answer(&line, now).await;
        out(&format!("{answer}\n"));
        code = code.max(ended);
    }
    Ok(code)
}

async fn line_answer(line: &[u8], now: Timestamp) -> (Value, u8) {
    let not_understood = |id: Value, what: String| {
        let (verdict, reason) = (Verdict::Undetermined, Reason::BadQuestion);
        let answer = json!({"id": id, "verdict": verdict, "reason": reason, "detail": what});
        (answer, 0)
    };
    let asked: Asked = match serde_json::from_slice(line) {
        Ok(asked) => asked,
        Err(error) => {
            let id = serde_json::from_slice::<Value>(line)
                .ok()
                .and_then(|value| value.get("id").cloned());
            return not_understood(id.unwrap_or_default(), error.to_string());
        }
    };
    let id = asked.id.clone().unwrap_or_default();
    let (case, nets) = match asked.case(now).and_then(|case| Ok((case, asked.nets()?))) {
        Ok(understood) => understood,
        Err(what) => return not_understood(id, what),
    };
    match answered(case, nets).await {
        Some(answer) => {
            let mut value = json!(answer);
            value["id"] = id;
            (value, 0)
        }
        None => (
            json!({"id": id, "verdict": Verdict::Undetermined, "reason": Reason::OwnFault,
                   "detail": Reason::OwnFault.happened()}),
            exit::SOFTWARE,
        ),
    }
}

impl Asked {
    /// The case, its files read.
    fn case(&self, now: Timestamp) -> Result<Case, String> {
        let leaf = self.leaf.as_deref().ok_or("leaf is missing")?;
        let at = match &self.at {
            None => now,
            Some(text) => Timestamp::parse_rfc3339(text)
                .ok_or_else(|| format!("at: {text:?} is no time of RFC 3339"))?,
        };
        let profile = self.profile()?;
        let address = match &self.address {
            None => None,
            Some(text) => {
                let address =
                    Address::parse(text).map_err(|error| format!("address: {text:?}: {error}"))?;
                Some((address, profile.unwrap_or(Profile::V1_3)))
            }
        };
        Ok(Case {
            leaf: file(leaf),
            intermediates: files(&self.intermediate),
            anchors: files(&self.anchor),
            crls: files(&self.crl),
            address,
            rules: self.rules(profile)?,
            at,
            evidence: Evidence::default(),
        })
    }

    /// What may be fetched from.
    fn nets(&self) -> Result<Vec<Net>, String> {
        let read = |text: &String| {
            Net::parse(text).ok_or_else(|| format!("allow-net: {text:?} is no network"))
        };
        self.allow_net.iter().map(read).collect()
    }

    /// None: rfc5280.
    fn profile(&self) -> Result<Option<Profile>, String> {
        match self.profile.as_deref() {
            None => Ok(Some(Profile::V1_3)),
            Some("rfc5280") => Ok(None),
            Some(word) => Profile::from_word(word)
                .map(Some)
                .ok_or_else(|| format!("profile: {word:?} is none of v1.3, v1.2, rfc5280")),
        }
    }

    fn rules(&self, profile: Option<Profile>) -> Result<Rules, String> {
        let base = match profile {
            Some(_) => Rules::direct(PathPurpose::Sign),
            None => Rules::rfc5280(),
        };
        let revocation = if profile.is_none() && self.crl.is_empty() {
            RevocationMode::Off
        } else {
            RevocationMode::Hard
        };
        self.words().rules(base, revocation)
    }

    fn words(&self) -> Words<'_> {
        Words {
            purpose: self.purpose.as_deref(),
            eku: self.eku.as_deref(),
            revocation: self.revocation.as_deref(),
            revocation_scope: self.revocation_scope.as_deref(),
            policy: &self.policy,
            require_explicit_policy: self.require_explicit_policy,
            inhibit_policy_mapping: self.inhibit_policy_mapping,
            inhibit_any_policy: self.inhibit_any_policy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::issue::pem_certificate;
    use crate::trust::testing::{Make, NOW};

    fn answer_to(line: &[u8]) -> (Value, u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(line_answer(line, NOW))
    }

    fn lines(folder: &Path, lines: &[Value]) -> Vec<(Value, u8)> {
        let root = Make::ca("Root").by_itself();
        let leaf = Make::leaf(&[(1, "ann@d.example")]).by(&root);
        let write = |name: &str, octets: &[u8]| {
            std::fs::write(folder.join(name), octets).expect("writes");
        };
        write("root.der", root.certificate.der());
        write(
            "leaf.pem",
            pem_certificate(leaf.certificate.der()).as_bytes(),
        );
        write("junk", b"-----BEGIN CERTIFICATE-----\nAAAA");
        let answer = |line: &Value| answer_to(line.to_string().as_bytes());
        lines.iter().map(answer).collect()
    }

    #[test]
    fn each_line_of_a_batch_is_answered_with_its_id() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (leaf, root, junk, none) = (at("leaf.pem"), at("root.der"), at("junk"), at("none"));
        let asked = [
            json!({"id": 1, "leaf": leaf, "anchor": [root], "revocation": "off"}),
            json!({"id": 2, "leaf": leaf, "anchor": root, "profile": "rfc5280"}),
            json!({"id": 3, "leaf": leaf, "anchor": root}),
            json!({"id": 4, "leaf": junk, "anchor": root, "profile": "rfc5280"}),
            json!({"id": 5, "leaf": leaf, "anchor": [none, junk], "profile": "rfc5280"}),
            json!({"id": 6, "leaf": leaf, "anchor": root, "profile": "rfc5280", "crl": [none]}),
            json!({"id": 7, "leaf": leaf, "anchor": root, "profile": "rfc5280",
                   "address": "bob@d.example"}),
            json!({"id": 8, "leaf": leaf, "anchor": root, "porpoise": "sign"}),
            json!({"id": 9, "leaf": leaf, "anchor": root, "at": "yesterday"}),
        ];
        let expected = [
            (json!("trusted"), Value::Null, 0),
            (json!("trusted"), Value::Null, 0),
            (json!("undetermined"), json!("revocation-unknown"), 0),
            (json!("untrusted"), json!("bad-certificate"), 0),
            (json!("untrusted"), json!("no-path"), 0),
            (json!("undetermined"), json!("revocation-unknown"), 0),
            (json!("untrusted"), json!("not-bound"), 0),
            (json!("undetermined"), json!("bad-question"), 0),
            (json!("undetermined"), json!("bad-question"), 0),
        ];
        let answers = lines(folder.path(), &asked);
        for (id, ((answer, code), (verdict, reason, ended))) in
            (1..).zip(answers.iter().zip(expected))
        {
            assert_eq!(answer["id"], id, "{answer}");
            assert_eq!(answer["verdict"], verdict, "{answer}");
            assert_eq!(answer["reason"], reason, "{answer}");
            assert_eq!(*code, ended, "{answer}");
        }
        assert_eq!(answers[0].0["path"][1]["subject"], "CN=Root");
        assert_eq!(answers[0].0["budget"]["signature_checks"], 1);
        assert_eq!(answer_to(b"{").0["reason"], "bad-question");
    }
}
