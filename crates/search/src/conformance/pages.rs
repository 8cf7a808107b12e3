//! Rules about orders, positions and limits.

use std::collections::BTreeSet;

use super::{Dyn, any_of, ascending, delete, descending, page, put, request, user};
use crate::{After, Conditions, Doc, Field, Kind, SearchError, SearchRequest, Sort, SortValue, WALK_MAX, WINDOW_MAX};

/// All ids in an order, read in pages of a size.
async fn all_pages(index: &Dyn, conditions: &Conditions, sort: Option<Sort>, limit: u32) -> Vec<String> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let page = page(index, SearchRequest { limit, after, ..request(Kind::User, conditions.clone(), sort) }).await;
        assert!(page.ids.len() <= limit as usize);
        assert!(page.next.is_none() || page.ids.len() == limit as usize, "only the last page is short");
        ids.extend(page.ids);
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

async fn ids(index: &Dyn, sort: Option<Sort>) -> Vec<String> {
    let whole = page(index, request(Kind::User, Conditions::default(), sort)).await;
    assert_eq!(whole.next, None);
    assert_eq!(all_pages(index, &Conditions::default(), sort, 1).await, whole.ids, "pages of one row are the whole");
    assert_eq!(all_pages(index, &Conditions::default(), sort, 3).await, whole.ids, "pages of three rows are the whole");
    whole.ids
}

/// Ten users, in several writes, with ties, a missing value and two lower-case letters.
async fn people(index: &Dyn) {
    let cities = ["Oslo", "Rome", "Bonn", "oslo", "", "Rome", "Zug", "Bonn", "-", "Oslo"];
    let docs: Vec<Doc> = cities
        .iter()
        .enumerate()
        .map(|(n, city)| {
            let doc = user(&format!("{n}")).number(Field::AttendedCount, [3, 1, 2][n % 3]);
            if *city == "-" { doc } else { doc.with(Field::City, city) }
        })
        .collect();
    for part in docs.chunks(3) {
        put(index, part.to_vec()).await;
    }
}

pub async fn without_a_sort_rows_are_in_order_of_id(index: Dyn) {
    put(&index, ["b", "B", "a-1", "a", "10", "9", "é", "z"].map(user)).await;
    assert_eq!(ids(&index, None).await, ["10", "9", "B", "a", "a-1", "b", "z", "é"], "ids are compared byte by byte");
}

pub async fn ties_are_in_order_of_id_in_both_directions(index: Dyn) {
    people(&index).await;
    assert_eq!(ids(&index, ascending(Field::AttendedCount)).await, ["1", "4", "7", "2", "5", "8", "0", "3", "6", "9"]);
    assert_eq!(ids(&index, descending(Field::AttendedCount)).await, ["0", "3", "6", "9", "2", "5", "8", "1", "4", "7"]);
}

pub async fn what_has_no_value_comes_last_in_both_directions(index: Dyn) {
    people(&index).await;
    assert_eq!(ids(&index, ascending(Field::City)).await, ["4", "2", "7", "0", "3", "9", "1", "5", "6", "8"]);
    assert_eq!(ids(&index, descending(Field::City)).await, ["6", "1", "5", "0", "3", "9", "2", "7", "4", "8"]);
    let nobody_has_it: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(ids(&index, ascending(Field::Company)).await, nobody_has_it);
    assert_eq!(ids(&index, descending(Field::Company)).await, nobody_has_it);
}

pub async fn of_several_values_the_first_in_the_order_counts(index: Dyn) {
    let hosts = [("1", vec!["m", "a"]), ("2", vec!["b"]), ("3", vec!["z", "c"]), ("4", vec!["n"])];
    put(&index, hosts.map(|(id, hosts)| hosts.iter().fold(user(id), |doc, host| doc.with(Field::Host, host)))).await;
    assert_eq!(ids(&index, ascending(Field::Host)).await, ["1", "2", "3", "4"]);
    assert_eq!(ids(&index, descending(Field::Host)).await, ["3", "4", "1", "2"]);
}

