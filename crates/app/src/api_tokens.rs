//! Tokens of programs. One is shown once, when it is made; kept is a digest. `emcrm_` in front lets scanners of source code find one that leaked.

use emcrm_model::{Actor, ApiToken, ApiTokenDraft, Caller, Grant, Role};
use emcrm_store::{Rule, Transaction};
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::audit::Deed;
use crate::users::unexpected;
use crate::{App, AppError, Call};

pub const PREFIX: &str = "emcrm_";
/// Letters and digits of the secret part: more than 230 bits.
const SECRET: usize = 40;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Use is noted no more often than this.
const USE_PACE: SignedDuration = SignedDuration::from_mins(1);

fn digest(token: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

fn secret() -> String {
    (0..SECRET).filter_map(|_| LETTERS.get(rand::random_range(0..LETTERS.len())).copied().map(char::from)).collect()
}

/// `emcrm_{id}_{secret}`
fn id_of(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (id.len() == 32 && secret.len() == SECRET && plain(id) && plain(secret)).then_some(id)
}

impl App {
    /// A new token, and the only time that it is seen: a key that was used before is refused, because what it made cannot be shown again.
    pub async fn token_create(&self, call: &Call, draft: ApiTokenDraft) -> Result<(ApiToken, String), AppError> {
        call.require(Role::Admin)?;
        if self.replayed::<String>(call).await?.is_some() {
            return Err(AppError::KeyReused);
        }
        let id = self.ids.ordered().simple().to_string();
        let token = format!("{PREFIX}{id}_{}", secret());
        let valid_until = draft.days.and_then(|days| self.now().checked_add(SignedDuration::from_hours(days * 24)).ok()).map(|until| format!("{until:.6}"));
        let kept = ApiToken {
            name: draft.name,
            grant: draft.grant.to_string(),
            hint: token.chars().take(PREFIX.len() + 12).collect(),
            created_at: self.stamp(),
            created_by: call.actor.label().to_owned(),
            valid_until,
            last_used_at: None,
            revoked_at: None,
            id,
        };
        let mut tx = Transaction::new();
        self.store.api_tokens.put(&mut tx, &kept, &digest(&token));
        let deed = Deed::new("token.created", format!("token#{}", kept.id)).with(kept.grant.clone());
        // Remembered is which token it was, and not the token. Of two at the same moment one is stored.
        if self.commit(call, deed, tx, kept.id.clone()).await?.map_err(unexpected)? != kept.id {
            return Err(AppError::KeyReused);
        }
        Ok((kept, token))
    }

    /// All of them, newest first.
    pub async fn token_list(&self, call: &Call) -> Result<Vec<ApiToken>, AppError> {
        call.require(Role::Admin)?;
        let mut tokens = self.store.api_tokens.list().await?;
        tokens.reverse();
        Ok(tokens)
    }

    /// Refused from this moment on. Revoking twice is no error.
    pub async fn token_revoke(&self, call: &Call, id: &str) -> Result<ApiToken, AppError> {
        call.require(Role::Admin)?;
        let (token, _) = self.store.api_tokens.get(id).await?.ok_or(AppError::TokenUnknown)?;
        if token.revoked_at.is_some() {
            return Ok(token);
        }
        let at = self.stamp();
        let mut tx = Transaction::new();
        self.store.api_tokens.revoke(&mut tx, id, &at);
        self.audit_note(&mut tx, call, Deed::new("token.revoked", format!("token#{id}")));
        match self.transact(tx).await {
            Ok(()) => Ok(ApiToken { revoked_at: Some(at), ..token }),
            Err(error) if error.rule() == Some(Rule::Changed) => Ok(self.store.api_tokens.get(id).await?.ok_or(AppError::TokenUnknown)?.0),
            Err(error) => Err(error.rule().map_or_else(|| error.into(), unexpected)),
        }
    }

    /// Whose token this is; none when it is unknown, expired or revoked.
    pub async fn token_caller(&self, token: &str) -> Result<Option<Actor>, AppError> {
        let Some(id) = id_of(token) else { return Ok(None) };
        let Some((kept, hash)) = self.store.api_tokens.get(id).await? else { return Ok(None) };
        let same: bool = digest(token).as_bytes().ct_eq(hash.as_bytes()).into();
        let now = self.stamp();
        if !same || kept.revoked_at.is_some() || kept.valid_until.as_ref().is_some_and(|until| *until <= now) {
            return Ok(None);
        }
        self.token_used(&kept, &now).await;
        Ok(Some(Actor::Token(Caller { name: format!("token:{}", kept.id), label: kept.name, grant: Grant::parse(&kept.grant) })))
    }

    async fn token_used(&self, kept: &ApiToken, now: &str) {
        let pace = self.now().checked_sub(USE_PACE).map(|then| format!("{then:.6}")).unwrap_or_default();
        if kept.last_used_at.as_ref().is_some_and(|last| *last > pace) {
            return;
        }
        let mut tx = Transaction::new();
        self.store.api_tokens.used(&mut tx, &kept.id, now);
        // Nobody waits for bookkeeping to succeed.
        if let Err(error) = self.transact(tx).await {
            tracing::warn!(%error, token = %kept.id, "the use of a token could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form_and_no_other() {
        let token = format!("{PREFIX}{}_{}", "a".repeat(32), secret());
        assert_eq!(id_of(&token), Some("a".repeat(32).as_str()));
        assert_ne!(secret(), secret());
        for bad in ["", "emcrm_", &token[1..], &token[..token.len() - 1], &format!("{token}x"), &token.replace("emcrm_a", "emcrm_#")] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }
}
