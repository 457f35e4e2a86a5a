//! The two cookies: the refresh token, and the mark of a browser that logged in before. Scripts can't read
//! them, other sites can't send them.

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, SameSite, time::Duration};

use super::Problem;
use crate::{Error, Settings, accounts::LoggedIn};

/// The refresh token.
pub(crate) const REFRESH: &str = "streamr_refresh";
/// The mark of a known browser.
pub(crate) const DEVICE: &str = "streamr_device";
/// Sent to what logs in, refreshes and logs out, and nowhere else.
const PATH: &str = "/api/v1/auth";
/// How long a refresh token lasts.
const REFRESH_LIFETIME: Duration = Duration::days(7);
/// How long a browser is known.
const DEVICE_LIFETIME: Duration = Duration::days(365);

/// The value of a cookie.
pub(crate) fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| Cookie::split_parse(text.to_owned()).flatten())
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}

fn build(settings: &Settings, name: &'static str, value: String, age: Duration) -> HeaderValue {
    let cookie = Cookie::build((name, value))
        .path(PATH)
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(settings.is_https())
        .max_age(age)
        .build();
    HeaderValue::try_from(cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Sets the cookies of a log-in.
pub(crate) fn set(headers: &mut HeaderMap, settings: &Settings, logged_in: &LoggedIn) {
    let refresh = logged_in.refresh.expose().clone();
    let refresh = build(settings, REFRESH, refresh, REFRESH_LIFETIME);
    headers.append(header::SET_COOKIE, refresh);
    if let Some(device) = &logged_in.device {
        let device = build(settings, DEVICE, device.clone(), DEVICE_LIFETIME);
        headers.append(header::SET_COOKIE, device);
    }
}

/// Removes the refresh token. The browser stays known.
pub(crate) fn clear(headers: &mut HeaderMap, settings: &Settings) {
    let gone = build(settings, REFRESH, String::new(), Duration::ZERO);
    headers.append(header::SET_COOKIE, gone);
}

/// Refuses what another site's page sent (promise G3): cookies alone prove nothing about who wrote the
/// request.
pub(crate) fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let fetched = text(header::HeaderName::from_static("sec-fetch-site"));
    let elsewhere = fetched.is_some_and(|site| site != "same-origin" && site != "none");
    let foreign = text(header::ORIGIN).is_some_and(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_none() || host != text(header::HOST)
    });
    if elsewhere || foreign {
        metrics::counter!("streamr_cross_site_refused_total").increment(1);
        tracing::debug!("a request from another site's page was refused");
        return Err(Error::Forbidden("this request came from another site's page").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn cookies_are_found_among_others() {
        let headers = headers(&[("cookie", "a=b; streamr_refresh=token; c=d")]);
        assert_eq!(read(&headers, REFRESH).as_deref(), Some("token"));
        assert_eq!(read(&headers, DEVICE), None);
    }

    #[test]
    fn another_site_s_page_is_refused() {
        let host = ("host", "streamr.example:8000");
        assert!(same_site(&headers(&[host])).is_ok(), "no browser");
        let own = ("origin", "https://streamr.example:8000");
        assert!(same_site(&headers(&[host, own, ("sec-fetch-site", "same-origin")])).is_ok());
        for bad in [
            ("origin", "https://evil.example"),
            ("origin", "https://streamr.example:8001"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(same_site(&headers(&[host, bad])).is_err(), "{bad:?}");
        }
    }
}
