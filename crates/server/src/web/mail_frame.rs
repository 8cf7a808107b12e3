//! A mail's HTML, as a document of its own for an `<iframe sandbox>`: nothing in it runs, sends forms, or reaches this application.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Whether pictures of other servers are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// Whoever writes a mail wants to see it whole.
    Shown,
    /// In a mail that was made for a reader they would tell that it was read.
    Hidden,
}

const SHOWN: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: https:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; \
     sandbox allow-popups allow-popups-to-escape-sandbox",
);
const HIDDEN: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; \
     sandbox allow-popups allow-popups-to-escape-sandbox",
);

/// As mail programs show what says nothing of itself; light, also where the rest is dark.
const STYLE: &str = "<style>:root{color-scheme:light;background:#fff;color:#1b1d22;font:15px/1.55 system-ui,sans-serif}body{margin:24px;overflow-wrap:break-word}\
                     img{max-width:100%;height:auto}</style>";

/// `html` is cleaned already; links open in a place of their own.
pub fn mail_frame(html: &str, pictures: Pictures) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Mail</title><base target=\"_blank\">{STYLE}</head>\n<body>{html}</body>\n</html>\n"
    );
    let policy = if pictures == Pictures::Shown { SHOWN } else { HIDDEN };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, page).into_response()
}
