use emcrm_app::roster::{HERE, Presence, Roster, RosterRequest, RosterSort};
use emcrm_app::roster_import::{ImportOutcome, ImportRow};
use emcrm_app::{AppError, EventSave};
use emcrm_model::{EventDraft, EventPatch, PageRequest, Position};
use serde_json::json;

use crate::support::{TestApp, call};

fn names(roster: &emcrm_app::roster::Roster) -> Vec<String> {
    roster.rows.iter().map(|row| row.user.as_ref().unwrap().first_name.clone()).collect()
}

#[tokio::test]
async fn a_list_is_sorted_counted_and_searched_as_a_whole() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({})).await;
    let people =
        [("Carl", "c@example.org", "Beta"), ("Ann", "a@example.org", "Gamma Labs"), ("Élodie", "e@example.org", "Alpha"), ("Bob", "b@example.org", "Alpha")];
    for (name, email, company) in people {
        let user = t.user_with(name, json!({ "company": company, "email": email, "lastName": "" })).await;
        t.attend(&user, &event).await;
        t.later(60);
        if name == "Bob" {
            t.app.attendance_change(&call(), &user.id, &event.id, Some(HERE.to_owned())).await.unwrap();
        }
    }
    let ask = async |change: fn(&mut RosterRequest)| {
        let mut request = RosterRequest::all(50);
        change(&mut request);
        t.app.roster(&call(), &event.id, request).await
    };
    let all = ask(|_| {}).await.unwrap();
    assert_eq!((names(&all), all.total, all.here), (["Ann", "Bob", "Carl", "Élodie"].map(str::to_owned).to_vec(), Some(4), Some(1)));
    assert_eq!(names(&ask(|r| r.sort = RosterSort::Company).await.unwrap()), ["Bob", "Élodie", "Carl", "Ann"]);
    assert_eq!(names(&ask(|r| (r.sort, r.descending) = (RosterSort::Registered, true)).await.unwrap()), ["Bob", "Élodie", "Ann", "Carl"]);
    assert_eq!(names(&ask(|r| r.presence = Presence::Here).await.unwrap()), ["Bob"]);
    assert_eq!(names(&ask(|r| r.presence = Presence::Away).await.unwrap()), ["Ann", "Carl", "Élodie"]);
    assert_eq!(names(&ask(|r| r.q = Some("LAB an".to_owned())).await.unwrap()), ["Ann"]);
    assert_eq!(names(&ask(|r| r.q = Some("élo".to_owned())).await.unwrap()), ["Élodie"]);
    assert!(ask(|r| r.q = Some("lodie".to_owned())).await.unwrap().rows.is_empty(), "words are found by how they begin");
    let page = |number, size| PageRequest { position: Position::Number(number), size };
    let mut second = RosterRequest::all(3);
    second.page = page(2, 3);
    assert_eq!(names(&t.app.roster(&call(), &event.id, second).await.unwrap()), ["Élodie"]);
    let mut beyond = RosterRequest::all(3);
    beyond.page = page(99, 3);
    let last = t.app.roster(&call(), &event.id, beyond).await.unwrap();
    assert_eq!((names(&last), last.first), (vec!["Élodie".to_owned()], 4), "a page that is gone shows the last one");
}

