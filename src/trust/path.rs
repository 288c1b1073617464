//! Building and validating a path from a certificate to an anchor (RFC 5280 §6; what is not handled yet fails closed).

use std::sync::Arc;

use crate::world::Timestamp;

use super::{AnchorId, AnchorSet, Certificate, Distrust};

/// What the leaf is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPurpose {
    /// It signed a message.
    Sign,
    /// We encrypt for it.
    Encrypt,
}

/// A validated path. Made only by [`build_path`].
#[derive(Clone, Debug)]
pub struct Path {
    pub(super) anchor: AnchorId,
    /// Subjects, leaf first, anchor last.
    pub(super) subjects: Vec<String>,
}

impl Path {
    pub fn anchor(&self) -> AnchorId {
        self.anchor
    }

    pub fn subjects(&self) -> &[String] {
        &self.subjects
    }
}

/// Finds a valid path from `leaf` through `bag` to an anchor. Tries all candidate paths within the budgets of `limits.rs`;
/// each signature check is done once. On failure the most telling reason of all tried paths is given.
///
/// # Errors
/// [`Distrust`].
pub fn build_path(
    _leaf: &Arc<Certificate>,
    _bag: &[Arc<Certificate>],
    _anchors: &AnchorSet,
    _purpose: PathPurpose,
    _now: Timestamp,
) -> Result<Path, Distrust> {
    todo!()
}
