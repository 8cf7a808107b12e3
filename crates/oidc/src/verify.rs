//! A token's signature and claims. What is checked is fixed by the settings; nothing in the token chooses (RFC 8725).

use std::time::Instant;

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Oidc, OidcError, Without};

/// Longest token that is looked at, in characters.
const LONGEST: usize = 16 * 1024;
/// Clocks may differ by this, in seconds.
const LEEWAY: i64 = 60;
/// Groups that are read of one token.
const GROUPS_MAX: usize = 500;

/// What a token is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind<'a> {
    /// The answer to a sign-in that was begun with this nonce.
    Id { nonce: &'a str },
    /// A later one of the same session.
    Refreshed,
    /// What a program sends with a request: an access token, or an id token of our client.
    Bearer,
}

/// Why a token is refused. Callers are told no more than that it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is not signed in the way that is expected")]
    Algorithm,
    #[error("the token is signed with a key that the issuer does not have")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for somebody else")]
    Audience,
    #[error("the token is of another kind")]
    Kind,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not good yet")]
    NotYet,
    #[error("the token is not the answer to this sign-in")]
    Nonce,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub subject: String,
    /// For people to read: the address, else a name.
    pub label: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Vec<String>,
    /// Seconds since 1970.
    pub expires: i64,
}

/// One text or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
    fn is_one(&self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Many(many) => many.len() == 1,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Raw {
    iss: String,
    sub: String,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    aud: Option<Audience>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    token_use: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Oidc {
    /// The same as [`Oidc::verify`] for a token that the issuer has given us this moment. Where it is signed with a key that is newer than what was read of them a
    /// few seconds ago, that key is waited for: the issuer has just changed its keys, and the person has done nothing wrong.
    pub async fn verify_given(&self, token: &str, kind: TokenKind<'_>) -> Result<Claims, OidcError> {
        let given = Instant::now();
        let answer = self.verify(token, kind).await;
        if matches!(answer, Err(OidcError::Token(TokenError::UnknownKey))) && self.keys_may_be_newer_than(given).await {
            return self.verify(token, kind).await;
        }
        answer
    }

    /// Checks a token wholly: its form, its signature by a key of the issuer, and every claim that says whose it is, for whom and for how long.
    pub async fn verify(&self, token: &str, kind: TokenKind<'_>) -> Result<Claims, OidcError> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed.into());
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        let typed = header.typ.as_deref().is_none_or(|typ| ["jwt", "at+jwt", "application/at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known)));
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() || !typed {
            return Err(TokenError::Malformed.into());
        }
        let algorithm = if self.settings.without == Without::Algorithm { header.alg } else { self.settings.algorithm };
        if header.alg != algorithm || !crate::crypto::is_supported(algorithm) {
            return Err(TokenError::Algorithm.into());
        }
        // Only keys that the issuer publishes: what the header brings along (`jwk`, `jku`, `x5c`) is never looked at.
        let jwk = self.key(header.kid.as_deref()).await?.ok_or(TokenError::UnknownKey)?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| TokenError::UnknownKey)?;
        if key.family() != algorithm.family() {
            return Err(TokenError::Algorithm.into());
        }
        // Claims are checked below, by the injected clock.
        let mut signature_only = Validation::new(algorithm);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_nbf = false;
        signature_only.validate_aud = false;
        let raw = decode::<Raw>(token, &key, &signature_only).map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
            _ => TokenError::Malformed,
        })?;
        Ok(self.check(raw.claims, kind)?)
    }

    fn check(&self, raw: Raw, kind: TokenKind<'_>) -> Result<Claims, TokenError> {
        let settings = &self.settings;
        let checks = |what: Without| settings.without != what;
        if checks(Without::Issuer) && raw.iss.trim_end_matches('/') != settings.issuer {
            return Err(TokenError::Issuer);
        }
        let now = self.clock.now().as_second();
        let (expires, from) = (raw.exp as i64, raw.nbf.into_iter().chain(raw.iat).fold(f64::MIN, f64::max) as i64);
        if checks(Without::Times) && expires.saturating_add(LEEWAY) <= now {
            return Err(TokenError::Expired);
        }
        if checks(Without::Times) && from.saturating_sub(LEEWAY) > now {
            return Err(TokenError::NotYet);
        }
        let is_access = match (settings.cognito, raw.token_use.as_deref()) {
            (true, Some("access")) => true,
            (true, Some("id")) | (false, _) => false,
            (true, _) => return Err(TokenError::Kind),
        };
        if is_access && kind != TokenKind::Bearer {
            return Err(TokenError::Kind);
        }
        let ours = |audience: &Audience| {
            // With several audiences the token must say that it was issued to us (OpenID Connect Core 3.1.3.7).
            audience.has(&settings.client_id) && (audience.is_one() || raw.azp.as_deref() == Some(&settings.client_id))
        };
        let for_us = match &raw.aud {
            // An access token of Cognito names no audience, only the client.
            _ if is_access => raw.client_id.as_deref() == Some(&settings.client_id),
            Some(audience) if ours(audience) => raw.azp.as_deref().is_none_or(|azp| azp == settings.client_id),
            Some(audience) => kind == TokenKind::Bearer && settings.audience.as_deref().is_some_and(|wanted| audience.has(wanted)),
            None => false,
        };
        if checks(Without::Audience) && !for_us {
            return Err(TokenError::Audience);
        }
        if let TokenKind::Id { nonce } = kind
            && checks(Without::Nonce)
            && raw.nonce.as_deref() != Some(nonce)
        {
            return Err(TokenError::Nonce);
        }
        if raw.sub.is_empty() || raw.sub.len() > 255 || raw.sub.chars().any(char::is_control) {
            return Err(TokenError::Malformed);
        }
        let text = |name: &str| raw.more.get(name).and_then(Value::as_str).map(|text| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>());
        let (email, name) = (text("email"), text("name"));
        let called = email.clone().or_else(|| name.clone()).or_else(|| text("preferred_username")).or_else(|| text("cognito:username"));
        let groups = match raw.more.get(&settings.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).take(GROUPS_MAX).map(str::to_owned).collect(),
            Some(Value::String(group)) => vec![group.clone()],
            _ => Vec::new(),
        };
        Ok(Claims { label: called.or_else(|| text("username")).unwrap_or_else(|| raw.sub.clone()), subject: raw.sub, email, name, groups, expires })
    }
}
