//! `carepost health`: asks the running carepost through admin.sock, or, if this user may not, through its
//! health port. Out: the checks; exit 0 ready, 1 not ready, 69 nobody runs. Never opens the store itself.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::admin::{Failure, Request, exit};
use crate::config::Config;
use crate::world::World;

use super::table::{field, table};
use super::{Desk, connect};

/// Every check has a few seconds of its own, side by side.
const PATIENCE: Duration = Duration::from_secs(15);
/// A list of a few checks is far smaller.
const ANSWER_MAX: u64 = 1024 * 1024;

pub async fn run(desk: &Desk) -> Result<u8, Failure> {
    let config = desk.config()?;
    let world = World::real();
    let value = match world.within(PATIENCE, ask(&config, &world)).await {
        Ok(answer) => answer?,
        Err(_) => {
            return Err(Failure::new(
                exit::UNAVAILABLE,
                format!(
                    "the running carepost said nothing for {} s",
                    PATIENCE.as_secs()
                ),
                "see its log; restart it if it stays so",
            ));
        }
    };
    desk.show(&value, human);
    Ok(if value["ready"] == true {
        0
    } else {
        exit::FAILED
    })
}

async fn ask(config: &Config, world: &World) -> Result<Value, Failure> {
    if let Ok(Some(stream)) = connect::running(config).await {
        return connect::over(stream, &Request::Health).await;
    }
    let own = config.database.display().to_string();
    let answer = over_http(config, world).await;
    // Another gateway of this machine may hold the port.
    answer
        .filter(|answer| answer["store"] == own)
        .ok_or_else(|| {
            Failure::new(
                exit::UNAVAILABLE,
                format!(
                    "no carepost runs on this store: neither {} nor {} answers for it",
                    config.admin_socket.display(),
                    config.health
                ),
                "start it: carepost serve",
            )
        })
}

async fn over_http(config: &Config, world: &World) -> Option<Value> {
    let mut socket = world.connect(config.health, PATIENCE).await.ok()?;
    let request = format!(
        "GET /healthz/ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        config.health
    );
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    socket
        .take(ANSWER_MAX)
        .read_to_end(&mut answer)
        .await
        .ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

fn human(value: &Value) -> String {
    let columns = [("CHECK", "name"), ("OK", "ok"), ("FOUND", "detail")];
    let mut text = table(&value["checks"], &columns, "no check");
    let checks = value["checks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for check in checks.iter().filter(|check| check["ok"] != true) {
        text.push_str(&format!(
            "{}\n  do: {}\n",
            field(check, "name"),
            field(check, "do")
        ));
    }
    text.push_str(if value["ready"] == true {
        "ready\n"
    } else {
        "not ready\n"
    });
    text
}
