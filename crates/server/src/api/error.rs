//! Errors on the wire: ONE table from [`AppError`] to status and code, and the RFC 9457 body that carries them.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use emcrm_app::AppError;
use emcrm_mail::MailError;
use emcrm_model::FieldErrors;
use emcrm_search::SearchError;
use emcrm_store::EngineError;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::gate::Allowance;

/// What a handler can fail with.
#[derive(Debug)]
pub enum ApiError {
    App(AppError),
    /// Faults in the query string.
    Query(FieldErrors),
    Problem(Problem),
}

/// An answer that is an error.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Detail,
    retry_after: Option<u32>,
    allowance: Option<Box<Allowance>>,
    challenge: Option<Challenge>,
    /// For the log, never for the client.
    cause: Option<String>,
}

/// What a 401 asks for (RFC 6750, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Nobody said who calls.
    Who,
    /// The token that was sent is not good.
    WrongToken,
}

impl Challenge {
    fn header(self) -> &'static str {
        match self {
            Self::Who => "Bearer realm=\"EMCRM\"",
            Self::WrongToken => "Bearer realm=\"EMCRM\", error=\"invalid_token\"",
        }
    }
}

#[derive(Debug)]
enum Detail {
    Text(String),
    Fields { at: &'static str, faults: FieldErrors },
}

/// Why a request failed with a 5xx status. Put into the response for the edge, which logs it with the request's id.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub String);

/// What the body of a problem says, for whoever makes a page of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub code: &'static str,
    pub text: String,
    /// Faulty fields, each as a sentence.
    pub faults: Vec<String>,
}

impl Told {
    fn of(code: &'static str, detail: &Detail) -> Self {
        match detail {
            Detail::Text(text) => Self { code, text: text.clone(), faults: Vec::new() },
            Detail::Fields { faults, .. } => {
                let sentence = |fault: &emcrm_model::FieldError| format!("{} {}", fault.path.join("."), fault.message).trim().to_owned();
                Self { code, text: "Some fields cannot be taken as they are.".to_owned(), faults: faults.0.iter().map(sentence).collect() }
            }
        }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<FieldErrors> for ApiError {
    fn from(faults: FieldErrors) -> Self {
        Self::App(AppError::Invalid(faults))
    }
}

impl ApiError {
    pub(crate) fn internal(cause: &str) -> Self {
        Self::App(AppError::Internal(cause.to_owned()))
    }
    /// A fault of the body as a whole.
    pub(crate) fn bad_body(kind: &'static str, message: impl Into<String>) -> Self {
        FieldErrors::one("", kind, message).into()
    }
    /// A use case found a fault in something that came by the query string.
    pub(crate) fn of_query(error: AppError) -> Self {
        match error {
            AppError::Invalid(faults) => Self::Query(faults),
            other => Self::App(other),
        }
    }
}

/// 404 without a hint of what could have been there.
pub(crate) fn not_found() -> ApiError {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "Not Found").into()
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: Detail::Text(detail.into()), retry_after: None, allowance: None, challenge: None, cause: None }
    }
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
    /// Something that must not be: told as it is, so that it is found.
    pub(crate) fn is_bug(&self) -> bool {
        self.status == StatusCode::INTERNAL_SERVER_ERROR
    }
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
    pub(crate) fn allowance(self, allowance: Allowance) -> Self {
        Self { allowance: Some(Box::new(allowance)), ..self }
    }
    pub(crate) fn challenge(self, challenge: Challenge) -> Self {
        Self { challenge: Some(challenge), ..self }
    }
    fn cause(self, cause: String) -> Self {
        Self { cause: Some(cause), ..self }
    }
    pub(crate) fn unavailable(code: &'static str, detail: &'static str, seconds: u32, cause: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(seconds).cause(cause)
    }
    /// The same as an answer of 503, for a caller who takes what is 4xx as said once and for all.
    pub(crate) fn into_unavailable(self) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, ..self }
    }
    pub(crate) fn internal(cause: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side. The request id leads to the cause.").cause(cause)
    }
    fn invalid(at: &'static str, faults: FieldErrors) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { status, code: "validation_error", detail: Detail::Fields { at, faults }, retry_after: None, allowance: None, challenge: None, cause: None }
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::App(error) => of_app(error),
            ApiError::Query(faults) => Self::invalid("query", faults),
            ApiError::Problem(problem) => problem,
        }
    }
}

