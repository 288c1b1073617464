//! The journal in words. In: an event's name and its facts. Out: one sentence with the evidence. Pure;
//! never decides, never hides a fact that has no sentence yet.

use serde_json::Value;

use crate::journal::Reason;

/// Facts as text, by name.
struct Facts<'a>(&'a Value);

impl Facts<'_> {
    /// Empty if it is not there.
    fn text(&self, name: &str) -> String {
        match self.0.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect::<Vec<_>>()
                .join(" > "),
            Some(other) => other.to_string(),
        }
    }

    /// `1 recipient`, `2 recipients`.
    fn counted(&self, name: &str, noun: &str) -> String {
        match self.text(name).as_str() {
            "1" => format!("1 {noun}"),
            count => format!("{count} {noun}s"),
        }
    }

    /// ` (word value)`, or nothing.
    fn aside(&self, word: &str, name: &str) -> String {
        match self.text(name).as_str() {
            "" => String::new(),
            value => format!(" ({word}{value})"),
        }
    }

    /// The reason's sentence, then the detail.
    fn why(&self) -> String {
        let code = self.text("reason");
        let happened = Reason::from_code(&code).map_or(code, |reason| reason.happened().to_owned());
        match (happened.as_str(), self.text("detail").as_str()) {
            ("", detail) => detail.to_owned(),
            (happened, "") => happened.to_owned(),
            (happened, detail) => format!("{happened} ({detail})"),
        }
    }
}

/// One sentence for one event.
pub fn sentence(event: &str, facts: &Value) -> String {
    let facts = Facts(facts);
    inward(event, &facts)
        .or_else(|| outward(event, &facts))
        .or_else(|| operator(event, &facts))
        .unwrap_or_else(|| plain(event, &facts))
}

fn inward(event: &str, facts: &Facts<'_>) -> Option<String> {
    let t = |name| facts.text(name);
    Some(match event {
        "accepted" => format!(
            "accepted on the {} listener from {}{}{}, {} octets for {}; 250 was said",
            t("listener"),
            t("peer"),
            facts.aside("account ", "account"),
            facts.aside("", "tls"),
            t("size"),
            facts.counted("recipients", "recipient")
        ),
        "opened" => format!(
            "opened: sent by {}, signed by {}; {}, {}, {}{}",
            t("sender"),
            t("signer"),
            t("cipher"),
            t("key_transport"),
            t("digest"),
            if t("wrapped") == "true" {
                ", wrapped"
            } else {
                ""
            }
        ),
        "unopenable" => format!("could not be opened: {}", facts.why()),
        "granted" => format!(
            "trusted under {}: {}; anchor {}{}",
            t("profile"),
            t("path"),
            t("anchor"),
            facts.aside("note: ", "notes")
        ),
        "refused" => format!("not trusted: {}", facts.why()),
        "undecided" => format!("evidence is missing: {}", t("needs")),
        "duplicate" => format!("the same octets were granted before, as {}", t("earlier")),
        "delivered" => format!("delivered to {}{}", t("route"), facts.aside("", "detail")),
        "delivery-deferred" => format!(
            "{} cannot take it now: {}; attempt {}, again at {}",
            t("route"),
            t("detail"),
            t("attempt"),
            t("next")
        ),
        "undeliverable" => format!("cannot be delivered: {}", facts.why()),
        "report-queued" => format!(
            "our report `{}` to {} is queued as {}",
            t("kind"),
            t("to"),
            t("report")
        ),
        "cannot-acknowledge" => {
            format!("our report `{}` cannot be sent: {}", t("kind"), facts.why())
        }
        _ => return None,
    })
}

