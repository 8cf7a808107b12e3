//! Tokens of programs: made, shown once, revoked.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::AppError;
use emcrm_model::{ApiToken, ApiTokenDraft};
use serde::Serialize;
use serde_json::{Value, json};

use crate::auth::{Admin, Auth};
use crate::http::Answer;
use crate::http::path::PathText;
use crate::router::ApiState;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

const PATH: &str = "/app/settings/tokens";

#[derive(Serialize)]
struct Page {
    shell: Shell,
    outbox: bool,
    rows: Vec<Row>,
    /// The new token, this once.
    made: Option<String>,
    typed: Typed,
    faults: BTreeMap<String, String>,
    /// The form was sent before, and acted then.
    twice: bool,
    /// Makes a form that is sent twice act once.
    once: String,
}

#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    hint: String,
    grant: String,
    made: String,
    by: String,
    used: Option<String>,
    until: Option<String>,
    revoked: Option<String>,
    expired: bool,
}

/// What is in the fields.
#[derive(Serialize, Default)]
struct Typed {
    name: String,
    grant: String,
    event: String,
    days: String,
}

impl Typed {
    /// What a new form has: a token for looking that ends some day.
    fn fresh() -> Self {
        Self { grant: "viewer".to_owned(), days: "365".to_owned(), ..Self::default() }
    }
}

async fn show(auth: &Auth<Admin>, state: &ApiState, status: StatusCode, made: Option<String>, typed: Typed, faults: BTreeMap<String, String>) -> Answer {
    let now = auth.app().now().to_string();
    let row = |token: ApiToken| Row {
        expired: token.valid_until.as_ref().is_some_and(|until| *until <= now),
        id: token.id,
        name: token.name,
        hint: token.hint,
        grant: token.grant,
        made: token.created_at,
        by: token.created_by,
        used: token.last_used_at,
        until: token.valid_until,
        revoked: token.revoked_at,
    };
    let rows = auth.app().token_list(auth.read()).await?.into_iter().map(row).collect();
    let context = Page {
        shell: Shell::of(auth, state, Place::Settings),
        outbox: auth.app().has_outbox(),
        rows,
        made,
        typed,
        faults,
        twice: status == StatusCode::CONFLICT,
        once: auth.app().ids.random().to_string(),
    };
    render(status, "settings/tokens.html", context)
}

pub async fn page(auth: Auth<Admin>, State(state): State<ApiState>) -> Answer {
    show(&auth, &state, StatusCode::OK, None, Typed::fresh(), BTreeMap::new()).await
}

/// The answer is the page with the token in it, and no redirect: it must not be found in a history.
pub async fn create(auth: Auth<Admin>, State(state): State<ApiState>, form: Form) -> Answer {
    let call = auth.write(&form)?;
    let text = |name: &str| form.value(name).unwrap_or_default().trim().to_owned();
    let typed = Typed { name: text("name"), grant: text("grant"), event: text("event"), days: text("days") };
    let grant = if typed.grant == "checkin" { format!("checkin:{}", typed.event) } else { typed.grant.clone() };
    let days = match typed.days.as_str() {
        "" => Value::Null,
        days => days.parse::<i64>().map_or_else(|_| Value::from(days), Value::from),
    };
    let made = match ApiTokenDraft::parse(&json!({ "name": typed.name, "grant": grant, "days": days })) {
        Ok(draft) => auth.app().token_create(&call, draft).await.map(|(_, token)| token),
        Err(faults) => Err(AppError::from(faults)),
    };
    match made {
        Ok(token) => show(&auth, &state, StatusCode::OK, Some(token), Typed::fresh(), BTreeMap::new()).await,
        Err(AppError::Invalid(faults)) => {
            let faults = faults.0.into_iter().map(|fault| (fault.path.join("."), fault.message)).collect();
            show(&auth, &state, StatusCode::UNPROCESSABLE_ENTITY, None, typed, faults).await
        }
        Err(AppError::KeyReused) => show(&auth, &state, StatusCode::CONFLICT, None, Typed::fresh(), BTreeMap::new()).await,
        Err(error) => Err(error.into()),
    }
}

pub async fn revoke(auth: Auth<Admin>, PathText(id): PathText, form: Form) -> Answer {
    let token = auth.app().token_revoke(&auth.write(&form)?, &id).await?;
    Ok(flash(see_other(PATH)?, &format!("“{}” is refused from now on", token.name), None))
}
