//! What the operator put into the `downloads` folder: the node's program, for who was invited.

use std::path::Path as Folder;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use super::Shared;

/// Files that are offered.
const MAX_FILES: usize = 100;

/// A file to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Download {
    file: String,
    /// Such as `linux-x86_64`, `macos-aarch64`, `windows-x86_64`.
    system: String,
    bytes: u64,
    url: String,
}

/// The system of a program's name: `streamr-node-linux-x86_64`, `streamr-node-windows-x86_64.exe`.
fn system(file: &str) -> Option<&str> {
    let rest = file.strip_prefix("streamr-node-")?;
    let system = rest.strip_suffix(".exe").unwrap_or(rest);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (!system.is_empty() && system.len() <= 40 && system.bytes().all(plain)).then_some(system)
}

/// What the folder offers.
pub(crate) async fn offered(folder: &Folder, pages: &str) -> Vec<Download> {
    let mut found = Vec::new();
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else {
        return found;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (Some(system), Ok(about)) = (system(&name), entry.metadata().await) else {
            continue;
        };
        if about.is_file() && found.len() < MAX_FILES {
            found.push(Download {
                system: system.to_owned(),
                bytes: about.len(),
                url: format!("{pages}/downloads/{name}"),
                file: name,
            });
        }
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

/// A file of the folder.
pub(crate) async fn download(State(api): Shared, Path(file): Path<String>) -> Response {
    let missing = || (StatusCode::NOT_FOUND, "no such download\n").into_response();
    // Only names of ours: none of them leaves the folder.
    if system(&file).is_none() {
        return missing();
    }
    let path = api.settings.downloads.join(&file);
    let Ok(opened) = tokio::fs::File::open(&path).await else {
        return missing();
    };
    let length = match opened.metadata().await {
        Ok(about) if about.is_file() => about.len(),
        _ => return missing(),
    };
    let mut response = Response::new(Body::from_stream(ReaderStream::new(opened)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if let Ok(named) = HeaderValue::try_from(format!("attachment; filename=\"{file}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, named);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_of_ours_are_offered() {
        assert_eq!(system("streamr-node-linux-x86_64"), Some("linux-x86_64"));
        let windows = system("streamr-node-windows-x86_64.exe");
        assert_eq!(windows, Some("windows-x86_64"));
        for bad in [
            "streamr-node-",
            "../key",
            "streamr-node-../../etc",
            "notes.txt",
            "",
        ] {
            assert_eq!(system(bad), None, "{bad}");
        }
    }
}
