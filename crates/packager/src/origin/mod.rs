//! The origin: takes streams that nobody packages, and packages them until they end or it is fenced.

mod lease;
mod packaging;
mod run;
mod tracks;

pub(crate) use lease::Lessee;
pub(crate) use run::{Origin, Shared};
