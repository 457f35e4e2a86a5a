//! Session descriptions from outside, before the transport reads them.

use p2p::tracker::MAX_SDP;

use crate::error::Refused;

/// Addresses of the other end that are tried. Pages have as many as their machine has networks.
const MAX_CANDIDATES: usize = 16;
/// No line that we read is longer.
const MAX_LINE: usize = 1024;

/// The description with a bounded number of candidates, and only those that can be used: a stranger does not
/// make us knock at hundreds of doors.
pub(crate) fn bounded(sdp: &str) -> Result<String, Refused> {
    if sdp.len() > MAX_SDP {
        return Err(Refused::TooLong(sdp.len()));
    }
    let mut candidates = 0;
    let mut kept = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        if line.len() > MAX_LINE {
            return Err(Refused::TooLong(line.len()));
        }
        if line.starts_with("a=candidate:") {
            if candidates == MAX_CANDIDATES || !is_usable(line) {
                continue;
            }
            candidates += 1;
        }
        kept.push_str(line);
        kept.push_str("\r\n");
    }
    Ok(kept)
}

/// UDP, and an address rather than a name that only its own machine can resolve.
fn is_usable(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace().skip(2);
    let udp = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("udp"));
    let address = words
        .nth(1)
        .is_some_and(|word| word.parse::<std::net::IpAddr>().is_ok());
    udp && address
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "a=candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host";

    #[test]
    fn names_tcp_and_too_many_candidates_are_left_out() {
        let name = "a=candidate:1 1 udp 2113937151 d0f1.local 50000 typ host";
        let tcp = "a=candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active";
        let many = [HOST; 40].join("\n");
        let bounded = bounded(&format!("v=0\n{name}\n{tcp}\n{many}\na=mid:0\n")).unwrap();
        assert_eq!(bounded.matches("a=candidate").count(), MAX_CANDIDATES);
        assert!(bounded.starts_with("v=0\r\na=cand") && bounded.ends_with("a=mid:0\r\n"));
        assert!(!bounded.contains("local") && !bounded.contains("tcp"));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(matches!(
            bounded(&"x\n".repeat(MAX_SDP)),
            Err(Refused::TooLong(_))
        ));
        assert!(matches!(
            bounded(&"x".repeat(MAX_LINE + 1)),
            Err(Refused::TooLong(_))
        ));
    }
}
