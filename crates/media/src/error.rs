//! What can be wrong with a codec configuration.

/// A codec configuration that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The record ends before what it announces.
    #[error("{record} is truncated")]
    Truncated {
        /// The record's name, such as `AVCDecoderConfigurationRecord`.
        record: &'static str,
    },
    /// A field holds a value that the specification forbids or that we can't serve.
    #[error("{record}: {field} is {value}, which is invalid or unsupported")]
    Invalid {
        /// The record's name.
        record: &'static str,
        /// The field's name, as in its specification.
        field: &'static str,
        /// The value found.
        value: u64,
    },
    /// The record is larger than any sane one.
    #[error("{record} is {size} bytes, more than the {max} allowed")]
    TooLarge {
        /// The record's name.
        record: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        max: usize,
    },
}
