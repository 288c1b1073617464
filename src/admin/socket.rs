//! `admin.sock`: only carepost's own user (and root) may connect; the peer's uid is the actor in the
//! journal. In: one JSON request a line. Out: one JSON answer a line.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::journal::Actor;
use crate::limits;

use super::{Failure, Handle, Reply, Request, exit, usage};

/// Binds, then answers in a task until `stop` says so. A socket file that a dead process left is replaced:
/// whoever holds the store's lock is the only carepost.
///
/// # Errors
/// Two lines: what happened and what to do.
pub async fn serve_socket(
    handle: Handle,
    path: PathBuf,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, String> {
    let listener = bind(&path).map_err(|error| {
        format!(
            "the admin socket {}: {error}\n  do: check [admin] socket: its folder must exist and be ours, the path under 100 octets",
            path.display()
        )
    })?;
    Ok(tokio::spawn(accept(handle, listener, path, stop)))
}

/// Bound beside its place, narrowed to 0600, then moved there, so that no instant has an open socket or
/// none.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(&beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    let listener = socket.listen(limits::ADMIN_SESSIONS_MAX)?;
    std::fs::rename(&beside, path)?;
    Ok(listener)
}

async fn accept(
    handle: Handle,
    listener: UnixListener,
    path: PathBuf,
    mut stop: watch::Receiver<bool>,
) {
    let slots = usize::try_from(limits::ADMIN_SESSIONS_MAX).unwrap_or(1);
    let permits = Arc::new(Semaphore::new(slots));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&now| now) => break,
        };
        let Ok((stream, _)) = accepted else {
            handle.world().sleep(limits::ADMIN_PAUSE).await;
            continue;
        };
        let (handle, mut stop) = (handle.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = session(&handle, stream) => {}
                _ = stop.wait_for(|&now| now) => {}
            }
            drop(permit);
        });
    }
    // Best effort: a stale file is replaced at the next start anyway.
    let _ = std::fs::remove_file(&path);
}

async fn session(handle: &Handle, mut stream: UnixStream) {
    let Ok(uid) = stream.peer_cred().map(|peer| peer.uid()) else {
        return;
    };
    let actor = operator(uid).await;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    loop {
        let Ok(Ok(Some(line))) = handle
            .world()
            .within(limits::ADMIN_IDLE, read_line(&mut reader))
            .await
        else {
            return;
        };
        let reply = if may(uid) {
            Reply::from(answer(handle, &actor, &line).await)
        } else {
            Reply::Failed(not_yours())
        };
        let Ok(mut text) = serde_json::to_vec(&reply) else {
            return;
        };
        text.push(b'\n');
        if writer.write_all(&text).await.is_err() {
            return;
        }
    }
}

/// The file mode says it already; this holds even where a file system ignores it.
fn may(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

fn not_yours() -> Failure {
    Failure::new(
        exit::NOPERM,
        "only carepost's own user and root may use the admin socket",
        "run the command as that user: sudo -u carepost carepost ...",
    )
}

async fn read_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let cap = limits::ADMIN_LINE_MAX;
    reader.take(cap).read_until(b'\n', &mut line).await?;
    if line.pop() == Some(b'\n') {
        Ok(Some(line))
    } else {
        // The other end closed, or the line is over the cap: either way the session ends.
        Ok(None)
    }
}

async fn answer(handle: &Handle, actor: &Actor, line: &[u8]) -> Result<serde_json::Value, Failure> {
    let request: Request = serde_json::from_slice(line).map_err(|error| {
        usage(
            format!("the request is not understood: {error}"),
            "use the carepost command of the same version as the running carepost",
        )
    })?;
    super::run(handle, actor.clone(), request).await
}

/// Who has this uid: the name in /etc/passwd, else the number.
pub async fn operator(uid: u32) -> Actor {
    let users = tokio::fs::read_to_string("/etc/passwd")
        .await
        .unwrap_or_default();
    Actor::Operator(name_of(&users, uid).unwrap_or_else(|| format!("uid {uid}")))
}

fn name_of(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_named_if_it_has_a_name() {
        let users = "root:x:0:0::/root:/bin/sh\nbroken\ncarepost:x:990:990::/:/bin/false\n";
        assert_eq!(name_of(users, 990).as_deref(), Some("carepost"));
        assert_eq!(name_of(users, 991), None);
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_alone_and_replaces_a_stale_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        drop(bind(&path).expect("binds"));
        assert!(UnixStream::connect(&path).await.is_err(), "stale");
        let _listener = bind(&path).expect("binds again");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_no_request() {
        let mut whole: &[u8] = b"{}\nrest";
        assert_eq!(
            read_line(&mut whole).await.expect("reads"),
            Some(b"{}".to_vec())
        );
        assert_eq!(read_line(&mut whole).await.expect("reads"), None);
    }
}
