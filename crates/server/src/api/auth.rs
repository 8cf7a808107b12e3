//! `/auth`: signing in with the issuer, and what is known of whoever is signed in.
//!
//! `login` sends the browser to the issuer, `callback` is where it comes back with a code. What ties the two together (state, nonce, PKCE verifier) is in a
//! short-lived cookie that only this installation can open, so nothing is stored for people who never come back.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use emcrm_app::Call;
use emcrm_app::sessions::{IssuerTokens, OpenSession, SignedIn};
use emcrm_model::{Actor, Caller, Grant};
use emcrm_oidc::{Begun, OidcError, TokenError, TokenKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Problem, not_found};
use crate::auth::access::{SignIn, Without, issuer_unavailable};
use crate::auth::cookies::CookieName;
use crate::auth::{Access, Auth, SeeEvent};
use crate::http::gate::Class;
use crate::http::request::Open;
use crate::http::{Answer, NoBody, QueryReader, json};
use crate::router::ApiState;

/// Seconds from going to the issuer until coming back.
const SIGN_IN_SECONDS: i64 = 600;
const PURPOSE: &str = "sign-in";
const RETURN_MAX: usize = 2_000;
/// Where people land who did not come from anywhere.
const HOME: &str = "/app";

/// Whether one has to sign in here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthStatus)]
pub struct AuthStatusOut {
    pub authentication_enabled: bool,
    pub cognito_configured: bool,
    pub region: String,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedIn)]
pub struct MeOut {
    /// The caller's stable name, as in the audit trail.
    pub sub: String,
    /// For people to read: an address, or the name of a token.
    pub label: String,
    /// `viewer`, `editor`, `sender`, `admin`, `checkin:{event id}`; `null` when they may do nothing.
    #[schema(required)]
    pub grant: Option<String>,
    /// Groups at the issuer; empty for tokens.
    pub groups: Vec<String>,
}

/// The session of a browser.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionOut {
    pub authenticated: bool,
    /// After this it is over, however much it is used.
    #[schema(required)]
    pub expires_at: Option<String>,
    /// Seconds without use after which it is over.
    pub idle_seconds: i64,
    /// What changes have to show as `X-CSRF-Token`.
    pub csrf_token: String,
}

/// A token of the issuer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IssuerToken)]
pub struct TokenOut {
    pub access_token: String,
    pub token_type: &'static str,
}

/// Where to go back to after signing in.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LoginQuery {
    /// A path of this installation, such as `/app/people`. Anything else is ignored.
    #[param(required = false, max_length = 2000)]
    pub r#return: String,
}

/// What the issuer sends back.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    #[param(required = false, max_length = 4096)]
    pub code: String,
    #[param(required = false, max_length = 500)]
    pub state: String,
    #[param(required = false, max_length = 2000)]
    pub iss: String,
    #[param(required = false, max_length = 500)]
    pub error: String,
}

/// What must come back with the browser.
#[derive(Serialize, Deserialize)]
struct Pending {
    begun: Begun,
    back: String,
    redirect: String,
    /// Seconds since 1970.
    until: i64,
}

/// A path of this installation and nothing else: no other host, no scheme, nothing that browsers read as one (RFC 3986, and backslashes).
pub(crate) fn safe_return(wanted: &str) -> &str {
    let rest = wanted.strip_prefix('/');
    let plain = wanted.len() <= RETURN_MAX && wanted.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    match rest {
        Some(rest) if plain && !rest.starts_with('/') && !wanted.starts_with("/auth/") => wanted,
        _ => HOME,
    }
}

fn sign_in(access: &Access) -> Result<&SignIn, ApiError> {
    access.sign_in.as_ref().ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no_sign_in", "Nobody has to sign in here.").into())
}

/// Where the issuer sends people back to.
fn base(state: &ApiState, headers: &HeaderMap) -> String {
    let host = || headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    state.access.public_url.as_deref().map_or_else(|| format!("http://{}", host()), |url| url.trim_end_matches('/').to_owned())
}

