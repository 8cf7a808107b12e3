//! Everything at once: random documents and questions, against the answers of a plain list.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use emcrm_model::{User, UserFilter, fold};
use serde_json::json;

use super::{Dyn, user};
use crate::{Condition, Conditions, Doc, DocChange, Field, Kind, SearchRequest, Sort, conditions_of};

/// Small numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const CITIES: [&str; 8] = ["York", "new york", "New York", " YORK", "Łódź", "Ｏｓｌｏ", "oslo", "Rio  de Janeiro"];
const COMPANIES: [&str; 5] = ["Acme", "ACME", "Acme Inc", "Bolt", "acme inc "];
const WORDS: [&str; 8] = ["ann", "anna", "annabel", "bob", "bobby", "carl", "x1", "y"];

fn random_doc(r: &mut Random) -> Doc {
    let mut doc = user(&format!("{:02}", r.below(80)));
    if r.one_in(4) {
        doc.kind = Kind::Event;
    }
    if !r.one_in(5) {
        doc = doc.with(Field::City, r.of(&CITIES));
    }
    if !r.one_in(3) {
        doc = doc.with(Field::Company, r.of(&COMPANIES));
    }
    for _ in 0..r.below(3) {
        doc = doc.with(Field::Host, r.of(&WORDS));
    }
    for field in [Field::AttendedCount, Field::CreatedAt] {
        let value = r.below(9) as i64 - 3;
        doc = doc.number(field, value);
    }
    let words: Vec<&str> = (0..r.below(4)).map(|_| r.of(&WORDS)).collect();
    doc.text(&words.join(" "))
}

fn random_conditions(r: &mut Random) -> Conditions {
    let mut conditions = Conditions::default();
    if r.one_in(3) {
        conditions.all.push(Condition::AnyOf(Field::City, (0..r.below(4)).map(|_| r.of(&CITIES).to_owned()).collect()));
    }
    if r.one_in(3) {
        conditions.all.push(Condition::AnyOf(Field::Company, (0..=r.below(2)).map(|_| r.of(&COMPANIES).to_owned()).collect()));
    }
    if r.one_in(5) {
        conditions.all.push(Condition::AnyOf(Field::Host, vec![r.of(&WORDS).to_owned()]));
    }
    if r.one_in(3) {
        let mut end = || (!r.one_in(3)).then(|| r.below(11) as i64 - 4);
        conditions.all.push(Condition::Between(Field::AttendedCount, end(), end()));
    }
    if r.one_in(4) {
        let words: Vec<&str> = (0..r.below(3)).map(|_| r.of(&WORDS)).collect();
        conditions.text = Some(words.join(" ") + r.of(&["", "a", " b"]));
    }
    conditions
}

fn number(doc: &Doc, field: Field) -> Option<i64> {
    doc.numbers.iter().find(|(have, _)| *have == field).map(|(_, value)| *value)
}

fn values(doc: &Doc, field: Field) -> BTreeSet<String> {
    doc.exact.iter().filter(|(have, _)| *have == field).map(|(_, value)| fold(value)).collect()
}

fn matches(doc: &Doc, conditions: &Conditions) -> bool {
    let all = conditions.all.iter().all(|condition| match condition {
        Condition::AnyOf(field, wanted) => wanted.iter().any(|value| values(doc, *field).contains(&fold(value))),
        Condition::Between(field, min, max) => number(doc, *field).is_some_and(|have| min.is_none_or(|min| have >= min) && max.is_none_or(|max| have <= max)),
    });
    let have: Vec<&str> = doc.text.iter().flat_map(|text| text.split_whitespace()).collect();
    let wanted: Vec<&str> = conditions.text.iter().flat_map(|text| text.split_whitespace()).collect();
    let text = wanted.split_last().is_none_or(|(last, whole)| whole.iter().all(|word| have.contains(word)) && have.iter().any(|word| word.starts_with(last)));
    all && text
}

/// The order of two rows; `None` as the sort value comes last in both directions.
fn compare(a: &Doc, b: &Doc, sort: Option<Sort>) -> Ordering {
    fn values_first<T: Ord>(a: Option<T>, b: Option<T>, descending: bool) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if descending => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }
    let by_value = sort.map_or(Ordering::Equal, |Sort { field, descending }| match field {
        Field::AttendedCount | Field::CreatedAt => values_first(number(a, field), number(b, field), descending),
        _ => {
            let first = |doc| if descending { values(doc, field).pop_last() } else { values(doc, field).pop_first() };
            values_first(first(a), first(b), descending)
        }
    });
    by_value.then_with(|| a.id.cmp(&b.id))
}

type Model = BTreeMap<(Kind, String), Doc>;

async fn write(index: &Dyn, model: &mut Model, r: &mut Random) {
    for _ in 0..=r.below(3) {
        let mut changes = Vec::new();
        for _ in 0..r.below(20) {
            let doc = random_doc(r);
            let key = (doc.kind, doc.id.clone());
            if r.one_in(4) {
                model.remove(&key);
                changes.push(DocChange::Delete(key.0, key.1));
            } else {
                model.insert(key, doc.clone());
                changes.push(DocChange::Upsert(doc));
            }
        }
        index.apply(changes).await.unwrap();
    }
    index.flush().await.unwrap();
}

