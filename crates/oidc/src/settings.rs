//! Which issuer, which client, what is accepted.

use std::time::Duration;

pub use jsonwebtoken::Algorithm;

/// See [`IssuerSettings::document_kept`].
const DOCUMENT_KEPT: Duration = Duration::from_hours(1);
/// See [`IssuerSettings::refresh_time`].
const REFRESH_TIME: Duration = Duration::from_secs(20);

/// Settings of one issuer.
#[derive(Clone)]
pub struct IssuerSettings {
    /// As in `iss` of its tokens, without a slash at the end.
    pub issuer: String,
    /// Where its keys are, when not where its own document says.
    pub jwks_url: Option<String>,
    pub client_id: String,
    /// None: a public client.
    pub client_secret: Option<String>,
    /// Signature algorithm of accepted tokens. Only one, so that no token can choose.
    pub algorithm: Algorithm,
    /// What is asked for at sign-in.
    pub scopes: Vec<String>,
    /// The claim that holds somebody's groups.
    pub groups_claim: String,
    /// What access tokens are for, besides the client itself.
    pub audience: Option<String>,
    /// A Cognito user pool: access tokens name the client in `client_id`, and signing out has parameters of its own.
    pub cognito: bool,
    /// How long the issuer's document is good. Afterwards it is read again, and used on while that fails.
    pub document_kept: Duration,
    /// How long asking anew about a session may take altogether, however many requests that is. Whoever asks must have given up before somebody else may.
    pub refresh_time: Duration,
    pub without: Without,
}

/// A check of tokens that a test takes away, to show that it would see the attack succeed. No setting does that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Without {
    #[default]
    Nothing,
    /// A token may be signed in whatever way it says.
    Algorithm,
    /// By whatever issuer it says.
    Issuer,
    /// For whomever.
    Audience,
    /// At whatever time.
    Times,
    /// As the answer to whatever sign-in.
    Nonce,
    /// Not a check: the issuer is asked for unknown keys as often as they come, and for its document at once after it did not answer.
    Pace,
}

/// The secret stays out of logs.
impl std::fmt::Debug for IssuerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerSettings").field("issuer", &self.issuer).field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl IssuerSettings {
    /// A Cognito user pool by its id and region.
    pub fn cognito(region: &str, pool: &str, client_id: &str, client_secret: Option<String>) -> Self {
        Self {
            issuer: format!("https://cognito-idp.{region}.amazonaws.com/{pool}"),
            jwks_url: None,
            client_id: client_id.to_owned(),
            client_secret,
            algorithm: Algorithm::RS256,
            scopes: ["openid", "email", "profile"].map(str::to_owned).to_vec(),
            groups_claim: "cognito:groups".to_owned(),
            audience: None,
            cognito: true,
            document_kept: DOCUMENT_KEPT,
            refresh_time: REFRESH_TIME,
            without: Without::Nothing,
        }
    }

    /// Any other issuer.
    pub fn of(issuer: &str, client_id: &str, client_secret: Option<String>) -> Self {
        Self {
            issuer: issuer.trim_end_matches('/').to_owned(),
            groups_claim: "groups".to_owned(),
            cognito: false,
            ..Self::cognito("", "", client_id, client_secret)
        }
    }
}
