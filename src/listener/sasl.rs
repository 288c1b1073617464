//! The AUTH exchange. In: base64 lines. Out: [`Credentials`], the next challenge, or nothing usable.
//! Never logs or prints a name or a password: people type one where the other belongs.

use zeroize::Zeroizing;

use super::command::Mechanism;

/// "Username:" and "Password:" in base64 (draft-murchison-sasl-login).
const LOGIN_NAME: &str = "VXNlcm5hbWU6";
const LOGIN_PASSWORD: &str = "UGFzc3dvcmQ6";

/// A login to be checked. No Debug on purpose.
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) password: Zeroizing<String>,
}

/// Where in the exchange we are.
pub(super) enum Exchange {
    Plain,
    LoginName,
    LoginPassword { name: String },
}

/// What a line brought.
pub(super) enum Turn {
    /// Say this after 334 and listen.
    Challenge(&'static str, Exchange),
    Complete(Credentials),
    /// Not base64, or not of the right shape (RFC 4954 §4: 501).
    Unreadable,
    /// `*` (RFC 4954 §4).
    Cancelled,
}

impl Exchange {
    /// The first turn. An initial response of `=` is an empty one (RFC 4954 §4).
    pub(super) fn begin(mechanism: Mechanism, initial: Option<&str>) -> Turn {
        let (exchange, challenge) = match mechanism {
            Mechanism::Plain => (Self::Plain, ""),
            Mechanism::Login => (Self::LoginName, LOGIN_NAME),
        };
        match initial {
            None => Turn::Challenge(challenge, exchange),
            Some("=") => exchange.read(""),
            Some(response) => exchange.read(response),
        }
    }

    /// The client's next line.
    pub(super) fn turn(self, line: &[u8]) -> Turn {
        if line == b"*" {
            return Turn::Cancelled;
        }
        match std::str::from_utf8(line) {
            Ok(line) => self.read(line),
            Err(_) => Turn::Unreadable,
        }
    }

    fn read(self, response: &str) -> Turn {
        let Some(text) = decode(response) else {
            return Turn::Unreadable;
        };
        match self {
            Self::Plain => plain(&text).map_or(Turn::Unreadable, Turn::Complete),
            Self::LoginName => {
                let name = text.as_str().to_owned();
                Turn::Challenge(LOGIN_PASSWORD, Self::LoginPassword { name })
            }
            Self::LoginPassword { name } => Turn::Complete(Credentials {
                name,
                password: text,
            }),
        }
    }
}

fn decode(response: &str) -> Option<Zeroizing<String>> {
    let octets = base64_simd::STANDARD.decode_to_vec(response).ok()?;
    String::from_utf8(octets).ok().map(Zeroizing::new)
}

/// RFC 4616 §2: [authzid] NUL authcid NUL passwd. Nobody may act for another here, so authzid repeats authcid or is empty.
fn plain(text: &str) -> Option<Credentials> {
    let mut parts = text.split('\0');
    let (authzid, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    let fine = parts.next().is_none()
        && !name.is_empty()
        && !password.is_empty()
        && (authzid.is_empty() || authzid == name);
    fine.then(|| Credentials {
        name: name.to_owned(),
        password: Zeroizing::new(password.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(turn: Turn) -> String {
        match turn {
            Turn::Challenge(text, _) => format!("334 {text}"),
            Turn::Complete(login) => format!("{}/{}", login.name, login.password.as_str()),
            Turn::Unreadable => "unreadable".into(),
            Turn::Cancelled => "cancelled".into(),
        }
    }

    #[test]
    fn plain_is_read_as_rfc_4616_says_and_not_otherwise() {
        for (text, wanted) in [
            ("\0desk\0secret", "desk/secret"),
            ("desk\0desk\0secret", "desk/secret"),
            ("boss\0desk\0secret", "unreadable"),
            ("\0desk\0secret\0", "unreadable"),
            ("desk\0secret", "unreadable"),
            ("\0\0secret", "unreadable"),
            ("\0desk\0", "unreadable"),
            ("", "unreadable"),
        ] {
            let line = base64_simd::STANDARD.encode_to_string(text);
            assert_eq!(
                outcome(Exchange::Plain.turn(line.as_bytes())),
                wanted,
                "{text:?}"
            );
        }
        assert_eq!(outcome(Exchange::Plain.turn(b"*")), "cancelled");
        assert_eq!(outcome(Exchange::Plain.turn(b"?")), "unreadable");
        assert_eq!(outcome(Exchange::Plain.turn(b"\xff")), "unreadable");
        assert_eq!(
            outcome(Exchange::begin(Mechanism::Plain, Some("="))),
            "unreadable"
        );
        assert_eq!(outcome(Exchange::begin(Mechanism::Plain, None)), "334 ");
    }

    #[test]
    fn login_asks_for_name_and_password() {
        let Turn::Challenge(LOGIN_NAME, name) = Exchange::begin(Mechanism::Login, None) else {
            panic!("it asks for the name");
        };
        let Turn::Challenge(LOGIN_PASSWORD, password) = name.turn(b"ZGVzaw==") else {
            panic!("it asks for the password");
        };
        assert_eq!(outcome(password.turn(b"c2VjcmV0")), "desk/secret");
    }
}
