//! Requests and answers that a small cluster without sign-in cannot show: sign-in, being busy, refusing a document, being away.

use std::time::{Duration, Instant};

use emcrm_search::{Conditions, Doc, DocChange, Field, Index, Kind, SearchError};
use emcrm_search_opensearch::{Auth, OpenSearchIndex, OpenSearchSettings};

use super::fake::{Seen, serve};

fn at(endpoint: &str, auth: Auth) -> OpenSearchIndex {
    OpenSearchIndex::new(OpenSearchSettings {
        endpoint: endpoint.to_owned(),
        auth,
        verify_certs: true,
        name: "crm".to_owned(),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        connections: 2,
        shards: 1,
        announce: Duration::ZERO,
    })
    .unwrap()
}

const THERE: &str = r#"{"crm-000001":{"aliases":{"crm":{}},"mappings":{"_meta":{"version":1,"complete":true}}}}"#;

fn doc(id: &str) -> DocChange {
    DocChange::Upsert(Doc { kind: Kind::User, id: id.to_owned(), exact: Vec::new(), numbers: vec![(Field::CreatedAt, 0)], text: Vec::new() })
}

fn bulks(seen: &Seen) -> Vec<String> {
    seen.lock().iter().filter(|request| request.contains("/_bulk")).cloned().collect()
}

#[tokio::test]
async fn a_busy_cluster_gets_only_what_it_did_not_take_again() {
    let (address, seen) = serve(|path, before| match (path.contains("_bulk"), before) {
        (false, _) => (200, THERE.to_owned()),
        (true, 0) => (429, r#"{"error":{"type":"es_rejected_execution_exception","reason":"full"}}"#.to_owned()),
        (true, 1) => (
            200,
            r#"{"errors":true,"items":[{"index":{"status":201}},{"index":{"status":429,"error":{"type":"es_rejected_execution_exception"}}}]}"#.to_owned(),
        ),
        (true, _) => (200, r#"{"errors":false}"#.to_owned()),
    })
    .await;
    at(&address, Auth::None).apply(vec![doc("one"), doc("two")]).await.unwrap();
    let bulks = bulks(&seen);
    assert_eq!(bulks.len(), 3);
    assert!(bulks[1].contains("user#one") && bulks[1].contains("user#two"));
    assert!(!bulks[2].contains("user#one") && bulks[2].contains("user#two"));
    assert!(bulks.iter().all(|bulk| bulk.contains("require_alias=true")), "nothing is made by writing to it");
}

#[tokio::test]
async fn a_document_that_is_refused_is_named() {
    let (address, _) = serve(|path, _| {
        if path.contains("_bulk") {
            let refused = r#"{"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"no"}}}"#;
            (200, format!(r#"{{"errors":true,"items":[{{"index":{{"status":201}}}},{refused}]}}"#))
        } else {
            (200, THERE.to_owned())
        }
    })
    .await;
    let error = at(&address, Auth::None).apply(vec![doc("good"), doc("bad")]).await.unwrap_err().to_string();
    assert!(error.contains("user#bad") && error.contains("mapper_parsing_exception"), "{error}");
}

#[tokio::test]
async fn a_password_is_sent_and_never_told() {
    let (address, seen) = serve(|_, _| (401, "no".to_owned())).await;
    let auth = Auth::Basic { user: "crm".to_owned(), password: "very-secret".to_owned() };
    assert!(!format!("{auth:?}").contains("very-secret"));
    let error = at(&address, auth).health().await.unwrap_err().to_string();
    assert!(error.contains("OPENSEARCH_PASSWORD") && !error.contains("very-secret"), "{error}");
    assert!(seen.lock()[0].to_ascii_lowercase().contains("authorization: basic y3jtonzlcnktc2vjcmv0"), "{:?}", seen.lock()[0]);
}

#[tokio::test]
async fn requests_to_aws_are_signed_for_the_service_and_their_content() {
    let (address, seen) = serve(|path, _| (200, if path.contains("_count") { r#"{"count":7}"#.to_owned() } else { THERE.to_owned() })).await;
    let index = at(&address, Auth::Aws { region: "eu-central-1".to_owned() });
    assert_eq!(index.count(Kind::User, Conditions::default()).await.unwrap(), 7);
    let request = seen.lock().iter().find(|request| request.contains("_count")).cloned().unwrap();
    let header = |name: &str| request.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned)).unwrap();
    let authorization = header("authorization");
    assert!(authorization.starts_with("aws4-hmac-sha256 credential=") && authorization.contains("/eu-central-1/es/aws4_request"), "{authorization}");
    assert!(authorization.contains("signedheaders=") && authorization.contains("host;x-amz-content-sha256;x-amz-date"), "{authorization}");
    assert_eq!(header("x-amz-content-sha256").len(), 64);
}

#[tokio::test]
async fn a_cluster_that_is_away_is_told_quickly() {
    let began = Instant::now();
    for address in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
        let index = at(address, Auth::None);
        let errors = [
            index.health().await.unwrap_err(),
            index.count(Kind::User, Conditions::default()).await.unwrap_err(),
            index.apply(vec![doc("one")]).await.unwrap_err(),
            index.is_complete().await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(&error, SearchError::Unavailable(words) if words.contains("no connection")), "{error}");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let error = at(&address, Auth::None).health().await.unwrap_err().to_string();
    assert!(error.contains("did not answer in time"), "{error}");
}
