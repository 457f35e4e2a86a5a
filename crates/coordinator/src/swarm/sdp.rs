//! What the tracker changes in session descriptions: addresses that the other side could not use, or should not
//! learn (RFC 8839 candidate attributes).

use std::net::IpAddr;

/// The address field of a candidate line: `candidate:<foundation> <component> <transport> <priority> <address> …`.
const ADDRESS: usize = 4;
/// Candidates looked at in one description.
const MAX_CANDIDATES: usize = 64;
/// Candidates of one description that are handed on: each is an address that the other side sends checks to.
const MAX_HANDED_ON: usize = 16;

fn candidate(line: &str) -> Option<Vec<&str>> {
    let words: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
    (words.len() > ADDRESS + 1).then_some(words)
}

/// Of a page: browsers hide their addresses behind names (`….local`) that only their own network can resolve. Each
/// such candidate is given once more with the address that the page's WebSocket comes from: right where there is
/// no NAT or one that keeps ports, and otherwise something to punch a hole for.
pub(super) fn with_address(sdp: &str, address: IpAddr) -> String {
    let sdp = without_strangers(sdp, address);
    let mut out = String::with_capacity(sdp.len() + 256);
    let mut added = 0;
    for line in sdp.lines() {
        out.push_str(line);
        out.push_str("\r\n");
        let Some(mut words) = candidate(line).filter(|_| added < MAX_CANDIDATES) else {
            continue;
        };
        let is_hidden = words
            .get(ADDRESS)
            .is_some_and(|name| name.strip_suffix(".local").is_some());
        let is_udp = words
            .get(2)
            .is_some_and(|transport| transport.eq_ignore_ascii_case("udp"));
        if is_hidden && is_udp {
            let shown = address.to_canonical().to_string();
            if let Some(word) = words.get_mut(ADDRESS) {
                *word = &shown;
            }
            out.push_str("a=candidate:");
            out.push_str(&words.join(" "));
            out.push_str("\r\n");
            added += 1;
        }
    }
    out
}

/// Of a node that is seen at `node`, for a page that comes from `page`: addresses of the node's own network are
/// nobody else's business, and only a page in it could use them (Chrome asks its user before it tries).
pub(super) fn for_page(sdp: &str, node: IpAddr, page: IpAddr) -> String {
    without_private(&without_strangers(sdp, node), page)
}

fn without_private(sdp: &str, page: IpAddr) -> String {
    let page_is_private = is_private(page.to_canonical());
    let kept = sdp.lines().filter(|line| {
        let Some(words) = candidate(line) else {
            return true;
        };
        let address = words
            .get(ADDRESS)
            .and_then(|word| word.parse::<IpAddr>().ok());
        page_is_private || address.is_some_and(|address| !is_private(address.to_canonical()))
    });
    kept.flat_map(|line| [line, "\r\n"]).collect()
}

/// Of anybody who is seen at `seen`: a public address of the same family that is another's would have the other side
/// send its checks to somebody who never asked for them. Who comes from a private address is in our own network, or
/// behind something that hides where he is; nothing can be told of him then.
fn without_strangers(sdp: &str, seen: IpAddr) -> String {
    let seen = seen.to_canonical();
    let mut handed_on = 0;
    let kept = sdp.lines().filter(|line| {
        let Some(words) = candidate(line) else {
            return true;
        };
        let address = words
            .get(ADDRESS)
            .and_then(|word| word.parse::<IpAddr>().ok())
            .map(|address| address.to_canonical());
        let strange = address.is_some_and(|address| {
            address != seen
                && address.is_ipv4() == seen.is_ipv4()
                && !is_private(address)
                && !is_private(seen)
        });
        handed_on += usize::from(!strange);
        if strange {
            metrics::counter!("streamr_candidates_refused_total").increment(1);
        }
        !strange && handed_on <= MAX_HANDED_ON
    });
    kept.flat_map(|line| [line, "\r\n"]).collect()
}

/// Whether an address says nothing outside its own network.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || shared
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "v=0\r\na=ice-ufrag:x\r\n\
        a=candidate:1 1 udp 2113937151 0b3a.local 40000 typ host generation 0\r\n\
        a=candidate:2 1 tcp 1518214911 0b3a.local 9 typ host tcptype active\r\n";
    const NODE: &str = "v=0\r\n\
        a=candidate:1 1 udp 2113937151 192.168.1.7 5000 typ host\r\n\
        a=candidate:2 1 udp 1677729535 203.0.113.7 5000 typ srflx raddr 0.0.0.0 rport 0\r\n\
        a=candidate:3 1 udp 2113937151 ::1 5000 typ host\r\n";

    #[test]
    fn a_hidden_address_is_given_as_it_was_seen() {
        let out = with_address(PAGE, "198.51.100.9".parse().unwrap());
        assert!(out.contains("0b3a.local 40000 typ host"), "{out}");
        assert!(
            out.contains(
                "a=candidate:1 1 udp 2113937151 198.51.100.9 40000 typ host generation 0\r\n"
            ),
            "{out}"
        );
        assert_eq!(out.matches("198.51.100.9").count(), 1, "no TCP: {out}");
    }

    #[test]
    fn private_addresses_are_for_private_pages() {
        let far = without_private(NODE, "198.51.100.9".parse().unwrap());
        assert!(far.contains("203.0.113.7") && !far.contains("192.168") && !far.contains("::1"));
        assert!(far.starts_with("v=0\r\n"));
        let near = without_private(NODE, "192.168.1.20".parse().unwrap());
        assert!(near.contains("192.168.1.7") && near.contains("::1"));
    }

    #[test]
    fn nobody_is_sent_to_strangers() {
        let lie = format!("{NODE}a=candidate:4 1 udp 2113937151 198.51.100.77 53 typ host\r\n");
        let told = without_strangers(&lie, "203.0.113.7".parse().unwrap());
        assert!(told.contains("203.0.113.7 5000") && told.contains("192.168.1.7"));
        assert!(!told.contains("198.51.100.77"), "{told}");
        let unseen = without_strangers(&lie, "10.0.0.1".parse().unwrap());
        assert!(unseen.contains("198.51.100.77"), "{unseen}");
        let other_family = without_strangers(&lie, "2001:db8::1".parse().unwrap());
        assert!(other_family.contains("203.0.113.7"), "{other_family}");
    }

    #[test]
    fn only_so_many_addresses_are_handed_on() {
        let many = "a=candidate:1 1 udp 1 192.168.1.7 5000 typ host\r\n".repeat(100);
        let told = without_strangers(&many, "10.0.0.1".parse().unwrap());
        assert_eq!(told.lines().count(), MAX_HANDED_ON);
    }

    #[test]
    fn what_is_no_candidate_stays() {
        for odd in ["a=candidate:", "a=candidate:1 1 udp", "x", ""] {
            assert_eq!(
                without_private(odd, IpAddr::from([1, 1, 1, 1])).trim_end(),
                odd
            );
        }
    }
}
