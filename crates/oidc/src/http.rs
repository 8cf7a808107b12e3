//! One bounded request to the issuer: in time, in size, without redirects.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;

use crate::OidcError;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const LONGEST: usize = 1024 * 1024;

pub(crate) struct Http(reqwest::Client);

/// What `oauth2` wants to know about a request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HttpFault(String);

impl Http {
    pub(crate) fn new() -> Result<Self, OidcError> {
        // The first one wins, and all of them are the same.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // A redirect could lead the client's secret elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build();
        client.map(Self).map_err(|error| OidcError::Unavailable(error.to_string()))
    }

    async fn bytes(mut response: reqwest::Response) -> Result<Vec<u8>, HttpFault> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| HttpFault(error.without_url().to_string()))? {
            if bytes.len() + chunk.len() > LONGEST {
                return Err(HttpFault("the answer is too long".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, OidcError> {
        let fault = |error: reqwest::Error| OidcError::Unavailable(error.without_url().to_string());
        let response = self.0.get(url).header("accept", "application/json").send().await.map_err(fault)?;
        if !response.status().is_success() {
            return Err(OidcError::Unavailable(format!("it answers {} where its documents should be", response.status())));
        }
        let bytes = Self::bytes(response).await.map_err(|error| OidcError::Unavailable(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| OidcError::Unavailable(format!("its document cannot be read: {error}")))
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let (parts, body) = request.into_parts();
        let sent = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body).send().await;
        let response = sent.map_err(|error| HttpFault(error.without_url().to_string()))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut answer = HttpResponse::new(Self::bytes(response).await?);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpFault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpFault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(Self::call(self, request))
    }
}
