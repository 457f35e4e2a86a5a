//! The whole node against a coordinator, an edge and viewers of the test's own.

mod attacks;
pub(crate) mod bed;
mod helping;
mod rules;
