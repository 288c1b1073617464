//! The two clinics. The sending one submits by SMTP AUTH over TLS with `lettre`; the receiving one's mail server is
//! played by `mailin-embedded`, as in many small offices: it takes what the gateway hands over and keeps it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use mailin_embedded::{Handler, Response, response};

/// One message as the clinic's mail server got it.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The octets of DATA.
    pub octets: Vec<u8>,
}

/// The receiving clinic's mail server.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// Where it listens.
    pub address: SocketAddr,
    mailbox: Arc<Mutex<Vec<Arrived>>>,
}

impl MailServer {
    /// Starts it on a free loopback port. Its threads end with the process: it knows no stop.
    ///
    /// # Errors
    /// What the operating system or the server says.
    pub fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let mailbox = Arc::default();
        let handler = Desk {
            mailbox: Arc::clone(&mailbox),
            octets: Vec::new(),
        };
        let mut server = mailin_embedded::Server::new(handler);
        server
            .with_name("mail.clinic-beta.test")
            .with_tcp_listener(listener);
        std::thread::Builder::new()
            .name("clinic-mail-server".to_owned())
            .spawn(move || {
                // It returns only if it cannot listen at all; the checks then miss the message.
                let _ended = server.serve().is_ok();
            })
            .map_err(|error| error.to_string())?;
        Ok(Self { address, mailbox })
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.mailbox
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

#[derive(Clone)]
struct Desk {
    mailbox: Arc<Mutex<Vec<Arrived>>>,
    octets: Vec<u8>,
}

impl Handler for Desk {
    fn data_start(
        &mut self,
        _domain: &str,
        _from: &str,
        _is8bit: bool,
        _to: &[String],
    ) -> Response {
        self.octets.clear();
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.octets.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let arrived = Arrived {
            octets: std::mem::take(&mut self.octets),
        };
        self.mailbox
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(arrived);
        response::OK
    }
}

/// The sending clinic's mail client.
#[derive(Clone, Debug)]
pub struct MailClient {
    /// The gateway's submission port.
    pub submission: SocketAddr,
    pub login: String,
    pub password: String,
    /// PEM of the certificate that the submission port shows.
    pub server_certificate: Vec<u8>,
    /// The name in that certificate.
    pub server_name: String,
}

/// A referral.
#[derive(Clone, Debug)]
pub struct Referral<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub subject: &'a str,
    pub text: &'a str,
    pub file_name: &'a str,
    pub ccda: &'a [u8],
}

impl MailClient {
    /// Submits; returns the gateway's reply, which names the tracking id.
    ///
    /// # Errors
    /// What the gateway or `lettre` says.
    pub async fn send(&self, referral: &Referral<'_>) -> Result<String, String> {
        let message = compose(referral)?;
        let sent = self
            .transport()?
            .send(message)
            .await
            .map_err(|error| error.to_string())?;
        Ok(sent.message().collect::<Vec<_>>().join(" "))
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let root =
            Certificate::from_pem(&self.server_certificate).map_err(|error| error.to_string())?;
        let tls = TlsParameters::builder(self.server_name.clone())
            .add_root_certificate(root)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(
            self.submission.ip().to_string(),
        )
        .port(self.submission.port())
        .tls(Tls::Required(tls))
        .credentials(Credentials::new(self.login.clone(), self.password.clone()))
        .build())
    }
}

/// A mail client's message: text and C-CDA, delivery notification asked for (Delivery Notification IG §1.3).
fn compose(referral: &Referral<'_>) -> Result<Message, String> {
    let xml = ContentType::parse("text/xml; charset=utf-8").map_err(|error| error.to_string())?;
    let attachment =
        Attachment::new(referral.file_name.to_owned()).body(referral.ccda.to_vec(), xml);
    let mailbox = |address: &str| {
        address
            .parse()
            .map_err(|error| format!("{address}: {error}"))
    };
    let mut message = Message::builder()
        .from(mailbox(referral.from)?)
        .to(mailbox(referral.to)?)
        .subject(referral.subject)
        .message_id(None)
        .multipart(
            MultiPart::mixed()
                .singlepart(SinglePart::plain(referral.text.to_owned()))
                .singlepart(attachment),
        )
        .map_err(|error| error.to_string())?;
    message.headers_mut().insert_raw(HeaderValue::new(
        HeaderName::new_from_ascii_str("Disposition-Notification-Options"),
        "X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true".to_owned(),
    ));
    Ok(message)
}
