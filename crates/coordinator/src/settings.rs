//! Settings and feature flags that an admin changes while everything runs.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use storage::{Database, NewAudit, Setting};
use types::{Flag, Registration, UserId};

use crate::{Error, live::Live};

const REGISTRATION: &str = "registration";
/// How often they are read again: services must see a change within a second, whoever made it.
pub(crate) const REFRESH: std::time::Duration = std::time::Duration::from_millis(400);

/// What holds now. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RuntimeSettings {
    database: Database,
    live: Arc<Live>,
    /// What was configured: it holds until an admin changes it.
    registration: Registration,
    changed: Arc<RwLock<HashMap<String, Setting>>>,
}

/// A flag with its history.
#[derive(Debug, Clone)]
pub(crate) struct FlagState {
    pub(crate) flag: Flag,
    pub(crate) enabled: bool,
    pub(crate) changed: Option<Setting>,
}

fn flag_name(flag: Flag) -> String {
    format!("flag/{flag}")
}

impl RuntimeSettings {
    /// Reads them.
    pub(crate) async fn open(
        database: Database,
        live: Arc<Live>,
        registration: Registration,
    ) -> Result<Self, Error> {
        let settings = Self {
            database,
            live,
            registration,
            changed: Arc::default(),
        };
        settings.refresh().await?;
        Ok(settings)
    }

    /// Reads them again; services are told when a flag changed.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let all = self.database.settings().all().await?;
        let changed = all
            .into_iter()
            .map(|setting| (setting.name.clone(), setting));
        *self.changed.write() = changed.collect();
        let off = Flag::ALL.iter().filter(|flag| !self.is_on(**flag));
        self.live.set_flags_off(off.copied().collect());
        Ok(())
    }

    fn value(&self, name: &str) -> Option<Setting> {
        self.changed.read().get(name).cloned()
    }

    /// Who may make an account.
    pub(crate) fn registration(&self) -> Registration {
        let changed = self.value(REGISTRATION);
        changed
            .and_then(|setting| setting.value.parse().ok())
            .unwrap_or(self.registration)
    }

    /// Changes who may make an account.
    pub(crate) async fn set_registration(
        &self,
        value: Registration,
        by: UserId,
        entry: NewAudit,
    ) -> Result<(), Error> {
        self.put(REGISTRATION, value.as_str(), by, entry).await
    }

    /// Whether a flag is on.
    pub(crate) fn is_on(&self, flag: Flag) -> bool {
        self.flag(flag).enabled
    }

    /// A flag with its history.
    pub(crate) fn flag(&self, flag: Flag) -> FlagState {
        let changed = self.value(&flag_name(flag));
        let enabled = match changed.as_ref().map(|setting| setting.value.as_str()) {
            Some("on") => true,
            Some("off") => false,
            _ => flag.default_value(),
        };
        FlagState {
            flag,
            enabled,
            changed,
        }
    }

    /// Switches a flag.
    pub(crate) async fn set_flag(
        &self,
        flag: Flag,
        enabled: bool,
        by: UserId,
        entry: NewAudit,
    ) -> Result<(), Error> {
        let value = if enabled { "on" } else { "off" };
        self.put(&flag_name(flag), value, by, entry).await
    }

    async fn put(&self, name: &str, value: &str, by: UserId, entry: NewAudit) -> Result<(), Error> {
        let settings = self.database.settings();
        settings.put(name, value, Some(by), entry).await?;
        self.refresh().await
    }
}
