//! The authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core 3.1), refreshing, signing out.

use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType};
use oauth2::{
    AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::discovery::Metadata;
use crate::{Oidc, OidcError};

/// The member of a token answer that OpenID Connect adds.
#[derive(Clone, Default, Deserialize, Serialize)]
struct IdToken {
    #[serde(default)]
    id_token: Option<String>,
}

/// Tokens stay out of logs.
impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken")
    }
}

impl ExtraTokenFields for IdToken {}

type Answer = StandardTokenResponse<IdToken, BasicTokenType>;
type IssuerClient = Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// A sign-in that has begun. What the browser must bring back.
#[derive(Clone, Serialize, Deserialize)]
pub struct Begun {
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

/// What the issuer gives for a code or a refresh token.
pub struct Grant {
    pub id_token: Option<String>,
    pub access_token: String,
    pub refresh_token: Option<String>,
    /// Seconds.
    pub expires_in: Option<i64>,
}

fn unavailable(error: impl std::fmt::Display) -> OidcError {
    OidcError::Unavailable(error.to_string())
}

impl Oidc {
    fn client(&self, metadata: &Metadata) -> Result<IssuerClient, OidcError> {
        let client = Client::new(ClientId::new(self.settings.client_id.clone()))
            .set_auth_uri(AuthUrl::new(metadata.authorization_endpoint.clone()).map_err(unavailable)?)
            .set_token_uri(TokenUrl::new(metadata.token_endpoint.clone()).map_err(unavailable)?);
        Ok(match &self.settings.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.clone())),
            None => client,
        })
    }

    /// Where the browser goes to sign in, and what it must bring back.
    pub async fn begin(&self, redirect: &str) -> Result<(String, Begun), OidcError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata)?.set_redirect_uri(RedirectUrl::new(redirect.to_owned()).map_err(unavailable)?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random().secret().clone();
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let request = client.authorize_url(CsrfToken::new_random).add_scopes(scopes).set_pkce_challenge(challenge).add_extra_param("nonce", nonce.clone());
        let (url, state) = request.url();
        Ok((url.to_string(), Begun { state: state.secret().clone(), nonce, verifier: verifier.secret().clone() }))
    }

    /// What the code is worth.
    pub async fn exchange(&self, redirect: &str, code: &str, begun: &Begun) -> Result<Grant, OidcError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata)?.set_redirect_uri(RedirectUrl::new(redirect.to_owned()).map_err(unavailable)?);
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned())).set_pkce_verifier(PkceCodeVerifier::new(begun.verifier.clone()));
        self.granted(request.request_async(&self.http).await)
    }

    pub async fn refresh(&self, refresh_token: &str) -> Result<Grant, OidcError> {
        let metadata = self.metadata().await?;
        let token = RefreshToken::new(refresh_token.to_owned());
        let client = self.client(&metadata)?;
        self.granted(client.exchange_refresh_token(&token).request_async(&self.http).await)
    }

    #[expect(clippy::unused_self, reason = "reads as the other steps do")]
    fn granted<E: std::error::Error + 'static>(&self, answer: Result<Answer, RequestTokenError<E, BasicErrorResponse>>) -> Result<Grant, OidcError> {
        match answer {
            Ok(answer) => Ok(Grant {
                id_token: answer.extra_fields().id_token.clone(),
                access_token: answer.access_token().secret().clone(),
                refresh_token: answer.refresh_token().map(|token| token.secret().clone()),
                expires_in: answer.expires_in().and_then(|time| i64::try_from(time.as_secs()).ok()),
            }),
            // The only answer that is about this code or token (RFC 6749, section 5.2). Others are about the issuer or the client, and pass or are mended.
            Err(RequestTokenError::ServerResponse(refusal)) if *refusal.error() == BasicErrorResponseType::InvalidGrant => {
                Err(OidcError::Refused(refusal.error().to_string()))
            }
            Err(RequestTokenError::ServerResponse(refusal)) => Err(unavailable(refusal.error())),
            Err(RequestTokenError::Request(error)) => Err(unavailable(error)),
            // The body may hold tokens: not even its beginning is repeated.
            Err(RequestTokenError::Parse(..)) => Err(unavailable("its answer cannot be read")),
            Err(RequestTokenError::Other(error)) => Err(unavailable(error)),
        }
    }

    /// Where the browser goes to sign out at the issuer too; none when the issuer has no such page. `id_token`: empty where there is none.
    pub async fn sign_out_url(&self, id_token: &str, back_to: &str) -> Option<String> {
        let metadata = self.metadata().await.ok()?;
        let mut url = Url::parse(metadata.end_session_endpoint.as_deref()?).ok()?;
        if self.settings.cognito {
            url.query_pairs_mut().append_pair("client_id", &self.settings.client_id).append_pair("logout_uri", back_to);
        } else {
            // An empty hint is a wrong one, and many issuers then show an error instead of signing out.
            if !id_token.is_empty() {
                url.query_pairs_mut().append_pair("id_token_hint", id_token);
            }
            url.query_pairs_mut().append_pair("client_id", &self.settings.client_id).append_pair("post_logout_redirect_uri", back_to);
        }
        Some(url.into())
    }

    /// Whether an answer names our issuer, where it names one (RFC 9207).
    pub fn is_our_issuer(&self, iss: Option<&str>) -> bool {
        iss.is_none_or(|iss| iss.trim_end_matches('/') == self.settings.issuer)
    }
}
