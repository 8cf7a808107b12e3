//! Rules about writing, deleting, flushing and rebuilding.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Dyn, any_of, ascending, delete, event, found, looking_for, page, put, request, user};
use crate::{Conditions, DocChange, Field, Kind, SearchError};

pub async fn a_flush_makes_everything_before_it_visible(index: Dyn) {
    for n in 0..5 {
        index.apply(vec![DocChange::Upsert(user(&format!("u{n}")))]).await.unwrap();
    }
    index.flush().await.unwrap();
    assert_eq!(found(&index, Conditions::default()).await, ["u0", "u1", "u2", "u3", "u4"]);
    index.flush().await.unwrap();
    index.apply(Vec::new()).await.unwrap();
    index.flush().await.unwrap();
    assert_eq!(found(&index, Conditions::default()).await.len(), 5, "a flush of nothing changes nothing");
}

pub async fn writing_the_same_twice_is_harmless(index: Dyn) {
    let doc = user("u").with(Field::City, "Oslo").text("ann");
    index.apply(vec![DocChange::Upsert(doc.clone()), DocChange::Upsert(doc.clone())]).await.unwrap();
    index.apply(vec![DocChange::Upsert(doc.clone())]).await.unwrap();
    index.flush().await.unwrap();
    put(&index, [doc.clone()]).await;
    put(&index, [doc]).await;
    for conditions in [Conditions::default(), any_of(Field::City, &["oslo"]), looking_for("ann")] {
        assert_eq!(found(&index, conditions).await, ["u"]);
    }
    let cities = index.facets(Kind::User, Conditions::default(), Field::City, String::new(), 5).await.unwrap();
    assert_eq!(cities, [("oslo".to_owned(), 1)]);
}

pub async fn a_later_document_replaces_an_earlier_one(index: Dyn) {
    put(&index, [user("u").with(Field::City, "Oslo").text("ann"), user("v").with(Field::City, "Oslo")]).await;
    put(&index, [user("u").with(Field::City, "Rome").text("bob")]).await;
    assert_eq!(found(&index, any_of(Field::City, &["oslo"])).await, ["v"]);
    assert_eq!(found(&index, any_of(Field::City, &["rome"])).await, ["u"]);
    assert_eq!(found(&index, looking_for("ann")).await, [""; 0]);
    // The order counts also between two flushes, also in one call.
    let city = |city| DocChange::Upsert(user("u").with(Field::City, city));
    index.apply(vec![city("a"), city("b"), DocChange::Delete(Kind::User, "u".to_owned()), city("c"), city("d")]).await.unwrap();
    index.apply(vec![city("e")]).await.unwrap();
    index.flush().await.unwrap();
    assert_eq!(found(&index, any_of(Field::City, &["a", "b", "c", "d", "rome"])).await, [""; 0]);
    assert_eq!(found(&index, any_of(Field::City, &["e"])).await, ["u"]);
}

pub async fn a_deleted_document_is_gone_and_can_come_back(index: Dyn) {
    put(&index, ["a", "b", "c"].map(user)).await;
    delete(&index, Kind::User, &["b", "never-there"]).await;
    assert_eq!(found(&index, Conditions::default()).await, ["a", "c"]);
    delete(&index, Kind::User, &["b"]).await;
    put(&index, [user("b")]).await;
    assert_eq!(found(&index, Conditions::default()).await, ["a", "b", "c"]);
    index
        .apply(vec![DocChange::Upsert(user("d")), DocChange::Delete(Kind::User, "d".to_owned()), DocChange::Delete(Kind::User, "a".to_owned())])
        .await
        .unwrap();
    index.flush().await.unwrap();
    assert_eq!(found(&index, Conditions::default()).await, ["b", "c"]);
}

pub async fn kinds_do_not_mix(index: Dyn) {
    put(&index, [user("x").text("ann").number(Field::CreatedAt, 1), event("x").text("ann").number(Field::CreatedAt, 2), event("y").with(Field::Title, "Gala")])
        .await;
    assert_eq!(found(&index, Conditions::default()).await, ["x"]);
    assert_eq!(index.walk(Kind::Event, Conditions::default(), None, 10).await.unwrap(), ["x", "y"]);
    assert_eq!(index.count(Kind::Event, looking_for("ann")).await.unwrap(), 1);
    delete(&index, Kind::Event, &["x"]).await;
    assert_eq!(found(&index, looking_for("ann")).await, ["x"], "the user with the id of a deleted event stays");
    let events = page(&index, request(Kind::Event, Conditions::default(), ascending(Field::CreatedAt))).await;
    assert_eq!(events.ids, ["y"]);
}

