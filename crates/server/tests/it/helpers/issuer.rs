//! An issuer of whom nothing but its keys can be had, and a pen that signs what a test wants said. Nobody can sign in there.

use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_oidc::{Algorithm, IssuerSettings};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// Where nobody answers.
const ISSUER: &str = "http://127.0.0.1:1";
const CLIENT: &str = "crm";

pub struct Issuer {
    pair: EcdsaKeyPair,
    keys: String,
}

impl Issuer {
    pub async fn start() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let published = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "kid": "k1", "x": x, "y": y }] });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = format!("http://{}/keys", listener.local_addr().unwrap());
        let routes = Router::new().route("/keys", get(move || std::future::ready(Json(published.clone()))));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { pair, keys }
    }

    pub fn settings(&self) -> IssuerSettings {
        IssuerSettings { algorithm: Algorithm::ES256, jwks_url: Some(self.keys.clone()), ..IssuerSettings::of(ISSUER, CLIENT, None) }
    }

    /// What a viewer has for an hour from `now`, in seconds since 1970; with these claims instead.
    pub fn token(&self, now: i64, instead: Value) -> String {
        let mut claims =
            json!({ "iss": ISSUER, "aud": CLIENT, "sub": "val", "email": "val@example.org", "groups": ["viewer"], "iat": now, "exp": now + 3_600 });
        claims.as_object_mut().unwrap().extend(instead.as_object().unwrap().clone());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" })), part(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
