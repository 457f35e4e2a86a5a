//! What a node remembers beside its identity: the switch, what it carried today and this month, messages.

use serde::{Deserialize, Serialize};
use types::ByteCount;

use crate::{clock::Local, error::Error, files::DataDir};

const FILE: &str = "state.json";
/// Messages from streamers that are kept.
const MAX_MESSAGES: usize = 50;
/// The longest text that is shown.
const MAX_TEXT: usize = 2000;

/// It.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// The friend's switch.
    pub(crate) help: bool,
    month: String,
    /// Uploaded this month.
    pub(crate) month_bytes: ByteCount,
    day: String,
    /// Uploaded today.
    pub(crate) day_bytes: ByteCount,
    /// Uploaded ever.
    pub(crate) total_bytes: ByteCount,
    /// The newest last.
    pub(crate) messages: Vec<Notice>,
}

/// From a streamer, or of what a coordinator decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// Unix time in milliseconds.
    pub(crate) at_unix_ms: i64,
    /// Who says it.
    pub(crate) from: String,
    /// What.
    pub(crate) text: String,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            help: true,
            month: String::new(),
            month_bytes: ByteCount::ZERO,
            day: String::new(),
            day_bytes: ByteCount::ZERO,
            total_bytes: ByteCount::ZERO,
            messages: Vec::new(),
        }
    }
}

impl Memory {
    /// Reads it. What can't be read is begun anew, and said: no count is worth not helping.
    pub(crate) fn load(data: &DataDir) -> Result<Self, Error> {
        let Some(text) = data.read(FILE)? else {
            return Ok(Self::default());
        };
        Ok(serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, "state.json is not readable: what was carried counts from nothing");
            Self::default()
        }))
    }

    /// Writes it.
    pub(crate) fn save(&self, data: &DataDir) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::System(format!("state: {error}")))?;
        data.write(FILE, text.as_bytes())
    }

    /// Time passed, and so much was uploaded.
    pub(crate) fn carried(&mut self, bytes: ByteCount, now: &Local) {
        if self.month != now.month {
            self.month.clone_from(&now.month);
            self.month_bytes = ByteCount::ZERO;
        }
        if self.day != now.day {
            self.day.clone_from(&now.day);
            self.day_bytes = ByteCount::ZERO;
        }
        for sum in [
            &mut self.month_bytes,
            &mut self.day_bytes,
            &mut self.total_bytes,
        ] {
            *sum = sum.saturating_add(bytes.get());
        }
    }

    /// Keeps a message.
    pub(crate) fn heard(&mut self, at_unix_ms: i64, from: &str, text: &str) {
        let short = |text: &str| text.chars().take(MAX_TEXT).collect();
        self.messages.push(Notice {
            at_unix_ms,
            from: short(from),
            text: short(text),
        });
        let surplus = self.messages.len().saturating_sub(MAX_MESSAGES);
        self.messages.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(day: &str) -> Local {
        Local {
            day: day.to_owned(),
            month: day[..7].to_owned(),
            minute: 0,
        }
    }

    #[test]
    fn days_and_months_count_for_themselves_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let mut memory = Memory::load(&data).unwrap();
        assert!(memory.help);
        memory.carried(ByteCount::new(5), &local("2026-11-29"));
        memory.carried(ByteCount::new(7), &local("2026-11-30"));
        memory.help = false;
        memory.heard(1, "Ana", &"x".repeat(3000));
        memory.save(&data).unwrap();
        let mut memory = Memory::load(&data).unwrap();
        assert!(!memory.help && memory.messages[0].text.len() == MAX_TEXT);
        memory.carried(ByteCount::new(1), &local("2026-11-30"));
        let counts = |m: &Memory| [m.day_bytes.get(), m.month_bytes.get(), m.total_bytes.get()];
        assert_eq!(counts(&memory), [8, 13, 13]);
        memory.carried(ByteCount::ZERO, &local("2026-12-01"));
        assert_eq!(counts(&memory), [0, 0, 13]);
        for at in 0..100 {
            memory.heard(at, "Ana", "hi");
        }
        assert_eq!(
            (memory.messages.len(), memory.messages[49].at_unix_ms),
            (MAX_MESSAGES, 99)
        );
        data.write(FILE, b"{").unwrap();
        assert_eq!(Memory::load(&data).unwrap(), Memory::default());
    }
}
