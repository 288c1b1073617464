//! The question of [`super::judge`] for a tool: does one of these signers lead to an anchor?
//! In: signers, a bag, anchors, rules, CRLs, a time. Out: which signer, and its path; never a [`super::Grant`].

use std::sync::Arc;

use crate::envelope::Address;
use crate::journal::Reason;
use crate::world::Timestamp;

use super::judge::{Facts, Paths, note};
use super::{
    AnchorSet, Anchors, Certificate, Distrust, DomainTrust, Evidence, Path, Profile, Rules,
};

/// Whom the signer must belong to.
#[derive(Clone, Copy, Debug)]
pub enum BoundTo<'a> {
    /// This address, by the rules of this profile.
    Address(&'a Address, Profile),
    /// Nobody in particular: it was asked elsewhere, or is not asked.
    Anyone,
}

/// By what a signer is judged.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'a> {
    pub rules: &'a Rules,
    /// The CRLs that are known.
    pub evidence: &'a Evidence,
}

/// The first signer that is bound as asked and has a path to `anchors`; all share one budget.
///
/// # Errors
/// [`Distrust`]: the most telling reason of all signers.
pub fn examine<'c>(
    signers: &[&'c Arc<Certificate>],
    bag: &[Arc<Certificate>],
    bound_to: BoundTo<'_>,
    anchors: &Arc<AnchorSet>,
    measure: &Measure<'_>,
    now: Timestamp,
) -> Result<(&'c Arc<Certificate>, Path), Distrust> {
    // Nobody's domain is asked for: the anchors were given.
    let domains = Anchors::default();
    let facts = Facts {
        anchors: &domains,
        evidence: measure.evidence,
        now,
    };
    let asked = measure.rules.asked();
    let mut paths = Paths::new(bag, measure.rules.clone(), facts);
    match bound_to {
        BoundTo::Address(address, profile) => {
            let trust = DomainTrust {
                tenant: String::new(),
                profile,
                inbound: Arc::clone(anchors),
                outbound: Arc::clone(anchors),
                revocation: asked,
            };
            let found = paths.first(signers, address, &trust, &[anchors]);
            found.map_err(|no| no.why)
        }
        BoundTo::Anyone => {
            let mut worst = Distrust {
                reason: Reason::NoPath,
                detail: "there is no signer".to_owned(),
            };
            for signer in signers {
                match paths.path(signer, anchors, asked).0 {
                    Ok(path) => return Ok((signer, path)),
                    Err(why) => note(&mut worst, why),
                }
            }
            Err(worst)
        }
    }
}
