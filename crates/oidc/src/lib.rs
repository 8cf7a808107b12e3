//! Signing in with an OpenID Connect issuer, and tokens of that issuer. It knows no route, no cookie and no role.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | which issuer, which client, what is accepted |
//! | `discovery` | what the issuer says about itself, kept |
//! | `keys` | the issuer's keys, kept, asked for anew when one is unknown |
//! | `flow` | the authorization code flow with PKCE, refreshing, signing out |
//! | `verify` | a token's signature and claims |
//! | `crypto` | signatures by `ring`, for `jsonwebtoken` |
//! | `http` | one bounded request to the issuer |

mod crypto;
mod discovery;
mod flow;
mod http;
mod keys;
mod settings;
mod verify;

pub use flow::{Begun, Grant};
pub use settings::{Algorithm, IssuerSettings, Without};
pub use verify::{Claims, TokenError, TokenKind};

use std::sync::Arc;

use emcrm_model::Clock;

use discovery::Discovery;
use keys::Keys;

/// Why the issuer could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The issuer does not answer, or not in a way that can be understood. Trying again may work.
    #[error("the issuer cannot be used: {0}")]
    Unavailable(String),
    /// The issuer says no: the code or the refresh token is not good any more.
    #[error("the issuer refuses: {0}")]
    Refused(String),
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// One issuer.
pub struct Oidc {
    settings: IssuerSettings,
    http: http::Http,
    clock: Arc<dyn Clock>,
    discovery: Discovery,
    keys: Keys,
}

impl Oidc {
    pub fn new(settings: IssuerSettings, clock: Arc<dyn Clock>) -> Result<Self, OidcError> {
        crypto::install();
        Ok(Self { settings, http: http::Http::new()?, clock, discovery: Discovery::default(), keys: Keys::default() })
    }

    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }
}
