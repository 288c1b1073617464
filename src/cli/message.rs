//! `carepost message list|show|cancel`.

use clap::Subcommand;
use serde_json::Value;

use crate::admin::{Failure, MessageCancel, MessageList, MessageShow, Request};

use super::Desk;
use super::table::{aligned, cell, field, tame};

#[derive(Debug, Subcommand)]
pub enum Message {
    /// The latest messages
    List {
        /// Sent by or to this address
        #[arg(long)]
        address: Option<String>,
        /// With a recipient in this state
        #[arg(long)]
        state: Option<String>,
        /// With this Message-ID
        #[arg(long)]
        message_id: Option<String>,
        /// How many [default: 50]
        #[arg(long)]
        limit: Option<u32>,
    },
    /// One message: recipients, reasons, and everything that happened to it
    Show {
        /// Tracking id, or Message-ID
        id: String,
    },
    /// Take a message out; what was sent already stays sent
    Cancel {
        /// Tracking id
        id: String,
    },
}

impl Message {
    pub(super) async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List {
                address,
                state,
                message_id,
                limit,
            } => {
                let request = Request::MessageList(MessageList {
                    address,
                    state,
                    message_id,
                    limit,
                });
                let value = desk.ask(request).await?;
                desk.show(&value, listed);
            }
            Self::Show { id } => {
                let value = desk.ask(Request::MessageShow(MessageShow { id })).await?;
                desk.show(&value, |value| {
                    let messages = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    let texts: Vec<String> = messages.iter().map(shown).collect();
                    texts.join("\n")
                });
            }
            Self::Cancel { id } => {
                let request = Request::MessageCancel(MessageCancel { id });
                let value = desk.ask(request).await?;
                desk.show(&value, |value| {
                    format!(
                        "{} is cancelled for {}\n",
                        field(value, "id"),
                        field(value, "recipients")
                    )
                });
            }
        }
        Ok(())
    }
}

fn items<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// One line a recipient.
fn listed(value: &Value) -> String {
    let messages = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if messages.is_empty() {
        return "no message fits\n".to_owned();
    }
    let head = [
        "RECEIVED", "ID", "DIR", "KIND", "FROM", "TO", "STATE", "REASON",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for message in messages {
        let front =
            ["received_at", "id", "direction", "kind", "sender"].map(|key| field(message, key));
        let legs = items(message, "legs");
        if legs.is_empty() {
            lines.push(front.to_vec());
        }
        for leg in legs {
            let mut line = front.to_vec();
            line.extend(["recipient", "state", "reason"].map(|key| field(leg, key)));
            lines.push(line);
        }
    }
    aligned(&lines)
}

fn shown(message: &Value) -> String {
    let mut text = head(message);
    text.push_str("\nRecipients\n");
    for leg in items(message, "legs") {
        text.push_str(&recipient(leg));
    }
    let jobs = items(message, "jobs");
    if !jobs.is_empty() {
        text.push_str("\nWork that waits\n");
        for job in jobs {
            text.push_str(&format!(
                "  {} {} {} {}, attempt {}, due {}, last error: {}\n",
                field(job, "id"),
                field(job, "kind"),
                field(job, "destination"),
                field(job, "state"),
                field(job, "attempt"),
                field(job, "due_at"),
                field(job, "last_error")
            ));
        }
    }
    let reports = items(message, "reports");
    if !reports.is_empty() {
        text.push_str("\nReports made about it\n");
        for report in reports {
            text.push_str(&format!(
                "  {} {} {}\n",
                field(report, "id"),
                field(report, "direction"),
                field(report, "kind")
            ));
        }
    }
    text.push_str("\nTimeline\n");
    for moment in items(message, "timeline") {
        text.push_str(&moment_line(moment));
    }
    text
}

fn head(message: &Value) -> String {
    let mut lines = Vec::new();
    for (label, key) in [
        ("Message", "id"),
        ("Message-ID", "message_id"),
        ("Direction", "direction"),
        ("Kind", "kind"),
        ("From", "sender"),
        ("MAIL FROM", "return_path"),
        ("About", "about"),
        ("Listener", "listener"),
        ("Account", "account"),
        ("Peer", "peer"),
        ("HELO", "helo"),
        ("TLS", "tls"),
        ("Octets", "size"),
        ("Received", "received_at"),
        ("Final", "final_at"),
    ] {
        if !message[key].is_null() {
            lines.push(vec![label.to_owned(), field(message, key)]);
        }
    }
    aligned(&lines)
}

fn recipient(leg: &Value) -> String {
    let mut text = format!("  {}: {}", field(leg, "recipient"), field(leg, "state"));
    if !leg["reason"].is_null() {
        text.push_str(&format!(
            ": {} ({})",
            field(leg, "happened"),
            field(leg, "reason")
        ));
    }
    text.push('\n');
    for (label, key) in [
        ("evidence", "detail"),
        ("do", "do"),
        ("anchor", "anchor"),
        ("certificate", "signer"),
        ("answer", "answer"),
        ("answer due", "answer_due"),
    ] {
        if !leg[key].is_null() {
            text.push_str(&format!("    {label}: {}\n", field(leg, key)));
        }
    }
    text
}

fn moment_line(moment: &Value) -> String {
    let who = match moment["actor"].as_str() {
        Some("carepost") | None => String::new(),
        Some(actor) => format!("[{}] ", tame(actor)),
    };
    let recipient = match &moment["recipient"] {
        Value::Null => String::new(),
        key => format!("{}: ", cell(key)),
    };
    format!(
        "  {}  {who}{recipient}{}\n",
        field(moment, "at"),
        field(moment, "text")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_is_shown_with_reason_remedy_and_timeline() {
        let message = json!({
            "id": "01J", "direction": "in", "kind": "message", "size": 10, "received_at": "T0",
            "legs": [{"recipient": "a@d.example", "state": "refused", "reason": "no-path",
                "happened": "no path leads", "do": "import the anchor", "detail": "issuer CN=X"}],
            "jobs": [], "reports": [],
            "timeline": [{"at": "T1", "actor": "root", "recipient": "a@d.example", "text": "not trusted"}],
        });
        let text = shown(&message);
        for part in [
            "Message    01J\n",
            "  a@d.example: refused: no path leads (no-path)\n",
            "    evidence: issuer CN=X\n",
            "    do: import the anchor\n",
            "  T1  [root] a@d.example: not trusted\n",
        ] {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
    }
}
