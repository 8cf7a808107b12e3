//! A user pool of Cognito: its pages stand on a domain of their own, and its page to sign out takes other parameters than OpenID Connect says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_oidc::{IssuerSettings, Oidc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::issuer::{CLIENT, Issuer};

const PAGES: &str = "https://staff.auth.us-east-1.amazoncognito.com";
const BACK: &str = "https://crm.example/app/signin";

/// The document of a pool, with the members that Cognito writes.
fn document(issuer: &Issuer) -> Value {
    json!({
        "authorization_endpoint": format!("{PAGES}/oauth2/authorize"),
        "end_session_endpoint": format!("{PAGES}/logout"),
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": issuer.url,
        "jwks_uri": format!("{}/k", issuer.url),
        "response_types_supported": ["code", "token"],
        "revocation_endpoint": format!("{PAGES}/oauth2/revoke"),
        "scopes_supported": ["openid", "email", "phone", "profile"],
        "subject_types_supported": ["public"],
        "token_endpoint": format!("{PAGES}/oauth2/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "userinfo_endpoint": format!("{PAGES}/oauth2/userInfo"),
    })
}

async fn pool() -> (Issuer, Oidc) {
    let issuer = Issuer::start().await;
    issuer.world.says.lock().clone_from(document(&issuer).as_object().unwrap());
    let settings = IssuerSettings::cognito("us-east-1", "us-east-1_Staff", CLIENT, Some("secret".to_owned()));
    assert_eq!(settings.issuer, "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Staff");
    let oidc = issuer.oidc_with(IssuerSettings { issuer: issuer.url.clone(), ..settings });
    (issuer, oidc)
}

/// An address without its query, and the query; no name stands in it twice.
fn parts(url: &str) -> (String, BTreeMap<String, String>) {
    let mut url = Url::parse(url).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    let named: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(named.len(), pairs.len());
    (url.into(), named)
}

fn query(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn people_are_sent_to_the_pages_of_the_pool_with_everything_that_ties_the_answer_to_the_question() {
    let (_issuer, oidc) = pool().await;
    let redirect = "https://crm.example/auth/callback";
    let (url, begun) = oidc.begin(redirect).await.unwrap();
    let (page, asked) = parts(&url);
    assert_eq!(page, format!("{PAGES}/oauth2/authorize"));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(begun.verifier.as_bytes()));
    let expected = query(&[
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", redirect),
        ("scope", "openid email profile"),
        ("state", &begun.state),
        ("nonce", &begun.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    assert_eq!(asked, expected);
    // 128 bits or more each, in base64url, and others each time.
    let (_, next) = oidc.begin(redirect).await.unwrap();
    for (one, other) in [(begun.state, next.state), (begun.nonce, next.nonce), (begun.verifier, next.verifier)] {
        assert!(one.len() >= 22 && one != other, "{one} {other}");
    }
}

#[tokio::test]
async fn signing_out_of_a_pool_names_the_client_and_where_to_go_and_shows_no_token() {
    let (issuer, oidc) = pool().await;
    let (page, asked) = parts(&oidc.sign_out_url("the id token", BACK).await.unwrap());
    assert_eq!((page, asked), (format!("{PAGES}/logout"), query(&[("client_id", CLIENT), ("logout_uri", BACK)])));
    // The control: every other issuer is asked as OpenID Connect says, and one without such a page is not asked.
    let other = issuer.oidc_with(issuer.settings());
    let (_, asked) = parts(&other.sign_out_url("the id token", BACK).await.unwrap());
    assert_eq!(asked, query(&[("id_token_hint", "the id token"), ("client_id", CLIENT), ("post_logout_redirect_uri", BACK)]));
    issuer.world.says.lock().remove("end_session_endpoint");
    assert_eq!(issuer.oidc().sign_out_url("the id token", BACK).await, None);
}
