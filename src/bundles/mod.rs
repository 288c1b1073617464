//! Anchors as the operator keeps them: import, list, remove, and the snapshot for `trust`. Bundles come with
//! a later order.
//! In: certificate files, the store. Out: [`crate::trust::Anchors`].

mod anchors;
mod sql;

pub use anchors::{AnchorError, AnchorRow, add_anchor, list_anchors, load, remove_anchor};
