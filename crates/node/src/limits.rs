//! Whether the node takes new viewers now, by what its friend allows. Pure.

use std::str::FromStr;

use types::ByteCount;

use crate::settings::Limits;

/// Hours of the day, in local time; from late to early passes midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hours {
    from: u16,
    to: u16,
}

impl Hours {
    /// Whether a minute of the day is among them. Equal ends are the whole day.
    pub(crate) const fn contain(self, minute: u16) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, to) = (self.from, self.to);
        let time = |minute| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{}-{}", time(from), time(to))
    }
}

impl FromStr for Hours {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (from, to) = text.split_once('-').ok_or(())?;
        Ok(Self {
            from: minute(from)?,
            to: minute(to)? % (24 * 60),
        })
    }
}

fn minute(text: &str) -> Result<u16, ()> {
    let (hour, minute) = text.trim().split_once(':').ok_or(())?;
    let number = |text: &str| match text.len() {
        1 | 2 => text.parse::<u16>().map_err(|_| ()),
        _ => Err(()),
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let good = minute < 60 && (hour < 24 || (hour, minute) == (24, 0));
    good.then_some(hour * 60 + minute).ok_or(())
}

/// Whether new viewers are welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They are.
    Helping,
    /// The friend switched it off.
    Off,
    /// It is not the time.
    OutsideHours,
    /// The month's bytes are used up.
    MonthUsed,
    /// The program is ending.
    Stopping,
}

impl Standing {
    /// For the friend to read.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Helping => "helping",
            Self::Off => "switched off",
            Self::OutsideHours => "outside the hours that you set",
            Self::MonthUsed => "this month's limit is used up",
            Self::Stopping => "stopping",
        }
    }
}

/// What decides beside the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The switch on the local page.
    pub(crate) help: bool,
    /// The program is ending.
    pub(crate) stopping: bool,
    /// Uploaded in this calendar month.
    pub(crate) month: ByteCount,
    /// Minutes since midnight.
    pub(crate) minute: u16,
}

/// Whether new viewers are welcome. Those who are there are never cut.
pub(crate) fn standing(limits: &Limits, facts: Facts) -> Standing {
    if facts.stopping {
        Standing::Stopping
    } else if !facts.help {
        Standing::Off
    } else if limits.month.is_some_and(|most| facts.month >= most) {
        Standing::MonthUsed
    } else if limits
        .hours
        .is_some_and(|hours| !hours.contain(facts.minute))
    {
        Standing::OutsideHours
    } else {
        Standing::Helping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_pass_midnight() {
        let night: Hours = "22:00-7:30".parse().unwrap();
        assert!(night.contain(22 * 60) && night.contain(0) && night.contain(449));
        assert!(!night.contain(450) && !night.contain(21 * 60 + 59));
        assert_eq!(night.to_string(), "22:00-07:30");
        let day: Hours = "08:00-24:00".parse().unwrap();
        assert!(day.contain(8 * 60) && day.contain(1439) && !day.contain(0));
        let all: Hours = "00:00-00:00".parse().unwrap();
        assert!(all.contain(0) && all.contain(1439));
        for bad in [
            "",
            "22-7",
            "25:00-1:00",
            "22:60-1:00",
            "22:00",
            "24:01-1:00",
            "022:00-1:00",
        ] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_strongest_reason_is_told() {
        let limits = Limits {
            month: Some(ByteCount::new(100)),
            hours: "22:00-07:00".parse().ok(),
            ..Limits::default()
        };
        let good = Facts {
            help: true,
            stopping: false,
            month: ByteCount::new(99),
            minute: 0,
        };
        assert_eq!(standing(&limits, good), Standing::Helping);
        let noon = Facts {
            minute: 720,
            ..good
        };
        assert_eq!(standing(&limits, noon), Standing::OutsideHours);
        let month = ByteCount::new(100);
        let used = Facts { month, ..noon };
        assert_eq!(standing(&limits, used), Standing::MonthUsed);
        let off = Facts {
            help: false,
            ..used
        };
        assert_eq!(standing(&limits, off), Standing::Off);
        let stopping = Facts {
            stopping: true,
            ..off
        };
        assert_eq!(standing(&limits, stopping), Standing::Stopping);
    }
}
