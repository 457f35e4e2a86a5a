//! What can keep the stats-collector from starting or working.

/// Why it can't.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Facts on another process's own bus can't be heard.
    #[error(
        "bus.url is \"local:\", which reaches nobody outside its process; set STREAMR__BUS__URL (bus.url) to the broker that the coordinators use, or run `streamr`, which has the stats-collector in it"
    )]
    LocalBus,
    /// The bus can't be had.
    #[error(transparent)]
    Bus(#[from] events::BusError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// The port of health and metrics is taken.
    #[error(transparent)]
    Bind(#[from] runtime::http::BindError),
}
