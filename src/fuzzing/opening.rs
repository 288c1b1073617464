//! The road in up to the verdict, with real keys. In: a script that bends one layer of a good message.
//! Asserted: what opens is what Alice signed, comes from her and is for Bob; nobody else is granted.

use crate::open::{Opened, open as open_message, outer_kind};
use crate::trust::{Evidence, Profile, judge};

use super::edit::{Script, edited};
use super::pki::{self, ALICE, BOB, NOW, Pki, pki};

/// Which layer is bent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Octets off the wire, as they are.
    Raw,
    /// The outer message.
    Outer,
    /// The EnvelopedData.
    Envelope,
    /// The entity that was encrypted; encrypted again.
    Entity,
    /// The SignedData; put together and encrypted again.
    Signature,
    /// What Alice signs; signed and encrypted again.
    Content,
    /// As `Content`, without the wrapper of A-031.
    Unwrapped,
}

const LAYERS: [Layer; 7] = [
    Layer::Raw,
    Layer::Outer,
    Layer::Envelope,
    Layer::Entity,
    Layer::Signature,
    Layer::Content,
    Layer::Unwrapped,
];

/// Opens and judges a bent message.
pub fn open(data: &[u8]) {
    let mut script = Script(data);
    let how = script.octet();
    let layer = LAYERS[usize::from(how) % LAYERS.len()];
    let profile = if how & 0x80 == 0 {
        Profile::V1_3
    } else {
        Profile::V1_2
    };
    // Nothing bent, nothing lost: else the fuzzer would stand before a closed door.
    let good = script.0.is_empty() && !matches!(layer, Layer::Raw | Layer::Unwrapped);
    let pki = pki();
    let message = bent(pki, layer, &mut script);
    let accepted = pki.accepted(&message);
    let _kind = outer_kind(accepted.body());
    let anchors = pki.anchors(profile);
    let opened = match open_message(&accepted, &pki.ring, &anchors, &pki.bodies, &pki.world) {
        Ok(opened) => opened,
        Err(why) if good => panic!("a good message does not open: {why:?}"),
        Err(_) => return,
    };
    check(&opened, layer, profile);
    let judgment = judge(&opened, &anchors, &Evidence::default(), NOW);
    assert!(!good || judgment.granted.len() == 1, "{judgment:?}");
    for grant in judgment.granted {
        assert_eq!(grant.recipient().key(), BOB);
        assert!(opened.body().reveal(&grant).is_some());
    }
}

fn bent(pki: &Pki, layer: Layer, script: &mut Script<'_>) -> Vec<u8> {
    let content = pki::wrapped();
    let signature = pki.signature(&content);
    let entity = pki::multipart(&content, &signature);
    match layer {
        Layer::Raw => script.0.to_vec(),
        Layer::Outer => edited(&pki::outer(&pki.envelope_der(&entity)), script),
        Layer::Envelope => pki::outer(&edited(&pki.envelope_der(&entity), script)),
        Layer::Entity => seal(pki, &edited(&entity, script)),
        Layer::Signature => seal(pki, &pki::multipart(&content, &edited(&signature, script))),
        Layer::Content | Layer::Unwrapped => {
            let skipped = if layer == Layer::Content { 0 } else { 32 };
            let content = edited(&content[skipped..], script);
            seal(pki, &pki::multipart(&content, &pki.signature(&content)))
        }
    }
}

fn seal(pki: &Pki, entity: &[u8]) -> Vec<u8> {
    pki::outer(&pki.envelope_der(entity))
}

fn check(opened: &Opened, layer: Layer, profile: Profile) {
    for recipient in opened.recipients() {
        assert_eq!(recipient.key(), BOB);
    }
    if opened.kind() == crate::open::Kind::Message {
        let sender = opened.sender().map(|sender| sender.key().to_owned());
        assert_eq!(sender.as_deref(), Some(ALICE), "bound to the signer");
    }
    // v1.2 takes header fields from outside the signature; v1.3 takes nothing.
    let signed_by_us = matches!(layer, Layer::Content | Layer::Unwrapped);
    if profile == Profile::V1_3 && !signed_by_us {
        let message = &pki::wrapped()[32..];
        assert_eq!(
            opened.digest(),
            crate::crypto::sha256(message),
            "what opens is what was signed"
        );
    }
}

/// A script that changes nothing, for each layer and profile.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for profile in [0_u8, 0x80] {
        for layer in 1..LAYERS.len() as u8 {
            // `how` is taken modulo the number of layers, high bit included.
            let how = (profile..=u8::MAX)
                .find(|how| usize::from(*how) % LAYERS.len() == usize::from(layer))
                .unwrap_or(layer);
            seeds.push(vec![how]);
            seeds.push(vec![how, 4, 0x20, 0, 10]);
        }
    }
    seeds
}
