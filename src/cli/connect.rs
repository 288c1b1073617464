//! How a verb reaches live state. In: a request. Out: its answer, from the running carepost through
//! admin.sock, or, if none runs, from the store opened here under its lock. Never both.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::admin::{self, Failure, Handle, Reply, Request, exit};
use crate::config::Config;
use crate::discover::{Resolver, ResolverSettings};
use crate::store::{KeyEncryptionKey, Paths, Store};
use crate::world::World;

/// Between two looks for the store's owner.
const OWNER_PAUSE: Duration = Duration::from_millis(100);
/// Looks: three seconds. A carepost that starts holds the store before its socket listens, and another command
/// holds it for a moment.
const OWNER_LOOKS_MAX: u32 = 30;

/// Asks whoever owns the store.
pub async fn ask(config: &Config, request: Request) -> Result<Value, Failure> {
    let mut looks = 1;
    loop {
        if let Some(stream) = running(config).await? {
            return over(stream, &request).await;
        }
        match open(config).await {
            Ok(handle) => return alone(handle, request).await,
            Err(failure) if failure.code == exit::TEMPFAIL && looks < OWNER_LOOKS_MAX => {
                looks += 1;
                World::real().sleep(OWNER_PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// The running carepost, if one listens.
pub async fn running(config: &Config) -> Result<Option<UnixStream>, Failure> {
    let path = &config.admin_socket;
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Ok(None),
            ErrorKind::PermissionDenied => Err(Failure::new(
                exit::NOPERM,
                format!("{}: only carepost's own user and root may", path.display()),
                "run it as that user: sudo -u carepost carepost ...",
            )),
            _ => Err(Failure::new(
                exit::UNAVAILABLE,
                format!("{}: {error}", path.display()),
                "check [admin] socket",
            )),
        },
    }
}

/// One request, one answer.
pub async fn over(stream: UnixStream, request: &Request) -> Result<Value, Failure> {
    let broken = |what: String| {
        Failure::new(
            exit::UNAVAILABLE,
            format!("the running carepost did not answer: {what}"),
            "see its log, then try again",
        )
    };
    let mut line = serde_json::to_vec(request).map_err(|error| broken(error.to_string()))?;
    line.push(b'\n');
    let (reader, mut writer) = stream.into_split();
    writer
        .write_all(&line)
        .await
        .map_err(|error| broken(error.to_string()))?;
    let mut answer = Vec::new();
    BufReader::new(reader)
        .read_until(b'\n', &mut answer)
        .await
        .map_err(|error| broken(error.to_string()))?;
    let reply: Reply =
        serde_json::from_slice(&answer).map_err(|error| broken(error.to_string()))?;
    reply.into()
}

async fn alone(handle: Handle, request: Request) -> Result<Value, Failure> {
    let actor = admin::operator(rustix::process::geteuid().as_raw()).await;
    let answer = admin::run(&handle, actor, request).await;
    handle.close().await;
    answer
}

/// Opens the store of this configuration under its lock.
pub async fn open(config: &Config) -> Result<Handle, Failure> {
    if !config.database.exists() {
        return Err(Failure::new(
            exit::CONFIG,
            format!("there is no store at {}", config.database.display()),
            "make one with `carepost init`, or correct [store] database",
        ));
    }
    let owner = std::fs::metadata(&config.database).map(|meta| meta.uid());
    let me = rustix::process::geteuid().as_raw();
    // SQLite's side files would belong to us, and carepost's own user could not open them at its next start.
    if let Ok(owner) = owner
        && owner != me
    {
        return Err(Failure::new(
            exit::NOPERM,
            format!(
                "no carepost runs, and its store {} belongs to another user (uid {owner})",
                config.database.display()
            ),
            format!("run the command as that user: sudo -u '#{owner}' carepost ..."),
        ));
    }
    let key = KeyEncryptionKey::read(&config.kek_file)?;
    open_with(config, key).await
}

/// Opens, or makes, the store with a key at hand.
pub async fn open_with(config: &Config, key: KeyEncryptionKey) -> Result<Handle, Failure> {
    let world = World::real();
    let paths = Paths {
        database: config.database.clone(),
        blobs: config.blobs.clone(),
    };
    let store = Store::open(&paths, &config.hostname, key, world.clone()).await?;
    let settings = ResolverSettings {
        servers: config.dns_servers.clone(),
    };
    let resolver = Resolver::new(&settings, world).ok();
    Ok(Handle::new(store, Arc::new(config.clone()), resolver))
}
