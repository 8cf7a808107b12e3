//! Who calls, and what they may do. `Auth<Role>` is the first argument of every handler that touches data of staff: it is the way to the application, and names the
//! role that is needed. Handlers for everybody take `Open` and the application from the state; `tests/it/authz.rs` lists the files that do.
//!
//! | file | holds |
//! |---|---|
//! | `access` | tokens and sessions to somebody |
//! | `roles` | groups of the issuer to roles |
//! | `cookies` | the cookies of sign-in |
//! | `origin` | whether a change comes from a page of ours |
//!
//! Without sign-in every caller is [`Actor::Local`]; the server then listens on loopback only (see `config::choices`).

pub mod access;
pub mod cookies;
pub(crate) mod origin;
pub mod roles;

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use emcrm_app::sessions::OpenSession;
use emcrm_app::{App, AppError, Call};
use emcrm_model::{Actor, Role};
use subtle::ConstantTimeEq;

pub use access::{Access, AccessSettings, Without};
use access::{By, Known};

use crate::api::error::{ApiError, Problem};
use crate::http::call::{Fingerprint, WriteHeaders};
use crate::http::gate::Class;
use crate::http::request::noted;
use crate::router::ApiState;
use crate::web::format::Locale;
use crate::web::frame::cookie;

/// What a handler needs, as a type.
pub trait NeededRole: Send + Sync + 'static {
    /// The role that suffices for everything of this kind.
    const ROLE: Role;
    /// Somebody whose grant is narrower may come in too; the application looks at which event it is.
    const NARROW: bool = false;
}

macro_rules! needed {
    ($($(#[$doc:meta])* $name:ident = $role:ident, $narrow:literal;)+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl NeededRole for $name {
            const ROLE: Role = Role::$role;
            const NARROW: bool = $narrow;
        }
    )+ };
}

needed!(
    /// May see.
    Viewer = Viewer, false;
    /// May change people, events and attendance.
    Editor = Editor, false;
    /// May mail people.
    Sender = Sender, false;
    /// May administer.
    Admin = Admin, false;
    /// May see, or works at the door of one event.
    SeeEvent = Viewer, true;
    /// May change attendance, or works at the door of one event.
    CheckIn = Editor, true;
);

/// Header by which scripts of our pages show that they are ours.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// A caller who may do what `R` says, and the way to the application.
pub struct Auth<R> {
    app: Arc<App>,
    call: Call,
    write: Option<WriteHeaders>,
    known: By,
    headers: PageHeaders,
    /// The mark that a page of ours shows, and the one that came in a header.
    csrf: String,
    shown: Option<String>,
    role: PhantomData<R>,
}

/// What pages want to know of a request: cookies and languages.
#[derive(Debug, Default)]
struct PageHeaders {
    cookies: HeaderMap,
    language: Option<HeaderValue>,
}

impl PageHeaders {
    fn of(headers: &HeaderMap) -> Self {
        let mut cookies = HeaderMap::new();
        for cookie in headers.get_all(header::COOKIE) {
            cookies.append(header::COOKIE, cookie.clone());
        }
        Self { cookies, language: headers.get(header::ACCEPT_LANGUAGE).cloned() }
    }
}

impl<R: NeededRole> Auth<R> {
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The same, for what goes on after the answer.
    pub fn app_shared(&self) -> Arc<App> {
        self.app.clone()
    }

    pub fn actor(&self) -> &Actor {
        &self.call.actor
    }

    /// The session, where somebody is signed in with a browser.
    pub(crate) fn session(&self) -> Option<&OpenSession> {
        match &self.known {
            By::Session(open) => Some(open),
            By::Nothing | By::Token => None,
        }
    }

    /// What forms of our pages send back as `csrf`, and scripts as `X-CSRF-Token`.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    /// The call of a read: no idempotency, no precondition.
    pub fn read(&self) -> &Call {
        &self.call
    }

    /// The call of a write, with its `Idempotency-Key` (which stands for this body) and its `If-Match`. Refused unless it is shown that a page of ours, or a
    /// program, asks for it.
    pub fn write(&self, body: &impl Fingerprint) -> Result<Call, ApiError> {
        let Some(write) = &self.write else { return Ok(self.call.clone()) };
        self.check_csrf(body)?;
        Ok(Call { idempotency: write.idempotency(body)?, if_match: write.if_match(body)?, ..self.call.clone() })
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        cookie(&self.headers.cookies, name)
    }

    /// How the reader writes numbers and dates.
    pub fn locale(&self) -> Locale {
        self.headers.language.as_ref().and_then(|value| value.to_str().ok()).map(Locale::accepted).unwrap_or_default()
    }

    fn check_csrf(&self, body: &impl Fingerprint) -> Result<(), ApiError> {
        let needs = match &self.known {
            // No page of another site can send the header.
            By::Token => false,
            By::Session(_) => true,
            // A browser must say that it sends JSON (`http::body`), and from another site it cannot say so without asking first, which nobody answers. A form can be sent.
            By::Nothing => body.is_form(),
        };
        let shown = self.shown.as_deref().or_else(|| body.csrf()).unwrap_or_default();
        if !needs || bool::from(shown.as_bytes().ct_eq(self.csrf.as_bytes())) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "csrf",
            "The form is too old, or it is not one of ours. Load the page again and repeat it. A program with a session sends X-CSRF-Token.",
        )
        .into())
    }
}

impl<R: NeededRole> FromRequestParts<ApiState> for Auth<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let info = noted(parts)?;
        let access = &state.access;
        let Known { actor, by } = access.identify(&state.app, &parts.headers, info.client).await?;
        let _ = info.actor.set(actor.clone());
        let safe = parts.method.is_safe();
        if !matches!(by, By::Nothing) {
            let allowance = access.gate.count(if safe { Class::Read } else { Class::Write }, actor.name())?;
            let _ = info.allowance.set(allowance);
        }
        if !safe && !matches!(by, By::Token) && access.without != Without::Origin && !origin::is_ours(&parts.headers, access.public_url.as_deref()) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", "Pages of other sites may not change anything here.").into());
        }
        let may = actor.may(R::ROLE) || R::NARROW && actor.check_in().is_some();
        if !may {
            return Err(AppError::Forbidden(R::ROLE).into());
        }
        let csrf = match &by {
            By::Session(open) => state.app.mark("csrf", &open.digest),
            By::Nothing | By::Token => state.app.mark("csrf", "local"),
        };
        let shown = match access.without {
            Without::Mark => Some(csrf.clone()),
            _ => parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned),
        };
        let call = Call { actor, request_id: info.id().to_owned(), idempotency: None, if_match: None, from: info.client };
        let write = (!safe).then(|| WriteHeaders::of(&parts.method, &parts.uri, &parts.headers));
        Ok(Self { app: state.app.clone(), call, write, known: by, headers: PageHeaders::of(&parts.headers), csrf, shown, role: PhantomData })
    }
}
