//! The node's TOML file: as written, then checked, then used. In: a file. Out: a [`Config`], or an error
//! with file, line and the nearest known key. Holds what needs a restart; everything else lives in the
//! store.

mod checked;
mod file;
mod known;

pub use checked::{Config, ConfigError, Limits, ListenerConfig, ListenerTls};
pub use file::{load, parse};
pub use known::{Fill, template};