async fn compare_answers(index: &Dyn, model: &Model, r: &mut Random, context: &str) {
    let kind = r.of(&[Kind::User, Kind::User, Kind::Event]);
    let conditions = random_conditions(r);
    let field = r.of(&[None, Some(Field::City), Some(Field::Company), Some(Field::Host), Some(Field::AttendedCount), Some(Field::CreatedAt)]);
    let sort = field.map(|field| Sort { field, descending: r.one_in(2) });
    let context = format!("{context}: {kind:?} {conditions:?} {sort:?}");
    let mut rows: Vec<&Doc> = model.values().filter(|doc| doc.kind == kind && matches(doc, &conditions)).collect();
    let by_id: Vec<&str> = rows.iter().map(|doc| doc.id.as_str()).collect();
    assert_eq!(index.walk(kind, conditions.clone(), None, 10_000).await.unwrap(), by_id, "{context}");
    assert_eq!(index.count(kind, conditions.clone()).await.unwrap(), rows.len() as u64, "{context}");

    rows.sort_by(|a, b| compare(a, b, sort));
    let limit = 1 + r.below(30);
    let (mut after, mut at) = (None, 0);
    loop {
        let offset = if r.one_in(4) { r.below(10) } else { 0 };
        let request = SearchRequest { kind, conditions: conditions.clone(), sort, offset: offset as u32, limit: limit as u32, after };
        let page = index.search(request).await.unwrap();
        at += offset;
        let wanted: Vec<&str> = rows.iter().skip(at).take(limit).map(|doc| doc.id.as_str()).collect();
        assert_eq!(page.ids, wanted, "{context} at {at}");
        assert_eq!(page.total, rows.len() as u64, "{context} at {at}");
        at += limit;
        assert_eq!(page.next.is_some(), at < rows.len(), "{context} at {at}");
        after = page.next;
        if after.is_none() {
            break;
        }
    }

    let field = r.of(&[Field::City, Field::Company, Field::Host]);
    let prefix = r.of(&["", "a", "Ac", "new ", "Ł", "ann"]);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for value in rows.iter().flat_map(|doc| values(doc, field)).filter(|value| value.starts_with(&fold(prefix))) {
        *counts.entry(value).or_default() += 1;
    }
    let mut wanted: Vec<(String, u64)> = counts.into_iter().collect();
    wanted.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), value.clone()));
    wanted.truncate(3);
    let facets = index.facets(kind, conditions, field, prefix.to_owned(), 3).await.unwrap();
    assert_eq!(facets, wanted, "{context} {field:?} {prefix:?}");
}

pub async fn random_questions_have_the_answers_of_a_plain_list(index: Dyn) {
    let mut model = Model::new();
    for seed in 1..=12 {
        let mut r = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        write(&index, &mut model, &mut r).await;
        for question in 0..25 {
            compare_answers(&index, &model, &mut r, &format!("seed {seed}, question {question}")).await;
        }
    }
    assert!(model.len() > 50, "there was something to ask about");
}

/// A user as the application would index it.
fn doc_of(user: &User) -> Doc {
    let exact = [(Field::Company, &user.company), (Field::JobTitle, &user.job_title), (Field::City, &user.city), (Field::State, &user.state)];
    Doc {
        kind: Kind::User,
        id: user.id.to_string(),
        exact: exact.into_iter().filter_map(|(field, value)| Some((field, value.clone()?))).collect(),
        numbers: vec![(Field::AttendedCount, user.attended_count), (Field::HostedCount, user.hosted_count)],
        text: Vec::new(),
    }
}

pub async fn a_user_filter_selects_the_users_it_matches(index: Dyn) {
    let mut r = Random(42);
    let mut users: Vec<User> = Vec::new();
    for n in 0..150 {
        let mut body = json!({ "id": format!("u{n:03}"), "email": format!("u{n}@example.org"), "attendedCount": r.below(6), "hostedCount": r.below(3) });
        for (name, list) in
            [("company", &COMPANIES[..]), ("city", &CITIES[..]), ("state", &["NY", "ny", "Ｎ Y"][..]), ("jobTitle", &["CEO", "ceo ", "CTO"][..])]
        {
            if !r.one_in(4) {
                body[name] = json!(r.of(list));
            }
        }
        users.push(serde_json::from_value(body).expect("it is a user"));
    }
    super::put(&index, users.iter().map(doc_of)).await;
    for question in 0..200 {
        let mut list = |values: &[&str]| if r.one_in(3) { (0..=r.below(2)).map(|_| r.of(values).to_owned()).collect() } else { Vec::new() };
        let (company, job_title, city, state) = (list(&COMPANIES), list(&["ceo", "CTO", "COO"]), list(&CITIES), list(&["ny", "n y"]));
        let mut end = |end| r.one_in(4).then(|| r.below(end) as i64);
        let filter = UserFilter { company, job_title, city, state, min_attended: end(6), max_attended: end(6), min_hosted: end(3), max_hosted: end(3) };
        let wanted: Vec<&str> = users.iter().filter(|user| filter.matches(user)).map(|user| user.id.as_str()).collect();
        assert_eq!(super::found(&index, conditions_of(&filter)).await, wanted, "question {question}: {filter:?}");
    }
}
