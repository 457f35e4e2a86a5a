//! STUN binding (RFC 8489): a client asks which address its datagrams come from.
//!
//! Requests and answers as datagrams, without authentication. The STUN that ICE speaks between peers is the
//! WebRTC library's, not this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longer datagrams are nobody's binding request or answer.
pub const MAX_DATAGRAM: usize = 548;

const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const MAGIC_COOKIE: u32 = 0x2112_A442;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FAMILY_IPV4: u8 = 0x01;
const FAMILY_IPV6: u8 = 0x02;
/// Attributes up to here must be understood by whoever answers (RFC 8489 §14).
const COMPREHENSION_REQUIRED: u16 = 0x7fff;

/// What a request is recognised by in its answer: chosen at random by who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transaction(pub [u8; 12]);

/// Which address the asker's datagrams come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// Of the request.
    pub transaction: Transaction,
    /// As the server sees the asker.
    pub address: SocketAddr,
}

/// Why a datagram is not what it should be. Nothing is answered to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No STUN header, or not of this version.
    #[error("datagram is not STUN")]
    NotStun,
    /// The header's length is not the datagram's.
    #[error("STUN length field says {said} bytes, {found} follow")]
    Length {
        /// What the header says.
        said: usize,
        /// What is there.
        found: usize,
    },
    /// Another method or class than asked for.
    #[error("STUN message type {0:#06x} is not expected here")]
    Type(u16),
    /// An attribute ends behind the message.
    #[error("STUN attribute {0:#06x} ends behind its message")]
    Attribute(u16),
    /// An attribute that must be understood, and isn't.
    #[error("STUN attribute {0:#06x} is not supported")]
    Unsupported(u16),
    /// An answer that says no address.
    #[error("STUN answer names no address")]
    NoAddress,
}

/// A binding request.
pub fn request(transaction: Transaction) -> Vec<u8> {
    message(BINDING_REQUEST, transaction, &[])
}

/// Reads a binding request.
pub fn parse_request(datagram: &[u8]) -> Result<Transaction, Error> {
    let (transaction, attributes) = split(datagram, BINDING_REQUEST)?;
    for attribute in Attributes(attributes) {
        let (kind, _) = attribute?;
        if kind <= COMPREHENSION_REQUIRED {
            return Err(Error::Unsupported(kind));
        }
    }
    Ok(transaction)
}

/// The answer to a request that came from `address`.
pub fn response(transaction: Transaction, address: SocketAddr) -> Vec<u8> {
    let mut value = Vec::with_capacity(24);
    value.extend_from_slice(&XOR_MAPPED_ADDRESS.to_be_bytes());
    let port = (address.port() ^ (MAGIC_COOKIE >> 16) as u16).to_be_bytes();
    // A socket for both families sees IPv4 as mapped into IPv6; the asker doesn't.
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            value.extend_from_slice(&[0, 8, 0, FAMILY_IPV4]);
            value.extend_from_slice(&port);
            value.extend_from_slice(&(u32::from(ip) ^ MAGIC_COOKIE).to_be_bytes());
        }
        IpAddr::V6(ip) => {
            value.extend_from_slice(&[0, 20, 0, FAMILY_IPV6]);
            value.extend_from_slice(&port);
            value.extend_from_slice(&(u128::from(ip) ^ mask(transaction)).to_be_bytes());
        }
    }
    message(BINDING_SUCCESS, transaction, &value)
}

/// Reads the answer to a binding request. Whoever asked compares the transaction.
pub fn parse_response(datagram: &[u8]) -> Result<Response, Error> {
    let (transaction, attributes) = split(datagram, BINDING_SUCCESS)?;
    for attribute in Attributes(attributes) {
        let (kind, value) = attribute?;
        if kind == XOR_MAPPED_ADDRESS {
            let address = unmask(transaction, value).ok_or(Error::Attribute(kind))?;
            return Ok(Response {
                transaction,
                address,
            });
        }
    }
    Err(Error::NoAddress)
}

/// Header and attributes of a message of this type.
fn split(datagram: &[u8], expected: u16) -> Result<(Transaction, &[u8]), Error> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(Error::NotStun);
    }
    let (header, attributes) = datagram
        .split_first_chunk::<HEADER>()
        .ok_or(Error::NotStun)?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
    if t0 & 0xc0 != 0 || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
        return Err(Error::NotStun);
    }
    let said = usize::from(u16::from_be_bytes([l0, l1]));
    if said != attributes.len() || !said.is_multiple_of(4) {
        return Err(Error::Length {
            said,
            found: attributes.len(),
        });
    }
    match u16::from_be_bytes([t0, t1]) {
        kind if kind == expected => Ok((Transaction(id), attributes)),
        kind => Err(Error::Type(kind)),
    }
}

