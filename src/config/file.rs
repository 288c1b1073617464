//! The configuration as it is written. In: TOML. Out: a checked [`Config`], or an error that names file,
//! line, what is wrong and what to do. Reads the file and two environment variables; touches nothing else.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::envelope::{Address, ListenerKind};
use crate::fetch::Net;
use crate::limits;
use crate::trust::{NoPointer, RevocationMode, RevocationRules, RevocationScope};

use super::known::{KEYS, SECTIONS, keys_of};
use super::{Config, ConfigError, Limits, ListenerConfig, ListenerTls};

/// The port that is asked when `[dns] servers` names none.
const DNS_PORT: u16 = 53;

/// Reads and checks the file.
///
/// # Errors
/// [`ConfigError`]: two lines, what and where, and what to do; for an unknown key the nearest known one.
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        ConfigError(format!(
            "{}: {error}\n  do: give the file with --config FILE, or make one with `carepost init`",
            file.display()
        ))
    })?;
    parse(&text, file, |name| {
        std::env::var_os(name).map(PathBuf::from)
    })
}

/// As [`load`], of text at hand; `environment` answers for variables.
///
/// # Errors
/// [`ConfigError`].
pub fn parse(
    text: &str,
    file: &Path,
    environment: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Config, ConfigError> {
    let source = Source { text, file };
    source.refuse_unknown_keys()?;
    let written: Written = toml::from_str(text).map_err(|error| source.syntax(&error))?;
    source.check(written, kek_elsewhere(environment))
}

/// The key-encryption key's place, if the environment names one.
fn kek_elsewhere(environment: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    environment("CAREPOST_KEK_FILE").or_else(|| {
        let credential = environment("CREDENTIALS_DIRECTORY")?.join("carepost-kek");
        credential.exists().then_some(credential)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    node: Node,
    #[serde(default)]
    store: StorePart,
    #[serde(default)]
    admin: Admin,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    listener: Vec<Listener>,
    #[serde(default)]
    dns: Dns,
    #[serde(default)]
    relay: Relay,
    #[serde(default)]
    revocation: RevocationPart,
    #[serde(default)]
    fetch: FetchPart,
    #[serde(default)]
    limits: LimitsPart,
    #[serde(default)]
    log: Log,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    hostname: Spanned<String>,
    data_dir: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StorePart {
    database: Option<PathBuf>,
    blobs: Option<PathBuf>,
    kek_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    socket: Option<PathBuf>,
    health: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listener {
    kind: Spanned<String>,
    address: Spanned<String>,
    tls: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dns {
    #[serde(default)]
    servers: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Relay {
    port: Option<Spanned<u16>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationPart {
    mode: Option<Spanned<String>>,
    scope: Option<Spanned<String>>,
    no_pointer: Option<Spanned<String>>,
    wait_s: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FetchPart {
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    ca_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsPart {
    message_size: Option<Spanned<u64>>,
    recipients: Option<Spanned<usize>>,
    command_timeout_s: Option<Spanned<u64>>,
    connections: Option<Spanned<usize>>,
    connections_per_client: Option<Spanned<usize>>,
    free_octets: Option<u64>,
    free_inodes: Option<u64>,
    processed_wait_s: Option<Spanned<u64>>,
    dispatched_wait_s: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    format: Option<Spanned<String>>,
    filter: Option<Spanned<String>>,
}

/// The text with its place, so that every complaint can name a line.
struct Source<'a> {
    text: &'a str,
    file: &'a Path,
}

impl Source<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().iter().take(at);
        1 + before.filter(|&&octet| octet == b'\n').count()
    }

    fn wrong(&self, at: &Range<usize>, what: &str, remedy: &str) -> ConfigError {
        ConfigError(format!(
            "{}:{}: {what}\n  do: {remedy}",
            self.file.display(),
            self.line(at.start)
        ))
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let what = error.message().lines().collect::<Vec<_>>().join("; ");
        let at = error.span().unwrap_or(0..0);
        self.wrong(&at, &what, "correct it; docs/config.md lists every key")
    }

    /// Our own walk, because only it can name the section, the line and the nearest known key.
    fn refuse_unknown_keys(&self) -> Result<(), ConfigError> {
        let root = DeTable::parse(self.text).map_err(|error| self.syntax(&error))?;
        for (name, value) in root.get_ref() {
            let section = name.get_ref().as_ref();
            if !SECTIONS.iter().any(|(known, _)| *known == section) {
                return Err(self.unknown_section(&name.span(), section));
            }
            match value.get_ref() {
                DeValue::Table(table) => self.refuse_in(section, table)?,
                DeValue::Array(blocks) => {
                    for block in blocks.iter() {
                        if let DeValue::Table(table) = block.get_ref() {
                            self.refuse_in(section, table)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn refuse_in(&self, section: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for name in table.keys() {
            let key = name.get_ref().as_ref();
            if !keys_of(section).any(|known| known.name == key) {
                return Err(self.unknown_key(&name.span(), section, key));
            }
        }
        Ok(())
    }

    fn unknown_section(&self, at: &Range<usize>, section: &str) -> ConfigError {
        let guess = match KEYS.iter().find(|known| known.name == section) {
            Some(key) => format!("`{}` belongs in [{}]", key.name, key.section),
            None => {
                let names = SECTIONS.iter().map(|(name, _)| *name);
                format!("did you mean [{}]?", nearest(section, names))
            }
        };
        self.wrong(
            at,
            &format!("unknown section [{section}]; {guess}"),
            "correct or remove it; docs/config.md lists every section",
        )
    }

    fn unknown_key(&self, at: &Range<usize>, section: &str, key: &str) -> ConfigError {
        let guess = match KEYS.iter().find(|known| known.name == key) {
            Some(known) => format!("it belongs in [{}]", known.section),
            None => {
                let names = keys_of(section).map(|known| known.name);
                format!("did you mean `{}`?", nearest(key, names))
            }
        };
        self.wrong(
            at,
            &format!("unknown key `{key}` in [{section}]; {guess}"),
            "correct or remove it; docs/config.md lists every key",
        )
    }

    fn check(&self, written: Written, kek: Option<PathBuf>) -> Result<Config, ConfigError> {
        let file = std::path::absolute(self.file).unwrap_or_else(|_| self.file.to_owned());
        let home = file.parent().unwrap_or(Path::new("/")).to_owned();
        let data = home.join(path(written.node.data_dir, "/var/lib/carepost"));
        // Without the dots of `data_dir = "."`, because these paths are shown.
        let data: PathBuf = data.components().collect();
        Ok(Config {
            hostname: self.hostname(&written.node.hostname)?,
            database: data.join(path(written.store.database, "carepost.db")),
            blobs: data.join(path(written.store.blobs, "blobs")),
            kek_file: kek.unwrap_or_else(|| data.join(path(written.store.kek_file, "kek"))),
            admin_socket: data.join(path(written.admin.socket, "admin.sock")),
            health: self.health(written.admin.health)?,
            tls_certificate: home.join(path(written.tls.certificate, "tls.crt")),
            tls_key: home.join(path(written.tls.key, "tls.key")),
            tls_ca_file: written.tls.ca_file.map(|name| home.join(name)),
            listeners: self.listeners(&written.listener)?,
            dns_servers: self.dns_servers(&written.dns.servers)?,
            relay_port: self.at_least_one(written.relay.port, 25, "port")?,
            limits: self.limits(written.limits)?,
            revocation_wait: Duration::from_secs(self.at_least_one(
                written.revocation.wait_s.clone(),
                limits::UNDECIDED_WAIT.as_secs(),
                "wait_s",
            )?),
            revocation: self.revocation(&written.revocation)?,
            fetch_allow: self.nets(&written.fetch.allow)?,
            fetch_ca_file: written.fetch.ca_file.map(|name| home.join(name)),
            fetched: data.join("fetched"),
            log_json: self.log_json(written.log.format.as_ref())?,
            log_filter: self.log_filter(written.log.filter)?,
            file,
        })
    }

    fn hostname(&self, written: &Spanned<String>) -> Result<String, ConfigError> {
        // A host name is what may stand behind the @ of an address (RFC 5321 §2.3.5).
        Address::parse(&format!("postmaster@{}", written.get_ref()))
            .map(|address| address.domain().to_owned())
            .map_err(|_| {
                self.wrong(
                    &written.span(),
                    &format!(
                        "hostname `{}` is not a fully qualified name",
                        written.get_ref()
                    ),
                    "give the name that DNS knows this host by, such as mail.example.org",
                )
            })
    }

    fn socket_address(&self, written: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
        written.get_ref().parse().map_err(|_| {
            self.wrong(
                &written.span(),
                &format!("`{}` is not address:port", written.get_ref()),
                "write it as 127.0.0.1:25 or [::1]:25; a name will not do",
            )
        })
    }

    fn health(&self, written: Option<Spanned<String>>) -> Result<SocketAddr, ConfigError> {
        let Some(written) = written else {
            return Ok(SocketAddr::from(([127, 0, 0, 1], 8_090)));
        };
        let address = self.socket_address(&written)?;
        if address.ip().is_loopback() {
            return Ok(address);
        }
        Err(self.wrong(
            &written.span(),
            &format!("health listens on {address}, which others can reach"),
            "use a loopback address (127.0.0.1 or [::1]); put a proxy in front if monitoring is elsewhere",
        ))
    }

    fn listeners(&self, written: &[Listener]) -> Result<Vec<ListenerConfig>, ConfigError> {
        let mut listeners = Vec::<ListenerConfig>::new();
        for block in written {
            let listener = self.listener(block)?;
            if listeners
                .iter()
                .any(|known| known.address == listener.address && listener.address.port() != 0)
            {
                return Err(self.wrong(
                    &block.address.span(),
                    &format!("two listeners on {}", listener.address),
                    "give each [[listener]] its own address or port",
                ));
            }
            listeners.push(listener);
        }
        if listeners.is_empty() {
            return Err(self.wrong(
                &(0..0),
                "no [[listener]]: no mail could come in",
                "add one with kind = \"relay\" and address = \"0.0.0.0:25\"",
            ));
        }
        Ok(listeners)
    }

    fn listener(&self, written: &Listener) -> Result<ListenerConfig, ConfigError> {
        let kind = ListenerKind::from_word(written.kind.get_ref())
            .ok_or_else(|| self.not_one_of("kind", &written.kind, &["relay", "submission"]))?;
        let tls = match &written.tls {
            None => ListenerTls::StartTls,
            Some(word) => match word.get_ref().as_str() {
                "starttls" => ListenerTls::StartTls,
                "implicit" => ListenerTls::Implicit,
                "off" => ListenerTls::Off,
                _ => return Err(self.not_one_of("tls", word, &["starttls", "implicit", "off"])),
            },
        };
        // RFC 8314 §3.3: passwords only under TLS.
        if kind == ListenerKind::Submission && tls == ListenerTls::Off {
            let at = written.tls.as_ref().map_or(0..0, Spanned::span);
            return Err(self.wrong(
                &at,
                "a submission listener without TLS: passwords would travel in clear",
                "use tls = \"starttls\" (port 587) or \"implicit\" (port 465)",
            ));
        }
        let address = self.socket_address(&written.address)?;
        Ok(ListenerConfig { kind, address, tls })
    }

    fn not_one_of(&self, key: &str, written: &Spanned<String>, known: &[&str]) -> ConfigError {
        self.wrong(
            &written.span(),
            &format!("{key} = \"{}\" is not known", written.get_ref()),
            &format!("use one of: {}", known.join(", ")),
        )
    }

    fn dns_servers(&self, written: &[Spanned<String>]) -> Result<Vec<SocketAddr>, ConfigError> {
        written
            .iter()
            .map(|server| match server.get_ref().parse::<IpAddr>() {
                Ok(ip) => Ok(SocketAddr::new(ip, DNS_PORT)),
                Err(_) => self.socket_address(server),
            })
            .collect()
    }

    fn revocation(&self, written: &RevocationPart) -> Result<RevocationRules, ConfigError> {
        Ok(RevocationRules {
            mode: self.one_of(
                "mode",
                written.mode.as_ref(),
                &[
                    ("hard", RevocationMode::Hard),
                    ("soft", RevocationMode::Soft),
                    ("off", RevocationMode::Off),
                ],
            )?,
            scope: self.one_of(
                "scope",
                written.scope.as_ref(),
                &[
                    ("all", RevocationScope::All),
                    ("leaf", RevocationScope::Leaf),
                ],
            )?,
            no_pointer: self.one_of(
                "no_pointer",
                written.no_pointer.as_ref(),
                &[
                    ("accept", NoPointer::Accept),
                    ("reject", NoPointer::Unknown),
                ],
            )?,
        })
    }

    /// One of a few words; the first is the default.
    fn one_of<T: Copy>(
        &self,
        key: &str,
        written: Option<&Spanned<String>>,
        known: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let word = written.map_or(known.first().map_or("", |(word, _)| *word), |word| {
            word.get_ref()
        });
        if let Some((_, value)) = known.iter().find(|(one, _)| *one == word) {
            return Ok(*value);
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let none = Spanned::new(0..0, String::new());
        Err(self.not_one_of(key, written.unwrap_or(&none), &words))
    }

    fn nets(&self, written: &[Spanned<String>]) -> Result<Vec<Net>, ConfigError> {
        let read = |text: &Spanned<String>| {
            Net::parse(text.get_ref()).ok_or_else(|| {
                self.wrong(
                    &text.span(),
                    &format!("`{}` is no network", text.get_ref()),
                    "write it as 10.1.2.0/24, fd00::/8, or one address",
                )
            })
        };
        written.iter().map(read).collect()
    }

    fn limits(&self, written: LimitsPart) -> Result<Limits, ConfigError> {
        let seconds = |value: Option<Spanned<u64>>, default: Duration, name: &str| {
            self.at_least_one(value, default.as_secs(), name)
                .map(Duration::from_secs)
        };
        Ok(Limits {
            message_size: self.at_least_one(
                written.message_size,
                limits::MESSAGE_SIZE_MAX,
                "message_size",
            )?,
            recipients: self.at_least_one(
                written.recipients,
                limits::RECIPIENTS_MAX,
                "recipients",
            )?,
            command_timeout: seconds(
                written.command_timeout_s,
                limits::COMMAND_TIMEOUT,
                "command_timeout_s",
            )?,
            connections: self.at_least_one(
                written.connections,
                limits::CONNECTIONS_MAX,
                "connections",
            )?,
            connections_per_client: self.at_least_one(
                written.connections_per_client,
                limits::CONNECTIONS_PER_CLIENT_MAX,
                "connections_per_client",
            )?,
            free_octets: written.free_octets.unwrap_or(limits::FREE_OCTETS_MIN),
            free_inodes: written.free_inodes.unwrap_or(limits::FREE_INODES_MIN),
            processed_wait: seconds(
                written.processed_wait_s,
                limits::PROCESSED_WAIT,
                "processed_wait_s",
            )?,
            dispatched_wait: seconds(
                written.dispatched_wait_s,
                limits::DISPATCHED_WAIT,
                "dispatched_wait_s",
            )?,
        })
    }

    fn at_least_one<T: Copy + Default + PartialEq>(
        &self,
        written: Option<Spanned<T>>,
        default: T,
        name: &str,
    ) -> Result<T, ConfigError> {
        match written {
            None => Ok(default),
            Some(value) if *value.get_ref() == T::default() => Err(self.wrong(
                &value.span(),
                &format!("{name} is 0, which lets nothing through"),
                "give a number above 0, or remove the key for its default",
            )),
            Some(value) => Ok(value.into_inner()),
        }
    }

    fn log_json(&self, written: Option<&Spanned<String>>) -> Result<bool, ConfigError> {
        match written.map(|word| (word, word.get_ref().as_str())) {
            None | Some((_, "plain")) => Ok(false),
            Some((_, "json")) => Ok(true),
            Some((word, _)) => Err(self.not_one_of("format", word, &["plain", "json"])),
        }
    }

    fn log_filter(&self, written: Option<Spanned<String>>) -> Result<String, ConfigError> {
        let Some(written) = written else {
            return Ok("info".to_owned());
        };
        match tracing_subscriber::EnvFilter::try_new(written.get_ref()) {
            Ok(_) => Ok(written.into_inner()),
            Err(error) => Err(self.wrong(
                &written.span(),
                &format!("filter `{}`: {error}", written.get_ref()),
                "write it as info, or info,carepost::relay=debug",
            )),
        }
    }
}

fn path(written: Option<PathBuf>, default: &str) -> PathBuf {
    written.unwrap_or_else(|| PathBuf::from(default))
}

/// The most similar of the known names.
fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> &'n str {
    names
        .max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Fill, template};
    use super::*;

    const SMALLEST: &str = "[node]\nhostname = \"mail.example.org\"\n[[listener]]\nkind = \"relay\"\naddress = \"0.0.0.0:25\"\n";

    fn read(text: &str) -> Result<Config, String> {
        parse(text, Path::new("/etc/c.toml"), |_| None).map_err(|error| error.0)
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_what_to_do() {
        let extra = |text: &str| format!("{SMALLEST}{text}\n");
        for (text, what) in [
            (
                "[node]\nhelo_name = \"a\"\n".to_owned(),
                "/etc/c.toml:2: unknown key `helo_name` in [node]; did you mean `hostname`?",
            ),
            (
                extra("[stor]\na=1"),
                "c.toml:6: unknown section [stor]; did you mean [store]?",
            ),
            (
                extra("[admin]\nport = 1"),
                "c.toml:7: unknown key `port` in [admin]; it belongs in [relay]",
            ),
            (
                extra("[relay]\nport = \"a\""),
                "c.toml:7: invalid type: string \"a\", expected u16",
            ),
            (extra("[relay]\nport = 0"), "c.toml:7: port is 0"),
            (extra("[relay\n"), "c.toml:6: "),
            (
                extra("[admin]\nhealth = \"0.0.0.0:80\""),
                "which others can reach",
            ),
            (
                extra("[admin]\nhealth = \"localhost:80\""),
                "is not address:port",
            ),
            (
                extra("[log]\nformat = \"xml\""),
                "c.toml:7: format = \"xml\" is not known",
            ),
            (extra("[log]\nfilter = \"a=b=c\""), "c.toml:7: filter"),
            (
                extra(
                    "[[listener]]\nkind = \"submission\"\naddress = \"0.0.0.0:587\"\ntls = \"off\"",
                ),
                "c.toml:9: a submission listener without TLS",
            ),
            (
                extra("[[listener]]\nkind = \"relay\"\naddress = \"0.0.0.0:25\""),
                "c.toml:8: two listeners",
            ),
            (
                extra("[[listener]]\nkind = \"imap\"\naddress = \"0.0.0.0:143\""),
                "c.toml:7: kind = \"imap\"",
            ),
            (
                "[node]\nhostname = \"mail.example.org\"".to_owned(),
                "no [[listener]]",
            ),
            (
                SMALLEST.replace("mail.example.org", "localhost"),
                "c.toml:2: hostname `localhost`",
            ),
            ("[relay]\nport = 25".to_owned(), "missing field `node`"),
        ] {
            let error = read(&text).expect_err(&text);
            assert!(error.contains(what), "{error}\nlacks {what}");
            assert_eq!(error.lines().count(), 2, "{error}");
            assert!(error.contains("\n  do: "), "{error}");
        }
    }

    #[test]
    fn the_smallest_file_has_the_defaults_that_the_template_writes_out() {
        let small = read(SMALLEST).expect("reads");
        let fill = Fill {
            values: vec![("node", "hostname", "mail.example.org".into())],
            listeners: vec![("relay", "0.0.0.0:25".into(), "starttls")],
        };
        let full = read(&template(&fill)).expect("reads");
        assert_eq!(format!("{small:?}"), format!("{full:?}"));
        assert_eq!(small.database, Path::new("/var/lib/carepost/carepost.db"));
        assert_eq!(small.tls_key, Path::new("/etc/tls.key"));
    }

    #[test]
    fn every_known_key_is_in_the_template_and_is_read() {
        let text = template(&Fill::default());
        for key in KEYS.iter().filter(|key| key.section != "listener") {
            assert!(text.contains(&format!("{} = ", key.name)), "{}", key.name);
        }
    }

    #[test]
    fn the_environment_names_the_key_before_the_file_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let credential = folder.path().join("carepost-kek");
        let place = |set: &[(&str, &Path)]| {
            let find = |name: &str| {
                set.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.to_path_buf())
            };
            parse(SMALLEST, Path::new("/etc/c.toml"), find)
                .expect("reads")
                .kek_file
        };
        let directory = ("CREDENTIALS_DIRECTORY", folder.path());
        assert_eq!(place(&[directory]), Path::new("/var/lib/carepost/kek"));
        std::fs::write(&credential, "x").expect("writes");
        assert_eq!(place(&[directory]), credential);
        let named = ("CAREPOST_KEK_FILE", Path::new("/k"));
        assert_eq!(place(&[directory, named]), Path::new("/k"));
    }
}
