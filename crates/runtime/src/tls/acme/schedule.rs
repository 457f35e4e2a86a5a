//! When a certificate is ordered. Pure.

use std::time::{Duration, SystemTime};

use crate::tls::pair::Facts;

/// The longest wait before everything is looked at again: clocks are set, files are exchanged.
const LOOK: Duration = Duration::from_secs(3600);
/// The shortest, so that a certificate from another time can't make it spin.
const LEAST: Duration = Duration::from_secs(1);
/// How much of the lifetime renewals are spread over, so that many servers don't come at once.
const SPREAD: f64 = 0.02;

/// How long to wait before looking again; `None`: it is time to order. `chance` is in 0..1.
pub(super) fn until_renewal(
    current: Option<&Facts>,
    domains: &[String],
    now: SystemTime,
    chance: f64,
) -> Option<Duration> {
    let current = current?;
    let covers = |domain: &String| current.names.iter().any(|name| name == domain);
    if !domains.iter().all(covers) {
        return None;
    }
    let lifetime = current
        .not_after
        .duration_since(current.not_before)
        .unwrap_or_default();
    let due = current.not_before + lifetime * 2 / 3;
    let wait = due
        .duration_since(now)
        .ok()
        .filter(|wait| !wait.is_zero())?;
    let spread = lifetime.mul_f64(SPREAD * chance);
    Some((wait + spread).clamp(LEAST, LOOK))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn of(days: u32) -> Facts {
        Facts {
            names: vec!["a.example".to_owned(), "b.example".to_owned()],
            not_before: SystemTime::UNIX_EPOCH,
            not_after: SystemTime::UNIX_EPOCH + DAY * days,
        }
    }

    fn wait(at: Duration, domains: &[&str]) -> Option<Duration> {
        let domains: Vec<_> = domains.iter().map(|name| (*name).to_owned()).collect();
        let now = SystemTime::UNIX_EPOCH + at;
        until_renewal(Some(&of(90)), &domains, now, 0.5)
    }

    #[test]
    fn the_first_is_ordered_at_once_and_so_is_one_for_other_names() {
        assert_eq!(until_renewal(None, &[], SystemTime::now(), 0.0), None);
        assert_eq!(wait(DAY, &["a.example", "c.example"]), None);
    }

    #[test]
    fn renewal_comes_at_two_thirds_of_the_lifetime() {
        let names = ["b.example"];
        assert_eq!(wait(DAY, &names), Some(LOOK), "looked at every hour");
        let soon = wait(DAY * 60 - Duration::from_secs(60), &names).unwrap();
        assert!(soon > Duration::from_secs(60), "spread by chance: {soon:?}");
        assert_eq!(wait(DAY * 60, &names), None);
        assert_eq!(wait(DAY * 200, &names), None, "long over");
    }
}