pub async fn flushes_at_once_all_see_their_writes(index: Dyn) {
    let tasks: Vec<_> = (0..24)
        .map(|n| {
            let index = Arc::clone(&index);
            tokio::spawn(async move {
                let id = format!("u{n:02}");
                index.apply(vec![DocChange::Upsert(user(&id).with(Field::City, &id))]).await.unwrap();
                index.flush().await.unwrap();
                assert_eq!(index.count(Kind::User, any_of(Field::City, &[&id])).await.unwrap(), 1, "{id}");
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the write is seen");
    }
    assert_eq!(found(&index, Conditions::default()).await.len(), 24);
}

pub async fn what_cannot_be_a_document_is_refused(index: Dyn) {
    for doc in [
        user(""),
        user(&"x".repeat(600)),
        user("u").with(Field::AttendedCount, "1"),
        user("u").number(Field::City, 1),
        user("u").with(Field::City, &"x".repeat(9_000)),
    ] {
        let result = index.apply(vec![DocChange::Upsert(user("good")), DocChange::Upsert(doc)]).await;
        assert!(matches!(result, Err(SearchError::Invalid(_))));
    }
    index.flush().await.unwrap();
    assert_eq!(found(&index, Conditions::default()).await, [""; 0], "a call is taken as a whole or not at all");
}

pub async fn an_index_is_complete_when_it_is_said_to_be(index: Dyn) {
    assert!(!index.is_complete().await.unwrap());
    put(&index, [user("u")]).await;
    assert!(!index.is_complete().await.unwrap(), "writing does not fill it");
    index.mark_complete().await.unwrap();
    assert!(index.is_complete().await.unwrap());
    let rebuild = index.rebuild().await.unwrap();
    assert!(index.is_complete().await.unwrap(), "the version in use stays complete");
    rebuild.swap().await.unwrap();
    assert!(index.is_complete().await.unwrap());
    index.health().await.unwrap();
}

pub async fn a_rebuild_shows_nothing_until_it_is_swapped_in(index: Dyn) {
    put(&index, [user("old"), event("old")]).await;
    let mut rebuild = index.rebuild().await.unwrap();
    rebuild.add(vec![user("new-1").with(Field::City, "Oslo"), event("new")]).await.unwrap();
    rebuild.add(vec![user("new-2"), user("new-2")]).await.unwrap();
    index.flush().await.unwrap();
    assert_eq!(found(&index, Conditions::default()).await, ["old"]);
    assert!(!index.is_complete().await.unwrap());
    rebuild.swap().await.unwrap();
    assert!(index.is_complete().await.unwrap());
    assert_eq!(found(&index, Conditions::default()).await, ["new-1", "new-2"]);
    assert_eq!(found(&index, any_of(Field::City, &["oslo"])).await, ["new-1"]);
    assert_eq!(index.walk(Kind::Event, Conditions::default(), None, 10).await.unwrap(), ["new"]);
    put(&index, [user("later")]).await;
    assert_eq!(found(&index, Conditions::default()).await, ["later", "new-1", "new-2"]);
}

pub async fn what_is_applied_during_a_rebuild_is_in_both(index: Dyn) {
    put(&index, [user("a"), user("b")]).await;
    let mut rebuild = index.rebuild().await.unwrap();
    put(&index, [user("during-1")]).await;
    rebuild.add(vec![user("a")]).await.unwrap();
    index.apply(vec![DocChange::Upsert(user("during-2"))]).await.unwrap();
    delete(&index, Kind::User, &["a"]).await;
    assert_eq!(found(&index, Conditions::default()).await, ["b", "during-1", "during-2"]);
    rebuild.swap().await.unwrap();
    assert_eq!(found(&index, Conditions::default()).await, ["during-1", "during-2"]);
}

pub async fn a_rebuild_does_not_bring_back_older_states(index: Dyn) {
    let city = |city| user("u").with(Field::City, city);
    put(&index, [city("old"), user("gone"), user("kept")]).await;
    let mut rebuild = index.rebuild().await.unwrap();
    // What the rebuild read before these changes arrives after them.
    index.apply(vec![DocChange::Upsert(city("new")), DocChange::Delete(Kind::User, "gone".to_owned())]).await.unwrap();
    rebuild.add(vec![city("old"), user("gone"), user("kept")]).await.unwrap();
    rebuild.swap().await.unwrap();
    assert_eq!(found(&index, any_of(Field::City, &["new"])).await, ["u"]);
    assert_eq!(found(&index, Conditions::default()).await, ["kept", "u"]);
}

pub async fn an_abandoned_rebuild_changes_nothing(index: Dyn) {
    put(&index, [user("old")]).await;
    let mut rebuild = index.rebuild().await.unwrap();
    rebuild.add(vec![user("new")]).await.unwrap();
    drop(rebuild);
    put(&index, [user("later")]).await;
    assert_eq!(found(&index, Conditions::default()).await, ["later", "old"]);
    let mut again = index.rebuild().await.expect("another one can begin");
    again.add(vec![user("newer")]).await.unwrap();
    again.swap().await.unwrap();
    assert_eq!(found(&index, Conditions::default()).await, ["newer"]);
}

pub async fn only_one_rebuild_at_a_time(index: Dyn) {
    let first = index.rebuild().await.unwrap();
    assert!(matches!(index.rebuild().await, Err(SearchError::Invalid(_))));
    first.swap().await.unwrap();
    index.rebuild().await.expect("after the first, another one can begin").swap().await.unwrap();
}

pub async fn searches_are_answered_all_through_a_swap(index: Dyn) {
    put(&index, (0..50).map(|n| user(&format!("u{n:02}")))).await;
    let end = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (index, end) = (Arc::clone(&index), Arc::clone(&end));
            tokio::spawn(async move {
                let mut searches = 0;
                while !end.load(Ordering::SeqCst) || searches == 0 {
                    let page = page(&index, request(Kind::User, Conditions::default(), ascending(Field::CreatedAt))).await;
                    assert!((50..=53).contains(&page.total) && page.ids.len() as u64 == page.total, "a whole version answers: {}", page.total);
                    searches += 1;
                }
            })
        })
        .collect();
    for round in 1..=3 {
        let mut rebuild = index.rebuild().await.unwrap();
        rebuild.add((0..50 + round).map(|n| user(&format!("u{n:02}"))).collect()).await.unwrap();
        rebuild.swap().await.unwrap();
    }
    end.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("every search is answered");
    }
    assert_eq!(found(&index, Conditions::default()).await.len(), 53);
}

