//! One question and one answer over HTTP/1.1, with `hyper`. In: a connection, a URL, an [`Order`]. Out: what
//! the server says, cut off where it says too much or nothing.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use url::Url;

use crate::limits::{FETCH_HEAD_MAX, FETCH_HEADERS_MAX, FETCH_IDLE_MAX};
use crate::world::{Wire, World};

use super::{FetchError, Fetched, Order, Validators};

/// What the server says.
pub(super) enum Reply {
    Here(Fetched),
    /// As Location has it.
    Elsewhere(String),
}

/// The task that moves octets ends with the exchange.
struct Moved(tokio::task::JoinHandle<()>);

impl Drop for Moved {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) async fn exchange(
    world: &World,
    wire: Box<dyn Wire>,
    url: &Url,
    order: &Order,
) -> Result<Reply, FetchError> {
    let broken = |error: hyper::Error| FetchError::Broken(error.to_string());
    let request = request(url, order)?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(FETCH_HEAD_MAX)
        .max_headers(FETCH_HEADERS_MAX)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(broken)?;
    let _moved = Moved(tokio::spawn(async move {
        // What is wrong with the connection, the sender hears.
        drop(connection.await);
    }));
    let response = world
        .within(FETCH_IDLE_MAX, sender.send_request(request))
        .await
        .map_err(|_| FetchError::TooSlow)?
        .map_err(broken)?;
    read(world, response, order).await
}

fn request(url: &Url, order: &Order) -> Result<Request<Full<Bytes>>, FetchError> {
    let bad = || FetchError::BadUrl(super::shown(url.as_str()));
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match (url.host_str().ok_or_else(bad)?, url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let mut request = Request::builder()
        .uri(target)
        .header(header::HOST, host)
        .header(
            header::USER_AGENT,
            concat!("carepost/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close");
    let known = [
        (header::IF_NONE_MATCH, &order.known.etag),
        (header::IF_MODIFIED_SINCE, &order.known.last_modified),
    ];
    for (name, value) in known {
        let value = value
            .as_ref()
            .and_then(|value| HeaderValue::from_str(value).ok());
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let (request, body) = match &order.body {
        None => (request.method(Method::GET), Bytes::new()),
        Some((kind, octets)) => (
            request
                .method(Method::POST)
                .header(header::CONTENT_TYPE, *kind),
            Bytes::from(octets.clone()),
        ),
    };
    request.body(Full::new(body)).map_err(|_| bad())
}

async fn read(
    world: &World,
    response: Response<Incoming>,
    order: &Order,
) -> Result<Reply, FetchError> {
    let headers = response.headers();
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if order.known != Validators::default() => {
            return Ok(Reply::Here(Fetched::Same));
        }
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            let place = text(headers, &header::LOCATION);
            let nowhere = || FetchError::Redirect("it names no place".to_owned());
            return place.map(Reply::Elsewhere).ok_or_else(nowhere);
        }
        other => return Err(FetchError::Status(other.as_u16())),
    }
    let validators = Validators {
        etag: text(headers, &header::ETAG),
        last_modified: text(headers, &header::LAST_MODIFIED),
    };
    // We ask for no content coding; what comes in one all the same is not what was asked for.
    if text(headers, &header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(FetchError::Broken("it is content-coded".to_owned()));
    }
    let octets = body(world, response.into_body(), order.largest).await?;
    Ok(Reply::Here(Fetched::New { octets, validators }))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

async fn body(
    world: &World,
    mut incoming: Incoming,
    largest: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut octets = Vec::new();
    loop {
        let frame = world.within(FETCH_IDLE_MAX, incoming.frame()).await;
        let frame = match frame.map_err(|_| FetchError::TooSlow)? {
            None => return Ok(octets),
            Some(Err(error)) => return Err(FetchError::Broken(error.to_string())),
            Some(Ok(frame)) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if octets.len().saturating_add(data.len()) > largest {
            return Err(FetchError::TooLarge(largest));
        }
        octets.extend_from_slice(&data);
    }
}
