//! The configuration as it is used: every default filled in, every path absolute (relative ones start at
//! the file's folder).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::envelope::ListenerKind;
use crate::fetch::Net;
use crate::trust::RevocationRules;

/// How a listener protects its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerTls {
    /// STARTTLS is offered (relay) or needed before AUTH (submission).
    StartTls,
    /// TLS from the first octet (465).
    Implicit,
    /// None: relay listeners only.
    Off,
}

/// One port.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    pub kind: ListenerKind,
    pub address: SocketAddr,
    pub tls: ListenerTls,
}

/// What an operator may narrow or widen; defaults in `limits.rs`.
#[derive(Clone, Debug)]
pub struct Limits {
    pub message_size: u64,
    pub recipients: usize,
    pub command_timeout: Duration,
    pub connections: usize,
    pub connections_per_client: usize,
    pub free_octets: u64,
    pub free_inodes: u64,
    pub processed_wait: Duration,
    pub dispatched_wait: Duration,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// Fully qualified name of this host: greeting, EHLO, Reporting-UA.
    pub hostname: String,
    pub database: PathBuf,
    pub blobs: PathBuf,
    /// The key-encryption key's file; `CAREPOST_KEK_FILE` or a systemd credential `carepost-kek` override
    /// it.
    pub kek_file: PathBuf,
    pub admin_socket: PathBuf,
    /// Loopback listener for `/healthz/*`.
    pub health: SocketAddr,
    /// PEM files for the listeners.
    pub tls_certificate: PathBuf,
    pub tls_key: PathBuf,
    /// Roots for verifying edges; None: the system's.
    pub tls_ca_file: Option<PathBuf>,
    pub listeners: Vec<ListenerConfig>,
    /// Empty: the system's resolvers.
    pub dns_servers: Vec<SocketAddr>,
    /// Port of other HISPs.
    pub relay_port: u16,
    pub limits: Limits,
    /// What is asked about revocation, unless a bundle says otherwise.
    pub revocation: RevocationRules,
    /// How long a verdict waits for evidence.
    pub revocation_wait: Duration,
    /// Networks that things may be fetched from though they are not public.
    pub fetch_allow: Vec<Net>,
    /// Roots for fetching by https; None: the system's.
    pub fetch_ca_file: Option<PathBuf>,
    /// Folder of what was fetched.
    pub fetched: PathBuf,
    /// Log as JSON.
    pub log_json: bool,
    /// `tracing` filter.
    pub log_filter: String,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);
