//! Lists in pages: a cursor and a limit.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Error;

/// Items on a page unless asked otherwise.
const DEFAULT: u32 = 50;
/// The most items on a page.
const MOST: u32 = 100;

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The `next` of the page before.
    #[param(value_type = Option<uuid::Uuid>)]
    pub(crate) after: Option<String>,
    /// Items wanted, 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub(crate) limit: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Send it as `after` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl Page {
    /// The cursor.
    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Error> {
        let after = self.after.as_deref().map(str::parse).transpose();
        after.map_err(|_| Error::Query {
            parameter: "after",
            problem: "send the `next` of the page before",
        })
    }

    /// How many.
    pub(crate) fn limit(&self) -> Result<u32, Error> {
        let Some(text) = &self.limit else {
            return Ok(DEFAULT);
        };
        let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
        limit.ok_or(Error::Query {
            parameter: "limit",
            problem: "send a number from 1 to 100",
        })
    }
}

impl<T> List<T> {
    /// Everything there is.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A page that may have a next one; `key` is an item's cursor.
    pub(crate) fn page<U>(
        items: Vec<U>,
        limit: u32,
        key: impl Fn(&U) -> String,
        show: impl Fn(U) -> T,
    ) -> Self {
        let full = items.len() == limit as usize;
        let next = items.last().filter(|_| full).map(key);
        Self {
            items: items.into_iter().map(show).collect(),
            next,
        }
    }
}
