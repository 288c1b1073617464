//! Whom we trust, as the operator keeps it: single anchors, trust bundles that communities publish, and the
//! profiles that domains point to.
//! In: certificate files, bundles off the network, the store. Out: [`crate::trust::Anchors`]. Decides nothing
//! about messages.

mod anchors;
mod change;
mod make;
mod metadata;
mod profiles;
mod read;
mod signer;
mod sql;
mod subscription;

pub use anchors::{
    AnchorError, AnchorRow, ExportedAnchor, add_anchor, export_anchors, list_anchors, load,
    remove_anchor,
};
pub use make::{MakeError, Publisher, make};
pub use profiles::{ProfileRow, add_profile, assign_profile, list_profiles, show_profile};
#[cfg(feature = "fuzzing")]
pub use read::read as read_bundle;
pub use subscription::{
    Anchor, BundleError, BundleRow, Diff, Refreshed, Source, Wanted, add as add_bundle,
    approve as approve_bundle, diff as diff_bundle, exclude as exclude_anchor,
    list as list_bundles, refresh as refresh_bundle, refresh_due, remove as remove_bundle,
    show as show_bundle,
};
