//! Writing times: decimal seconds and dates.

use std::fmt::{self, Display};

use types::{MediaTime, Timescale};

/// A [`MediaTime`] in decimal seconds with five digits after the point.
pub(crate) struct Seconds(pub(crate) MediaTime);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Integers all the way: the same time gives the same text on every edge.
        let scale = Timescale::new(100_000).unwrap_or(Timescale::MILLIS);
        let ticks = self.0.rescale(scale).max(0);
        write!(f, "{}.{:05}", ticks / 100_000, ticks % 100_000)
    }
}

/// Milliseconds since 1970 as `2026-01-31T23:59:59.999Z` (RFC 3339).
pub(crate) struct UtcMillis(pub(crate) i64);

impl Display for UtcMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: i64 = 86_400_000;
        // Four-digit years only; nothing live is beyond.
        let millis = self.0.clamp(0, 253_402_300_799_999);
        let (days, time) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
        let (second, millis) = (time / 1000 % 60, time % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

/// Gregorian date of a day since 1970-01-01: years are counted from March, so that the leap day ends
/// one, in eras of 400 years (146097 days).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days from 0000-03-01
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_ends_of_years() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(UtcMillis(millis).to_string(), text);
        }
    }

    #[test]
    fn seconds_have_five_digits() {
        assert_eq!(Seconds(MediaTime::from_millis(2003)).to_string(), "2.00300");
        assert_eq!(
            Seconds(MediaTime::new(30_030, Timescale::VIDEO)).to_string(),
            "0.33367"
        );
    }
}
