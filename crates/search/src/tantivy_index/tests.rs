//! What only the embedded index promises.

use crate::*;

fn user(id: &str, city: &str, attended: i64) -> DocChange {
    DocChange::Upsert(Doc {
        kind: Kind::User,
        id: id.into(),
        exact: vec![(Field::City, city.into())],
        numbers: vec![(Field::AttendedCount, attended)],
        text: vec![format!("{city} {id}@example.org")],
    })
}

#[tokio::test]
async fn an_upserted_user_is_found_after_a_flush() {
    let index = TantivyIndex::memory().unwrap();
    index.apply((0..100).map(|n| user(&format!("u{n:03}"), if n % 2 == 0 { "New York" } else { "York" }, n % 7)).collect()).await.unwrap();
    index.flush().await.unwrap();
    let york = Conditions { all: vec![Condition::AnyOf(Field::City, vec![" YORK".into()])], text: None };
    assert_eq!(index.count(Kind::User, york.clone()).await.unwrap(), 50);
    let walked = index.walk(Kind::User, york.clone(), Some("u001".into()), 3).await.unwrap();
    assert_eq!(walked, ["u003", "u005", "u007"]);
    let sort = Some(Sort { field: Field::AttendedCount, descending: true });
    let page = index.search(SearchRequest { kind: Kind::User, conditions: york, sort, offset: 0, limit: 10, after: None }).await.unwrap();
    assert_eq!(page.total, 50);
    assert_eq!(page.ids[0], "u013");
    let text = Conditions { all: vec![], text: Some("york u01".into()) };
    assert_eq!(index.count(Kind::User, text).await.unwrap(), 10);
    assert_eq!(index.facets(Kind::User, Conditions::default(), Field::City, "n".into(), 10).await.unwrap(), [("new york".to_owned(), 50)]);
}
