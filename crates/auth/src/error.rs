//! Why a token is refused.

/// A token that is not accepted, or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not three parts of base64url and JSON, or too long.
    #[error("the token is malformed")]
    Malformed,
    /// The header names another algorithm or type, or says more than it may.
    #[error("the token is of another kind")]
    WrongKind,
    /// Signed with a key that is not, or no longer, in the set.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature doesn't fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// Issuer, audience or another claim is missing or another's.
    #[error("the token's claims are not for this use")]
    Claims,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// Signing failed.
    #[error("the token can't be signed")]
    Signing,
}

impl TokenError {
    /// A short name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongKind => "wrong_kind",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Signing => "signing",
        }
    }
}
