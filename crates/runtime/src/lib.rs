//! What every service needs to run: configuration, telemetry, health, shutdown and drain, TLS,
//! listeners with limits, internal gRPC, requests passed on, back-off.
//!
//! Owns how a process lives. Knows nothing of media, of storage or of what any service does.

pub mod backoff;
pub mod circuit;
pub mod config;
pub mod gate;
pub mod grpc;
mod grpc_health;
mod head_deadline;
pub mod health;
pub mod http;
pub mod identity;
pub mod log;
pub mod pass;
mod port_owner;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod trace;

pub use config::Config;
pub use gate::Gate;
pub use grpc_health::{GrpcHealth, grpc_health};
pub use health::Health;
pub use identity::ServiceTokens;
pub use shutdown::Shutdown;
