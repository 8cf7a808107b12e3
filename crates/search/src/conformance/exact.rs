//! Rules about values, folding, ranges and facets.

use super::{Dyn, any_of, between, event, found, put, user};
use crate::{Condition, Conditions, Field, Kind, SearchError};

async fn cities(index: &Dyn) {
    let cities = [("a", "York"), ("b", "New York"), ("c", "york"), ("d", "Yorkshire"), ("e", " YORK "), ("f", "New  York"), ("g", "Ｙｏｒｋ")];
    put(index, cities.map(|(id, city)| user(id).with(Field::City, city)).into_iter().chain([user("none")])).await;
}

pub async fn a_part_of_a_value_is_not_the_value(index: Dyn) {
    cities(&index).await;
    assert_eq!(found(&index, any_of(Field::City, &["New York"])).await, ["b", "f"]);
    assert_eq!(found(&index, any_of(Field::City, &["New"])).await, [""; 0]);
    assert_eq!(found(&index, any_of(Field::City, &["Yorkshir"])).await, [""; 0]);
    assert_eq!(found(&index, any_of(Field::City, &["Yorkshire"])).await, ["d"]);
    assert_eq!(found(&index, any_of(Field::Company, &["York"])).await, [""; 0], "another field has other values");
}

pub async fn values_are_compared_folded(index: Dyn) {
    cities(&index).await;
    for same in ["york", "YORK", " York\t", "ＹＯＲＫ"] {
        assert_eq!(found(&index, any_of(Field::City, &[same])).await, ["a", "c", "e", "g"], "{same:?}");
    }
    assert_eq!(found(&index, any_of(Field::City, &["new \n york"])).await, ["b", "f"]);
    put(&index, [user("tr").with(Field::City, "İstanbul"), user("de").with(Field::City, "Zürich")]).await;
    assert_eq!(found(&index, any_of(Field::City, &["ZU\u{308}RICH"])).await, ["de"], "a composed letter is its parts");
    assert_eq!(found(&index, any_of(Field::City, &["Zurich"])).await, [""; 0], "an accent is part of an exact value");
    assert_eq!(found(&index, any_of(Field::City, &["İSTANBUL"])).await, ["tr"]);
}

pub async fn any_of_several_values_matches(index: Dyn) {
    cities(&index).await;
    assert_eq!(found(&index, any_of(Field::City, &["Yorkshire", "NEW YORK", "Atlantis"])).await, ["b", "d", "f"]);
    assert_eq!(found(&index, any_of(Field::City, &["York", "york"])).await, ["a", "c", "e", "g"], "the same value twice is one");
    let many: Vec<String> = (0..100).map(|n| format!("nowhere {n}")).chain(["Yorkshire".to_owned()]).collect();
    assert_eq!(found(&index, Conditions { all: vec![Condition::AnyOf(Field::City, many)], text: None }).await, ["d"]);
}

pub async fn no_value_matches_nothing(index: Dyn) {
    cities(&index).await;
    assert_eq!(found(&index, any_of(Field::City, &[])).await, [""; 0]);
    assert_eq!(found(&index, any_of(Field::City, &["Atlantis"])).await, [""; 0]);
}

pub async fn an_empty_value_is_a_value(index: Dyn) {
    put(&index, [user("blank").with(Field::City, "  "), user("none"), user("some").with(Field::City, "x")]).await;
    assert_eq!(found(&index, any_of(Field::City, &[""])).await, ["blank"]);
    assert_eq!(found(&index, any_of(Field::City, &["", "X"])).await, ["blank", "some"]);
}

pub async fn a_field_may_have_several_values(index: Dyn) {
    put(&index, [event("one").with(Field::Host, "ann").with(Field::Host, "bob").with(Field::Host, "ANN"), event("two").with(Field::Host, "bob")]).await;
    for (host, ids) in [("ann", vec!["one"]), ("bob", vec!["one", "two"]), ("carl", vec![])] {
        assert_eq!(index.walk(Kind::Event, any_of(Field::Host, &[host]), None, 10).await.unwrap(), ids, "{host}");
    }
    let hosts = index.facets(Kind::Event, Conditions::default(), Field::Host, String::new(), 10).await.unwrap();
    assert_eq!(hosts, [("bob".to_owned(), 2), ("ann".to_owned(), 1)], "a document counts once for a value");
}

