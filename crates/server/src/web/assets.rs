//! Files that pages need, compiled in. An address holds a digest of the content, so browsers keep a file for ever and never a stale one.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::api::error::{ApiError, not_found};
use crate::http::path::PathText;
use crate::http::request::Open;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

static FILES: [Asset; 7] = [
    Asset { name: "app.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("../../assets/ui/app.css") },
    Asset { name: "icons.svg", kind: "image/svg+xml", bytes: include_bytes!("../../assets/ui/icons.svg") },
    Asset { name: "favicon.svg", kind: "image/svg+xml", bytes: include_bytes!("../../assets/ui/favicon.svg") },
    Asset { name: "htmx.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../assets/ui/htmx/htmx.min.js") },
    Asset { name: "public.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../assets/ui/public.js") },
    Asset { name: "combobox.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../assets/ui/combobox.js") },
    Asset { name: "app.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../assets/ui/app.js") },
];

/// File names with their digests: `app-1f2e3d4c.css`.
static HASHED: LazyLock<Vec<(String, &'static Asset)>> = LazyLock::new(|| {
    let hashed = |asset: &'static Asset| {
        let digest = Sha256::digest(asset.bytes);
        let short = URL_SAFE_NO_PAD.encode(digest.get(..6).unwrap_or_default());
        let (stem, extension) = asset.name.rsplit_once('.').unwrap_or((asset.name, ""));
        (format!("{stem}-{short}.{extension}"), asset)
    };
    FILES.iter().map(hashed).collect()
});

/// The address of a file, such as `/assets/app-1f2e3d4c.css`. An unknown name is a mistake in a template: it is found by the tests of the pages.
pub fn url(name: &str) -> Option<String> {
    HASHED.iter().find(|(_, asset)| asset.name == name).map(|(hashed, _)| format!("/assets/{hashed}"))
}

/// A file by its address.
pub async fn file(_: Open, PathText(file): PathText) -> Result<Response, ApiError> {
    let (_, asset) = HASHED.iter().find(|(hashed, _)| *hashed == file).ok_or_else(not_found)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        // An SVG that is opened by itself must not run anything.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'")),
    ];
    Ok((headers, asset.bytes).into_response())
}