fn outward(event: &str, facts: &Facts<'_>) -> Option<String> {
    let t = |name| facts.text(name);
    Some(match event {
        "discovered" => format!(
            "{} found at {} ({})",
            facts.counted("certificates", "certificate"),
            t("name"),
            t("source")
        ),
        "recipient-trusted" => format!(
            "certificate {} is trusted: {}; anchor {}{}",
            t("certificate"),
            t("path"),
            t("anchor"),
            facts.aside("note: ", "notes")
        ),
        "sealed" => format!(
            "signed by {} and encrypted for {}; {}, {}, {}",
            t("signer"),
            facts.counted("recipients", "recipient"),
            t("cipher"),
            t("key_transport"),
            t("digest")
        ),
        "relayed" => format!(
            "{} took it: {}{}; attempt {}",
            t("host"),
            t("reply"),
            facts.aside("", "tls"),
            t("attempt")
        ),
        "relay-deferred" => format!(
            "not now: {}; attempt {}, again at {}",
            facts.why(),
            t("attempt"),
            t("next")
        ),
        "handed-over" => format!("handed over within this gateway, as {}", t("message")),
        "report-received" => format!(
            "report `{}` came and was believed: {}",
            t("kind"),
            t("report")
        ),
        "report-ignored" => format!("a report came and was not believed: {}", facts.why()),
        "answered" => match facts.why().as_str() {
            "" => format!("final answer: {}", t("answer")),
            why => format!("final answer: {}: {why}", t("answer")),
        },
        "late" => format!(
            "`{}` came after the final answer and is not shown",
            t("kind")
        ),
        "notice-queued" => format!(
            "our {} to {} is queued as {}",
            t("kind"),
            t("to"),
            t("notice")
        ),
        _ => return None,
    })
}

fn operator(event: &str, facts: &Facts<'_>) -> Option<String> {
    Some(match event {
        "held" => format!("held: {}", facts.why()),
        "released" => "released".to_owned(),
        "cancelled" => {
            let code = facts.text("reason");
            let happened = Reason::from_code(&code).map(Reason::happened);
            format!("cancelled: {}", happened.unwrap_or(&code))
        }
        "retried" => "due now, by an operator".to_owned(),
        _ => return None,
    })
}

/// An event without a sentence: its name and every fact.
fn plain(event: &str, facts: &Facts<'_>) -> String {
    let names = facts.0.as_object().into_iter().flat_map(|map| map.keys());
    let listed: Vec<String> = names
        .map(|name| format!("{name} {}", facts.text(name)))
        .collect();
    if listed.is_empty() {
        event.replace('-', " ")
    } else {
        format!("{}: {}", event.replace('-', " "), listed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Event;

    fn told(event: &Event) -> String {
        let (name, facts) = event.row();
        sentence(
            &name,
            &serde_json::from_str(&facts).expect("facts are JSON"),
        )
    }

    #[test]
    fn an_event_is_told_with_its_evidence() {
        for (event, text) in [
            (
                Event::Refused {
                    reason: Reason::NoPath,
                    detail: "issuer CN=X".into(),
                },
                "not trusted: no path leads from the certificate to a trust anchor (issuer CN=X)",
            ),
            (
                Event::Granted {
                    notes: Vec::new(),
                    anchor: "ab12".into(),
                    path: vec!["CN=leaf".into(), "CN=CA".into()],
                    profile: "v1.3".into(),
                },
                "trusted under v1.3: CN=leaf > CN=CA; anchor ab12",
            ),
            (
                Event::Relayed {
                    host: "mx.example".into(),
                    tls: None,
                    reply: "250 ok".into(),
                    attempt: 2,
                },
                "mx.example took it: 250 ok; attempt 2",
            ),
            (
                Event::Answered {
                    answer: "delivered",
                    reason: None,
                    detail: String::new(),
                },
                "final answer: delivered",
            ),
            (Event::Released, "released"),
            (
                Event::DomainAdded {
                    domain: "d.example".into(),
                },
                "domain added: domain d.example",
            ),
        ] {
            assert_eq!(told(&event), text);
        }
    }

    #[test]
    fn an_event_of_a_newer_version_keeps_its_facts() {
        let facts = serde_json::json!({"colour": "red", "count": 2});
        assert_eq!(
            sentence("new-thing", &facts),
            "new thing: colour red, count 2"
        );
        assert_eq!(sentence("new-thing", &Value::Null), "new thing");
    }
}
