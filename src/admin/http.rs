//! `/healthz/live` and `/healthz/ready` for probes, over HTTP on a loopback port.
//! In: GET. Out: 200, or 503 with the checks that failed. Nothing can be changed from here.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::world::{Port, Socket, World};

use super::Handle;

/// Binds, then serves in a task until `stop` says so.
///
/// # Errors
/// Two lines: the port is in use, say, and what to do.
pub async fn serve_health(
    handle: Handle,
    address: SocketAddr,
    mut stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, String> {
    let world = handle.world().clone();
    let port = world.listen(address).await.map_err(|error| {
        format!(
            "the health port {address}: {error}\n  do: stop what uses it (`ss -ltnp`), or change [admin] health"
        )
    })?;
    let routes = Router::new()
        .route("/healthz/live", get(|| async { "live\n" }))
        .route("/healthz/ready", get(ready))
        .with_state(handle);
    let stopped = async move {
        // An error means that whoever could say stop is gone, which says it too.
        let _ = stop.wait_for(|&now| now).await;
    };
    Ok(tokio::spawn(async move {
        let served = axum::serve(Probes { port, world }, routes)
            .with_graceful_shutdown(stopped)
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the health port stopped");
        }
    }))
}

async fn ready(State(handle): State<Handle>) -> impl IntoResponse {
    let health = super::health(&handle).await;
    let status = if health.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::to_string(&health).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}

/// Our port as axum wants it.
struct Probes {
    port: Port,
    world: World,
}

impl axum::serve::Listener for Probes {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        loop {
            match self.port.accept().await {
                Ok(socket) => {
                    let peer = socket.peer();
                    return (socket, peer);
                }
                // Out of file descriptors, say: it may pass.
                Err(_) => self.world.sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.port.local()
    }
}
