//! Sessions of staff. The browser holds 256 random bits; the storage holds their digest. A session ends when it was not used for a while, when it is old, when
//! somebody signs out, or when the issuer no longer knows the person.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_store::{Rule, Session, TransactError, Transaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::audit::Deed;
use crate::{App, AppError, Call};

const PURPOSE: &str = "session";
/// Characters of what the browser holds.
const COOKIE_CHARS: usize = 43;
/// Use is noted no more often than this, in seconds, or four times within the time that a session may lie idle.
const SEEN_PACE: i64 = 60;
/// Nobody else asks the issuer about a session for so long, in seconds. Whoever asks gives up well before (`IssuerSettings::refresh_time` of `emcrm-oidc`).
pub const REFRESH_LEASE: i64 = 30;

/// What the issuer gave. Kept encrypted.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerTokens {
    pub id: String,
    pub access: String,
    pub refresh: Option<String>,
}

/// Tokens are secrets: no log may show them.
impl std::fmt::Debug for IssuerTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IssuerTokens")
    }
}

/// Somebody whom the issuer has vouched for.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub subject: String,
    pub label: String,
    pub groups: Vec<String>,
    pub tokens: IssuerTokens,
    /// Seconds until the issuer should be asked anew.
    pub refresh_in: Option<i64>,
}

/// A session that holds, and what it is known by in the storage.
#[derive(Debug, Clone)]
pub struct OpenSession {
    pub digest: String,
    pub session: Session,
}

fn digest(cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(cookie.as_bytes()))
}

impl App {
    fn now_s(&self) -> i64 {
        self.now().as_second()
    }

    fn tokens_seal(&self, tokens: &IssuerTokens) -> Result<String, AppError> {
        let plain = serde_json::to_vec(tokens).map_err(|error| AppError::Internal(error.to_string()))?;
        self.seal(PURPOSE, &plain).ok_or_else(|| AppError::Internal("tokens cannot be encrypted".to_owned()))
    }

    /// What the issuer gave for this session.
    pub fn session_tokens(&self, open: &OpenSession) -> Option<IssuerTokens> {
        serde_json::from_slice(&self.unseal(PURPOSE, &open.session.sealed)?).ok()
    }

    /// A new session, always with a new id: whatever the browser held before means nothing. Answers what the browser shall hold.
    pub async fn session_start(&self, call: &Call, who: SignedIn) -> Result<String, AppError> {
        let cookie = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let now = self.now_s();
        let session = Session {
            sealed: self.tokens_seal(&who.tokens)?,
            refresh_at: who.refresh_in.filter(|_| who.tokens.refresh.is_some()).map(|seconds| now + seconds),
            subject: who.subject,
            label: who.label,
            groups: who.groups,
            created: now,
            seen: now,
            expires_at: now + i64::from(self.settings.access.session_hours) * 3_600,
            refreshing_until: None,
        };
        let mut tx = Transaction::new();
        self.store.sessions.put(&mut tx, &digest(&cookie), &session);
        self.audit_note(&mut tx, call, Deed::new("session.started", format!("staff#{}", session.subject)));
        self.transact(tx).await?;
        Ok(cookie)
    }

    /// The session of what a browser holds, if it still holds.
    pub async fn session_open(&self, cookie: &str) -> Result<Option<OpenSession>, AppError> {
        if cookie.len() != COOKIE_CHARS {
            return Ok(None);
        }
        let digest = digest(cookie);
        let Some(session) = self.store.sessions.get(&digest).await? else { return Ok(None) };
        let now = self.now_s();
        if session.expires_at <= now || session.seen + self.session_idle() <= now {
            return Ok(None);
        }
        if session.seen + SEEN_PACE.min(self.session_idle() / 4) <= now {
            let mut tx = Transaction::new();
            self.store.sessions.used(&mut tx, &digest, now);
            // Nobody waits for bookkeeping to succeed.
            if let Err(error) = self.transact(tx).await {
                tracing::warn!(%error, "the use of a session could not be noted");
            }
        }
        Ok(Some(OpenSession { digest, session }))
    }

