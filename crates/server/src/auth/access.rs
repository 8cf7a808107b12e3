//! Who a request comes from: a token, a session, or, without sign-in, whoever is on this machine.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use emcrm_app::sessions::{IssuerTokens, OpenSession, SignedIn};
use emcrm_app::{App, Call};
use emcrm_model::{Actor, Caller};
use emcrm_oidc::{Claims, Grant, IssuerSettings, Oidc, OidcError, TokenKind};

use super::cookies::{CookieName, Cookies};
use super::roles::Roles;
use crate::api::error::{ApiError, Challenge, Problem};
use crate::config::Config;
use crate::http::gate::{Class, Gate};

/// Settings of who may call.
#[derive(Debug, Clone, Default)]
pub struct AccessSettings {
    /// Whom people sign in with; none: nobody has to.
    pub issuer: Option<IssuerSettings>,
    pub roles: Roles,
    /// Where people reach this installation.
    pub public_url: Option<String>,
    pub without: Without,
}

/// A defence that a test takes away, to show that it would see the attack succeed. No setting does that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Without {
    #[default]
    Nothing,
    /// Pages of other sites may change something.
    Origin,
    /// Forms need not show that they are ours.
    Mark,
    /// Browsers need not say that they send JSON.
    Type,
    /// People are sent wherever a link says.
    SafeReturn,
    /// What a browser held before somebody signed in goes on.
    NewSession,
    /// An answer of the issuer is taken whatever sign-in it belongs to.
    State,
    /// A session asks the issuer as often at once as it is asked to.
    Turn,
    /// A message of the mail service is worked on as often as it comes.
    Once,
    /// Fields of CSV leave as they are.
    Apostrophe,
    /// The log has addresses as they were asked for.
    Route,
}

impl AccessSettings {
    pub fn of(config: &Config) -> Self {
        let auth = &config.auth;
        let roles = Roles { groups: auth.roles.as_ref().map(|groups| groups.0.clone()).unwrap_or_default(), default: auth.default_role.map(|role| role.0) };
        Self { issuer: config.issuer(), roles, public_url: config.app.public_url.as_ref().map(|url| url.as_str().to_owned()), without: Without::Nothing }
    }
}

/// Decides who calls.
pub struct Access {
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) cookies: Cookies,
    pub(crate) public_url: Option<String>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) without: Without,
}

/// Signing in.
pub(crate) struct SignIn {
    pub(crate) oidc: Oidc,
    pub(crate) roles: Roles,
}

/// How somebody is known.
#[derive(Debug, Clone)]
pub(crate) enum By {
    /// Nobody has to sign in.
    Nothing,
    /// A token in a header, which no page of another site can send.
    Token,
    /// A cookie, which the browser sends with whatever asks for it.
    Session(Box<OpenSession>),
}

/// Somebody who is known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) actor: Actor,
    pub(crate) by: By,
}

fn unauthorized(challenge: Challenge, detail: &'static str) -> ApiError {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).challenge(challenge).into()
}

pub(crate) fn issuer_unavailable(error: &OidcError) -> ApiError {
    Problem::unavailable("sign_in_unavailable", "Signing in is not possible right now.", 5, error.to_string()).into()
}

impl Access {
    pub fn new(settings: AccessSettings, gate: Arc<Gate>, app: &App) -> Result<Self, OidcError> {
        let AccessSettings { issuer, roles, public_url, without } = settings;
        let sign_in = match issuer {
            Some(issuer) => Some(SignIn { oidc: Oidc::new(issuer, app.clock.clone())?, roles }),
            None => None,
        };
        let secure = public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        Ok(Self { sign_in, cookies: Cookies { secure }, public_url, gate, without })
    }

