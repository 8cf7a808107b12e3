//! The documents: complete, exact, and from this binary only.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use crate::helpers::TestApp;

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all =
        paths.iter().flat_map(|(path, item)| METHODS.iter().filter_map(move |method| Some((path.clone(), (*method).to_owned(), item.get(method)?.clone()))));
    all.collect()
}

#[tokio::test]
async fn every_operation_of_the_document_is_routed_and_no_other_method_is() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.ok();
    let described = operations(&document);
    assert!(described.len() > 40, "{}", described.len());
    for (path, item) in document["paths"].as_object().unwrap() {
        let concrete = path.replace(['{', '}'], "");
        for method in METHODS {
            let answer = app.call(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &concrete, &[], Body::empty()).await;
            let routed = answer.status != 405;
            // `/email/send` and others are also matched by `/email/{email_id}`, but the literal route wins, so its methods count.
            assert_eq!(routed, item.get(method).is_some(), "{method} {path}: {}", answer.status);
            if routed && answer.status == 404 {
                assert_ne!(answer.problem(404), "not_found", "{method} {path} has no route");
            }
        }
    }
}

/// The other way round: the source of the map names every route once, and each of its handlers is in the document.
#[tokio::test]
async fn every_route_of_the_map_is_in_the_document() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.ok();
    let map = include_str!("../../src/router.rs");
    let handlers: usize = map.lines().filter(|line| line.trim_start().starts_with(".routes(routes!(")).map(|line| line.matches("::").count()).sum();
    assert_eq!(operations(&document).len(), handlers);
}

#[tokio::test]
async fn operations_have_unique_ids_tags_summaries_and_a_problem_for_everything_else() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = Vec::new();
    for (path, method, operation) in operations(&document) {
        ids.push(operation["operationId"].as_str().unwrap().to_owned());
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{method} {path}");
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert_eq!(operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"], "#/components/schemas/Problem");
        let reads_by_post = method == "post" && ["/email/{email_id}", "/email/sent/{email_id}", "/email/user/{user_id}"].contains(&path.as_str());
        assert_eq!(operation["deprecated"] == true, reads_by_post, "{method} {path}");
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|parameter| parameter["name"] == name && parameter["in"] == "path"), "{method} {path} {name}");
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, into));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.ok();
    let mut all = Vec::new();
    references(&document, &mut all);
    assert!(all.len() > 100);
    for reference in all {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_schemas_state_the_limits_of_the_model() {
    let app = TestApp::new().await;
    let schemas = app.get("/openapi.json").await.ok()["components"]["schemas"].clone();
    let user = &schemas["UserIn"];
    assert_eq!(user["required"], json!(["firstName", "lastName", "email"]));
    assert_eq!((&user["properties"]["firstName"]["minLength"], &user["properties"]["firstName"]["maxLength"]), (&json!(1), &json!(50)));
    assert_eq!(user["properties"]["email"]["maxLength"], 254);
    assert_eq!(user["properties"]["company"]["type"], json!(["string", "null"]));
    assert!(schemas["UserPatch"].get("required").is_none());
    let shown = schemas["User"]["required"].as_array().unwrap();
    assert_eq!(shown.len(), schemas["User"]["properties"].as_object().unwrap().len(), "every field of a user is always there");
    assert_eq!(schemas["User"]["properties"]["company"]["type"], json!(["string", "null"]));
    assert_eq!(schemas["FoundUser"]["properties"]["company"]["type"], "string");
    assert_eq!(schemas["EventIn"]["required"], json!(["title", "startAt", "endAt"]));
    assert_eq!(schemas["EmailRequestIn"]["required"], json!(["filter", "subject", "body"]));
}

#[tokio::test]
async fn the_pages_about_the_api_load_nothing_from_outside() {
    let app = TestApp::new().await;
    for page in ["/docs", "/redoc"] {
        let answer = app.get(page).await;
        let html = String::from_utf8(answer.body.clone()).unwrap();
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("http") && !policy.contains("unsafe-eval"), "{policy}");
        assert!(!html.contains("//"), "{page} names another host");
        for part in html.split(['"']).filter(|part| part.starts_with("/docs/") || part.starts_with("/redoc/") || *part == "/openapi.json") {
            let file = app.get(part).await;
            assert_eq!(file.status, 200, "{part}");
            assert!(file.body.len() > 100, "{part}");
        }
    }
    let initializer = String::from_utf8(app.get("/docs/swagger-initializer.js").await.body).unwrap();
    assert!(initializer.contains("/openapi.json"));
}
