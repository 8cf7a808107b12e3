//! The map of the product: every route, and the document that describes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use emcrm_app::App;
use emcrm_mail::Notifications;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{attendance, audit, auth, campaigns, docs, email, events, health, mail_events, mail_templates, privacy, search, suppressions, tokens, users};
use crate::auth::Access;
use crate::config::{Config, Secret};
use crate::csv_out::Csv;
use crate::openapi;
use crate::web::frame::frame;

/// What handlers share. They come to the application by [`crate::auth::Auth`], which names a role; `tests/it/authz.rs` lists the files that take it from here.
#[derive(Clone)]
pub struct ApiState {
    pub(crate) app: Arc<App>,
    pub(crate) settings: Arc<ApiSettings>,
    pub(crate) access: Arc<Access>,
    pub(crate) openapi: Bytes,
    /// Where the mail service tells what became of mails.
    pub(crate) notifications: Option<Arc<dyn Notifications>>,
    pub(crate) last_health: Arc<health::LastHealth>,
    stopping: Arc<AtomicBool>,
}

/// Settings that answers depend on.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    pub name: String,
    pub metrics_token: Option<Secret>,
    pub auth_region: String,
}

impl ApiSettings {
    pub fn of(config: &Config) -> Self {
        Self { name: config.app.name.clone(), metrics_token: config.app.metrics_token.clone(), auth_region: config.auth_region().to_owned() }
    }
}

impl ApiState {
    pub fn new(app: Arc<App>, settings: ApiSettings, access: Arc<Access>) -> Self {
        let document = openapi::document(&settings.name).to_json().unwrap_or_default();
        Self {
            app,
            settings: Arc::new(settings),
            access,
            openapi: Bytes::from(document),
            notifications: None,
            last_health: Arc::default(),
            stopping: Arc::default(),
        }
    }

    #[must_use]
    pub fn with_notifications(self, notifications: Option<Arc<dyn Notifications>>) -> Self {
        Self { notifications, ..self }
    }
    /// How lists are written as CSV.
    pub(crate) fn csv(&self) -> Csv {
        Csv::new(self.access.without)
    }
    /// From now on `/health/ready` says so, and whoever balances load sends requests elsewhere.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Every route that is in the OpenAPI document. Paths have no trailing slash here; requests may have one.
#[expect(deprecated, reason = "routes for older clients")]
fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::replace, users::patch, users::delete))
        .routes(routes!(events::list, events::create))
        .routes(routes!(events::get, events::replace, events::patch, events::delete))
        .routes(routes!(attendance::create))
        .routes(routes!(attendance::get, attendance::patch, attendance::delete))
        .routes(routes!(attendance::of_user))
        .routes(routes!(attendance::of_event))
        .routes(routes!(search::query_users))
        .routes(routes!(search::users, search::users_by_query))
        .routes(routes!(search::facets))
        .routes(routes!(email::send))
        .routes(routes!(email::send_emails))
        .routes(routes!(email::list))
        .routes(routes!(email::requests, campaigns::create))
        .routes(routes!(email::request_get, campaigns::replace, campaigns::delete))
        .routes(routes!(campaigns::send))
        .routes(routes!(campaigns::schedule))
        .routes(routes!(campaigns::unschedule))
        .routes(routes!(campaigns::duplicate))
        .routes(routes!(campaigns::log))
        .routes(routes!(campaigns::ledger_csv))
        .routes(routes!(campaigns::readers))
        .routes(routes!(campaigns::watch))
        .routes(routes!(campaigns::preflight))
        .routes(routes!(suppressions::list, suppressions::add))
        .routes(routes!(suppressions::import))
        .routes(routes!(suppressions::export))
        .routes(routes!(suppressions::get, suppressions::remove))
        .routes(routes!(mail_events::bounce))
        .routes(routes!(mail_events::sns))
        .routes(routes!(mail_templates::list, mail_templates::create))
        .routes(routes!(mail_templates::get, mail_templates::replace, mail_templates::delete))
        .routes(routes!(mail_templates::variables))
        .routes(routes!(email::pause))
        .routes(routes!(email::resume))
        .routes(routes!(email::cancel))
        .routes(routes!(email::retry))
        .routes(routes!(email::status))
        .routes(routes!(email::status_of_user))
        .routes(routes!(email::preview))
        .routes(routes!(email::test))
        .routes(routes!(email::sent_by_post))
        .routes(routes!(email::user_by_post))
        .routes(routes!(email::get_by_post))
        .routes(routes!(health::health))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(auth::status))
        .routes(routes!(auth::login))
        .routes(routes!(auth::callback))
        .routes(routes!(auth::me))
        .routes(routes!(auth::user))
        .routes(routes!(auth::userinfo))
        .routes(routes!(auth::session))
        .routes(routes!(auth::token))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout_page, auth::logout))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(privacy::export))
        .routes(routes!(privacy::erase))
}

/// Pages about the API, which the document does not describe.
fn undescribed() -> Router<ApiState> {
    Router::new()
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::swagger))
        .route("/docs/{file}", get(docs::swagger_file))
        .route("/redoc", get(docs::redoc))
        .route("/redoc/{file}", get(docs::redoc_file))
}

/// The router with everything in it.
pub fn router(state: ApiState) -> Router {
    let (api, _) = described().split_for_parts();
    // Whatever has no route is answered in the frame of the pages too: people mistype addresses.
    let framed = from_fn_with_state(state.clone(), frame);
    let pages = crate::web::routes().fallback(health::unknown_route).method_not_allowed_fallback(health::wrong_method).layer(framed);
    api.merge(undescribed()).method_not_allowed_fallback(health::wrong_method).merge(pages).with_state(state)
}

/// Paths and operations as the handlers describe them; [`openapi::document`] completes it.
pub(crate) fn described_api() -> OpenApi {
    described().split_for_parts().1
}
