//! Reading requests: JSON bodies and queries whose every mistake is named, and texts within bounds.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::{Error, error::FieldProblem};

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// A query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Error::TooLarge)?;
        json(&headers, &bytes).map(Self)
    }
}

/// A body that its headers call JSON. A form can't be sent so: another site's page would have to ask first.
pub(crate) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if is_json {
        parse(body)
    } else {
        Err(Error::NotJson.into())
    }
}

/// A search text of a query: one line, not endless.
pub(crate) fn plain(
    parameter: &'static str,
    text: Option<String>,
) -> Result<Option<String>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(Error::Query {
            parameter,
            problem: "send at most 100 characters of one line",
        });
    }
    Ok(Some(text))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        if inner.is_data() {
            let field = if path == "." { "body" } else { &path };
            Error::field(field, &first_words(&inner.to_string()))
        } else {
            Error::Malformed(format!("the body is no JSON: {inner}"))
        }
    })?;
    deserializer
        .end()
        .map_err(|error| Error::Malformed(format!("the body is no JSON: {error}")))?;
    Ok(value)
}

/// What serde says, without where in the text it is, and not endless when it repeats a value.
fn first_words(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or(text);
    text.chars().take(200).collect()
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| {
                let text = first_words(&error.to_string());
                Error::Malformed(format!("the query can't be read: {text}")).into()
            })
    }
}

/// Checks fields and gathers everything that is wrong with them.
#[derive(Default)]
pub(crate) struct Check {
    fields: Vec<FieldProblem>,
}

impl Check {
    fn wrong(&mut self, field: &str, problem: String) {
        self.fields.push(FieldProblem {
            field: field.to_owned(),
            problem,
        });
    }

    /// A text of one line, of `least` to `most` characters, without blanks around it.
    pub(crate) fn line(&mut self, field: &str, text: &str, least: usize, most: usize) -> String {
        self.text(field, text, least, most, |c| !c.is_control())
    }

    /// A text of several lines.
    pub(crate) fn lines(&mut self, field: &str, text: &str, most: usize) -> String {
        self.text(field, text, 0, most, |c| {
            !c.is_control() || c == '\n' || c == '\t'
        })
    }

    fn text(
        &mut self,
        field: &str,
        text: &str,
        least: usize,
        most: usize,
        allowed: impl Fn(char) -> bool,
    ) -> String {
        let text = text.replace("\r\n", "\n");
        let text = text.trim();
        let length = text.chars().count();
        if !(least..=most).contains(&length) {
            let problem = if least == 0 {
                format!("write at most {most} characters")
            } else {
                format!("write {least} to {most} characters")
            };
            self.wrong(field, problem);
        } else if !text.chars().all(allowed) {
            self.wrong(
                field,
                "control characters can't be shown; leave them out".to_owned(),
            );
        }
        text.to_owned()
    }

    /// A value of its own kind; the error says what would do.
    pub(crate) fn value<T: std::str::FromStr>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(field, error.to_string());
                None
            }
        }
    }

    /// Everything that is wrong, if anything is.
    pub(crate) fn done(self) -> Result<(), Error> {
        if self.fields.is_empty() {
            Ok(())
        } else {
            Err(Error::Fields {
                fields: self.fields,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sent {
        _title: Option<String>,
    }

    fn refused(body: &str) -> String {
        let problem = parse::<Sent>(body.as_bytes()).unwrap_err();
        serde_json::to_string(&problem).unwrap()
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refused(r#"{"_title": 7}"#).contains(r#""field":"_title""#));
        assert!(refused(r#"{"titel": "x"}"#).contains("titel"));
        assert!(refused("{").contains("no JSON"));
        assert!(refused("{} {}").contains("no JSON"));
        assert!(parse::<Sent>(br#"{"_title":"x"}"#).is_ok());
    }

    #[test]
    fn all_fields_are_checked_at_once() {
        let mut check = Check::default();
        assert_eq!(check.line("title", "  My stream ", 1, 20), "My stream");
        check.line("name", "", 1, 20);
        check.line("label", "nul\0", 1, 20);
        check.lines("description", "two\r\nlines", 20);
        let Err(Error::Fields { fields }) = check.done() else {
            panic!("nothing was wrong");
        };
        assert_eq!(
            fields.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(),
            ["name", "label"]
        );
    }
}