/// The attributes of a message: their type and value, without padding. Ends at the first that is broken.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.0);
        let ([k0, k1, l0, l1], rest) = rest.split_first_chunk::<4>()?;
        let kind = u16::from_be_bytes([*k0, *k1]);
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let padded = length.next_multiple_of(4);
        let (Some(value), Some(next)) = (rest.get(..length), rest.get(padded..)) else {
            return Some(Err(Error::Attribute(kind)));
        };
        self.0 = next;
        Some(Ok((kind, value)))
    }
}

fn message(kind: u16, transaction: Transaction, attributes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + attributes.len());
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    message.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    message.extend_from_slice(&transaction.0);
    message.extend_from_slice(attributes);
    message
}

/// What an IPv6 address is combined with: the cookie, then the transaction.
fn mask(transaction: Transaction) -> u128 {
    let low = transaction
        .0
        .iter()
        .fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    u128::from(MAGIC_COOKIE) << 96 | low
}

fn unmask(transaction: Transaction, value: &[u8]) -> Option<SocketAddr> {
    let ([_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([*p0, *p1]) ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match *family {
        FAMILY_IPV4 => {
            let bits = u32::from_be_bytes(address.try_into().ok()?);
            IpAddr::V4(Ipv4Addr::from_bits(bits ^ MAGIC_COOKIE))
        }
        FAMILY_IPV6 => {
            let bits = u128::from_be_bytes(address.try_into().ok()?);
            IpAddr::V6(Ipv6Addr::from_bits(bits ^ mask(transaction)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 5769 §2.2 and §2.3: the transaction of the sample messages.
    const SAMPLE: Transaction = Transaction([
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ]);

    #[test]
    fn the_addresses_of_rfc_5769_are_read() {
        let ipv4 = [0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(
            unmask(SAMPLE, &ipv4),
            Some("192.0.2.1:32853".parse().unwrap())
        );
        let ipv6 = [
            0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
            0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let expected = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
        assert_eq!(unmask(SAMPLE, &ipv6), Some(expected.parse().unwrap()));
    }

    #[test]
    fn a_mapped_address_is_told_as_ipv4() {
        let address = "[::ffff:203.0.113.7]:40000".parse().unwrap();
        let answer = parse_response(&response(SAMPLE, address)).unwrap();
        assert_eq!(answer.address, "203.0.113.7:40000".parse().unwrap());
    }

    #[test]
    fn a_request_with_an_unknown_attribute_that_matters_is_refused() {
        let software = message(
            BINDING_REQUEST,
            SAMPLE,
            &[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0],
        );
        assert_eq!(parse_request(&software), Ok(SAMPLE));
        let username = message(BINDING_REQUEST, SAMPLE, &[0, 6, 0, 4, 1, 2, 3, 4]);
        assert_eq!(parse_request(&username), Err(Error::Unsupported(6)));
    }

    #[test]
    fn what_is_cut_or_foreign_is_refused() {
        let whole = response(SAMPLE, "192.0.2.1:1".parse().unwrap());
        for end in 0..whole.len() {
            assert!(parse_response(&whole[..end]).is_err(), "{end}");
        }
        assert_eq!(parse_response(&request(SAMPLE)), Err(Error::Type(1)));
        assert_eq!(parse_request(&whole), Err(Error::Type(0x0101)));
        let long = message(BINDING_REQUEST, SAMPLE, &[0x80, 0x22, 0xff, 0xff]);
        assert_eq!(parse_request(&long), Err(Error::Attribute(0x8022)));
        assert_eq!(parse_request(&[0x16; 40]), Err(Error::NotStun), "DTLS");
        let mut empty = request(SAMPLE);
        empty[0] = 1;
        assert_eq!(parse_response(&empty), Err(Error::NoAddress));
    }

    proptest! {
        #[test]
        fn requests_and_answers_come_back(id: [u8; 12], ip: IpAddr, port: u16) {
            let transaction = Transaction(id);
            prop_assert_eq!(parse_request(&request(transaction)), Ok(transaction));
            let address = SocketAddr::new(ip.to_canonical(), port);
            let answer = parse_response(&response(transaction, address));
            prop_assert_eq!(answer, Ok(Response { transaction, address }));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (parse_request(&bytes), parse_response(&bytes));
            let mut framed = message(BINDING_SUCCESS, SAMPLE, &bytes);
            framed.truncate(MAX_DATAGRAM);
            let _ = parse_response(&framed);
        }
    }
}
