//! `AUTH_…`: who may sign in.

use super::section;
use super::setting::{Groups, HttpUrl, RoleName, Secret, TokenAlgorithm};

section! {
    /// Sign-in.
    AuthConfig {
        /// Everybody has to sign in.
        "AUTH_ENABLED" => enabled: bool = "false",
        /// Cognito user pool, such as `eu-central-1_AbCdEfGhI`.
        "AUTH_COGNITO_USER_POOL_ID" => cognito_user_pool_id: Option<String> = "",
        /// Client of the Cognito user pool.
        "AUTH_COGNITO_CLIENT_ID" => cognito_client_id: Option<String> = "",
        /// Secret of the Cognito client.
        "AUTH_COGNITO_CLIENT_SECRET" => cognito_client_secret: Option<Secret> = "",
        /// AWS region of the user pool. Without it: `DB_AWS_REGION`.
        "AUTH_COGNITO_REGION" => cognito_region: Option<String> = "",
        /// Signature algorithm of accepted tokens. Tokens with another one are refused, so that no token can choose.
        "AUTH_JWT_ALGORITHM" => jwt_algorithm: TokenAlgorithm = "RS256",
        /// Hours after which somebody has to sign in again, however busy they are.
        "AUTH_TOKEN_EXPIRY_HOURS" => token_expiry_hours: u32 = "24",
        /// Minutes without use after which somebody has to sign in again.
        "AUTH_SESSION_IDLE_MINUTES" => session_idle_minutes: u32 = "120",
        /// OpenID Connect issuer, such as `https://login.example.org`. Not together with a Cognito user pool.
        "AUTH_ISSUER" => issuer: Option<HttpUrl> = "",
        /// Client at the issuer.
        "AUTH_CLIENT_ID" => client_id: Option<String> = "",
        /// Secret of the client at the issuer.
        "AUTH_CLIENT_SECRET" => client_secret: Option<Secret> = "",
        /// Role of each group, such as `admins=admin,staff=editor,door=checkin:{event id}`. Without it the groups `admin`, `sender`, `editor` and `viewer` have the roles of their names.
        "AUTH_ROLES" => roles: Option<Groups> = "",
        /// Role of everybody who can sign in and is in no group that has one. Without it they may do nothing.
        "AUTH_DEFAULT_ROLE" => default_role: Option<RoleName> = "",
        /// Claim of a token that holds somebody's groups. Without it: `cognito:groups` with Cognito, else `groups`.
        "AUTH_GROUPS_CLAIM" => groups_claim: Option<String> = "",
        /// What is asked for at sign-in, separated by blanks. Without it: `openid email profile`.
        "AUTH_SCOPES" => scopes: Option<String> = "",
        /// Audience of access tokens that programs send, besides the client itself.
        "AUTH_AUDIENCE" => audience: Option<String> = "",
        /// Where the issuer's keys are, when not where its own document says.
        "AUTH_JWKS_URL" => jwks_url: Option<HttpUrl> = "",
    }
}
