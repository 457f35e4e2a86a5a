//! What the stats-collector needs of the configuration.

use runtime::Config;
use types::InstanceId;

/// Its settings, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which event bus.
    pub bus: runtime::config::Bus,
    /// This process.
    pub instance: InstanceId,
}

impl Settings {
    /// Takes them from the configuration.
    pub fn resolve(config: &Config) -> Self {
        Self {
            bus: config.bus.clone(),
            instance: InstanceId::new(),
        }
    }
}
