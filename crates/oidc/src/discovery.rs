//! What the issuer says about itself (OpenID Connect Discovery 1.0), kept for an hour, and longer while it does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;

use crate::{IssuerSettings, Oidc, OidcError, Without};

/// The issuer is not asked again for so long after it did not answer, where an earlier document is kept.
const PAUSE: Duration = Duration::from_secs(5);
/// The same where nothing is kept: somebody wants to sign in.
const SHORT_PAUSE: Duration = Duration::from_secs(1);

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
pub(crate) struct Discovery {
    kept: Mutex<Kept>,
    /// Held while the issuer is asked: one question at a time. Whoever can do with the old document does not wait for it.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    document: Option<(Instant, Arc<Metadata>)>,
    /// When the issuer did not answer, where it has not answered since.
    failed: Option<Instant>,
}

impl Discovery {
    /// What there is to say without asking; none when it is time to ask.
    fn at_hand(&self, settings: &IssuerSettings) -> Option<Result<Arc<Metadata>, OidcError>> {
        let kept = self.kept.lock();
        let pausing = |pause: Duration| settings.without != Without::Pace && kept.failed.is_some_and(|at| at.elapsed() < pause);
        match &kept.document {
            Some((at, document)) => (at.elapsed() < settings.document_kept || pausing(PAUSE)).then(|| Ok(document.clone())),
            None => pausing(SHORT_PAUSE).then(|| Err(OidcError::Unavailable("its document could not be read a moment ago".to_owned()))),
        }
    }

    fn old(&self) -> Option<Arc<Metadata>> {
        self.kept.lock().document.as_ref().map(|(_, document)| document.clone())
    }
}

impl Oidc {
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        if let Some(answer) = self.discovery.at_hand(&self.settings) {
            return answer;
        }
        let _asking = match (self.discovery.asking.try_lock(), self.discovery.old()) {
            (Ok(asking), _) => asking,
            // Somebody asks already, and this one was good an hour ago.
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => self.discovery.asking.lock().await,
        };
        // Whoever has waited takes what was answered meanwhile, also where nothing was.
        if let Some(answer) = self.discovery.at_hand(&self.settings) {
            return answer;
        }
        let found = self.document().await;
        let mut kept = self.discovery.kept.lock();
        match found {
            Ok(document) => {
                *kept = Kept { document: Some((Instant::now(), document.clone())), failed: None };
                Ok(document)
            }
            Err(error) => {
                // The pause counts from here: a slow issuer is not asked without one.
                kept.failed = Some(Instant::now());
                let Some((_, old)) = &kept.document else { return Err(error) };
                tracing::warn!(%error, "the issuer's document could not be read again; the old one is used");
                Ok(old.clone())
            }
        }
    }

    async fn document(&self) -> Result<Arc<Metadata>, OidcError> {
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer);
        let document = self.http.get::<Metadata>(&url).await?;
        // A document of another issuer could send people, and the client's secret, elsewhere (section 4.3).
        if document.issuer.trim_end_matches('/') == self.settings.issuer {
            Ok(Arc::new(document))
        } else {
            Err(OidcError::Unavailable(format!("its document is of another issuer, {}", document.issuer)))
        }
    }
}