fn redirect(to: &str, cookies: impl IntoIterator<Item = Option<HeaderValue>>) -> Answer {
    let location = HeaderValue::try_from(to).map_err(|_| ApiError::internal("a redirect that cannot be written"))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Whether one has to sign in here.
#[utoipa::path(get, path = "/auth/status", tag = "Auth", operation_id = "auth_status", responses((status = 200, description = "The settings of sign-in", body = AuthStatusOut)))]
pub async fn status(_: Open, State(state): State<ApiState>) -> Answer {
    let sign_in = state.access.sign_in.as_ref();
    let cognito = sign_in.is_some_and(|sign_in| sign_in.oidc.settings().cognito);
    json(&AuthStatusOut { authentication_enabled: sign_in.is_some(), cognito_configured: cognito, region: state.settings.auth_region.clone() })
}

/// Sends the browser to the issuer.
#[utoipa::path(get, path = "/auth/login", tag = "Auth", operation_id = "auth_login", params(LoginQuery), responses(
    (status = 303, description = "To the issuer"),
    (status = 503, description = "The issuer does not answer", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn login(_: Open, State(state): State<ApiState>, headers: HeaderMap, query: QueryReader) -> Answer {
    let sign_in = sign_in(&state.access)?;
    let wanted = query.raw("return").unwrap_or_default();
    let back = if state.access.without == Without::SafeReturn { wanted } else { safe_return(wanted) }.to_owned();
    query.check()?;
    let redirect_uri = format!("{}/auth/callback", base(&state, &headers));
    let (url, begun) = match sign_in.oidc.begin(&redirect_uri).await {
        Ok(begun) => begun,
        Err(error) => return told(&headers, issuer_unavailable(&error), &back),
    };
    let pending = Pending { begun, back, redirect: redirect_uri, until: state.app.now().as_second() + SIGN_IN_SECONDS };
    let sealed =
        serde_json::to_vec(&pending).ok().and_then(|plain| state.app.seal(PURPOSE, &plain)).ok_or_else(|| ApiError::internal("a sign-in cannot be sealed"))?;
    redirect(&url, [state.access.cookies.set(CookieName::SignIn, &sealed, SIGN_IN_SECONDS)])
}

/// Where the issuer sends the browser back to.
#[utoipa::path(get, path = "/auth/callback", tag = "Auth", operation_id = "auth_callback", params(CallbackQuery), responses(
    (status = 303, description = "Signed in; to where one came from"),
    (status = 400, description = "This is not the answer to a sign-in that was begun here", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 403, description = "The issuer does not let this person in", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
    (status = 503, description = "The issuer does not answer", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn callback(Open(info): Open, State(state): State<ApiState>, headers: HeaderMap, query: QueryReader) -> Answer {
    let pending = pending(&state, &headers);
    let back = pending.as_ref().map_or(HOME, |pending| pending.back.as_str()).to_owned();
    come_back(&info, &state, &headers, &query, pending).await.or_else(|error| told(&headers, error, &back))
}

/// A person sees a page, and where to begin again, on the way to what was asked for; a program sees the problem.
fn told(headers: &HeaderMap, error: ApiError, back: &str) -> Answer {
    let person = headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok()).is_some_and(|kinds| kinds.contains("text/html"));
    let problem = Problem::from(error);
    if !person || problem.is_bug() {
        return Err(problem.into());
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("failed", problem.code()).append_pair("return", back).finish();
    redirect(&format!("/app/signin?{query}"), [])
}

/// The sign-in that this browser has begun.
fn pending(state: &ApiState, headers: &HeaderMap) -> Option<Pending> {
    let cookie = state.access.cookies.read(headers, CookieName::SignIn)?;
    serde_json::from_slice(&state.app.unseal(PURPOSE, &cookie)?).ok()
}

async fn come_back(info: &crate::http::RequestInfo, state: &ApiState, headers: &HeaderMap, query: &QueryReader, pending: Option<Pending>) -> Answer {
    let sign_in = sign_in(&state.access)?;
    let stale = || Problem::new(StatusCode::BAD_REQUEST, "sign_in_stale", "This sign-in was not begun here, or it took too long. Begin again.");
    let pending = pending.ok_or_else(stale)?;
    let (code, given, iss, error) = (query.raw("code"), query.raw("state").unwrap_or_default(), query.raw("iss"), query.raw("error"));
    let same: bool = subtle::ConstantTimeEq::ct_eq(given.as_bytes(), pending.begun.state.as_bytes()).into();
    let belongs = same || state.access.without == Without::State;
    if !belongs || pending.until <= state.app.now().as_second() || !sign_in.oidc.is_our_issuer(iss) {
        return Err(stale().into());
    }
    if let Some(error) = error {
        tracing::info!(error = error.chars().take(100).collect::<String>(), "the issuer refused a sign-in");
        return Err(Problem::new(StatusCode::FORBIDDEN, "sign_in_refused", "The login service did not let you in.").into());
    }
    let who = exchanged(sign_in, code.unwrap_or_default(), &pending).await?;
    let caller = state.access.caller(&who.subject, &who.label, &who.groups);
    let call = Call { actor: Actor::Staff(caller), ..Call::public(info.client, info.id()) };
    // What the browser held before is no session any more: nobody can have planted this one.
    if let Some(old) = state.access.session(&state.app, headers).await?
        && state.access.without != Without::NewSession
    {
        state.app.session_end(&call, &old).await?;
    }
    let cookie = state.app.session_start(&call, who).await?;
    let _ = info.actor.set(call.actor);
    let (cookies, lasts) = (state.access.cookies, i64::from(state.app.settings.access.session_hours) * 3_600);
    redirect(&pending.back, [cookies.set(CookieName::Session, &cookie, lasts), cookies.clear(CookieName::SignIn)])
}

async fn exchanged(sign_in: &SignIn, code: &str, pending: &Pending) -> Result<SignedIn, ApiError> {
    // Not the person's doing, and beginning again rarely helps: whoever runs this has to look.
    let untrusted = |error: &OidcError| {
        tracing::warn!(%error, "what the issuer answered to a sign-in does not hold");
        ApiError::from(Problem::new(StatusCode::BAD_REQUEST, "sign_in_untrusted", "The login service's answer does not hold."))
    };
    let fault = |error: OidcError| match error {
        OidcError::Unavailable(_) => issuer_unavailable(&error),
        OidcError::Refused(_) | OidcError::Token(TokenError::Nonce) => {
            tracing::info!(%error, "a sign-in was refused");
            Problem::new(StatusCode::BAD_REQUEST, "sign_in_stale", "The login service's answer is not good (any more). Begin again.").into()
        }
        OidcError::Token(_) => untrusted(&error),
    };
    let grant = sign_in.oidc.exchange(&pending.redirect, code, &pending.begun).await.map_err(fault)?;
    let Some(id) = grant.id_token else { return Err(untrusted(&OidcError::Refused("no id token".to_owned()))) };
    let claims = sign_in.oidc.verify_given(&id, TokenKind::Id { nonce: &pending.begun.nonce }).await.map_err(fault)?;
    let tokens = IssuerTokens { id, access: grant.access_token, refresh: grant.refresh_token };
    Ok(SignedIn { subject: claims.subject, label: claims.label, groups: claims.groups, tokens, refresh_in: grant.expires_in })
}

/// Who is signed in.
#[utoipa::path(get, path = "/auth/me", tag = "Auth", operation_id = "auth_me", responses((status = 200, description = "Whoever calls", body = MeOut)))]
pub async fn me(State(state): State<ApiState>, Open(info): Open, headers: HeaderMap) -> Answer {
    who(&state, &info, &headers).await
}

/// The same, for older clients.
#[utoipa::path(get, path = "/auth/user", tag = "Auth", operation_id = "auth_user", responses((status = 200, description = "Whoever calls", body = MeOut)))]
pub async fn user(State(state): State<ApiState>, Open(info): Open, headers: HeaderMap) -> Answer {
    who(&state, &info, &headers).await
}

/// The same, for older clients.
#[utoipa::path(get, path = "/auth/userinfo", tag = "Auth", operation_id = "auth_userinfo", responses((status = 200, description = "Whoever calls", body = MeOut)))]
pub async fn userinfo(State(state): State<ApiState>, Open(info): Open, headers: HeaderMap) -> Answer {
    who(&state, &info, &headers).await
}

/// Also for those who may do nothing: they are told so.
async fn who(state: &ApiState, info: &crate::http::RequestInfo, headers: &HeaderMap) -> Answer {
    sign_in(&state.access)?;
    let known = state.access.identify(&state.app, headers, info.client).await?;
    let _ = info.allowance.set(state.access.gate.count(Class::Read, known.actor.name())?);
    let groups = match &known.by {
        crate::auth::access::By::Session(open) => open.session.groups.clone(),
        _ => Vec::new(),
    };
    let _ = info.actor.set(known.actor.clone());
    let grant = match &known.actor {
        Actor::Staff(Caller { grant, .. }) | Actor::Token(Caller { grant, .. }) => grant.as_ref().map(Grant::to_string),
        other => other.role().map(|role| role.as_str().to_owned()),
    };
    json(&MeOut { sub: known.actor.name().to_owned(), label: known.actor.label().to_owned(), grant, groups })
}

/// The session of this browser, and whether there is one.
#[utoipa::path(get, path = "/auth/session", tag = "Auth", operation_id = "auth_session", responses((status = 200, description = "The session", body = SessionOut)))]
pub async fn session(_: Open, State(state): State<ApiState>, headers: HeaderMap) -> Answer {
    sign_in(&state.access)?;
    session_out(&state, &headers).await
}

async fn session_out(state: &ApiState, headers: &HeaderMap) -> Answer {
    let open = state.access.session(&state.app, headers).await?;
    let expires = open.as_ref().and_then(|open| Timestamp::from_second(open.session.expires_at).ok());
    json(&SessionOut {
        authenticated: open.is_some(),
        expires_at: expires.map(|at| at.to_string()),
        idle_seconds: state.app.session_idle(),
        csrf_token: open.map(|open| state.app.mark("csrf", &open.digest)).unwrap_or_default(),
    })
}

fn held<R>(auth: &Auth<R>) -> Result<&OpenSession, ApiError>
where
    R: crate::auth::NeededRole,
{
    auth.session().ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "no_session", "This is for browsers that are signed in.").into())
}

/// The issuer's access token of this session, for programs that speak to the API with it.
#[utoipa::path(get, path = "/auth/token", tag = "Auth", operation_id = "auth_token", responses(
    (status = 200, description = "The token", body = TokenOut),
    (status = 400, description = "There is no session", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn token(auth: Auth<SeeEvent>, State(state): State<ApiState>) -> Answer {
    sign_in(&state.access)?;
    let tokens = state.app.session_tokens(held(&auth)?).ok_or_else(not_found)?;
    json(&TokenOut { access_token: tokens.access, token_type: "Bearer" })
}

/// Asks the issuer anew whether it vouches for this person.
#[utoipa::path(post, path = "/auth/refresh", tag = "Auth", operation_id = "auth_refresh", responses(
    (status = 200, description = "The session", body = SessionOut),
    (status = 400, description = "There is no session", body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
))]
pub async fn refresh(auth: Auth<SeeEvent>, State(state): State<ApiState>, headers: HeaderMap) -> Answer {
    sign_in(&state.access)?;
    auth.write(&NoBody)?;
    if !state.access.refresh(&state.app, held(&auth)?).await? {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "The login service does not vouch for you any more. Sign in again.").into());
    }
    session_out(&state, &headers).await
}