pub async fn extreme_numbers_keep_their_place(index: Dyn) {
    let values = [("a", i64::MAX), ("b", i64::MIN), ("c", 0), ("d", i64::MAX - 1), ("e", -1), ("f", i64::MIN + 1)];
    put(&index, values.map(|(id, value)| user(id).number(Field::CreatedAt, value))).await;
    assert_eq!(ids(&index, ascending(Field::CreatedAt)).await, ["b", "f", "e", "c", "d", "a"]);
    assert_eq!(ids(&index, descending(Field::CreatedAt)).await, ["a", "d", "c", "e", "f", "b"]);
}

pub async fn positions_lead_through_all_rows_once(index: Dyn) {
    for part in 0..5 {
        put(&index, (0..60).map(|n| user(&format!("{part}{n:02}")).with(Field::City, &format!("City {}", n % 4)).number(Field::AttendedCount, n % 3))).await;
    }
    let some = any_of(Field::City, &["city 1", "city 2"]);
    for sort in [None, ascending(Field::City), descending(Field::City), ascending(Field::AttendedCount), descending(Field::AttendedCount)] {
        let rows = all_pages(&index, &some, sort, 17).await;
        assert_eq!(rows.len(), 150, "{sort:?}");
        assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), 150, "{sort:?}");
    }
}

