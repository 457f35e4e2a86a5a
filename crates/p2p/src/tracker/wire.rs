//! The messages as JSON, in both directions.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Announce, Answer, ClientMessage, Error, Event, InfoHash, MAX_MESSAGE, MAX_OFFERS, MAX_SDP,
    Offer, OfferId, PeerId, ServerMessage,
};

/// Any message. What a page says of uploaded, downloaded and left bytes is not even read: nobody can check it.
#[derive(Deserialize)]
struct Any {
    action: Option<String>,
    info_hash: InfoHash,
    peer_id: Option<PeerId>,
    to_peer_id: Option<PeerId>,
    offer_id: Option<OfferId>,
    event: Option<String>,
    numwant: Option<f64>,
    offers: Option<Vec<AnyOffer>>,
    offer: Option<Description>,
    answer: Option<Description>,
    interval: Option<u32>,
    complete: Option<u32>,
    incomplete: Option<u32>,
    #[serde(rename = "failure reason")]
    failure: Option<String>,
}

#[derive(Deserialize)]
struct AnyOffer {
    offer: Description,
    offer_id: OfferId,
}

#[derive(Serialize, Deserialize)]
struct Description {
    #[serde(rename = "type")]
    kind: String,
    sdp: String,
}

impl Description {
    fn text(self, expected: &'static str) -> Result<String, Error> {
        let fits = (1..=MAX_SDP).contains(&self.sdp.len());
        if self.kind != expected || !fits {
            return Err(Error::Sdp(expected));
        }
        Ok(self.sdp)
    }
}

/// Reads what a page says.
pub fn parse(text: &str) -> Result<ClientMessage, Error> {
    let any = read(text)?;
    let peer_id = any.peer_id.ok_or(Error::Missing("peer_id"))?;
    if let Some(answer) = any.answer {
        return Ok(ClientMessage::Answer(Answer {
            info_hash: any.info_hash,
            peer_id,
            to_peer_id: any.to_peer_id.ok_or(Error::Missing("to_peer_id"))?,
            offer_id: any.offer_id.ok_or(Error::Missing("offer_id"))?,
            sdp: answer.text("answer")?,
        }));
    }
    let offers = offers(any.offers.unwrap_or_default())?;
    let wanted = any.numwant.unwrap_or(offers.len() as f64);
    Ok(ClientMessage::Announce(Announce {
        info_hash: any.info_hash,
        peer_id,
        event: any.event.as_deref().and_then(event),
        numwant: wanted.clamp(0.0, MAX_OFFERS as f64) as u32,
        offers,
    }))
}

fn read(text: &str) -> Result<Any, Error> {
    if text.len() > MAX_MESSAGE {
        return Err(Error::TooLong(text.len()));
    }
    let any: Any =
        serde_json::from_str(text).map_err(|error| Error::Malformed(error.to_string()))?;
    match any.action.as_deref() {
        Some("announce") => Ok(any),
        _ => Err(Error::Action),
    }
}

fn offers(offers: Vec<AnyOffer>) -> Result<Vec<Offer>, Error> {
    if offers.len() > MAX_OFFERS {
        return Err(Error::Offers(offers.len()));
    }
    let ids: HashSet<_> = offers.iter().map(|offer| &offer.offer_id).collect();
    if ids.len() < offers.len() {
        return Err(Error::OfferTwice);
    }
    let offers = offers.into_iter().map(|offer| {
        Ok(Offer {
            offer_id: offer.offer_id,
            sdp: offer.offer.text("offer")?,
        })
    });
    offers.collect()
}

/// Words that mean nothing here are as good as none.
fn event(text: &str) -> Option<Event> {
    match text {
        "started" => Some(Event::Started),
        "stopped" => Some(Event::Stopped),
        "completed" => Some(Event::Completed),
        _ => None,
    }
}

impl ClientMessage {
    /// As a page writes it.
    pub fn to_json(&self) -> String {
        match self {
            Self::Announce(announce) => announce.to_json(),
            Self::Answer(answer) => json!({
                "action": "announce",
                "info_hash": answer.info_hash,
                "peer_id": answer.peer_id,
                "to_peer_id": answer.to_peer_id,
                "offer_id": answer.offer_id,
                "answer": description("answer", &answer.sdp),
            })
            .to_string(),
        }
    }
}

impl Announce {
    fn to_json(&self) -> String {
        let offers = self.offers.iter().map(
            |offer| json!({"offer": description("offer", &offer.sdp), "offer_id": offer.offer_id}),
        );
        let mut message = json!({
            "action": "announce",
            "info_hash": self.info_hash,
            "peer_id": self.peer_id,
            "uploaded": 0,
            "downloaded": 0,
            "left": Value::Null,
            "numwant": self.numwant,
            "offers": offers.collect::<Vec<_>>(),
        });
        let event = self.event.map(|event| match event {
            Event::Started => "started",
            Event::Stopped => "stopped",
            Event::Completed => "completed",
        });
        if let (Some(event), Some(fields)) = (event, message.as_object_mut()) {
            fields.insert("event".to_owned(), event.into());
        }
        message.to_string()
    }
}

impl ServerMessage {
    /// As pages read it.
    pub fn to_json(&self) -> String {
        let message = match self {
            Self::Announced {
                info_hash,
                interval,
                complete,
                incomplete,
            } => json!({
                "action": "announce",
                "info_hash": info_hash,
                "interval": interval,
                "complete": complete,
                "incomplete": incomplete,
            }),
            Self::Offer {
                info_hash,
                peer_id,
                offer,
            } => json!({
                "action": "announce",
                "info_hash": info_hash,
                "peer_id": peer_id,
                "offer": description("offer", &offer.sdp),
                "offer_id": offer.offer_id,
            }),
            Self::Answer {
                info_hash,
                peer_id,
                offer_id,
                sdp,
            } => json!({
                "action": "announce",
                "info_hash": info_hash,
                "peer_id": peer_id,
                "offer_id": offer_id,
                "answer": description("answer", sdp),
            }),
            Self::Failure { info_hash, reason } => json!({
                "action": "announce",
                "info_hash": info_hash,
                "failure reason": reason,
            }),
        };
        message.to_string()
    }

    /// Reads what a page is told, as a page does.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let any = read(text)?;
        let info_hash = any.info_hash;
        if let Some(reason) = any.failure {
            return Ok(Self::Failure { info_hash, reason });
        }
        let peer_id = any.peer_id.ok_or(Error::Missing("peer_id"));
        let offer_id = any.offer_id.ok_or(Error::Missing("offer_id"));
        if let Some(offer) = any.offer {
            return Ok(Self::Offer {
                info_hash,
                peer_id: peer_id?,
                offer: Offer {
                    offer_id: offer_id?,
                    sdp: offer.text("offer")?,
                },
            });
        }
        if let Some(answer) = any.answer {
            return Ok(Self::Answer {
                info_hash,
                peer_id: peer_id?,
                offer_id: offer_id?,
                sdp: answer.text("answer")?,
            });
        }
        Ok(Self::Announced {
            info_hash,
            interval: any.interval.ok_or(Error::Missing("interval"))?,
            complete: any.complete.unwrap_or_default(),
            incomplete: any.incomplete.unwrap_or_default(),
        })
    }
}

fn description(kind: &str, sdp: &str) -> Value {
    json!({"type": kind, "sdp": sdp})
}
