//! Who calls: as the gate found out, for handlers to ask for.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use runtime::http::Peer;

use super::{Problem, cookies};
use crate::{
    Error,
    accounts::{Request, Standing},
};

/// Somebody with an accepted token, or nobody in particular.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(pub(crate) Option<Arc<Standing>>);

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct User(pub(crate) Arc<Standing>);

/// Somebody who runs the server.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub(crate) Arc<Standing>);

/// Where the request comes from.
pub(crate) struct From(pub(crate) Request);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(standing) = Caller::from_request_parts(parts, state).await?;
        let missing = Error::Unauthenticated("log in, and send the access token as a bearer token");
        standing.map(Self).ok_or_else(|| missing.into())
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let User(standing) = User::from_request_parts(parts, state).await?;
        if standing.is_admin() {
            Ok(Self(standing))
        } else {
            Err(Error::Forbidden("only an admin may do this").into())
        }
    }
}

/// The address at the other end.
pub(crate) fn address(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<Peer>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(Request {
            address: address(parts),
            user_agent: text(&parts.headers, header::USER_AGENT),
            device: cookies::read(&parts.headers, cookies::DEVICE),
        }))
    }
}