    /// Seconds without use after which a session is over.
    pub fn session_idle(&self) -> i64 {
        i64::from(self.settings.access.session_idle_minutes) * 60
    }

    pub async fn session_end(&self, call: &Call, open: &OpenSession) -> Result<(), AppError> {
        let mut tx = Transaction::new();
        self.store.sessions.delete(&mut tx, &open.session.subject, &open.digest);
        self.audit_note(&mut tx, call, Deed::new("session.ended", format!("staff#{}", open.session.subject)));
        Ok(self.transact(tx).await?)
    }

    /// Ends every session of somebody, in all browsers; how many there were.
    pub async fn sessions_end(&self, call: &Call, subject: &str) -> Result<u64, AppError> {
        let mut ended = 0;
        loop {
            let digests = self.store.sessions.of(subject).await?;
            if digests.is_empty() {
                break;
            }
            // Two operations each; as many as one transaction holds.
            for some in digests.chunks(40) {
                let mut tx = Transaction::new();
                for digest in some {
                    self.store.sessions.delete(&mut tx, subject, digest);
                }
                self.transact(tx).await?;
                ended += some.len() as u64;
            }
        }
        self.audit(call, Deed::new("session.ended_everywhere", format!("staff#{subject}")).with(format!("{ended} sessions"))).await?;
        Ok(ended)
    }

    /// Whether the issuer should be asked anew for this session.
    pub fn session_is_stale(&self, open: &OpenSession) -> bool {
        open.session.refresh_at.is_some_and(|at| at <= self.now_s())
    }

    /// Takes the right to ask the issuer; false when somebody else asks just now, or has asked since the session was read. A refresh token can often be used only once.
    pub async fn session_refresh_begin(&self, open: &OpenSession) -> Result<bool, AppError> {
        let now = self.now_s();
        let mut tx = Transaction::new();
        self.store.sessions.refresh_begin(&mut tx, &open.digest, &open.session.sealed, now, now + REFRESH_LEASE);
        match self.transact(tx).await {
            Ok(()) => Ok(true),
            Err(TransactError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The issuer has vouched again.
    pub async fn session_refreshed(&self, open: &OpenSession, who: SignedIn) -> Result<(), AppError> {
        let now = self.now_s();
        let session = Session {
            label: who.label,
            groups: who.groups,
            refresh_at: who.refresh_in.filter(|_| who.tokens.refresh.is_some()).map(|seconds| now + seconds),
            sealed: self.tokens_seal(&who.tokens)?,
            ..open.session.clone()
        };
        self.refresh_end(open, &session).await
    }

    /// The issuer could not be asked: again in a minute, and the session goes on until it is old.
    pub async fn session_refresh_later(&self, open: &OpenSession) -> Result<(), AppError> {
        self.refresh_end(open, &Session { refresh_at: Some(self.now_s() + 60), ..open.session.clone() }).await
    }

    /// The issuer refuses the refresh token that this session had: it is over. False when it has another one by now, or is over already: then the refusal says
    /// nothing, because somebody else has used the token in the meantime.
    pub async fn session_refused(&self, call: &Call, open: &OpenSession) -> Result<bool, AppError> {
        let mut tx = Transaction::new();
        self.store.sessions.refuse(&mut tx, &open.session.subject, &open.digest, &open.session.sealed);
        self.audit_note(&mut tx, call, Deed::new("session.ended", format!("staff#{}", open.session.subject)));
        match self.transact(tx).await {
            Ok(()) => Ok(true),
            Err(error) if error.rule() == Some(Rule::Changed) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn refresh_end(&self, open: &OpenSession, session: &Session) -> Result<(), AppError> {
        let mut tx = Transaction::new();
        self.store.sessions.refresh_end(&mut tx, &open.digest, &open.session.sealed, session);
        match self.transact(tx).await {
            Ok(()) => Ok(()),
            // Signed out in the meantime, or refreshed by somebody else.
            Err(error) if error.rule() == Some(Rule::Changed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
