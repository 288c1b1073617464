//! certval's verdict on a chain, under a time limit: its work is not bounded.

use std::sync::mpsc;
use std::time::Duration;

use carepost::trust::Switch;
use carepost::trust::check::Answer;
use carepost::trust::testing::NOW;
use carepost::trust::testing::chance::Chain;
use certval::{
    CertificationPath, CertificationPathResults, CertificationPathSettings, PDVCertificate,
    PDVTrustAnchorChoice, PkiEnvironment, TimeOfInterest, validate_path_rfc5280,
};

/// How long one verdict may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether certval accepts the chain as it stands; what it says if not.
pub fn judge(chain: &Chain) -> Result<(), String> {
    let (say, hear) = mpsc::channel();
    let ders = chain.ders.clone();
    let asked = chain.asked.clone();
    // A thread that is not done in time is left behind.
    std::thread::spawn(move || {
        let _ = say.send(validate(&ders, &asked));
    });
    hear.recv_timeout(LIMIT)
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

fn validate(ders: &[Vec<u8>], asked: &carepost::trust::PolicyRules) -> Result<(), String> {
    let [root, between @ .., leaf] = ders else {
        return Err("no chain".to_owned());
    };
    let words = |error: certval::Error| format!("{error:?}");
    let certificate = |der: &Vec<u8>| PDVCertificate::try_from(der.as_slice()).map_err(words);
    let anchor = PDVTrustAnchorChoice::try_from(root.as_slice()).map_err(words)?;
    let between = between.iter().map(certificate).collect::<Result<_, _>>()?;
    let path = CertificationPath::new(anchor, between, certificate(leaf)?);
    let mut settings = CertificationPathSettings::new();
    let now = u64::try_from(NOW.unix_s()).unwrap_or(0);
    settings.set_time_of_interest(TimeOfInterest::from_unix_secs(now).map_err(|error| error.to_string())?);
    settings.set_initial_explicit_policy_indicator(asked.explicit == Switch::On);
    settings.set_initial_policy_mapping_inhibit_indicator(asked.inhibit_mapping == Switch::On);
    settings.set_initial_inhibit_any_policy_indicator(asked.inhibit_any == Switch::On);
    if !asked.acceptable.is_empty() {
        settings.set_initial_policy_set(asked.acceptable.iter().map(ToString::to_string).collect());
    }
    settings.set_require_ta_store(false);
    settings.set_enforce_trust_anchor_constraints(true);
    settings.set_enforce_trust_anchor_validity(true);
    let mut environment = PkiEnvironment::new();
    environment.populate_5280_pki_environment();
    let mut results = CertificationPathResults::new();
    validate_path_rfc5280(&environment, &settings, &path, &mut results).map_err(words)
}

/// Why certval may refuse what we accept.
pub fn why_it_refuses(answer: &Answer, words: &str) -> Option<&'static str> {
    let _ = answer;
    match words {
        _ if words.contains("no answer in time") => Some("certval gave no answer in time"),
        _ => None,
    }
}