pub async fn ranges_include_both_ends_and_may_be_open(index: Dyn) {
    let f = Field::AttendedCount;
    let values = [("a", i64::MIN), ("b", -1), ("c", 0), ("d", 1), ("e", 5), ("f", i64::MAX)];
    put(&index, values.map(|(id, value)| user(id).number(f, value))).await;
    assert_eq!(found(&index, between(f, Some(0), Some(5))).await, ["c", "d", "e"]);
    assert_eq!(found(&index, between(f, Some(1), Some(1))).await, ["d"]);
    assert_eq!(found(&index, between(f, Some(2), None)).await, ["e", "f"]);
    assert_eq!(found(&index, between(f, None, Some(-1))).await, ["a", "b"]);
    assert_eq!(found(&index, between(f, None, None)).await, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(found(&index, between(f, Some(2), Some(4))).await, [""; 0]);
    assert_eq!(found(&index, between(f, Some(5), Some(0))).await, [""; 0], "a reversed range is empty");
    assert_eq!(found(&index, between(f, Some(i64::MAX), None)).await, ["f"]);
    assert_eq!(found(&index, between(f, None, Some(i64::MIN))).await, ["a"]);
    assert_eq!(found(&index, between(f, Some(i64::MIN), Some(i64::MAX))).await.len(), 6);
}

pub async fn conditions_all_hold(index: Dyn) {
    put(
        &index,
        [
            user("a").with(Field::City, "Rome").with(Field::Company, "Acme").number(Field::AttendedCount, 3),
            user("b").with(Field::City, "Rome").with(Field::Company, "Acme").number(Field::AttendedCount, 9),
            user("c").with(Field::City, "Rome").with(Field::Company, "Bolt").number(Field::AttendedCount, 3),
            user("d").with(Field::City, "Oslo").with(Field::Company, "Acme").number(Field::AttendedCount, 3),
        ],
    )
    .await;
    let mut all = any_of(Field::City, &["rome"]);
    all.all.extend(any_of(Field::Company, &["acme", "other"]).all);
    assert_eq!(found(&index, all.clone()).await, ["a", "b"]);
    all.all.extend(between(Field::AttendedCount, None, Some(5)).all);
    assert_eq!(found(&index, all.clone()).await, ["a"]);
    all.all.extend(any_of(Field::City, &["oslo"]).all);
    assert_eq!(found(&index, all).await, [""; 0]);
}

pub async fn a_field_of_the_wrong_type_is_refused(index: Dyn) {
    let invalid = |result: Result<u64, SearchError>| matches!(result, Err(SearchError::Invalid(_)));
    assert!(invalid(index.count(Kind::User, between(Field::City, Some(1), None)).await));
    assert!(invalid(index.count(Kind::User, any_of(Field::AttendedCount, &["1"])).await));
    let facets = index.facets(Kind::User, Conditions::default(), Field::AttendedCount, String::new(), 5).await;
    assert!(matches!(facets, Err(SearchError::Invalid(_))));
}

pub async fn facets_count_folded_values_among_the_matches(index: Dyn) {
    cities(&index).await;
    let facets = |conditions: Conditions, prefix: &'static str, limit| index.facets(Kind::User, conditions, Field::City, prefix.to_owned(), limit);
    let pairs = |list: &[(&str, u64)]| list.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect::<Vec<_>>();
    assert_eq!(facets(Conditions::default(), "", 10).await.unwrap(), pairs(&[("york", 4), ("new york", 2), ("yorkshire", 1)]));
    assert_eq!(facets(Conditions::default(), "", 2).await.unwrap(), pairs(&[("york", 4), ("new york", 2)]));
    assert_eq!(facets(Conditions::default(), " Ｙ", 10).await.unwrap(), pairs(&[("york", 4), ("yorkshire", 1)]), "the prefix is folded");
    assert_eq!(facets(Conditions::default(), "z", 10).await.unwrap(), []);
    assert_eq!(facets(any_of(Field::City, &["York", "Yorkshire"]), "yorks", 10).await.unwrap(), pairs(&[("yorkshire", 1)]));
    super::delete(&index, Kind::User, &["a", "c", "e"]).await;
    assert_eq!(facets(Conditions::default(), "", 10).await.unwrap(), pairs(&[("new york", 2), ("york", 1), ("yorkshire", 1)]), "ties are in order of value");
    // Asked again after each change, of all and of some.
    put(&index, [user("b").with(Field::City, "York"), user("h").with(Field::City, "Leeds")]).await;
    for _ in 0..2 {
        let all = pairs(&[("york", 2), ("leeds", 1), ("new york", 1), ("yorkshire", 1)]);
        assert_eq!(facets(Conditions::default(), "", 10).await.unwrap(), all);
        assert_eq!(facets(Conditions::default(), "", 1).await.unwrap(), all[..1]);
        assert_eq!(facets(any_of(Field::City, &["Leeds"]), "", 10).await.unwrap(), pairs(&[("leeds", 1)]));
        assert_eq!(facets(Conditions::default(), "le", 10).await.unwrap(), pairs(&[("leeds", 1)]));
    }
    super::delete(&index, Kind::User, &["h"]).await;
    assert_eq!(facets(Conditions::default(), "", 10).await.unwrap(), pairs(&[("york", 2), ("new york", 1), ("yorkshire", 1)]));
}

pub async fn one_match_of_each_value_is_found_among_the_living(index: Dyn) {
    put(&index, ["York", "york", "Leeds"].iter().zip(["a", "b", "c"]).map(|(city, id)| user(id).with(Field::City, city).with(Field::Company, id))).await;
    let ask = |conditions: Conditions, values: &[&str]| {
        index.one_of_each(Kind::User, conditions, Field::City, values.iter().map(|value| (*value).to_owned()).collect())
    };
    let found = ask(Conditions::default(), &["leeds", "nowhere", "york"]).await.unwrap();
    assert_eq!(found[..2], [Some("c".to_owned()), None]);
    assert!(["a", "b"].contains(&found[2].as_deref().unwrap()), "{found:?}");
    assert_eq!(ask(any_of(Field::Company, &["B"]), &["york", "leeds"]).await.unwrap(), [Some("b".to_owned()), None], "among the matches only");
    super::delete(&index, Kind::User, &["a", "c"]).await;
    assert_eq!(ask(Conditions::default(), &["york", "leeds"]).await.unwrap(), [Some("b".to_owned()), None]);
    assert!(ask(Conditions::default(), &[]).await.unwrap().is_empty());
    let wrong = index.one_of_each(Kind::User, Conditions::default(), Field::AttendedCount, vec!["1".to_owned()]).await;
    assert!(matches!(wrong, Err(SearchError::Invalid(_))));
}

pub async fn facets_of_many_values_keep_the_most_frequent(index: Dyn) {
    // Value n occurs n % 7 + 1 times, written in several rounds.
    for round in 0..7 {
        put(&index, (0..600).filter(|n| n % 7 >= round).map(|n| user(&format!("{n}-{round}")).with(Field::Company, &format!("Company {n:03}")))).await;
    }
    let all = index.facets(Kind::User, Conditions::default(), Field::Company, String::new(), 1_000).await.unwrap();
    let mut wanted: Vec<(String, u64)> = (0..600).map(|n| (format!("company {n:03}"), n % 7 + 1)).collect();
    wanted.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), value.clone()));
    assert_eq!(all, wanted);
    let some = index.facets(Kind::User, Conditions::default(), Field::Company, "company 30".to_owned(), 3).await.unwrap();
    wanted.retain(|(value, _)| value.starts_with("company 30"));
    assert_eq!(some[..], wanted[..3]);
}
