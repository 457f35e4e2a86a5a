//! How fast the node sends: a little less than its line takes. What is sent faster piles up in the friend's router:
//! his own calls and games wait behind it, and what is lost there costs viewers more than waiting here.

use types::Bitrate;

/// Of what was measured, in percent. Coordinators give out less on average; this is for moments when every viewer
/// wants the same new segment.
const OF_MEASURED: u64 = 90;

/// What may be sent over all links: what the friend allows, and what his line takes as far as that is known.
pub(crate) fn pace(allowed: Option<Bitrate>, measured: Option<Bitrate>) -> Option<Bitrate> {
    let measured = measured.filter(|measured| *measured > Bitrate::ZERO);
    let takes = measured.map(|measured| Bitrate::new(measured.get() / 100 * OF_MEASURED));
    match (allowed, takes) {
        (Some(allowed), Some(takes)) => Some(allowed.min(takes)),
        (allowed, takes) => allowed.or(takes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_and_the_friend_both_limit() {
        let mbit = |mbit: u64| Some(Bitrate::new(mbit * 1_000_000));
        assert_eq!(pace(None, None), None);
        assert_eq!(pace(mbit(10), None), mbit(10));
        assert_eq!(pace(None, mbit(40)), mbit(36));
        assert_eq!(pace(mbit(10), mbit(40)), mbit(10));
        assert_eq!(pace(mbit(50), mbit(40)), mbit(36));
        assert_eq!(pace(mbit(50), Some(Bitrate::ZERO)), mbit(50));
    }
}