/// To the page that asks whether to sign out: a link must not do it.
#[utoipa::path(get, path = "/auth/logout", tag = "Auth", operation_id = "auth_logout_page", responses((status = 303, description = "To the page that asks")))]
pub async fn logout_page(_: Open, State(state): State<ApiState>) -> Answer {
    sign_in(&state.access)?;
    redirect("/app/signout", [])
}

/// How much is ended.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogoutQuery {
    /// In all browsers.
    #[param(required = false)]
    pub everywhere: bool,
}

/// What comes next.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoggedOut)]
pub struct LogoutOut {
    pub message: &'static str,
    /// Page of the issuer that signs out there too; `null` when it has none.
    #[schema(required)]
    pub logout_url: Option<String>,
}

/// Ends the session. Without one nothing happens.
#[utoipa::path(post, path = "/auth/logout", tag = "Auth", operation_id = "auth_logout", params(LogoutQuery), responses(
    (status = 200, description = "Signed out", body = LogoutOut),
))]
pub async fn logout(Open(info): Open, State(state): State<ApiState>, headers: HeaderMap, mut query: QueryReader) -> Answer {
    sign_in(&state.access)?;
    let everywhere = query.choice("everywhere", &[("true", true), ("false", false)]).unwrap_or(false);
    query.check()?;
    let shown = headers.get(crate::auth::CSRF_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let url = sign_out(&state, &info, &headers, shown.as_deref(), everywhere).await?;
    Ok(signed_out(&state, json(&LogoutOut { message: "Signed out", logout_url: url })?))
}

/// Ends the session of this browser, or all of this person; where to sign out at the issuer.
pub(crate) async fn sign_out(
    state: &ApiState,
    info: &crate::http::RequestInfo,
    headers: &HeaderMap,
    shown: Option<&str>,
    everywhere: bool,
) -> Result<Option<String>, ApiError> {
    let Some(open) = state.access.session(&state.app, headers).await? else { return Ok(None) };
    let mark = state.app.mark("csrf", &open.digest);
    if !bool::from(subtle::ConstantTimeEq::ct_eq(shown.unwrap_or_default().as_bytes(), mark.as_bytes())) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "csrf", "The form is too old, or it is not one of ours. Load the page again and repeat it.").into());
    }
    let caller = state.access.caller(&open.session.subject, &open.session.label, &open.session.groups);
    let call = Call { actor: Actor::Staff(caller), ..Call::public(info.client, info.id()) };
    let tokens = state.app.session_tokens(&open).unwrap_or_default();
    if everywhere {
        state.app.sessions_end(&call, &open.session.subject).await?;
    } else {
        state.app.session_end(&call, &open).await?;
    }
    let back = format!("{}/app/signin", base(state, headers));
    Ok(match &state.access.sign_in {
        Some(sign_in) => sign_in.oidc.sign_out_url(&tokens.id, &back).await,
        None => None,
    })
}

/// An answer that clears the session's cookie.
pub(crate) fn signed_out(state: &ApiState, mut response: Response) -> Response {
    if let Some(cookie) = state.access.cookies.clear(CookieName::Session) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_our_own_are_gone_back_to() {
        for good in ["/app", "/app/people?city=York&q=%2F%2F", "/docs", "/e/tea"] {
            assert_eq!(safe_return(good), good);
        }
        for bad in [
            "",
            "app",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x",
            "/auth/logout",
            "/ü",
        ] {
            assert_eq!(safe_return(bad), HOME, "{bad}");
        }
    }
}
