//! The configuration as it is written.

use std::path::Path;

use super::{Config, ConfigError};

/// Reads and checks the file.
///
/// # Errors
/// [`ConfigError`]: two lines, what and where, and what to do; for an unknown key the nearest known one.
pub fn load(_file: &Path) -> Result<Config, ConfigError> {
    todo!()
}