#[tokio::test]
async fn a_list_that_changes_while_it_is_paged_hides_nobody_and_shows_nobody_twice() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({})).await;
    let mut people = Vec::new();
    for n in 0..9 {
        people.push(t.user(&format!("P{n}")).await);
        t.attend(&people[n], &event).await;
    }
    let ask = async |presence: Presence, descending: bool, position: Position| {
        let request = RosterRequest { presence, descending, page: PageRequest { position, size: 3 }, ..RosterRequest::all(3) };
        t.app.roster(&call(), &event.id, request).await.unwrap()
    };
    let behind = |roster: &Roster| Position::Cursor(roster.next.clone().unwrap());

    // At a door: whoever of the first page comes leaves the list of those who have not come.
    let first = ask(Presence::Away, false, Position::Number(1)).await;
    assert_eq!((names(&first), first.previous.is_none()), (["P0", "P1", "P2"].map(str::to_owned).to_vec(), true));
    for user in &people[..3] {
        t.app.attendance_change(&call(), &user.id, &event.id, Some(HERE.to_owned())).await.unwrap();
    }
    let second = ask(Presence::Away, false, behind(&first)).await;
    assert_eq!((names(&second), second.first, second.total), (["P3", "P4", "P5"].map(str::to_owned).to_vec(), 1, Some(6)));
    assert_eq!(names(&ask(Presence::Away, false, Position::Number(2)).await), ["P6", "P7", "P8"], "the control: a number would have left three out");

    // Somebody comes in front of what was seen, and somebody of it goes; then the row goes behind which it was to go on.
    t.attend(&t.user("A0").await, &event).await;
    t.app.attendance_cancel(&call(), &people[4].id, &event.id).await.unwrap();
    let third = ask(Presence::Away, false, behind(&second)).await;
    assert_eq!((names(&third), third.first, third.next.is_none()), (["P6", "P7", "P8"].map(str::to_owned).to_vec(), 4, true));
    let back = ask(Presence::Away, false, Position::Cursor(third.previous.unwrap())).await;
    assert_eq!(names(&back), ["A0", "P3", "P5"]);
    t.app.attendance_cancel(&call(), &people[5].id, &event.id).await.unwrap();
    assert_eq!(names(&ask(Presence::Away, false, behind(&second)).await), ["P6", "P7", "P8"]);

    // Backwards.
    let last = ask(Presence::All, true, Position::Number(1)).await;
    assert_eq!(names(&last), ["P8", "P7", "P6"]);
    t.attend(&t.user("P9").await, &event).await;
    assert_eq!(names(&ask(Presence::All, true, behind(&last)).await), ["P3", "P2", "P1"]);

    // The row behind which it goes on goes, and those after it. What is no cursor of this list begins at the beginning.
    let page = ask(Presence::Away, false, Position::Number(1)).await;
    for user in &people[6..] {
        t.app.attendance_cancel(&call(), &user.id, &event.id).await.unwrap();
    }
    assert_eq!(names(&ask(Presence::Away, false, behind(&page)).await), ["P9"]);
    let other = t.event("Other", json!({})).await;
    let elsewhere = RosterRequest { page: PageRequest { position: behind(&page), size: 3 }, ..RosterRequest::all(3) };
    assert!(t.app.roster(&call(), &other.id, elsewhere).await.unwrap().rows.is_empty());
    assert_eq!(ask(Presence::Away, false, Position::Cursor("forged".to_owned())).await.first, 1);
}

#[tokio::test]
async fn an_edit_is_not_refused_by_registrations_and_never_overwrites_what_was_not_seen() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({})).await;
    let (ann, seen) = (t.user("ann").await, event.clone());
    t.attend(&ann, &event).await;
    let draft = EventDraft { venue: Some("Hall".to_owned()), ..EventDraft::of(&event) };
    let as_seen = |now: &emcrm_model::Event| EventDraft::of(now) == EventDraft::of(&seen);
    let saved = t.app.event_save(&call(), &event.id, draft, as_seen).await.unwrap();
    assert!(matches!(saved, EventSave::Saved(event) if event.venue.as_deref() == Some("Hall") && event.attendee_count == 1));

    // Somebody who still sees the first state does not take the venue away.
    let late = EventDraft { title: "Late talks".to_owned(), ..EventDraft::of(&event) };
    let moved = t.app.event_save(&call(), &event.id, late, as_seen).await.unwrap();
    assert!(matches!(moved, EventSave::Moved(now) if now.venue.as_deref() == Some("Hall")));
    let now = t.app.event_get(&call(), event.id.as_str()).await.unwrap();
    assert_eq!((now.title.as_str(), now.venue.as_deref()), ("Talks", Some("Hall")));
}

