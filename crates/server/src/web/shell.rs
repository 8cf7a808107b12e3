//! What every page of the application has around it: who is signed in, the current place, the theme, and what was just done.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_model::{Actor, Role};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::format::Locale;
use super::frame::cookie;
use super::pages::see_other;
use super::templates::{Template, templates};
use crate::api::error::ApiError;
use crate::auth::{Auth, NeededRole, Viewer};
use crate::http::request::Open;
use crate::router::ApiState;
use crate::web_form::Form;

pub static TEMPLATES: &[Template] = templates!["app/base.html"];

pub const FLASH: &str = "flash";
const THEME: &str = "theme";
/// Set by `app.js`: the zone that the browser is in.
const ZONE: &str = "tz";
/// Longest text of a toast, in bytes: a cookie has to hold it.
const TOAST_MAX: usize = 1_000;

pub fn routes() -> Router<ApiState> {
    Router::new().route("/", get(root)).route("/app/theme", post(theme))
}

async fn root(_: Open) -> Redirect {
    Redirect::temporary("/app")
}

/// The parts of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Home,
    People,
    Events,
    Campaigns,
    Settings,
    /// Pages that belong to none of them.
    Nowhere,
}

impl Place {
    /// The part that an address belongs to.
    pub fn of_path(path: &str) -> Self {
        match path.strip_prefix("/app/").and_then(|rest| rest.split('/').next()) {
            Some("people") => Self::People,
            Some("events") => Self::Events,
            Some("campaigns") => Self::Campaigns,
            Some("settings" | "outbox") => Self::Settings,
            _ => Self::Nowhere,
        }
    }
}

/// The context of `app/base.html`. Every page's context has one, named `shell`.
#[derive(Debug, Clone, Serialize)]
pub struct Shell {
    /// Name of the installation.
    pub name: String,
    pub place: Place,
    /// Who is signed in; nothing where nobody has to sign in.
    pub account: Option<Account>,
    pub may: May,
    /// `light`, `dark`, or nothing where the system decides.
    pub theme: Option<&'static str>,
    /// Proves that a form came from one of our pages.
    pub csrf: String,
    /// What was done just now.
    pub toast: Option<Toast>,
    pub locale: &'static str,
    /// The reader's time zone.
    pub zone: String,
    /// The reader's zone is not known: `zone` is that of the installation.
    pub zone_guessed: bool,
    /// Now.
    pub now: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Account {
    pub name: String,
    pub role: &'static str,
    pub initials: String,
}

/// What the person may do, so that a page shows no button that would be refused.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct May {
    pub edit: bool,
    pub send: bool,
    pub administer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toast {
    pub text: String,
    /// Where a POST takes it back.
    pub undo: Option<String>,
}

impl Shell {
    pub fn of<R: NeededRole>(auth: &Auth<R>, state: &ApiState, place: Place) -> Self {
        Self::around(state, place, auth.actor(), auth.csrf().to_owned(), auth.locale(), |name| auth.cookie(name))
    }

    /// Around a page that no handler made, such as an error. None where nobody is known, or where they may not see the application.
    pub async fn of_reader(state: &ApiState, headers: &HeaderMap, place: Place) -> Option<Self> {
        let (actor, csrf) = state.access.reader(&state.app, headers).await?;
        let locale = Locale::of_reader(headers);
        actor.may(Role::Viewer).then(|| Self::around(state, place, &actor, csrf, locale, |name| cookie(headers, name)))
    }

    fn around<'a>(state: &ApiState, place: Place, actor: &Actor, csrf: String, locale: Locale, cookie: impl Fn(&str) -> Option<&'a str>) -> Self {
        let zone = cookie(ZONE).map(|zone| zone.replace("%2F", "/")).filter(|zone| TimeZone::get(zone).is_ok());
        Self {
            name: state.settings.name.clone(),
            place,
            account: account(actor),
            may: May { edit: actor.may(Role::Editor), send: actor.may(Role::Sender), administer: actor.may(Role::Admin) },
            theme: cookie(THEME).and_then(known_theme),
            csrf,
            toast: cookie(FLASH).and_then(toast),
            locale: locale.word(),
            zone_guessed: zone.is_none(),
            zone: zone.or_else(|| state.app.settings.default_zone.iana_name().map(str::to_owned)).unwrap_or_else(|| "UTC".to_owned()),
            now: state.app.now().to_string(),
        }
    }

