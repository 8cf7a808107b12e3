//! Who calls, and what they may do. `Auth<Role>` is the first argument of every handler that touches data: it is the only way to the
//! application, so a handler that does not say which role it needs cannot be written.
//!
//! Without sign-in every caller is [`Actor::Local`]; the server then listens on loopback only (see `config::choices`).

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use emcrm_app::{App, AppError, Call};
use emcrm_model::{Actor, Role};

use crate::api::error::ApiError;
use crate::http::call::{Fingerprint, WriteHeaders};
use crate::http::request::noted;
use crate::router::ApiState;
use crate::web::format::Locale;
use crate::web::frame::cookie;

/// A role as a type.
pub trait NeededRole: Send + Sync + 'static {
    const ROLE: Role;
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident),+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl NeededRole for $name {
            const ROLE: Role = Role::$name;
        }
    )+ };
}

roles!(
    /// May see.
    Viewer,
    /// May change people, events and attendance.
    Editor,
    /// May mail people.
    Sender,
    /// May administer.
    Admin
);

/// A caller who has the role `R`, and the way to the application.
pub struct Auth<R> {
    app: Arc<App>,
    call: Call,
    write: Option<WriteHeaders>,
    headers: PageHeaders,
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

    /// The call of a read: no idempotency, no precondition.
    pub fn read(&self) -> &Call {
        &self.call
    }

    /// The call of a write, with its `Idempotency-Key` (which stands for this body) and its `If-Match`.
    pub fn write(&self, body: &impl Fingerprint) -> Result<Call, ApiError> {
        let Some(write) = &self.write else { return Ok(self.call.clone()) };
        Ok(Call { idempotency: write.idempotency(body)?, if_match: write.if_match(body)?, ..self.call.clone() })
    }

    /// What a form has to send along, so that nobody else's page can send it.
    #[expect(clippy::unused_self, reason = "without sessions there is nothing to prove")]
    pub fn csrf(&self) -> String {
        String::new()
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        cookie(&self.headers.cookies, name)
    }

    /// How the reader writes numbers and dates.
    pub fn locale(&self) -> Locale {
        self.headers.language.as_ref().and_then(|value| value.to_str().ok()).map(Locale::accepted).unwrap_or_default()
    }
}

impl<R: NeededRole> FromRequestParts<ApiState> for Auth<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let info = noted(parts)?;
        let actor = Actor::Local;
        let _ = info.actor.set(actor.clone());
        if actor.role() < R::ROLE {
            return Err(AppError::Forbidden(R::ROLE).into());
        }
        let call = Call { actor, request_id: info.id().to_owned(), idempotency: None, if_match: None };
        let headers = PageHeaders::of(&parts.headers);
        let write = (!parts.method.is_safe()).then(|| WriteHeaders::of(&parts.method, &parts.uri, &parts.headers));
        Ok(Self { app: state.app.clone(), call, write, headers, role: PhantomData })
    }
}