pub async fn digests_tell_what_each_document_was_made_from(index: Dyn) {
    let doc = |n: u32| user(&format!("u{n:03}")).with(Field::City, "Oslo").text("ann");
    let expected = |docs: &[crate::Doc]| docs.iter().map(|doc| (doc.id.clone(), doc.digest())).collect::<Vec<_>>();
    let mut docs: Vec<crate::Doc> = (0..250).map(doc).collect();
    for chunk in docs.chunks(70) {
        put(&index, chunk.iter().rev().cloned()).await;
    }
    put(&index, [event("u007")]).await;
    delete(&index, Kind::User, &["u003", "u249"]).await;
    docs.retain(|doc| !["u003", "u249"].contains(&doc.id.as_str()));
    docs[100] = docs[100].clone().with(Field::Company, "Acme");
    put(&index, [docs[100].clone()]).await;

    let mut seen = Vec::new();
    loop {
        let page = index.digests(Kind::User, seen.last().map(|(id, _): &(String, u64)| id.clone()), 60).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, expected(&docs));
    assert_eq!(index.digests(Kind::Event, None, 10_000).await.unwrap(), expected(&[event("u007")]));
    let between = index.digests(Kind::User, Some("u003".to_owned()), 1).await.unwrap();
    assert_eq!(between, expected(&docs[3..4]), "the position need not be there any more");
    let differs = [
        user("a").digest(),
        user("b").digest(),
        event("a").digest(),
        user("a").number(Field::AttendedCount, 1).digest(),
        user("a").with(Field::City, "1").digest(),
        user("a").with(Field::State, "1").digest(),
        user("a").text("1").digest(),
    ];
    assert_eq!(differs.iter().collect::<std::collections::HashSet<_>>().len(), differs.len());
    assert_eq!(user("a").with(Field::City, "c").with(Field::State, "s").digest(), user("a").with(Field::State, "s").with(Field::City, "c").digest());
}