#[tokio::test]
async fn an_import_makes_who_is_new_leaves_who_is_known_and_says_what_became_of_each_row() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({ "maxCapacity": 3 })).await;
    let ann = t.user_with("Ann", json!({})).await;
    let row = |line: u64, email: &str, first: &str| ImportRow { line, email: email.to_owned(), first_name: first.to_owned(), last_name: String::new() };
    let rows = [
        row(2, "ANN@example.org", "Other"),
        row(3, "not an address", "X"),
        row(4, "new@example.org", "New"),
        row(5, "nameless@example.org", ""),
        row(6, "new@example.org", "New"),
        row(7, "third@example.org", "Third"),
        row(8, "late@example.org", "Late"),
    ];
    let outcomes = t.app.attendees_import(&call(), &event.id, &rows).await.unwrap();
    let short: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            ImportOutcome::Added => "added",
            ImportOutcome::Made => "made",
            ImportOutcome::Already => "already",
            ImportOutcome::Full => "full",
            ImportOutcome::Faulty(_) => "faulty",
        })
        .collect();
    assert_eq!(short, ["added", "faulty", "made", "faulty", "already", "made", "full"]);
    assert_eq!(t.reload(&ann).await.first_name, "Ann");
    t.assert_counts().await;
    let again = t.app.attendees_import(&call(), &event.id, &rows).await.unwrap();
    assert!(matches!(again[..], [ImportOutcome::Already, _, ImportOutcome::Already, ..]));
    let closed = t.app.event_patch(&call(), &event.id, EventPatch::parse(&json!({ "maxCapacity": 2 })).unwrap()).await;
    assert!(matches!(closed, Err(AppError::CapacityTooLow { attendees: 3 })));
}

#[tokio::test]
async fn several_are_put_on_a_list_while_there_are_places_and_each_is_told_of() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({ "maxCapacity": 60 })).await;
    // More than one transaction and more than one read.
    let mut people = Vec::new();
    for n in 0..120 {
        people.push(t.user(&format!("u{n}")).await.id);
    }
    for id in &people[2..5] {
        let user = t.app.user_get(&call(), id).await.unwrap();
        t.attend(&user, &event).await;
    }
    let gone = t.user("gone").await;
    t.app.user_delete(&call(), &gone.id).await.unwrap();
    // One is named twice, one is deleted: neither takes a place.
    let asked: Vec<_> = [people[0].clone(), gone.id].into_iter().chain(people.iter().cloned()).collect();
    let done = t.app.attendances_add(&call(), &event.id, &asked).await.unwrap();
    assert_eq!((done.added, done.already, done.gone), (57, 3, 1));
    assert_eq!(done.unplaced, people[60..], "the last ones found no place, in their order");
    t.assert_counts().await;
    assert_eq!(t.app.event_get(&call(), event.id.as_str()).await.unwrap().attendee_count, 60);

    let again = t.app.attendances_add(&call(), &event.id, &asked).await.unwrap();
    assert_eq!((again.added, again.already, again.gone, again.unplaced.len()), (0, 60, 1, 60));
    t.assert_counts().await;

    let open = t.event("Open", json!({})).await;
    assert_eq!(t.app.attendances_add(&call(), &open.id, &people).await.unwrap().added, 120, "no limit");
    let unknown = t.app.attendances_add(&call(), &emcrm_model::EventId::lookup("nothing").unwrap(), &people).await;
    assert!(matches!(unknown, Err(AppError::EventUnknown)));
    t.assert_counts().await;
}

#[tokio::test]
async fn two_who_fill_one_list_at_once_never_overfill_it() {
    let t = TestApp::new();
    let event = t.event("Talks", json!({ "maxCapacity": 30 })).await;
    let mut people = Vec::new();
    for n in 0..80 {
        people.push(t.user(&format!("u{n}")).await.id);
    }
    let caller = call();
    let (first, second) = tokio::join!(t.app.attendances_add(&caller, &event.id, &people[..40]), t.app.attendances_add(&caller, &event.id, &people[40..]));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.added + second.added, 30);
    assert_eq!(first.unplaced.len() + second.unplaced.len(), 50);
    t.assert_counts().await;
}
