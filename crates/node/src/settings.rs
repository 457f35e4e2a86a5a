//! What a friend can set, and where: flags, then environment, then `node.toml` in the data folder, then defaults.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, value};
use types::{Bitrate, ByteCount};

use crate::{error::Error, files::DataDir, limits::Hours};

/// The file in the data folder.
pub(crate) const FILE: &str = "node.toml";
/// Where the local page is, unless the port is taken.
pub(crate) const PAGE_PORT: u16 = 7780;
const MEMORY: ByteCount = ByteCount::mib(24);
const MAX_NAME: usize = 40;

/// What one place says. What it doesn't say, the next one does.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    /// What viewers see you as; 1 to 40 characters
    #[arg(long, env = "STREAMR_NODE_NAME")]
    pub(crate) name: Option<String>,
    /// UDP address for viewers [default: any port on all interfaces]
    #[arg(long, env = "STREAMR_NODE_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Port of the local page; the next free one is taken [default: 7780]
    #[arg(long, env = "STREAMR_NODE_PAGE")]
    pub(crate) page: Option<u16>,
    /// Upload at most so many Mbit/s [default: no limit]
    #[arg(long, env = "STREAMR_NODE_MAX_MBIT")]
    pub(crate) max_mbit: Option<f64>,
    /// Upload at most so many GB a month [default: no limit]
    #[arg(long, env = "STREAMR_NODE_MONTH_GB")]
    pub(crate) month_gb: Option<f64>,
    /// Help only at these hours, local time, such as 22:00-07:00 [default: always]
    #[arg(long, env = "STREAMR_NODE_HOURS")]
    pub(crate) hours: Option<String>,
    /// Serve at most so many viewers [default: no limit]
    #[arg(long, env = "STREAMR_NODE_MAX_VIEWERS")]
    pub(crate) max_viewers: Option<u32>,
    /// Help only these streams, by name, of those you were invited to [default: all]
    #[arg(long, env = "STREAMR_NODE_ONLY", value_delimiter = ',')]
    pub(crate) only: Option<Vec<String>>,
    /// Keep at most so many MiB of segments in memory [default: 24]
    #[arg(long, env = "STREAMR_NODE_MEMORY_MIB")]
    pub(crate) memory_mib: Option<u64>,
    /// Trust these certificates too: a PEM file
    #[arg(long, env = "STREAMR_NODE_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Given {
    /// What the file in the data folder says.
    pub(crate) fn from_file(data: &DataDir) -> Result<Self, Error> {
        let Some(text) = data.read(FILE)? else {
            return Ok(Self::default());
        };
        toml_edit::de::from_str(&text).map_err(|error| Error::Content {
            path: data.file(FILE),
            problem: error.to_string().trim().to_owned(),
        })
    }

    /// What `self` doesn't say, `other` does.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            listen: self.listen.or(other.listen),
            page: self.page.or(other.page),
            max_mbit: self.max_mbit.or(other.max_mbit),
            month_gb: self.month_gb.or(other.month_gb),
            hours: self.hours.or(other.hours),
            max_viewers: self.max_viewers.or(other.max_viewers),
            only: self.only.or(other.only),
            memory_mib: self.memory_mib.or(other.memory_mib),
            ca_file: self.ca_file.or(other.ca_file),
        }
    }
}

/// What holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// What viewers see; none: the machine's.
    pub(crate) name: Option<String>,
    /// UDP.
    pub(crate) listen: SocketAddr,
    /// The local page's port.
    pub(crate) page: u16,
    /// What can be changed while it runs.
    pub(crate) limits: Limits,
    /// Of segments.
    pub(crate) memory: ByteCount,
    /// Certificates to trust beside the system's.
    pub(crate) authority: Option<PathBuf>,
}

/// What the friend allows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Limits {
    /// Of all uploads together.
    pub(crate) bitrate: Option<Bitrate>,
    /// Uploads of a calendar month.
    pub(crate) month: Option<ByteCount>,
    /// When it helps.
    pub(crate) hours: Option<Hours>,
    /// At a time.
    pub(crate) viewers: Option<u32>,
    /// Streams, by name or id; empty: all.
    pub(crate) only: Vec<String>,
}

impl Settings {
    /// Checks and fills up what the places said.
    pub(crate) fn resolve(given: Given) -> Result<Self, Error> {
        let limits = Limits::resolve(&given)?;
        let name = given.name.map(|name| name.trim().to_owned());
        if let Some(name) = &name
            && !(1..=MAX_NAME).contains(&name.chars().count())
        {
            return Err(wrong("name", "must have 1 to 40 characters"));
        }
        let memory = given.memory_mib.map_or(MEMORY, ByteCount::mib);
        if !(ByteCount::mib(4)..=ByteCount::mib(4096)).contains(&memory) {
            return Err(wrong("memory_mib", "must be 4 to 4096"));
        }
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Ok(Self {
            name,
            listen: given.listen.unwrap_or(any),
            page: given.page.unwrap_or(PAGE_PORT),
            limits,
            memory,
            authority: given.ca_file,
        })
    }
}

