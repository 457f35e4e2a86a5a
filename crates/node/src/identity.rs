//! Who the node is: its key, and which coordinators know it by which id for which streams.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use types::{NodeId, RunId, StreamId};

use crate::{error::Error, files::DataDir, invite::Origin};

const FILE: &str = "identity.json";

/// What a node is. Whoever has the file is the node.
#[derive(Clone)]
pub(crate) struct Identity {
    key: SigningKey,
    /// The coordinators it was invited to.
    pub(crate) servers: Vec<Server>,
}

/// A coordinator that knows the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Where it is.
    pub(crate) origin: Origin,
    /// What it calls the node.
    pub(crate) node_id: NodeId,
    /// What it shows viewers.
    pub(crate) name: String,
    /// The streams to be helped.
    pub(crate) streams: Vec<Stream>,
}

/// A stream that the node was invited to help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    /// Its id.
    pub(crate) id: StreamId,
    /// In its addresses.
    pub(crate) slug: String,
    /// For people.
    pub(crate) title: String,
    /// Whose it is.
    pub(crate) streamer: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    key: String,
    servers: Vec<Server>,
}

impl Identity {
    /// A new key, known to nobody.
    pub(crate) fn generate() -> Self {
        Self {
            key: SigningKey::from_bytes(&rand::random()),
            servers: Vec::new(),
        }
    }

    /// Reads it; `None` when there is none.
    pub(crate) fn load(data: &DataDir) -> Result<Option<Self>, Error> {
        let Some(text) = data.read(FILE)? else {
            return Ok(None);
        };
        let wrong = |problem: &str| Error::Content {
            path: data.file(FILE),
            problem: format!("{problem}; restore the file, or remove it and join again"),
        };
        let document: Document =
            serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
        if document.version != 1 {
            return Err(wrong("is of another version of streamr-node"));
        }
        let key = STANDARD.decode(&document.key).ok();
        let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok());
        Ok(Some(Self {
            key: SigningKey::from_bytes(
                &key.ok_or_else(|| wrong("key is not 32 bytes of base64"))?,
            ),
            servers: document.servers,
        }))
    }

    /// Writes it.
    pub(crate) fn save(&self, data: &DataDir) -> Result<(), Error> {
        let document = Document {
            version: 1,
            key: STANDARD.encode(self.key.as_bytes()),
            servers: self.servers.clone(),
        };
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| Error::System(format!("identity: {error}")))?;
        data.write(FILE, text.as_bytes())
    }

    /// When it was written last: another `join` may do so while the node runs.
    pub(crate) fn changed_at(data: &DataDir) -> Option<std::time::SystemTime> {
        data.changed_at(FILE)
    }

    /// Notes that a coordinator knows the node, and for what.
    pub(crate) fn enrolled(
        &mut self,
        origin: &Origin,
        node_id: NodeId,
        name: &str,
        stream: Stream,
    ) {
        let known = self.servers.iter_mut().find(|s| s.origin == *origin);
        let Some(server) = known else {
            self.servers.push(Server {
                origin: origin.clone(),
                node_id,
                name: name.to_owned(),
                streams: vec![stream],
            });
            return;
        };
        server.node_id = node_id;
        name.clone_into(&mut server.name);
        server.streams.retain(|known| known.id != stream.id);
        server.streams.push(stream);
    }

    /// Notes that a stream is helped no longer; all of a server's when none is named. A server without
    /// streams stays: the next invite redeems under the same id.
    pub(crate) fn left(&mut self, origin: &Origin, stream: Option<StreamId>) {
        if let Some(server) = self.servers.iter_mut().find(|s| s.origin == *origin) {
            server
                .streams
                .retain(|known| stream.is_some_and(|stream| known.id != stream));
        }
    }

    /// The public key.
    pub(crate) fn public_key(&self) -> Bytes {
        Bytes::copy_from_slice(self.key.verifying_key().as_bytes())
    }

    fn sign(&self, domain: &str, parts: &[&[u8]]) -> Bytes {
        let mut message = domain.as_bytes().to_vec();
        message.push(0);
        message.extend(parts.iter().flat_map(|part| part.iter()));
        Bytes::copy_from_slice(&self.key.sign(&message).to_bytes())
    }

    /// For Enrol.
    pub(crate) fn sign_enrol(&self, invite: &str) -> Bytes {
        self.sign("streamr/enrol/1", &[invite.as_bytes()])
    }

    /// For Hello.
    pub(crate) fn sign_connect(&self, nonce: &[u8], node: NodeId, run: RunId) -> Bytes {
        let (node, run) = (node.as_uuid(), run.as_uuid());
        self.sign(
            "streamr/connect/1",
            &[nonce, node.as_bytes(), run.as_bytes()],
        )
    }

    /// For a delivery report.
    pub(crate) fn sign_report(&self, body: &[u8]) -> Bytes {
        self.sign("streamr/deliveries/1", &[body])
    }

    /// For Leave.
    pub(crate) fn sign_leave(&self, node: NodeId, stream: &str, at_unix_ms: i64) -> Bytes {
        let at = at_unix_ms.to_be_bytes();
        let node = node.as_uuid();
        self.sign(
            "streamr/leave/1",
            &[node.as_bytes(), stream.as_bytes(), &at],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(slug: &str) -> Stream {
        Stream {
            id: StreamId::new(),
            slug: slug.to_owned(),
            title: "Concert".to_owned(),
            streamer: "Ana".to_owned(),
        }
    }

    #[test]
    fn it_survives_a_restart_and_helps_many() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert!(Identity::load(&data).unwrap().is_none());
        let mut identity = Identity::generate();
        let origin: Origin = "https://a.example".parse().unwrap();
        let (node, concert, talk) = (NodeId::new(), stream("concert"), stream("talk"));
        identity.enrolled(&origin, node, "Ben", concert.clone());
        identity.enrolled(&origin, node, "Ben", talk.clone());
        identity.enrolled(&origin, node, "Benny", concert.clone());
        identity.save(&data).unwrap();
        let loaded = Identity::load(&data).unwrap().unwrap();
        assert_eq!(loaded.public_key(), identity.public_key());
        assert_eq!(loaded.servers[0].name, "Benny");
        assert_eq!(loaded.servers[0].streams, [talk.clone(), concert.clone()]);
        identity.left(&origin, Some(talk.id));
        assert_eq!(identity.servers[0].streams, [concert]);
        identity.left(&origin, None);
        assert!(identity.servers[0].streams.is_empty());
    }

    #[test]
    fn a_broken_file_is_told_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        for bad in [
            "",
            "{}",
            r#"{"version":2,"key":"","servers":[]}"#,
            r#"{"version":1,"key":"AAAA","servers":[]}"#,
        ] {
            data.write(FILE, bad.as_bytes()).unwrap();
            let Err(error) = Identity::load(&data) else {
                panic!("{bad} is no identity");
            };
            assert!(error.to_string().contains("join again"), "{error}");
        }
    }
}