    /// Whoever calls, or an answer that says what is missing. All refusals of a token look the same: why is for the log.
    pub(crate) async fn identify(self: &Arc<Self>, app: &Arc<App>, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Known, ApiError> {
        let bearer = headers.get(header::AUTHORIZATION);
        if let (Some(value), true) = (bearer, self.sign_in.is_some() || bearer.is_some_and(|value| is_ours(value.as_bytes()))) {
            let value = value.to_str().unwrap_or_default();
            let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
            let actor = match token {
                Some(token) if token.starts_with(emcrm_app::api_tokens::PREFIX) => app.token_caller(token).await?,
                Some(token) => self.issuer_caller(token).await?,
                None => None,
            };
            if let Some(actor) = actor {
                return Ok(Known { actor, by: By::Token });
            }
            self.gate.count_address(Class::SignIn, from)?;
            return Err(unauthorized(Challenge::WrongToken, "The token is not valid."));
        }
        if self.sign_in.is_none() {
            return Ok(Known { actor: Actor::Local, by: By::Nothing });
        }
        if let Some(open) = self.session(app, headers).await? {
            let actor = Actor::Staff(self.caller(&open.session.subject, &open.session.label, &open.session.groups));
            return Ok(Known { actor, by: By::Session(Box::new(open)) });
        }
        self.gate.count_address(Class::Public, from)?;
        Err(unauthorized(Challenge::Who, "Sign in, or send a token."))
    }

    pub(crate) fn caller(&self, subject: &str, label: &str, groups: &[String]) -> Caller {
        let grant = self.sign_in.as_ref().and_then(|sign_in| sign_in.roles.of(groups));
        Caller { name: format!("staff:{subject}"), label: label.to_owned(), grant }
    }

    async fn issuer_caller(&self, token: &str) -> Result<Option<Actor>, ApiError> {
        let Some(sign_in) = &self.sign_in else { return Ok(None) };
        match sign_in.oidc.verify(token, TokenKind::Bearer).await {
            Ok(Claims { subject, label, groups, .. }) => Ok(Some(Actor::Staff(self.caller(&subject, &label, &groups)))),
            Err(OidcError::Token(reason)) => {
                tracing::info!(%reason, "a token was refused");
                Ok(None)
            }
            Err(error) => Err(issuer_unavailable(&error)),
        }
    }

    /// Whoever a browser shows a page to, with the mark of its forms; none where that cannot be told. Tokens are not looked at: they are for programs.
    pub(crate) async fn reader(self: &Arc<Self>, app: &Arc<App>, headers: &HeaderMap) -> Option<(Actor, String)> {
        if self.sign_in.is_none() {
            return Some((Actor::Local, app.mark("csrf", "local")));
        }
        let open = self.session(app, headers).await.ok().flatten()?;
        let actor = Actor::Staff(self.caller(&open.session.subject, &open.session.label, &open.session.groups));
        Some((actor, app.mark("csrf", &open.digest)))
    }

    /// The session that the browser holds. When the issuer should be asked anew, that happens beside the request.
    pub(crate) async fn session(self: &Arc<Self>, app: &Arc<App>, headers: &HeaderMap) -> Result<Option<OpenSession>, ApiError> {
        let Some(cookie) = self.cookies.read(headers, CookieName::Session) else { return Ok(None) };
        let Some(open) = app.session_open(&cookie).await? else { return Ok(None) };
        if app.session_is_stale(&open) {
            let (access, app, open) = (self.clone(), app.clone(), open.clone());
            tokio::spawn(async move {
                if let Err(error) = access.refresh(&app, &open).await {
                    tracing::warn!(%error, "a session could not be refreshed");
                }
            });
        }
        Ok(Some(open))
    }

    /// Asks the issuer whether it still vouches for somebody. Where it says no the session is over; where it does not answer the session goes on, until it is old.
    pub(crate) async fn refresh(&self, app: &App, open: &OpenSession) -> Result<bool, emcrm_app::AppError> {
        let Some(sign_in) = &self.sign_in else { return Ok(false) };
        // Without a refresh token there is nothing to ask with: the session goes on until it is old.
        let Some(tokens) = app.session_tokens(open) else { return Ok(true) };
        let Some(refresh) = tokens.refresh.clone() else { return Ok(true) };
        if !app.session_refresh_begin(open).await? && self.without != Without::Turn {
            return Ok(true);
        }
        let asked = async { self.vouched(sign_in.oidc.refresh(&refresh).await?, open, tokens).await };
        // Over before somebody else may ask: two must not use one token.
        let answer = tokio::time::timeout(sign_in.oidc.settings().refresh_time, asked).await;
        match answer.unwrap_or_else(|_| Err(OidcError::Unavailable("it takes too long".to_owned()))) {
            Ok(who) => {
                app.session_refreshed(open, who).await?;
                Ok(true)
            }
            Err(OidcError::Unavailable(reason)) => {
                tracing::warn!(reason, "the issuer could not be asked about a session");
                app.session_refresh_later(open).await?;
                Ok(true)
            }
            Err(reason) => {
                tracing::info!(%reason, "the issuer does not vouch for a session any more");
                Ok(!app.session_refused(&Call::system(), open).await?)
            }
        }
    }

    /// What a refreshed grant says. An id token may be left out; where there is one it must be of the same person.
    async fn vouched(&self, grant: Grant, open: &OpenSession, used: IssuerTokens) -> Result<SignedIn, OidcError> {
        let (session, refused) = (&open.session, || OidcError::Refused("the token is of somebody else".to_owned()));
        let Some(sign_in) = &self.sign_in else { return Err(refused()) };
        let (label, groups, id) = match grant.id_token {
            Some(id) => {
                let claims = sign_in.oidc.verify_given(&id, TokenKind::Refreshed).await?;
                if claims.subject != session.subject {
                    return Err(refused());
                }
                (claims.label, claims.groups, id)
            }
            // Signing out at the issuer needs one, and the old one still names the session there.
            None => (session.label.clone(), session.groups.clone(), used.id),
        };
        let tokens = IssuerTokens {
            id,
            access: grant.access_token,
            // Without a new one the old one stays good (RFC 6749, section 6).
            refresh: grant.refresh_token.or(used.refresh),
        };
        Ok(SignedIn { subject: session.subject.clone(), label, groups, tokens, refresh_in: grant.expires_in })
    }
}

/// Whether a header carries a token that was made here. Without sign-in others are not looked at: a proxy may have put them there.
fn is_ours(value: &[u8]) -> bool {
    let prefix = emcrm_app::api_tokens::PREFIX.as_bytes();
    value.windows(prefix.len()).any(|part| part == prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_the_issuer_has_given_up_before_somebody_else_may_ask() {
        let lease = std::time::Duration::from_secs(u64::try_from(emcrm_app::sessions::REFRESH_LEASE).unwrap());
        for settings in [IssuerSettings::of("https://id.example.org", "crm", None), IssuerSettings::cognito("eu-west-1", "p", "crm", None)] {
            // What is left is for writing down what was answered.
            assert!(settings.refresh_time + std::time::Duration::from_secs(10) <= lease);
        }
    }
}