impl Limits {
    /// Checks what the places said of limits.
    pub(crate) fn resolve(given: &Given) -> Result<Self, Error> {
        let positive = |key, value: Option<f64>, most: f64| match value {
            Some(value) if !(value >= 0.0 && value <= most) => {
                Err(wrong(key, "must be a number from 0 (no limit) up"))
            }
            value => Ok(value.filter(|value| *value > 0.0)),
        };
        let mbit = positive("max_mbit", given.max_mbit, 1e5)?;
        let gigabytes = positive("month_gb", given.month_gb, 1e7)?;
        let hours = given
            .hours
            .as_deref()
            .filter(|text| !text.trim().is_empty());
        let hours = hours
            .map(str::parse)
            .transpose()
            .map_err(|()| wrong("hours", "must look like 22:00-07:00, in local time"))?;
        let only = given
            .only
            .iter()
            .flatten()
            .map(|name| name.trim().to_owned());
        Ok(Self {
            bitrate: mbit.map(|mbit| Bitrate::new((mbit * 1e6) as u64)),
            month: gigabytes.map(|gigabytes| ByteCount::new((gigabytes * 1e9) as u64)),
            hours,
            viewers: given.max_viewers.filter(|viewers| *viewers > 0),
            only: only.filter(|name| !name.is_empty()).collect(),
        })
    }
}

/// The file with what else the friend wrote there; an empty one where there is none.
fn document(data: &DataDir) -> Result<DocumentMut, Error> {
    let text = data.read(FILE)?.unwrap_or_default();
    text.parse().map_err(|error| Error::Content {
        path: data.file(FILE),
        problem: format!("{error}"),
    })
}

/// Limits as the local page shows and changes them. `None` leaves one as it is; 0 or an empty text lifts it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsChange {
    /// Mbit/s.
    pub(crate) max_mbit: Option<f64>,
    /// GB a month.
    pub(crate) month_gb: Option<f64>,
    /// Such as `22:00-07:00`.
    pub(crate) hours: Option<String>,
    /// At a time.
    pub(crate) max_viewers: Option<u32>,
    /// By name.
    pub(crate) only: Option<Vec<String>>,
}

/// Writes a change to the file, beside what else the friend wrote there. What flags or environment fix, the file
/// can't change.
pub(crate) fn change(
    data: &DataDir,
    flags: &Given,
    change: &LimitsChange,
) -> Result<Limits, Error> {
    let fixed = [
        (
            "max_mbit",
            change.max_mbit.is_some() && flags.max_mbit.is_some(),
        ),
        (
            "month_gb",
            change.month_gb.is_some() && flags.month_gb.is_some(),
        ),
        ("hours", change.hours.is_some() && flags.hours.is_some()),
        (
            "max_viewers",
            change.max_viewers.is_some() && flags.max_viewers.is_some(),
        ),
        ("only", change.only.is_some() && flags.only.is_some()),
    ];
    if let Some((key, _)) = fixed.iter().find(|(_, fixed)| *fixed) {
        return Err(wrong(
            key,
            "is set by a flag or the environment; change it there",
        ));
    }
    let mut file = Given::from_file(data)?;
    let mut document = document(data)?;
    if let Some(mbit) = change.max_mbit {
        document["max_mbit"] = value(mbit);
        file.max_mbit = Some(mbit);
    }
    if let Some(gigabytes) = change.month_gb {
        document["month_gb"] = value(gigabytes);
        file.month_gb = Some(gigabytes);
    }
    if let Some(hours) = &change.hours {
        document["hours"] = value(hours);
        file.hours = Some(hours.clone());
    }
    if let Some(viewers) = change.max_viewers {
        document["max_viewers"] = value(i64::from(viewers));
        file.max_viewers = Some(viewers);
    }
    if let Some(only) = &change.only {
        document["only"] = value(only.iter().collect::<toml_edit::Array>());
        file.only = Some(only.clone());
    }
    let limits = Limits::resolve(&flags.clone().or(file))?;
    data.write(FILE, document.to_string().as_bytes())?;
    Ok(limits)
}