pub async fn a_position_stays_meaningful_when_rows_come_and_go(index: Dyn) {
    for sort in [None, ascending(Field::City), descending(Field::City), ascending(Field::AttendedCount), descending(Field::AttendedCount)] {
        let doc = |id: &str, n: i64| user(id).with(Field::City, &format!("City {}", n % 5)).number(Field::AttendedCount, n % 5);
        put(&index, (0..40).map(|n| doc(&format!("stay-{n:02}"), n)).chain((0..20).map(|n| doc(&format!("go-{n:02}"), n)))).await;
        let mut seen = Vec::new();
        let mut after = None;
        let mut round = 0_u32;
        loop {
            let page = page(&index, SearchRequest { limit: 7, after, ..request(Kind::User, Conditions::default(), sort) }).await;
            seen.extend(page.ids.clone());
            after = page.next;
            if after.is_none() {
                break;
            }
            // The row of the position itself may go, with its value; others come before and behind it.
            let gone: Vec<&str> = page.ids.iter().map(String::as_str).filter(|id| id.starts_with("go")).collect();
            delete(&index, Kind::User, &gone).await;
            delete(&index, Kind::User, &[&format!("go-{:02}", 19 - round)]).await;
            put(&index, (0..3).map(|n| doc(&format!("come-{round}-{n}"), i64::from(round + n)))).await;
            round += 1;
            assert!(round < 100, "the pages end");
        }
        let once: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "{sort:?}: no row twice");
        assert_eq!(once.iter().filter(|id| id.starts_with("stay")).count(), 40, "{sort:?}: no row missed");
        let all = index.walk(Kind::User, Conditions::default(), None, WALK_MAX).await.unwrap();
        delete(&index, Kind::User, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

pub async fn a_position_survives_the_wire(index: Dyn) {
    people(&index).await;
    for sort in [None, ascending(Field::City), descending(Field::AttendedCount)] {
        let mut rest = request(Kind::User, Conditions::default(), sort);
        rest.limit = 9;
        let next = page(&index, rest.clone()).await.next.expect("there is a tenth row");
        let wire = serde_json::to_string(&next).unwrap();
        rest.after = serde_json::from_str::<Option<After>>(&wire).unwrap();
        assert_eq!(rest.after.as_ref(), Some(&next));
        assert_eq!(page(&index, rest).await.ids.len(), 1, "{sort:?}");
    }
}

pub async fn a_walk_sees_every_match_once(index: Dyn) {
    for part in 0..4 {
        put(&index, (0..250).map(|n| user(&format!("{:04}", n * 4 + part)).number(Field::AttendedCount, n % 2))).await;
    }
    let odd = super::between(Field::AttendedCount, Some(1), None);
    let mut seen = Vec::new();
    loop {
        let part = index.walk(Kind::User, odd.clone(), seen.last().cloned(), 77).await.unwrap();
        if part.is_empty() {
            break;
        }
        seen.extend(part);
    }
    let wanted: Vec<String> = (0..1000).filter(|n| n / 4 % 2 == 1).map(|n| format!("{n:04}")).collect();
    assert_eq!(seen, wanted);
    let behind = index.walk(Kind::User, Conditions::default(), Some("0500x".to_owned()), 2).await.unwrap();
    assert_eq!(behind, ["0501", "0502"], "the position need not be a row");
    assert_eq!(index.walk(Kind::User, Conditions::default(), Some("zzz".to_owned()), 2).await.unwrap(), [""; 0]);
}

pub async fn digests_tell_what_a_document_was_made_from(index: Dyn) {
    let doc = |n: usize, city: &str| user(&format!("{n:03}")).with(Field::City, city).text("ann");
    let mut docs: Vec<Doc> = (0..90).map(|n| doc(n, "Oslo")).collect();
    for part in docs.chunks(40) {
        put(&index, part.to_vec()).await;
    }
    docs[7] = doc(7, "Rome");
    put(&index, [docs[7].clone(), super::event("007")]).await;
    delete(&index, Kind::User, &["008"]).await;
    docs.remove(8);
    let mut seen: Vec<(String, u64)> = Vec::new();
    loop {
        let part = index.digests(Kind::User, seen.last().map(|(id, _)| id.clone()), 20).await.unwrap();
        assert!(part.len() <= 20);
        if part.is_empty() {
            break;
        }
        seen.extend(part);
    }
    let wanted: Vec<(String, u64)> = docs.iter().map(|doc| (doc.id.clone(), doc.digest())).collect();
    assert_eq!(seen, wanted);
    assert_ne!(doc(7, "Rome").digest(), doc(7, "Oslo").digest());
    assert!(matches!(index.digests(Kind::User, None, WALK_MAX + 1).await, Err(SearchError::Invalid(_))));
}

pub async fn numbered_pages_end_at_the_window(index: Dyn) {
    people(&index).await;
    put(&index, (0..200).map(|n| user(&format!("x{n:03}")).number(Field::AttendedCount, 9))).await;
    let at = |offset, limit| SearchRequest { offset, limit, ..request(Kind::User, Conditions::default(), descending(Field::AttendedCount)) };
    let whole: Vec<String> = all_pages(&index, &Conditions::default(), descending(Field::AttendedCount), 100).await;
    for (offset, limit) in [(0, 10), (7, 10), (195, 10), (205, 10), (210, 10), (5_000, 10), (WINDOW_MAX - 10, 10)] {
        let page = page(&index, at(offset, limit)).await;
        let wanted: Vec<String> = whole.iter().skip(offset as usize).take(limit as usize).cloned().collect();
        assert_eq!(page.ids, wanted, "{offset}");
        assert_eq!(page.total, 210, "{offset}");
        assert_eq!(page.next.is_some(), offset + limit < 210, "{offset}");
    }
    for offset in [WINDOW_MAX - 9, u32::MAX] {
        assert!(matches!(index.search(at(offset, 10)).await, Err(SearchError::Invalid(_))), "{offset}");
    }
}

pub async fn limits_are_kept(index: Dyn) {
    put(&index, [user("a")]).await;
    for limit in [0, 101, u32::MAX] {
        let search = index.search(SearchRequest { limit, ..request(Kind::User, Conditions::default(), None) }).await;
        assert!(matches!(search, Err(SearchError::Invalid(_))), "{limit}");
    }
    for limit in [0, WALK_MAX + 1, u32::MAX] {
        let walk = index.walk(Kind::User, Conditions::default(), None, limit).await;
        assert!(matches!(walk, Err(SearchError::Invalid(_))), "{limit}");
    }
    assert_eq!(index.walk(Kind::User, Conditions::default(), None, WALK_MAX).await.unwrap(), ["a"]);
}

pub async fn a_position_of_another_order_is_refused(index: Dyn) {
    people(&index).await;
    for (value, sort) in [
        (SortValue::Text("x".to_owned()), ascending(Field::AttendedCount)),
        (SortValue::Number(1), ascending(Field::City)),
        (SortValue::Number(1), ascending(Field::Company)),
        (SortValue::Number(1), None),
        (SortValue::Text("x".to_owned()), None),
    ] {
        let after = Some(After { value, id: "1".to_owned() });
        let search = index.search(SearchRequest { after, ..request(Kind::User, Conditions::default(), sort) }).await;
        assert!(matches!(search, Err(SearchError::Invalid(_))), "{sort:?}");
    }
}
