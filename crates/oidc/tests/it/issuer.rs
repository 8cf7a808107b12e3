//! An issuer on this machine: its document, its keys, and a pen that signs anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_model::FixedClock;
use emcrm_oidc::{Algorithm, IssuerSettings, Oidc};
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};

pub const CLIENT: &str = "crm";
/// When all tests take place, in seconds since 1970.
pub const NOW: i64 = 1_800_000_000;

pub struct Pen {
    pub kid: String,
    pair: EcdsaKeyPair,
}

impl Pen {
    pub fn new(kid: &str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self { kid: kid.to_owned(), pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap() }
    }

    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.public()[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) })
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[derive(Default)]
pub struct World {
    pub keys: Mutex<Vec<Value>>,
    pub asked_for_keys: AtomicU32,
    pub asked_for_document: AtomicU32,
    pub down: AtomicBool,
    /// Does not answer, and does not say so.
    pub hangs: AtomicBool,
    /// Members of its document that differ from ours, or are not in it.
    pub says: Mutex<Map<String, Value>>,
    issuer: Mutex<String>,
}

pub struct Issuer {
    pub world: Arc<World>,
    pub pen: Pen,
    pub url: String,
    pub clock: Arc<FixedClock>,
}

type Answer = Result<Json<Value>, StatusCode>;

async fn document(State(world): State<Arc<World>>) -> Answer {
    world.asked_for_document.fetch_add(1, Ordering::Relaxed);
    if world.hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    if world.down.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let issuer = world.issuer.lock().clone();
    let plain = json!({ "issuer": issuer, "authorization_endpoint": format!("{issuer}/a"), "token_endpoint": format!("{issuer}/t"), "jwks_uri": format!("{issuer}/k") });
    Ok(Json(changed(plain, &Value::Object(world.says.lock().clone()))))
}

async fn keys(State(world): State<Arc<World>>) -> Answer {
    world.asked_for_keys.fetch_add(1, Ordering::Relaxed);
    if world.hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    if world.down.load(Ordering::Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(json!({ "keys": *world.keys.lock() })))
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (world, pen) = (Arc::new(World::default()), Pen::new("k1"));
        world.keys.lock().push(pen.jwk());
        world.issuer.lock().clone_from(&url);
        let routes = Router::new().route("/.well-known/openid-configuration", get(document)).route("/k", get(keys)).with_state(world.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { world, pen, url, clock: Arc::new(FixedClock::new(jiff::Timestamp::from_second(NOW).unwrap())) }
    }

    pub fn settings(&self) -> IssuerSettings {
        IssuerSettings { algorithm: Algorithm::ES256, ..IssuerSettings::of(&self.url, CLIENT, None) }
    }

    pub fn oidc(&self) -> Oidc {
        self.oidc_with(self.settings())
    }

    pub fn oidc_with(&self, settings: IssuerSettings) -> Oidc {
        Oidc::new(settings, self.clock.clone()).unwrap()
    }

    /// Says that the issuer of the document is another one.
    pub fn pretend(&self, issuer: &str) {
        issuer.clone_into(&mut self.world.issuer.lock());
    }

    pub fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "JWT", "kid": self.pen.kid })
    }

    /// What a good id token says.
    pub fn claims(&self) -> Value {
        json!({ "iss": self.url, "sub": "ann-1", "aud": CLIENT, "exp": NOW + 600, "iat": NOW, "nonce": "n1", "email": "ann@example.org", "groups": ["staff"] })
    }

    pub fn good(&self) -> String {
        self.pen.sign(&self.header(), &self.claims())
    }

    /// Signed, with these claims changed; null takes one out.
    pub fn with(&self, changes: &Value) -> String {
        self.pen.sign(&self.header(), &changed(self.claims(), changes))
    }
}

pub fn changed(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        let object = value.as_object_mut().unwrap();
        if change.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), change.clone());
        }
    }
    value
}
