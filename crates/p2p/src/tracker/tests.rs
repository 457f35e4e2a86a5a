//! Messages as pages send them, and any others.

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;

const HASH: &str = "abcdefghijKLMNOPqrst";
const PEER: &str = "-PM0203-aB3dE6gH9jKl";

fn announce() -> serde_json::Value {
    json!({
        "numwant": 1, "uploaded": 0, "downloaded": 0, "left": null, "event": "started",
        "action": "announce", "info_hash": HASH, "peer_id": PEER,
        "offers": [{"offer": {"type": "offer", "sdp": "v=0\r\n"}, "offer_id": "\u{0}\u{ff}é\"\\4567890123456789"}],
    })
}

#[test]
fn a_pages_first_announce_is_read() {
    let ClientMessage::Announce(read) = parse(&announce().to_string()).unwrap() else {
        panic!("an announce");
    };
    assert_eq!(read.info_hash.as_bytes(), HASH.as_bytes());
    assert_eq!(read.peer_id.to_string(), PEER);
    assert_eq!((read.event, read.numwant), (Some(Event::Started), 1));
    let [offer] = read.offers.as_slice() else {
        panic!("one offer");
    };
    assert_eq!(offer.sdp, "v=0\r\n");
    assert_eq!(offer.offer_id.as_bytes()[..4], [0, 0xff, 0xe9, b'"']);
}

#[test]
fn later_announces_and_the_last_need_no_offers() {
    let mut message = announce();
    message["offers"] = json!(null);
    message["event"] = json!("stopped");
    let ClientMessage::Announce(last) = parse(&message.to_string()).unwrap() else {
        panic!("an announce");
    };
    assert_eq!((last.event, last.offers.len()), (Some(Event::Stopped), 0));
}

#[test]
fn an_offer_id_is_passed_on_as_it_came() {
    let ClientMessage::Announce(read) = parse(&announce().to_string()).unwrap() else {
        panic!("an announce");
    };
    let told = ServerMessage::Offer {
        info_hash: read.info_hash,
        peer_id: read.peer_id,
        offer: read.offers[0].clone(),
    };
    let told: serde_json::Value = serde_json::from_str(&told.to_json()).unwrap();
    assert_eq!(told["offer_id"], announce()["offers"][0]["offer_id"]);
    assert_eq!(told["offer"], json!({"type": "offer", "sdp": "v=0\r\n"}));
    assert_eq!(told["action"], "announce");
}

#[test]
fn what_is_too_much_or_wrong_is_refused_by_name() {
    let refused = |field: &str, value: serde_json::Value| {
        let mut message = announce();
        message[field] = value;
        parse(&message.to_string()).unwrap_err()
    };
    assert_eq!(refused("action", json!("scrape")), Error::Action);
    assert!(
        matches!(refused("info_hash", json!("short")), Error::Malformed(text) if text.contains("info_hash"))
    );
    let wide = "ł".repeat(20);
    assert!(
        matches!(refused("peer_id", json!(wide)), Error::Malformed(text) if text.contains("peer_id"))
    );
    assert_eq!(refused("peer_id", json!(null)), Error::Missing("peer_id"));
    let offer = announce()["offers"][0].clone();
    assert_eq!(refused("offers", json!([offer, offer])), Error::OfferTwice);
    assert_eq!(
        refused("offers", json!(vec![offer.clone(); 11])),
        Error::Offers(11)
    );
    for sdp in [String::new(), "x".repeat(MAX_SDP + 1)] {
        let mut offer = offer.clone();
        offer["offer"]["sdp"] = json!(sdp);
        assert_eq!(refused("offers", json!([offer])), Error::Sdp("offer"));
    }
    assert!(matches!(
        parse(&" ".repeat(MAX_MESSAGE + 1)),
        Err(Error::TooLong(_))
    ));
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    assert!(matches!(parse(&deep), Err(Error::Malformed(_))));
}

#[test]
fn a_refusal_names_the_swarm_and_the_reason() {
    let info_hash = InfoHash::from_binary_string(HASH).unwrap();
    let reason = "session ended".to_owned();
    let told = ServerMessage::Failure { info_hash, reason }.to_json();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["failure reason"], "session ended");
    assert_eq!(told["info_hash"], HASH);
}

fn offer() -> impl Strategy<Value = Offer> {
    (vec(any::<u8>(), 1..=64), "[ -~\r\n]{1,80}").prop_map(|(id, sdp)| Offer {
        offer_id: OfferId::new(&id).unwrap(),
        sdp,
    })
}

proptest! {
    #[test]
    fn announces_come_back(
        hash: [u8; 20], peer: [u8; 20], numwant in 0..=10_u32, offers in vec(offer(), 0..=5),
        event in proptest::option::of(prop_oneof![Just(Event::Started), Just(Event::Stopped), Just(Event::Completed)]),
    ) {
        let mut ids = std::collections::HashSet::new();
        let offers: Vec<_> = offers.into_iter().filter(|o| ids.insert(o.offer_id.clone())).collect();
        let message = ClientMessage::Announce(Announce {
            info_hash: InfoHash::new(hash), peer_id: PeerId::new(peer), event, numwant, offers,
        });
        prop_assert_eq!(parse(&message.to_json()), Ok(message));
    }

    #[test]
    fn answers_come_back(hash: [u8; 20], peer: [u8; 20], to: [u8; 20], offer in offer()) {
        let message = ClientMessage::Answer(Answer {
            info_hash: InfoHash::new(hash), peer_id: PeerId::new(peer), to_peer_id: PeerId::new(to),
            offer_id: offer.offer_id.clone(), sdp: offer.sdp.clone(),
        });
        prop_assert_eq!(parse(&message.to_json()), Ok(message));
        for told in [
            ServerMessage::Answer {
                info_hash: InfoHash::new(hash), peer_id: PeerId::new(peer), offer_id: offer.offer_id.clone(),
                sdp: offer.sdp.clone(),
            },
            ServerMessage::Offer { info_hash: InfoHash::new(hash), peer_id: PeerId::new(peer), offer },
            ServerMessage::Announced { info_hash: InfoHash::new(hash), interval: 30, complete: 1, incomplete: 2 },
        ] {
            prop_assert_eq!(ServerMessage::parse(&told.to_json()), Ok(told));
        }
    }

    #[test]
    fn any_text_is_survived(text in ".{0,300}") {
        let _ = (parse(&text), ServerMessage::parse(&text));
    }
}
