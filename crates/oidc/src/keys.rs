//! The issuer's keys, kept. A key that is not known is asked for, but not more often than every few seconds: whoever sends made-up key ids must not make us a
//! nuisance to the issuer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use parking_lot::Mutex;

use crate::{Oidc, OidcError, Without};

/// Keys are asked for anew after this, even when all are known: one may have been withdrawn.
const KEPT: Duration = Duration::from_hours(1);
/// Least time between two questions.
const PACE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Keys {
    kept: Mutex<Kept>,
    /// Held while they are asked for: one question at a time. Whoever needs a key that is kept does not wait for it.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    set: Option<(Instant, Arc<JwkSet>)>,
    asked: Option<Instant>,
}

impl Keys {
    /// A key that is kept, and whether it is fresh.
    fn kept(&self, kid: Option<&str>) -> Option<(Jwk, bool)> {
        let kept = self.kept.lock();
        let (at, set) = kept.set.as_ref()?;
        Some((find(set, kid)?, at.elapsed() < KEPT))
    }
}

fn find(set: &JwkSet, kid: Option<&str>) -> Option<Jwk> {
    let signs = |key: &&Jwk| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    match kid {
        Some(kid) => set.keys.iter().filter(signs).find(|key| key.common.key_id.as_deref() == Some(kid)).cloned(),
        // Without a name there must be nothing to choose from.
        None if set.keys.len() == 1 => set.keys.first().filter(signs).cloned(),
        None => None,
    }
}

impl Oidc {
    /// Waits until the issuer may be asked for its keys again, where they were read before this moment; false where they were read since.
    pub(crate) async fn keys_may_be_newer_than(&self, moment: Instant) -> bool {
        let asked = self.keys.kept.lock().asked;
        let Some(at) = asked.filter(|at| *at < moment) else { return false };
        tokio::time::sleep(PACE.saturating_sub(at.elapsed())).await;
        true
    }

    /// The key of this name; none when the issuer has none.
    pub(crate) async fn key(&self, kid: Option<&str>) -> Result<Option<Jwk>, OidcError> {
        let kept = self.keys.kept(kid);
        if let Some((key, true)) = kept {
            return Ok(Some(key));
        }
        let _asking = match (self.keys.asking.try_lock(), kept) {
            (Ok(asking), _) => asking,
            // Somebody asks already, and this one was good an hour ago.
            (Err(_), Some((key, _))) => return Ok(Some(key)),
            (Err(_), None) => self.keys.asking.lock().await,
        };
        let old = {
            let mut kept = self.keys.kept.lock();
            let old = kept.set.as_ref().map(|(_, set)| set.clone());
            if self.settings.without != Without::Pace && kept.asked.is_some_and(|at| at.elapsed() < PACE) {
                return match old {
                    Some(set) => Ok(find(&set, kid)),
                    None => Err(OidcError::Unavailable("its keys could not be read a moment ago".to_owned())),
                };
            }
            kept.asked = Some(Instant::now());
            old
        };
        let asked = match &self.settings.jwks_url {
            Some(url) => self.http.get::<JwkSet>(url).await,
            None => match self.metadata().await {
                Ok(metadata) => self.http.get::<JwkSet>(&metadata.jwks_uri).await,
                Err(error) => Err(error),
            },
        };
        // The pace counts from the answer: a slow issuer is not asked without a pause.
        let mut kept = self.keys.kept.lock();
        kept.asked = Some(Instant::now());
        match (asked, old) {
            (Ok(set), _) => {
                let key = find(&set, kid);
                kept.set = Some((Instant::now(), Arc::new(set)));
                Ok(key)
            }
            (Err(error), Some(set)) => {
                tracing::warn!(%error, "the issuer's keys could not be read again; the old ones are used");
                Ok(find(&set, kid))
            }
            (Err(error), None) => Err(error),
        }
    }
}
