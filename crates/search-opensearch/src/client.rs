//! One request to OpenSearch: signed in, bounded in time, its failure in words.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use emcrm_aws::{AwsSettings, chain, sdk_config};
use emcrm_model::{Clock as _, SystemClock};
use emcrm_search::SearchError;
use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::{Auth, OpenSearchSettings};

/// Longest part of an answer that is repeated in an error.
const SHOWN_MAX: usize = 300;

pub struct Client {
    http: reqwest::Client,
    endpoint: String,
    auth: Auth,
    aws: OnceCell<Option<SharedCredentialsProvider>>,
    settings: AwsSettings,
}

pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// Kind of the error that OpenSearch names.
    pub fn kind(&self) -> &str {
        self.body.pointer("/error/type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The body of a success.
    pub fn ok(self) -> Result<Value, SearchError> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.error()) }
    }

    pub fn error(&self) -> SearchError {
        // What failed on the shards says more than that they failed.
        let cause = self.body.pointer("/error/root_cause/0/reason").or_else(|| self.body.pointer("/error/reason"));
        let reason = cause.and_then(Value::as_str).map_or_else(|| self.body.to_string(), str::to_owned);
        let reason: String = reason.chars().take(SHOWN_MAX).collect();
        match self.status.as_u16() {
            401 => SearchError::Unavailable("OpenSearch does not know this user: check OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD".to_owned()),
            403 => SearchError::Unavailable(format!("OpenSearch does not let this user do that ({reason}): check OPENSEARCH_MODE and the user's rights")),
            429 => SearchError::Unavailable(format!("OpenSearch is too busy: {reason}")),
            400 if self.kind() == "invalid_alias_name_exception" => SearchError::Unavailable(format!(
                "OpenSearch has an index under the name that EMCRM needs for an alias ({reason}): set OPENSEARCH_INDEX to another name, or delete that index"
            )),
            _ => SearchError::Unavailable(format!("OpenSearch answered {}: {} {reason}", self.status.as_u16(), self.kind())),
        }
    }
}

impl Client {
    pub fn new(settings: &OpenSearchSettings) -> Result<Self, SearchError> {
        // The first one wins, and all of them are the same.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.read_timeout)
            .pool_max_idle_per_host(settings.connections)
            .tls_danger_accept_invalid_certs(!settings.verify_certs)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| SearchError::Unavailable(in_words(&error)))?;
        let region = if let Auth::Aws { region } = &settings.auth { region.clone() } else { String::new() };
        Ok(Self {
            http,
            endpoint: settings.endpoint.trim_end_matches('/').to_owned(),
            auth: settings.auth.clone(),
            aws: OnceCell::new(),
            // The endpoint only tells a stand-in on this machine, which takes any credentials.
            settings: AwsSettings {
                region,
                endpoint: Some(settings.endpoint.clone()),
                connect_timeout: settings.connect_timeout,
                read_timeout: settings.read_timeout,
                connections: 1,
            },
        })
    }

    /// A request with a JSON body, or none. Everything that this crate asks for may be asked twice, so a broken connection is tried again once.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, SearchError> {
        let text = body.map(Value::to_string).unwrap_or_default();
        self.send(method, path, "application/json", text.into()).await
    }

    pub async fn lines(&self, path: &str, lines: Vec<u8>) -> Result<Answer, SearchError> {
        self.send(Method::POST, path, "application/x-ndjson", lines.into()).await
    }

    async fn send(&self, method: Method, path: &str, of_type: &'static str, body: Body) -> Result<Answer, SearchError> {
        let mut last = None;
        for _ in 0..2 {
            let mut request = self.http.request(method.clone(), format!("{}{path}", self.endpoint));
            if !body.0.is_empty() {
                request = request.header(header::CONTENT_TYPE, of_type).body(body.0.clone());
            }
            if let Auth::Basic { user, password } = &self.auth {
                request = request.basic_auth(user, Some(password));
            }
            let mut request = request.build().map_err(|error| SearchError::Unavailable(in_words(&error)))?;
            if let Auth::Aws { region } = &self.auth {
                self.sign(&mut request, region, &body.0).await?;
            }
            match self.http.execute(request).await {
                Ok(response) => {
                    let status = response.status();
                    let bytes = response.bytes().await.map_err(|error| SearchError::Unavailable(in_words(&error)))?;
                    let body = if bytes.is_empty() {
                        Value::Null
                    } else {
                        match serde_json::from_slice(&bytes) {
                            Ok(body) => body,
                            // A proxy's page, or the cluster's own words.
                            Err(_) if !status.is_success() => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
                            Err(error) => return Err(SearchError::Corrupt(format!("OpenSearch's answer cannot be read: {error}"))),
                        }
                    };
                    return Ok(Answer { status, body });
                }
                Err(error) if error.is_timeout() || error.is_connect() => return Err(SearchError::Unavailable(in_words(&error))),
                Err(error) => last = Some(in_words(&error)),
            }
        }
        Err(SearchError::Unavailable(last.unwrap_or_default()))
    }

    async fn sign(&self, request: &mut reqwest::Request, region: &str, body: &[u8]) -> Result<(), SearchError> {
        let failed = |error: &dyn std::fmt::Display| SearchError::Unavailable(format!("a request to OpenSearch cannot be signed: {error}"));
        let provider = self.aws.get_or_init(|| async { sdk_config(&self.settings).await.credentials_provider() }).await;
        let provider = provider.as_ref().ok_or_else(|| failed(&"there are no AWS credentials"))?;
        let identity = provider.provide_credentials().await.map_err(|error| failed(&chain(&error)))?.into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("es")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(SystemClock.now().as_second().unsigned_abs()))
            .settings(settings)
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let headers: Vec<(String, String)> =
            request.headers().iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().to_string(),
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::Bytes(body),
        )
        .map_err(|error| failed(&error))?;
        let (instructions, _) = sign(signable, &params).map_err(|error| failed(&error))?.into_parts();
        for (name, value) in instructions.headers() {
            let name = header::HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
            request.headers_mut().insert(name, header::HeaderValue::from_str(value).map_err(|error| failed(&error))?);
        }
        Ok(())
    }
}

/// Bytes that are cheap to send twice.
struct Body(bytes::Bytes);

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// The failure with its causes, without the address, which may hold a password.
fn in_words(error: &reqwest::Error) -> String {
    let mut words = if error.is_timeout() {
        "OpenSearch did not answer in time".to_owned()
    } else if error.is_connect() {
        "no connection to OpenSearch".to_owned()
    } else {
        "the connection to OpenSearch broke".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    words
}