/// The table. What a client sees of a fault of ours is constant.
fn of_app(error: AppError) -> Problem {
    let text = error.to_string();
    let with = |status: StatusCode, code| Problem::new(status, code, text.clone());
    match error {
        AppError::Invalid(faults) => Problem::invalid("body", faults),
        AppError::Forbidden(_) => with(StatusCode::FORBIDDEN, "forbidden"),

        AppError::UserUnknown => with(StatusCode::NOT_FOUND, "user_not_found"),
        AppError::EventUnknown => with(StatusCode::NOT_FOUND, "event_not_found"),
        AppError::AttendanceUnknown => with(StatusCode::NOT_FOUND, "attendance_not_found"),
        AppError::CampaignUnknown => with(StatusCode::NOT_FOUND, "email_request_not_found"),
        AppError::TokenUnknown => with(StatusCode::NOT_FOUND, "token_not_found"),
        AppError::TemplateUnknown => with(StatusCode::NOT_FOUND, "template_not_found"),
        AppError::SuppressionUnknown => with(StatusCode::NOT_FOUND, "suppression_not_found"),
        AppError::NothingThere(_) => with(StatusCode::NOT_FOUND, "nothing_there"),
        AppError::NoUsersMatch => with(StatusCode::NOT_FOUND, "no_users_match"),

        AppError::UserIdTaken => with(StatusCode::BAD_REQUEST, "user_id_taken"),
        AppError::EventIdTaken => with(StatusCode::BAD_REQUEST, "event_id_taken"),
        AppError::EmailTaken => with(StatusCode::BAD_REQUEST, "email_taken"),
        AppError::SlugTaken => with(StatusCode::BAD_REQUEST, "slug_taken"),
        AppError::HostsUnknown(_) => with(StatusCode::BAD_REQUEST, "hosts_unknown"),
        AppError::AlreadyAttending => with(StatusCode::BAD_REQUEST, "already_attending"),
        AppError::CapacityTooLow { .. } => with(StatusCode::BAD_REQUEST, "capacity_too_low"),
        AppError::BadCursor => with(StatusCode::BAD_REQUEST, "bad_cursor"),
        AppError::TooDeep => with(StatusCode::BAD_REQUEST, "too_deep"),

        AppError::RegistrationClosed => with(StatusCode::CONFLICT, "event_over"),
        AppError::EventFull => with(StatusCode::CONFLICT, "event_full"),
        AppError::CampaignState { .. } => with(StatusCode::CONFLICT, "wrong_state"),
        AppError::AudienceChanged { .. } => with(StatusCode::CONFLICT, "audience_changed"),
        AppError::Contended => with(StatusCode::CONFLICT, "contended").retry_after(1),
        AppError::StaleRev => with(StatusCode::PRECONDITION_FAILED, "stale"),
        AppError::KeyReused => with(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),

        AppError::Storage(error) => match error {
            EngineError::Unavailable(_) => Problem::unavailable("storage_unavailable", "The storage is not available. Nothing was changed.", 2, text),
            EngineError::Unknown(_) => {
                Problem::unavailable("outcome_unknown", "The storage did not answer in time. The change may have happened: read before you repeat it.", 2, text)
            }
            EngineError::Full => Problem::unavailable("storage_full", "The storage is full. Nothing was changed.", 60, text),
            EngineError::Limit(_) | EngineError::Corrupt(_) => Problem::internal(text),
        },
        AppError::Search(error) => match error {
            SearchError::Unavailable(_) | SearchError::Corrupt(_) => {
                Problem::unavailable("search_unavailable", "Searching is not possible right now.", 2, text)
            }
            SearchError::Invalid(_) => Problem::internal(text),
        },
        AppError::Mail(error) => match error {
            MailError::Temporary { .. } | MailError::Unavailable { .. } => {
                Problem::unavailable("mail_unavailable", "The mail server did not take the mail for now.", 30, text)
            }
            MailError::Permanent { .. } => Problem::new(StatusCode::BAD_GATEWAY, "mail_refused", "The mail server refused the mail.").cause(text),
            MailError::Unknown { .. } => {
                Problem::new(StatusCode::BAD_GATEWAY, "mail_unknown", "The mail server's answer was lost; the mail may have been sent.").cause(text)
            }
        },
        AppError::Internal(_) => Problem::internal(text),
    }
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemOut<'a> {
    /// What kind of problem, as a URI; the part after the last colon is `code`.
    #[schema(value_type = String)]
    r#type: TypeUri<'a>,
    /// The status in words.
    title: &'a str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, for a person; with 422 mostly the list of faulty fields.
    #[schema(schema_with = crate::http::schema::problem_detail)]
    detail: Value,
    /// What is wrong, for a program. Stable.
    code: &'a str,
}

#[derive(Debug)]
struct TypeUri<'a>(&'a str);

impl Serialize for TypeUri<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("urn:emcrm:problem:{}", self.0))
    }
}

/// One faulty field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldFault)]
pub struct FieldFaultOut {
    /// Where: `body` or `query`, then names and list positions.
    #[schema(schema_with = crate::http::schema::location)]
    loc: Vec<Value>,
    msg: String,
    r#type: &'static str,
}

fn fields(at: &'static str, faults: FieldErrors) -> Value {
    let faults = faults.0.into_iter().map(|fault| {
        let path = fault.path.into_iter().map(|part| part.parse::<u32>().map_or_else(|_| Value::from(part), Value::from));
        FieldFaultOut { loc: std::iter::once(Value::from(at)).chain(path).collect(), msg: fault.message, r#type: fault.kind }
    });
    serde_json::to_value(faults.collect::<Vec<_>>()).unwrap_or_default()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = Told::of(self.code, &self.detail);
        let detail = match self.detail {
            Detail::Text(text) => Value::String(text),
            Detail::Fields { at, faults } => fields(at, faults),
        };
        let title = self.status.canonical_reason().unwrap_or("Error");
        let out = ProblemOut { r#type: TypeUri(self.code), title, status: self.status.as_u16(), detail, code: self.code };
        let bytes = serde_json::to_vec(&out).unwrap_or_default();
        let mut response = (self.status, Body::from(bytes)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allowance) = self.allowance {
            allowance.write(response.headers_mut());
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge.header()));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response.extensions_mut().insert(told);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
