//! Joining and leaving: what is asked of a coordinator outside the long-lived connection.

use std::time::Duration;

use proto::node::{EnrolRequest, LeaveRequest};
use tokio::time::timeout;
use tonic::{Code, Status};
use types::StreamId;

use crate::{
    VERSION, clock,
    error::Error,
    identity::{Identity, Server, Stream},
    invite::{InviteLink, Origin},
    net::Net,
};

const ANSWER: Duration = Duration::from_secs(10);

/// Redeems an invite. The identity knows of it then; saving it is the caller's.
pub(crate) async fn enrol(
    net: &Net,
    identity: &mut Identity,
    link: &InviteLink,
    name: &str,
) -> Result<Stream, Error> {
    let invite = link.secret.expose().clone();
    let request = EnrolRequest {
        public_key: identity.public_key(),
        name: name.to_owned(),
        version: VERSION.to_owned(),
        signature: identity.sign_enrol(&invite),
        invite,
    };
    let mut client = net.client(&link.origin).await?;
    let refused = |status: &Status| Error::Refused {
        origin: link.origin.to_string(),
        problem: match status.code() {
            Code::NotFound => {
                "this invite is not good (any more): it may be used, withdrawn or too old. \
                               Ask your streamer for a new link"
                    .to_owned()
            }
            Code::PermissionDenied => format!("this node was removed ({})", status.message()),
            _ => format!("{:?}: {}", status.code(), status.message()),
        },
    };
    let answer = timeout(ANSWER, client.enrol(request)).await;
    let answer = answer.map_err(|_| silent(&link.origin))?;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let wrong = || Error::Refused {
        origin: link.origin.to_string(),
        problem: "its answer is not understood; get a newer streamr-node".to_owned(),
    };
    let stream = answer.stream.ok_or_else(wrong)?;
    let stream = Stream {
        id: stream.stream_id.parse().map_err(|_| wrong())?,
        slug: stream.slug,
        title: stream.title,
        streamer: stream.streamer,
    };
    let node_id = answer.node_id.parse().map_err(|_| wrong())?;
    identity.enrolled(&link.origin, node_id, name, stream.clone());
    Ok(stream)
}

/// Tells a coordinator that the node helps a stream no longer, or none there.
pub(crate) async fn leave(
    net: &Net,
    identity: &Identity,
    server: &Server,
    stream: Option<StreamId>,
) -> Result<(), Error> {
    let at_unix_ms = clock::unix_ms();
    let stream_id = stream.map_or_else(String::new, |stream| stream.to_string());
    let request = LeaveRequest {
        node_id: server.node_id.to_string(),
        signature: identity.sign_leave(server.node_id, &stream_id, at_unix_ms),
        stream_id,
        at_unix_ms,
    };
    let mut client = net.client(&server.origin).await?;
    match timeout(ANSWER, client.leave(request)).await {
        Ok(Ok(_)) => Ok(()),
        // It is forgotten there already.
        Ok(Err(status)) if status.code() == Code::NotFound => Ok(()),
        Ok(Err(status)) => Err(Error::Refused {
            origin: server.origin.to_string(),
            problem: format!("{:?}: {}", status.code(), status.message()),
        }),
        Err(_) => Err(silent(&server.origin)),
    }
}

fn silent(origin: &Origin) -> Error {
    Error::Unreachable {
        origin: origin.to_string(),
        problem: "no answer in time".to_owned(),
    }
}
