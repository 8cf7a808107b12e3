//! What the issuer says about itself (OpenID Connect Discovery 1.0), kept for an hour, and longer while it does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{Oidc, OidcError};

const KEPT: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) jwks_uri: String,
    #[serde(default)]
    pub(crate) end_session_endpoint: Option<String>,
}

#[derive(Default)]
pub(crate) struct Discovery(Mutex<Option<(Instant, Arc<Metadata>)>>);

impl Oidc {
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        // Whoever comes meanwhile waits for the same answer.
        let mut kept = self.discovery.0.lock().await;
        if let Some((at, metadata)) = kept.as_ref()
            && at.elapsed() < KEPT
        {
            return Ok(metadata.clone());
        }
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer);
        let found = self.http.get::<Metadata>(&url).await.and_then(|metadata| {
            // A document of another issuer could send people, and the client's secret, elsewhere (section 4.3).
            if metadata.issuer.trim_end_matches('/') == self.settings.issuer {
                Ok(Arc::new(metadata))
            } else {
                Err(OidcError::Unavailable(format!("its document is of another issuer, {}", metadata.issuer)))
            }
        });
        match (found, kept.as_ref()) {
            (Ok(metadata), _) => {
                *kept = Some((Instant::now(), metadata.clone()));
                Ok(metadata)
            }
            (Err(error), Some((_, old))) => {
                tracing::warn!(%error, "the issuer's document could not be read again; the old one is used");
                Ok(old.clone())
            }
            (Err(error), None) => Err(error),
        }
    }
}
