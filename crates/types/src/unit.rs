//! Units: counts that must not be mistaken for one another.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

macro_rules! count_newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// Wraps a bare number that is known to count this.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The bare number, for wire formats.
            pub const fn get(self) -> $inner {
                self.0
            }

            /// The sum, saturating.
            pub const fn saturating_add(self, more: $inner) -> Self {
                Self(self.0.saturating_add(more))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

count_newtype!(
    /// A number of bytes.
    ByteCount(u64)
);
count_newtype!(
    /// Bits per second.
    Bitrate(u64)
);
count_newtype!(
    /// One origin's unbroken packaging of a stream: the fencing number of its lease.
    Epoch(u64)
);
count_newtype!(
    /// Media sequence number (RFC 8216bis §6.2.1); never goes back while a stream lives.
    Msn(u64)
);
count_newtype!(
    /// The index of a partial segment in its segment, from 0.
    PartIndex(u32)
);

impl ByteCount {
    /// `n` KiB.
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1024))
    }

    /// `n` MiB.
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1024 * 1024))
    }

    /// As `usize`, saturating, for comparison with buffer lengths.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The rate at which these bytes pass in `span`; zero for an empty span.
    pub fn per(self, span: Duration) -> Bitrate {
        let nanos = span.as_nanos();
        if nanos == 0 {
            return Bitrate::ZERO;
        }
        let bits = u128::from(self.0) * 8 * 1_000_000_000 / nanos;
        Bitrate(u64::try_from(bits).unwrap_or(u64::MAX))
    }
}

impl Msn {
    /// The number after this one.
    pub const fn next(self) -> Self {
        self.saturating_add(1)
    }
}

impl PartIndex {
    /// The index after this one.
    pub const fn next(self) -> Self {
        self.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_over_time_are_a_bitrate() {
        assert_eq!(
            ByteCount::new(1000).per(Duration::from_millis(500)),
            Bitrate::new(16_000)
        );
        assert_eq!(ByteCount::new(1000).per(Duration::ZERO), Bitrate::ZERO);
    }
}
