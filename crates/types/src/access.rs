//! Who may do what, and who may watch: roles and visibility.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! named_enum {
    (
        $(#[$doc:meta])* $name:ident, $error:ident, $what:literal,
        { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, as stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        #[doc = concat!("A text that names no ", $what, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{} is one of {}", $what, [$($text),+].join(", "))]
        pub struct $error;

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == text)
                    .ok_or($error)
            }
        }
    };
}

named_enum!(
    /// What an account is for.
    Role, ParseRoleError, "role",
    {
        /// Publishes streams.
        Streamer = "streamer",
        /// Relays other people's streams.
        Friend = "friend",
        /// Runs this server.
        Admin = "admin",
    }
);

named_enum!(
    /// How viewers get a stream unless they choose.
    Delivery, ParseDeliveryError, "delivery",
    {
        /// From an edge, about two seconds behind.
        LowLatency = "low_latency",
        /// Carried by friends, six to nine seconds behind.
        Friends = "friends",
    }
);

named_enum!(
    /// Who may watch a stream.
    Visibility, ParseVisibilityError, "visibility",
    {
        /// Everybody; it is listed.
        Public = "public",
        /// Whoever knows its address; it is not listed.
        Unlisted = "unlisted",
        /// Whoever has a playback token: the owner, and who holds a share link.
        Private = "private",
    }
);

named_enum!(
    /// Who may make an account.
    Registration, ParseRegistrationError, "registration",
    {
        /// Everybody.
        Open = "open",
        /// Who was invited.
        Invitation = "invitation",
        /// Nobody.
        Closed = "closed",
    }
);

named_enum!(
    /// What an admin can switch off while everything runs.
    Flag, ParseFlagError, "flag",
    {
        /// New publishers are let in.
        Publishing = "publishing",
        /// Edges play HTTP-FLV.
        HttpFlv = "http_flv",
        /// Ingests play RTMP.
        RtmpPlay = "rtmp_play",
        /// Edges make thumbnails.
        Thumbnails = "thumbnails",
        /// Friends and other viewers carry streams.
        Friends = "friends",
    }
);

impl Flag {
    /// What switching it does, for people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Publishing => {
                "New publishers are let in. Off: who is live stays live, nobody else goes live."
            }
            Self::HttpFlv => "Viewers may play HTTP-FLV. Off: they are pointed to HLS.",
            Self::RtmpPlay => "Viewers may play RTMP. Off: they are pointed to HLS.",
            Self::Thumbnails => "Edges make thumbnails of live streams. Off: a neutral picture.",
            Self::Friends => {
                "Friends carry streams. Off: everything comes from the edges; who is connected finishes."
            }
        }
    }

    /// What holds while nobody has switched it.
    pub const fn default_value(self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_others_are_refused_with_the_choices() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        for flag in Flag::ALL {
            assert_eq!(flag.as_str().parse(), Ok(*flag));
        }
        let error = "secret".parse::<Visibility>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "visibility is one of public, unlisted, private"
        );
    }
}
