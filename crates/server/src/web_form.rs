//! Bodies of HTML forms: `application/x-www-form-urlencoded`, and `multipart/form-data` where a form may bring a small file, whose text is a value then.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use emcrm_app::people_import::decode;
use serde_json::Value;

use crate::api::error::{ApiError, Problem};
use crate::http::RequestInfo;
use crate::http::call::Fingerprint;

/// Largest form, in bytes: a mail's body and what stands beside it. Where no [`crate::http::edge::Limits`] say another one.
pub const FORM_MAX: usize = 512 * 1024;

/// Fields in the order in which they were sent; a name may be there more than once.
#[derive(Debug, Clone, Default)]
pub struct Form {
    fields: Vec<(String, String)>,
    bytes: Bytes,
}

/// The field `once` of a form is its idempotency key (a form that is sent twice acts once), and `rev` the revision that it was filled from.
impl Fingerprint for Form {
    fn body(&self) -> &[u8] {
        &self.bytes
    }
    fn key(&self) -> Option<&str> {
        self.value("once").filter(|key| !key.is_empty())
    }
    fn rev(&self) -> Option<&str> {
        self.value("rev").filter(|rev| !rev.is_empty())
    }
    fn is_form(&self) -> bool {
        true
    }
    fn csrf(&self) -> Option<&str> {
        self.value("csrf")
    }
}

impl Form {
    /// The last value of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }
    /// These fields as a JSON object, as the parsers of the model take it: trimmed, and `null` where nothing was filled in.
    pub fn object(&self, names: &[&str]) -> Value {
        let field = |name: &str| self.value(name).map(str::trim).filter(|text| !text.is_empty()).map_or(Value::Null, Value::from);
        Value::Object(names.iter().map(|name| ((*name).to_owned(), field(name))).collect())
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let (head, body) = request.into_parts();
        let most = head.extensions.get::<Arc<RequestInfo>>().map_or(FORM_MAX, |info| info.limits.form);
        let bytes = to_bytes(body, most)
            .await
            .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("a form has at most {most} bytes")))?;
        let fields = if kind.starts_with("application/x-www-form-urlencoded") {
            url::form_urlencoded::parse(&bytes).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
        } else if kind.starts_with("multipart/form-data") {
            multipart(Request::from_parts(head, Body::from(bytes.clone()))).await
        } else {
            Vec::new()
        };
        Ok(Self { fields, bytes })
    }
}

/// Fields and the texts of files, in whatever they are written. A field for a file in which none was chosen has no value, and neither has what does not
/// come whole: one-click senders (RFC 8058) are heard however they write.
async fn multipart(request: Request) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let Ok(mut parts) = Multipart::from_request(request, &()).await else { return fields };
    while let Ok(Some(part)) = parts.next_field().await {
        let name = part.name().unwrap_or_default().to_owned();
        match part.bytes().await {
            Ok(bytes) if !bytes.is_empty() => fields.push((name, decode(&bytes).0.into_owned())),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn form(kind: &str, body: &[u8]) -> Form {
        let request = Request::builder().header(header::CONTENT_TYPE, kind).body(Body::from(body.to_vec())).unwrap();
        Form::from_request(request, &()).await.unwrap()
    }

    #[tokio::test]
    async fn a_small_file_is_a_value_whatever_it_is_written_in() {
        let part = |name: &str, file: Option<&str>| {
            let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").into_bytes()
        };
        let whole = |file: &[u8]| [&part("csrf", None), &b"token\r\n"[..], &part("file", Some("a.csv")), file, b"\r\n--b--\r\n"].concat();
        let kind = "multipart/form-data; boundary=b";
        for written in [&b"Jos\xe9"[..], "José".as_bytes(), b"\xff\xfeJ\0o\0s\0\xe9\0"] {
            let form = form(kind, &whole(written)).await;
            assert_eq!((form.value("csrf"), form.value("file")), (Some("token"), Some("José")));
        }
        assert_eq!(form(kind, &whole(b"")).await.value("file"), None, "none was chosen");
        let cut = [part("csrf", None), b"token\r\n".to_vec(), part("file", Some("a.csv")), b"half".to_vec()].concat();
        let cut = form(kind, &cut).await;
        assert_eq!((cut.value("csrf"), cut.value("file")), (Some("token"), None), "what does not come whole is not there");
        assert_eq!(form("multipart/form-data", b"anything").await.value("file"), None);
        assert_eq!(form("application/x-www-form-urlencoded", b"a=1&a=2").await.all("a").collect::<Vec<_>>(), ["1", "2"]);
    }
}
