//! Configuration: defaults < file < environment `STREAMR__SECTION__KEY` < flags.
//!
//! Every program takes the same configuration and reads its own sections, so one file serves them all.

mod error;
mod load;
mod section;
mod tls;
mod value;

pub use error::ConfigError;
pub use load::{Flags, LogDefaults, from_command_line, load, load_from};
pub use section::{
    Accounts, Bootstrap, Bus, Cache, Config, Coordinator, Database, Ingest, LogFormat, LogSection,
    Mail, Packager, Playback, Role, Roles, Savings, Stats, TelemetrySection,
};
pub use tls::{Acme, Challenge, Domains, TlsSection};
pub use value::{Addresses, Seconds, Size};
