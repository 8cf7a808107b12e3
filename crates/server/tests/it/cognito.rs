//! The Cognito preset against moto: its pool, its keys, its tokens. Who they say it is, by id token and by access token, and what neither of them may be.

use axum::body::Body;
use axum::http::Method;
use emcrm_model::{Clock as _, SystemClock};
use emcrm_oidc::IssuerSettings;
use emcrm_server::auth::AccessSettings;
use emcrm_server::auth::roles::Roles;
use emcrm_server::router::router;
use serde_json::{Value, json};

use crate::helpers::{Options, TestApp, http_client, part};

const REGION: &str = "us-east-1";

/// One call of Cognito's own API.
async fn cognito(action: &str, body: Value) -> Value {
    let signature = format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/cognito-idp/aws4_request, SignedHeaders=host, Signature=x");
    let request = http_client()
        .post(part("EMCRM_MOTO"))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{action}"))
        .header("authorization", signature)
        .body(body.to_string());
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{action}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

struct Pool {
    id: String,
    client: String,
}

impl Pool {
    async fn new() -> Self {
        let pool = cognito("CreateUserPool", json!({ "PoolName": "crm" })).await;
        let id = pool["UserPool"]["Id"].as_str().unwrap().to_owned();
        let client =
            cognito("CreateUserPoolClient", json!({ "UserPoolId": id, "ClientName": "crm", "ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH"] })).await;
        Self { client: client["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned(), id }
    }

    /// Somebody of these groups: their id token and their access token.
    async fn tokens(&self, name: &str, group: &str) -> (String, String) {
        let attributes = json!([{ "Name": "email", "Value": format!("{name}@example.org") }]);
        cognito("AdminCreateUser", json!({ "UserPoolId": self.id, "Username": name, "UserAttributes": attributes })).await;
        cognito("AdminSetUserPassword", json!({ "UserPoolId": self.id, "Username": name, "Password": "Secret-1234", "Permanent": true })).await;
        cognito("CreateGroup", json!({ "UserPoolId": self.id, "GroupName": group })).await;
        cognito("AdminAddUserToGroup", json!({ "UserPoolId": self.id, "Username": name, "GroupName": group })).await;
        let parameters = json!({ "USERNAME": name, "PASSWORD": "Secret-1234" });
        let auth = json!({ "UserPoolId": self.id, "ClientId": self.client, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": parameters });
        let result = cognito("AdminInitiateAuth", auth).await;
        let token = |name: &str| result["AuthenticationResult"][name].as_str().unwrap().to_owned();
        (token("IdToken"), token("AccessToken"))
    }

    /// moto names AWS as the issuer, and has the keys itself.
    async fn app(&self, client: &str) -> TestApp {
        let jwks_url = Some(format!("{}/{}/.well-known/jwks.json", part("EMCRM_MOTO"), self.id));
        let issuer = IssuerSettings { jwks_url, ..IssuerSettings::cognito(REGION, &self.id, client, None) };
        let access = AccessSettings { issuer: Some(issuer), roles: Roles::default(), ..AccessSettings::default() };
        TestApp::with(Options { access, now: Some(SystemClock.now()), ..Options::default() }, router).await
    }
}

async fn me(app: &TestApp, token: &str) -> crate::helpers::Answer {
    app.call(Method::GET, "/auth/me", &[("authorization", &format!("Bearer {token}"))], Body::empty()).await
}

#[tokio::test]
async fn tokens_of_a_user_pool_say_who_somebody_is_and_what_they_may_do() {
    let pool = Pool::new().await;
    let (id, access) = pool.tokens("ann", "editor").await;
    let app = pool.app(&pool.client).await;
    for token in [&id, &access] {
        let who = me(&app, token).await.ok();
        assert_eq!(who["grant"], "editor", "{who}");
    }
    let status = app.get("/auth/status").await.ok();
    assert_eq!((&status["authentication_enabled"], &status["cognito_configured"]), (&json!(true), &json!(true)));
    // Of another client, of another pool, and when their hour is over.
    let other = pool.app("another-client").await;
    let strange = Pool::new().await;
    let elsewhere = strange.app(&strange.client).await;
    for token in [&id, &access] {
        assert_eq!(me(&other, token).await.problem(401), "unauthorized");
        assert_eq!(me(&elsewhere, token).await.problem(401), "unauthorized");
    }
    app.clock.advance(jiff::SignedDuration::from_hours(25));
    for token in [&id, &access] {
        assert_eq!(me(&app, token).await.problem(401), "unauthorized");
    }
}
