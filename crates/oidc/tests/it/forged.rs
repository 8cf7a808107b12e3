//! Every way in which a token can be wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_oidc::{Algorithm, Claims, IssuerSettings, OidcError, TokenError, TokenKind, Without};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::issuer::{Issuer, NOW, Pen, changed, unsigned};

const ID: TokenKind<'_> = TokenKind::Id { nonce: "n1" };

async fn refused(issuer: &Issuer, token: &str, kind: TokenKind<'_>) -> TokenError {
    match issuer.oidc().verify(token, kind).await {
        Err(OidcError::Token(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_good_token_says_who_it_is() {
    let issuer = Issuer::start().await;
    let claims = issuer.oidc().verify(&issuer.good(), ID).await.unwrap();
    let expected = Claims {
        subject: "ann-1".to_owned(),
        label: "ann@example.org".to_owned(),
        email: Some("ann@example.org".to_owned()),
        name: None,
        groups: vec!["staff".to_owned()],
        expires: NOW + 600,
    };
    assert_eq!(claims, expected);
    let several = issuer.with(&json!({ "aud": ["crm", "other"], "azp": "crm", "groups": "one", "email": null, "name": "Ann\u{7}" }));
    let claims = issuer.oidc().verify(&several, TokenKind::Bearer).await.unwrap();
    assert_eq!((claims.label.as_str(), claims.groups.as_slice()), ("Ann", ["one".to_owned()].as_slice()));
}

#[tokio::test]
async fn each_claim_that_is_wrong_is_found() {
    let issuer = Issuer::start().await;
    let cases: &[(Value, TokenError)] = &[
        (json!({ "iss": "https://evil.example" }), TokenError::Issuer),
        (json!({ "aud": "other" }), TokenError::Audience),
        (json!({ "aud": null }), TokenError::Audience),
        (json!({ "aud": ["crm", "other"] }), TokenError::Audience),
        (json!({ "aud": ["crm", "other"], "azp": "other" }), TokenError::Audience),
        (json!({ "azp": "other" }), TokenError::Audience),
        (json!({ "exp": NOW - 61 }), TokenError::Expired),
        (json!({ "exp": 0 }), TokenError::Expired),
        (json!({ "nbf": NOW + 61 }), TokenError::NotYet),
        (json!({ "iat": NOW + 3_600 }), TokenError::NotYet),
        (json!({ "nonce": "n2" }), TokenError::Nonce),
        (json!({ "nonce": null }), TokenError::Nonce),
        (json!({ "exp": null }), TokenError::Malformed),
        (json!({ "exp": "soon" }), TokenError::Malformed),
        (json!({ "sub": null }), TokenError::Malformed),
        (json!({ "sub": "" }), TokenError::Malformed),
        (json!({ "sub": "a\nb" }), TokenError::Malformed),
        (json!({ "sub": "a".repeat(256) }), TokenError::Malformed),
    ];
    for (changes, expected) in cases {
        assert_eq!(&refused(&issuer, &issuer.with(changes), ID).await, expected, "{changes}");
    }
    // The same within the leeway is good: clocks differ.
    issuer.oidc().verify(&issuer.with(&json!({ "exp": NOW - 59, "nbf": NOW + 59 })), ID).await.unwrap();
    // Both may be left out, and a number may be as large as it likes.
    for good in [json!({ "iat": null }), json!({ "iat": null, "nbf": null }), json!({ "exp": 1e300 }), json!({ "nbf": -1e300 })] {
        issuer.oidc().verify(&issuer.with(&good), ID).await.unwrap();
    }
    for bad in [json!({ "exp": -1e300 }), json!({ "nbf": 1e300 })] {
        refused(&issuer, &issuer.with(&bad), ID).await;
    }
    issuer.clock.advance(jiff::SignedDuration::from_secs(661));
    assert_eq!(refused(&issuer, &issuer.good(), ID).await, TokenError::Expired);
}

#[tokio::test]
async fn a_token_chooses_neither_its_algorithm_nor_its_key() {
    let issuer = Issuer::start().await;
    let (header, claims) = (issuer.header(), issuer.claims());
    // No signature at all.
    for alg in ["none", "None", "NONE"] {
        let token = format!("{}.", unsigned(&changed(header.clone(), &json!({ "alg": alg })), &claims));
        assert_eq!(refused(&issuer, &token, ID).await, TokenError::Malformed);
    }
    // The public key, which everybody has, taken for a secret.
    for secret in [issuer.pen.public().to_vec(), issuer.pen.jwk().to_string().into_bytes()] {
        let message = unsigned(&changed(header.clone(), &json!({ "alg": "HS256" })), &claims);
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        assert_eq!(refused(&issuer, &token, ID).await, TokenError::Algorithm);
        // There is nothing to switch off: a public key has a type of its own, which no HMAC takes. It holds also where a token chooses its algorithm.
        let trusting = issuer.oidc_with(IssuerSettings { without: Without::Algorithm, ..issuer.settings() });
        assert!(matches!(trusting.verify(&token, ID).await, Err(OidcError::Token(TokenError::Algorithm))));
        // A reader that believes the token about its algorithm, and takes the key for what that needs, is deceived.
        let [said, _, signature] = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&said).unwrap()["alg"], "HS256");
        assert!(Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(&message).verify_slice(&signature).is_ok());
    }
    // A key that the token brings along, or says where to find.
    let mine = Pen::new("k1");
    for extra in [json!({ "jwk": mine.jwk() }), json!({ "jku": "http://127.0.0.1:1/keys" }), json!({ "x5u": "http://127.0.0.1:1/" }), json!({})] {
        let token = mine.sign(&changed(header.clone(), &extra), &claims);
        assert_eq!(refused(&issuer, &token, ID).await, TokenError::Signature, "{extra}");
    }
    assert_eq!(refused(&issuer, &Pen::new("k2").sign(&json!({ "alg": "ES256", "kid": "k2" }), &claims), ID).await, TokenError::UnknownKey);
    // What would have to be understood, and other kinds of tokens.
    for extra in [json!({ "crit": ["exp"] }), json!({ "typ": "logout+jwt" }), json!({ "typ": "secevent+jwt" })] {
        assert_eq!(refused(&issuer, &issuer.pen.sign(&changed(header.clone(), &extra), &claims), ID).await, TokenError::Malformed, "{extra}");
    }
    // Another algorithm of the same family than the one that is configured.
    let settings = IssuerSettings { algorithm: Algorithm::RS256, ..issuer.settings() };
    let answer = issuer.oidc_with(settings).verify(&issuer.good(), ID).await;
    assert!(matches!(answer, Err(OidcError::Token(TokenError::Algorithm))));
}

/// The attacks of the tests above, each with the check taken away that stops it: the token is believed, and all others are refused as before.
#[tokio::test]
async fn without_a_check_the_token_that_it_stops_is_believed() {
    let issuer = Issuer::start().await;
    let cases = [
        (Without::Issuer, json!({ "iss": "https://evil.example" })),
        (Without::Audience, json!({ "aud": "other" })),
        (Without::Audience, json!({ "aud": ["crm", "other"], "azp": "other" })),
        (Without::Times, json!({ "exp": NOW - 3_600 })),
        (Without::Times, json!({ "nbf": NOW + 3_600 })),
        (Without::Nonce, json!({ "nonce": "n2" })),
    ];
    for without in [Without::Nothing, Without::Algorithm, Without::Issuer, Without::Audience, Without::Times, Without::Nonce] {
        let oidc = issuer.oidc_with(IssuerSettings { without, ..issuer.settings() });
        for (stopped_by, changes) in &cases {
            let answer = oidc.verify(&issuer.with(changes), ID).await;
            assert_eq!(answer.is_ok(), *stopped_by == without, "{without:?} {changes}: {answer:?}");
        }
        // Signed in a way that the issuer's keys are made for, but not in the one that is configured.
        let oidc = issuer.oidc_with(IssuerSettings { algorithm: Algorithm::RS256, without, ..issuer.settings() });
        let answer = oidc.verify(&issuer.good(), ID).await;
        assert_eq!(answer.is_ok(), without == Without::Algorithm, "{without:?}: {answer:?}");
    }
}

#[tokio::test]
async fn one_changed_character_is_enough_to_be_refused() {
    let issuer = Issuer::start().await;
    let (oidc, good) = (issuer.oidc(), issuer.good());
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let token = String::from_utf8(bytes).unwrap();
        assert!(oidc.verify(&token, ID).await.is_err(), "at {at}");
    }
    for bad in ["", ".", "..", "a.b.c", "a.b", &good[1..], &format!("{good}."), &"a".repeat(20_000), "ü.ü.ü"] {
        assert!(oidc.verify(bad, ID).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn access_tokens_of_cognito_name_the_client_and_what_they_are_for() {
    let issuer = Issuer::start().await;
    let settings = IssuerSettings { cognito: true, groups_claim: "cognito:groups".to_owned(), ..issuer.settings() };
    let oidc = issuer.oidc_with(settings);
    let access = json!({ "aud": null, "nonce": null, "email": null, "groups": null, "client_id": "crm", "token_use": "access", "username": "ann", "cognito:groups": ["editor"] });
    let claims = oidc.verify(&issuer.with(&access), TokenKind::Bearer).await.unwrap();
    assert_eq!((claims.label.as_str(), claims.groups.as_slice()), ("ann", ["editor".to_owned()].as_slice()));
    let id = json!({ "token_use": "id" });
    oidc.verify(&issuer.with(&id), ID).await.unwrap();
    for (changes, kind) in [
        (json!({ "client_id": "other" }), TokenKind::Bearer),
        (json!({ "client_id": null }), TokenKind::Bearer),
        (json!({ "token_use": "refresh" }), TokenKind::Bearer),
        (json!({ "token_use": null }), TokenKind::Bearer),
        // An access token is no answer to a sign-in.
        (json!({ "aud": "crm", "nonce": "n1" }), ID),
    ] {
        let token = issuer.with(&changed(access.clone(), &changes));
        assert!(matches!(oidc.verify(&token, kind).await, Err(OidcError::Token(TokenError::Kind | TokenError::Audience))), "{changes}");
    }
}

#[tokio::test]
async fn access_tokens_of_other_issuers_must_be_for_us() {
    let issuer = Issuer::start().await;
    let token = issuer.with(&json!({ "aud": "https://crm.example.org/api", "nonce": null }));
    assert_eq!(refused(&issuer, &token, TokenKind::Bearer).await, TokenError::Audience);
    let settings = IssuerSettings { audience: Some("https://crm.example.org/api".to_owned()), ..issuer.settings() };
    let oidc = issuer.oidc_with(settings);
    oidc.verify(&token, TokenKind::Bearer).await.unwrap();
    assert!(oidc.verify(&token, ID).await.is_err(), "it is no answer to a sign-in");
}
