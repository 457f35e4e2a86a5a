//! What time it is, for protocols and for the friend's own clock.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Zoned;

/// Unix time in milliseconds.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The friend's own date and time of day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Local {
    /// Such as `2026-11-21`.
    pub(crate) day: String,
    /// Such as `2026-11`.
    pub(crate) month: String,
    /// Minutes since midnight.
    pub(crate) minute: u16,
}

/// Now, in local time.
pub(crate) fn local() -> Local {
    let now = Zoned::now();
    let (year, month) = (now.year(), now.month());
    Local {
        day: format!("{year:04}-{month:02}-{:02}", now.day()),
        month: format!("{year:04}-{month:02}"),
        minute: u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs()),
    }
}
