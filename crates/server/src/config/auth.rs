//! `AUTH_…`: who may sign in.

use super::section;
use super::setting::{HttpUrl, Secret};

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
        /// Signature algorithm of accepted tokens.
        "AUTH_JWT_ALGORITHM" => jwt_algorithm: String = "RS256",
        /// Hours until somebody has to sign in again.
        "AUTH_TOKEN_EXPIRY_HOURS" => token_expiry_hours: u32 = "24",
        /// OpenID Connect issuer, such as `https://login.example.org`.
        "AUTH_ISSUER" => issuer: Option<HttpUrl> = "",
        /// Client at the issuer.
        "AUTH_CLIENT_ID" => client_id: Option<String> = "",
        /// Secret of the client at the issuer.
        "AUTH_CLIENT_SECRET" => client_secret: Option<Secret> = "",
        /// Role of each group, such as `admins=admin,staff=editor`.
        "AUTH_ROLES" => roles: Option<String> = "",
    }
}
