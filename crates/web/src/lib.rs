//! The pages, built by `cargo xtask web` and embedded at compile time.
//!
//! Scripts, styles and pictures bear a hash of their contents in their names, so [`Asset::immutable`]
//! ones may be kept for ever; the pages themselves are revalidated by [`Asset::etag`]. Nothing in
//! them is inline, so a Content-Security-Policy of `'self'` is enough:
//!
//! ```
//! let page = web::page();
//! assert_eq!(page.content_type, "text/html; charset=utf-8");
//! assert!(!page.immutable);
//! ```

use std::{borrow::Cow, fmt::Write};

use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "dist"]
struct Dist;

/// A file of the pages, and how to serve it.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The file itself, uncompressed.
    pub bytes: Cow<'static, [u8]>,
    /// The value of `Content-Type`, with its charset where it is text.
    pub content_type: String,
    /// The bytes behind this name never change: `Cache-Control: public, max-age=31536000, immutable`.
    pub immutable: bool,
    /// A strong entity tag, quoted, as `ETag` and `If-None-Match` carry it.
    pub etag: String,
}

/// The file at `path`, with or without a leading slash; none when there is no such file.
///
/// Files with a hashed name are under `assets/`.
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.trim_start_matches('/');
    Dist::get(path).map(|file| describe(path, file))
}

/// The page for every address that no other file has.
pub fn page() -> Asset {
    html("index.html")
}

/// The same page for `/watch/<stream>`: it names the player's script too, so that the browser
/// fetches both at once. [`page`] works there as well, one round trip later.
pub fn watch_page() -> Asset {
    html("watch.html")
}

fn html(path: &str) -> Asset {
    asset(path).unwrap_or_else(|| Asset {
        bytes: Cow::Borrowed(b"<!doctype html><title>Streamr</title>The pages are missing."),
        content_type: "text/html; charset=utf-8".to_owned(),
        immutable: false,
        etag: "\"missing\"".to_owned(),
    })
}

fn describe(path: &str, file: EmbeddedFile) -> Asset {
    let hash = file.metadata.sha256_hash();
    let tag = hash.iter().take(16).fold(String::new(), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    });
    Asset {
        content_type: content_type(file.metadata.mimetype()),
        immutable: path.starts_with("assets/"),
        etag: format!("\"{tag}\""),
        bytes: file.data,
    }
}

fn content_type(mime: &str) -> String {
    let text = mime.starts_with("text/") || mime.ends_with("json");
    if text {
        format!("{mime}; charset=utf-8")
    } else {
        mime.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(extension: &str) -> Vec<Asset> {
        Dist::iter()
            .filter(|path| path.ends_with(extension))
            .filter_map(|path| asset(&path))
            .collect()
    }

    #[test]
    fn pages_are_revalidated_and_what_they_name_is_kept() {
        for page in [page(), watch_page()] {
            assert_eq!(page.content_type, "text/html; charset=utf-8");
            assert!(!page.immutable);
            let html = String::from_utf8(page.bytes.into_owned()).unwrap();
            let names: Vec<_> = html
                .split('"')
                .filter(|text| text.starts_with("/assets/"))
                .collect();
            assert!(names.len() >= 3, "script, style and icon: {names:?}");
            for name in names {
                let file = asset(name).unwrap();
                assert!(file.immutable);
                assert!(file.etag.len() > 16 && file.etag.starts_with('"'));
            }
        }
    }

    #[test]
    fn a_strict_policy_holds_because_nothing_is_inline() {
        for page in [page(), watch_page()] {
            let html = String::from_utf8(page.bytes.into_owned()).unwrap();
            assert!(!html.contains("<style") && !html.contains(" style="));
            assert_eq!(
                html.matches("<script").count(),
                html.matches("src=").count()
            );
        }
    }

    #[test]
    fn types_are_what_browsers_insist_on() {
        let (scripts, styles) = (named(".js"), named(".css"));
        assert!(!scripts.is_empty() && !styles.is_empty());
        assert!(
            scripts
                .iter()
                .all(|a| a.content_type.starts_with("text/javascript"))
        );
        assert!(
            styles
                .iter()
                .all(|a| a.content_type == "text/css; charset=utf-8")
        );
    }

    #[test]
    fn the_watch_page_is_light_before_the_player_is_needed() {
        let html = String::from_utf8(page().bytes.into_owned()).unwrap();
        let script: usize = html
            .split('"')
            .filter(|text| text.starts_with("/assets/") && text.rsplit('.').next() == Some("js"))
            .filter_map(asset)
            .map(|file| file.bytes.len())
            .sum();
        assert!(script > 0 && script < 150 * 1024, "{script} bytes");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(asset("assets/none.js").is_none());
        assert!(asset("../Cargo.toml").is_none());
        assert!(asset("").is_none());
    }
}