    /// The reader's zone, for what is not written by a template.
    pub fn time_zone(&self) -> TimeZone {
        TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC)
    }
}

fn account(actor: &Actor) -> Option<Account> {
    match actor {
        Actor::Staff(caller) | Actor::Token(caller) => {
            let letters = caller.label.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.chars().next()).take(2);
            Some(Account {
                name: caller.label.clone(),
                role: actor.role().map_or("no role", Role::as_str),
                initials: letters.flat_map(char::to_uppercase).collect(),
            })
        }
        Actor::System | Actor::Local | Actor::Public => None,
    }
}

fn known_theme(word: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|theme| *theme == word)
}

/// Lets the next page say what was done, with a way to take it back where there is one.
pub fn flash(mut response: Response, text: &str, undo: Option<String>) -> Response {
    let toast = Toast { text: text.chars().take(TOAST_MAX / 4).collect(), undo };
    let json = serde_json::to_vec(&toast).unwrap_or_default();
    set_cookie(response.headers_mut(), &format!("{FLASH}={}; Path=/app; Max-Age=60; HttpOnly; SameSite=Lax", URL_SAFE_NO_PAD.encode(json)));
    response
}

/// The toast was shown.
pub(super) fn clear_flash(headers: &mut HeaderMap) {
    set_cookie(headers, &format!("{FLASH}=; Path=/app; Max-Age=0; HttpOnly; SameSite=Lax"));
}

fn toast(cookie: &str) -> Option<Toast> {
    let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
    let toast: Toast = serde_json::from_slice(&bytes).ok()?;
    // A neighbour under the same domain can set cookies: an address that is not ours gets no button.
    let undo = toast.undo.filter(|undo| is_ours(undo));
    Some(Toast { undo, ..toast })
}

/// A path of the application, and nothing that a browser takes for another site.
pub fn is_ours(path: &str) -> bool {
    (path == "/app" || path.starts_with("/app/") || path.starts_with("/app?")) && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

fn set_cookie(headers: &mut HeaderMap, cookie: &str) {
    if let Ok(value) = HeaderValue::try_from(cookie) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Chooses light, dark, or what the system says, for this browser.
async fn theme(auth: Auth<Viewer>, headers: HeaderMap, form: Form) -> Result<Response, ApiError> {
    auth.write(&form)?;
    let mut response = see_other(&came_from(&headers))?;
    let cookie = match form.value("theme").and_then(known_theme) {
        Some(theme) => format!("{THEME}={theme}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"),
        None => format!("{THEME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"),
    };
    set_cookie(response.headers_mut(), &cookie);
    Ok(response)
}

/// The page of ours that a form was on.
pub fn came_from(headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| url::Url::parse(text).ok());
    let path = referer.map(|url| url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())));
    path.filter(|path| is_ours(path)).unwrap_or_else(|| "/app".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toast_survives_its_cookie_and_leads_nowhere_else() {
        let sent = |text: &str, undo: &str| {
            let response = flash(Response::default(), text, Some(undo.to_owned()));
            let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
            toast(cookie.strip_prefix("flash=").unwrap().split(';').next().unwrap()).unwrap()
        };
        assert_eq!(
            sent("“Ann” <b>; was\nadded", "/app/people/a/restore"),
            Toast { text: "“Ann” <b>; was\nadded".to_owned(), undo: Some("/app/people/a/restore".to_owned()) }
        );
        for elsewhere in ["https://evil.example/app/", "//evil.example/app/", "/users", "/apple", "/app/\\evil", "/app/ x"] {
            assert_eq!(sent("x", elsewhere).undo, None, "{elsewhere}");
        }
        assert_eq!(toast("%%%"), None);
        assert_eq!(toast(""), None);
    }
}