/// Writes what flags and environment say to the file, for whoever starts without them. `false`: they say nothing.
pub(crate) fn keep(data: &DataDir, given: &Given) -> Result<bool, Error> {
    if *given == Given::default() {
        return Ok(false);
    }
    Settings::resolve(given.clone().or(Given::from_file(data)?))?;
    let mut document = document(data)?;
    let mut set = |key: &str, item: Option<toml_edit::Item>| {
        if let Some(item) = item {
            document[key] = item;
        }
    };
    let whole = |number: u64| value(i64::try_from(number).unwrap_or(i64::MAX));
    let only = given.only.as_ref();
    let authority = given.ca_file.as_ref();
    set("name", given.name.as_ref().map(value));
    set("listen", given.listen.map(|at| value(at.to_string())));
    set("page", given.page.map(|port| value(i64::from(port))));
    set("max_mbit", given.max_mbit.map(value));
    set("month_gb", given.month_gb.map(value));
    set("hours", given.hours.as_ref().map(value));
    set(
        "max_viewers",
        given.max_viewers.map(|most| value(i64::from(most))),
    );
    set(
        "only",
        only.map(|names| value(names.iter().collect::<toml_edit::Array>())),
    );
    set("memory_mib", given.memory_mib.map(whole));
    set(
        "ca_file",
        authority.map(|path| value(path.display().to_string())),
    );
    data.write(FILE, document.to_string().as_bytes())?;
    Ok(true)
}

fn wrong(key: &'static str, problem: &str) -> Error {
    Error::Setting {
        key,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        (folder, data)
    }

    #[test]
    fn what_flags_say_is_kept_for_who_starts_without_them() {
        let (_folder, data) = data();
        assert!(!keep(&data, &Given::default()).unwrap());
        assert_eq!(data.read(FILE).unwrap(), None);
        data.write(FILE, b"# mine\nhours = \"22:00-07:00\"\nmax_mbit = 3.0\n")
            .unwrap();
        let given = Given {
            name: Some("Ben".to_owned()),
            listen: Some("0.0.0.0:5000".parse().unwrap()),
            page: Some(7790),
            max_mbit: Some(12.5),
            month_gb: Some(100.0),
            hours: None,
            max_viewers: Some(4),
            only: Some(vec!["friday".to_owned()]),
            memory_mib: Some(16),
            ca_file: Some("/etc/ours.pem".into()),
        };
        assert!(keep(&data, &given).unwrap());
        let hours = Some("22:00-07:00".to_owned());
        assert_eq!(Given::from_file(&data).unwrap(), Given { hours, ..given });
        assert!(data.read(FILE).unwrap().unwrap().starts_with("# mine"));
        let wrong = Given {
            max_mbit: Some(-1.0),
            ..Given::default()
        };
        assert!(keep(&data, &wrong).is_err(), "checked before it is written");
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let (_folder, data) = data();
        data.write(FILE, b"name = 'Ana'\nmax_mbit = 20\nmonth_gb = 500.5\n")
            .unwrap();
        let flags = Given {
            max_mbit: Some(5.0),
            ..Given::default()
        };
        let settings = Settings::resolve(flags.or(Given::from_file(&data).unwrap())).unwrap();
        assert_eq!(settings.name.as_deref(), Some("Ana"));
        assert_eq!(settings.limits.bitrate, Some(Bitrate::new(5_000_000)));
        assert_eq!(settings.limits.month, Some(ByteCount::new(500_500_000_000)));
        assert_eq!((settings.page, settings.memory), (PAGE_PORT, MEMORY));
    }

    type Change = fn(&mut Given);

    #[test]
    fn what_is_wrong_names_its_key() {
        let (_folder, data) = data();
        data.write(FILE, b"max_mbits = 20\n").unwrap();
        let error = Given::from_file(&data).unwrap_err().to_string();
        assert!(
            error.contains("max_mbits") && error.contains("node.toml"),
            "{error}"
        );
        let wrong: [(&str, Change); 5] = [
            ("max_mbit", |given| given.max_mbit = Some(-1.0)),
            ("month_gb", |given| given.month_gb = Some(f64::NAN)),
            ("hours", |given| given.hours = Some("late".to_owned())),
            ("name", |given| given.name = Some(" ".to_owned())),
            ("memory_mib", |given| given.memory_mib = Some(1)),
        ];
        for (key, change) in wrong {
            let mut given = Given::default();
            change(&mut given);
            let error = Settings::resolve(given).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }

    #[test]
    fn a_change_keeps_comments_and_lifts_limits() {
        let (_folder, data) = data();
        data.write(FILE, b"# my line is slow\nmax_mbit = 20\nname = 'Ana'\n")
            .unwrap();
        let flags = Given {
            hours: Some("22:00-07:00".to_owned()),
            ..Given::default()
        };
        let wanted = LimitsChange {
            max_mbit: Some(0.0),
            max_viewers: Some(7),
            only: Some(vec!["concert".to_owned()]),
            ..LimitsChange::default()
        };
        let limits = change(&data, &flags, &wanted).unwrap();
        assert_eq!((limits.bitrate, limits.viewers), (None, Some(7)));
        assert_eq!(limits.only, ["concert"]);
        let text = data.read(FILE).unwrap().unwrap();
        assert!(
            text.starts_with("# my line is slow\n") && text.contains("name = 'Ana'"),
            "{text}"
        );
        let fixed = LimitsChange {
            hours: Some(String::new()),
            ..LimitsChange::default()
        };
        let error = change(&data, &flags, &fixed).unwrap_err().to_string();
        assert!(error.contains("flag"), "{error}");
    }
}
