//! Byte ranges (RFC 9110 §14).

use axum::http::{HeaderMap, header};

/// What of an object is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Range {
    Whole,
    Part { first: usize, last: usize },
    Unsatisfiable,
}

/// The one range asked for. What isn't a single byte range may be ignored (RFC 9110 §14.2), and is.
pub(super) fn range(request: &HeaderMap, length: usize) -> Range {
    let asked = request
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let Some((first, last)) = asked
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|set| set.split_once('-'))
    else {
        return Range::Whole;
    };
    let (first, last): (Option<usize>, Option<usize>) = match (first.trim(), last.trim()) {
        ("", "") => return Range::Whole,
        ("", suffix) => match suffix.parse::<usize>() {
            Ok(0) => return Range::Unsatisfiable,
            Ok(suffix) => (
                Some(length.saturating_sub(suffix)),
                Some(length.saturating_sub(1)),
            ),
            Err(_) => return Range::Whole,
        },
        (first, "") => (first.parse().ok(), Some(length.saturating_sub(1))),
        (first, last) => (first.parse().ok(), last.parse().ok()),
    };
    match (first, last) {
        (Some(first), Some(last)) if first > last => {
            if first >= length {
                Range::Unsatisfiable
            } else {
                Range::Whole
            }
        }
        (Some(first), Some(_)) if first >= length => Range::Unsatisfiable,
        (Some(first), Some(last)) => Range::Part {
            first,
            last: last.min(length - 1),
        },
        _ => Range::Whole,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(range_header: &str) -> Range {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::try_from(range_header).unwrap());
        range(&headers, 100)
    }

    #[test]
    fn ranges_are_answered_as_rfc_9110_wants() {
        assert_eq!(asked("bytes=0-9"), Range::Part { first: 0, last: 9 });
        assert_eq!(
            asked("bytes=90-"),
            Range::Part {
                first: 90,
                last: 99
            }
        );
        assert_eq!(
            asked("bytes=-10"),
            Range::Part {
                first: 90,
                last: 99
            }
        );
        assert_eq!(asked("bytes=-1000"), Range::Part { first: 0, last: 99 });
        assert_eq!(
            asked("bytes=50-1000"),
            Range::Part {
                first: 50,
                last: 99
            }
        );
        for unsatisfiable in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(
                asked(unsatisfiable),
                Range::Unsatisfiable,
                "{unsatisfiable}"
            );
        }
        for ignored in [
            "bytes=5-2",
            "bytes=0-1,5-6",
            "lines=1-2",
            "bytes=-",
            "bytes=x-y",
        ] {
            assert_eq!(asked(ignored), Range::Whole, "{ignored}");
        }
    }
}
