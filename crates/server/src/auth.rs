//! Who calls, and what they may do. `Auth<Role>` is the first argument of every handler that touches data: it is the only way to the
//! application, so a handler that does not say which role it needs cannot be written.
//!
//! Without sign-in every caller is [`Actor::Local`]; the server then listens on loopback only (see `config::choices`).

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use emcrm_app::{App, AppError, Call};
use emcrm_model::{Actor, Role};

use crate::api::error::ApiError;
use crate::http::call::{Fingerprint, WriteHeaders};
use crate::http::request::noted;
use crate::router::ApiState;

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
    role: PhantomData<R>,
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
        Ok(Call { idempotency: write.idempotency(body)?, if_match: write.if_match()?, ..self.call.clone() })
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
        let write = (!parts.method.is_safe()).then(|| WriteHeaders::of(&parts.method, &parts.uri, &parts.headers));
        Ok(Self { app: state.app.clone(), call, write, role: PhantomData })
    }
}
