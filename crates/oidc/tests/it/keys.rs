//! The issuer's keys and its document: renewed when it is time, never too often, and kept while the issuer does not answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use emcrm_oidc::{IssuerSettings, OidcError, TokenError, TokenKind, Without};
use serde_json::json;

use crate::issuer::{Issuer, Pen};

const BACK: &str = "http://127.0.0.1:1/auth/callback";

#[tokio::test]
async fn made_up_keys_do_not_make_us_a_nuisance_to_the_issuer() {
    let issuer = Issuer::start().await;
    let oidc = issuer.oidc();
    oidc.verify(&issuer.good(), TokenKind::Bearer).await.unwrap();
    for n in 0..50 {
        let token = Pen::new("x").sign(&json!({ "alg": "ES256", "kid": format!("made-up-{n}") }), &issuer.claims());
        assert!(matches!(oidc.verify(&token, TokenKind::Bearer).await, Err(OidcError::Token(TokenError::UnknownKey))));
    }
    assert_eq!(issuer.world.asked_for_keys.load(Ordering::Relaxed), 1, "within a few seconds it is asked once");
    oidc.verify(&issuer.good(), TokenKind::Bearer).await.unwrap();
    // The control: without the pace it is asked each time.
    let eager = issuer.oidc_with(IssuerSettings { without: Without::Pace, ..issuer.settings() });
    for n in 0..5 {
        let token = Pen::new("x").sign(&json!({ "alg": "ES256", "kid": format!("made-up-{n}") }), &issuer.claims());
        let _ = eager.verify(&token, TokenKind::Bearer).await;
    }
    assert_eq!(issuer.world.asked_for_keys.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn a_new_key_is_asked_for_and_a_withdrawn_one_means_nothing() {
    let issuer = Issuer::start().await;
    let new = Pen::new("k2");
    let token = new.sign(&json!({ "alg": "ES256", "kid": "k2" }), &issuer.claims());
    *issuer.world.keys.lock() = vec![new.jwk()];
    let oidc = issuer.oidc();
    oidc.verify(&token, TokenKind::Bearer).await.unwrap();
    assert!(matches!(oidc.verify(&issuer.good(), TokenKind::Bearer).await, Err(OidcError::Token(TokenError::UnknownKey))));
}

/// The issuer is asked for unknown keys every 5 s at most. What it has given us itself waits for that; what a program sends does not.
#[tokio::test]
async fn a_key_that_is_newer_than_what_was_read_a_moment_ago_is_waited_for_where_the_token_came_from_the_issuer() {
    let issuer = Issuer::start().await;
    let oidc = issuer.oidc();
    oidc.verify(&issuer.good(), TokenKind::Bearer).await.unwrap();
    let new = Pen::new("k2");
    let token = new.sign(&json!({ "alg": "ES256", "kid": "k2" }), &issuer.claims());
    *issuer.world.keys.lock() = vec![new.jwk()];
    assert!(matches!(oidc.verify(&token, TokenKind::Bearer).await, Err(OidcError::Token(TokenError::UnknownKey))));
    oidc.verify_given(&token, TokenKind::Id { nonce: "n1" }).await.unwrap();
    assert_eq!(issuer.world.asked_for_keys.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_is_known_holds_while_the_issuer_is_down() {
    let issuer = Issuer::start().await;
    let oidc = issuer.oidc();
    issuer.world.down.store(true, Ordering::Relaxed);
    assert!(
        matches!(oidc.verify(&issuer.good(), TokenKind::Bearer).await, Err(OidcError::Unavailable(_))),
        "nothing is known yet: refused, and not as a wrong token"
    );
    issuer.world.down.store(false, Ordering::Relaxed);
    let oidc = issuer.oidc();
    oidc.verify(&issuer.good(), TokenKind::Bearer).await.unwrap();
    issuer.world.down.store(true, Ordering::Relaxed);
    oidc.verify(&issuer.good(), TokenKind::Bearer).await.unwrap();
}

#[tokio::test]
async fn nobody_whose_key_is_known_waits_while_the_issuer_is_asked_for_another() {
    let issuer = Issuer::start().await;
    let oidc = Arc::new(issuer.oidc_with(IssuerSettings { without: Without::Pace, ..issuer.settings() }));
    oidc.verify(&issuer.good(), TokenKind::Bearer).await.unwrap();
    issuer.world.hangs.store(true, Ordering::Relaxed);
    let unknown = Pen::new("x").sign(&json!({ "alg": "ES256", "kid": "made-up" }), &issuer.claims());
    let asking = tokio::spawn({
        let oidc = oidc.clone();
        async move { oidc.verify(&unknown, TokenKind::Bearer).await.is_err() }
    });
    while issuer.world.asked_for_keys.load(Ordering::Relaxed) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    oidc.verify(&issuer.good(), TokenKind::Bearer).await.unwrap();
    assert!(!asking.is_finished(), "the question was over before it was got past");
    asking.abort();
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    let issuer = Issuer::start().await;
    issuer.pretend("https://evil.example");
    assert!(matches!(issuer.oidc().begin(BACK).await, Err(OidcError::Unavailable(_))));
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_left_alone_for_a_while_and_its_old_document_is_used() {
    let issuer = Issuer::start().await;
    let asked = || issuer.world.asked_for_document.load(Ordering::Relaxed);
    let settings = IssuerSettings { document_kept: Duration::ZERO, ..issuer.settings() };
    let oidc = issuer.oidc_with(settings.clone());
    oidc.begin(BACK).await.unwrap();
    issuer.world.down.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        oidc.begin(BACK).await.unwrap();
    }
    assert_eq!(asked(), 2, "once more, and then not for some seconds");
    // Where nothing is known yet everybody is told so at once, and not one after the other.
    let new = issuer.oidc();
    let [one, two] = [new.begin(BACK).await, new.begin(BACK).await].map(|begun| begun.err().map(|error| error.to_string()).unwrap());
    assert!(one.contains("503"), "{one}");
    assert!(two.contains("a moment ago"), "{two}");
    assert_eq!(asked(), 3);
    // The control: without the pause it is asked each time.
    let eager = issuer.oidc_with(IssuerSettings { without: Without::Pace, ..settings });
    issuer.world.down.store(false, Ordering::Relaxed);
    eager.begin(BACK).await.unwrap();
    issuer.world.down.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        eager.begin(BACK).await.unwrap();
    }
    assert_eq!(asked(), 9);
}

#[tokio::test]
async fn nobody_waits_for_the_document_while_there_is_an_old_one() {
    let issuer = Issuer::start().await;
    let oidc = Arc::new(issuer.oidc_with(IssuerSettings { document_kept: Duration::ZERO, ..issuer.settings() }));
    oidc.begin(BACK).await.unwrap();
    issuer.world.hangs.store(true, Ordering::Relaxed);
    let asking = tokio::spawn({
        let oidc = oidc.clone();
        async move { oidc.begin(BACK).await.is_ok() }
    });
    while issuer.world.asked_for_document.load(Ordering::Relaxed) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..3 {
        oidc.begin(BACK).await.unwrap();
    }
    assert!(!asking.is_finished(), "the question was over before it was got past");
    asking.abort();
    // The control: who has no document waits for it.
    let new = issuer.oidc();
    assert!(tokio::time::timeout(Duration::from_millis(300), new.begin(BACK)).await.is_err());
}

#[tokio::test]
async fn going_to_the_issuer_carries_what_ties_the_answer_to_it() {
    let issuer = Issuer::start().await;
    let (url, begun) = issuer.oidc().begin("http://127.0.0.1:1/auth/callback").await.unwrap();
    for part in [
        "response_type=code",
        "client_id=crm",
        "code_challenge_method=S256",
        &format!("state={}", begun.state),
        &format!("nonce={}", begun.nonce),
        "scope=openid",
    ] {
        assert!(url.contains(part), "{part} in {url}");
    }
    assert!(!url.contains(&begun.verifier), "the verifier stays here");
    let (other, _) = issuer.oidc().begin("http://127.0.0.1:1/auth/callback").await.unwrap();
    assert_ne!(url, other);
}
