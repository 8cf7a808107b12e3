//! Pages about people, as a browser without JavaScript uses them.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::helpers::{Answer, TestApp};

/// What must come out of every page as text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

async fn send(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let csrf = app.app.mark("csrf", "local");
    app.call(Method::POST, path, &[("content-type", "application/x-www-form-urlencoded"), ("x-csrf-token", &csrf)], body).await
}

/// The toast that the next page shows, where a form led to one.
async fn toast_after(app: &TestApp, answer: &Answer, path: &str) -> String {
    assert_eq!(answer.status, 303, "{}", html(answer));
    assert!(answer.header("location").starts_with(path), "{}", answer.header("location"));
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = app.call(Method::GET, answer.header("location"), &[("cookie", &cookie)], Body::empty()).await;
    assert!(page.header("set-cookie").starts_with("flash=; "), "a toast is shown once");
    html(&page)
}

#[tokio::test]
async fn while_nobody_is_there_the_pages_say_how_to_begin() {
    let app = TestApp::working().await;
    for path in ["/app", "/app/people"] {
        let page = html(&app.get(path).await);
        assert!(page.contains("<h1>No people yet</h1>") && page.contains("action=\"/app/people/import\"") && page.contains("action=\"/app/demo\""), "{path}");
    }
    for page in [html(&app.get("/app").await), html(&app.get("/app/people").await)] {
        assert_eq!(page.matches("name=\"once\" value=\"").count(), 1, "the form for a first person acts once: {page}");
    }
    let made = send(&app, "/app/demo", &[]).await;
    assert!(toast_after(&app, &made, "/app").await.contains("Made up 300 people and 12 events"));
    app.settled().await;
    let people = html(&app.get("/app/people").await);
    assert!(people.contains("300 people") && people.contains("Page 1 of 6, by name"), "{people}");
    let again = send(&app, "/app/demo", &[]).await;
    assert_eq!((again.status.as_u16(), again.header("content-type")), (409, "text/html; charset=utf-8"));
    let home = html(&app.get("/app").await);
    assert!(home.contains("<dd>300</dd>") && home.contains("class=\"event-row row\""));
}

#[tokio::test]
async fn a_person_is_added_shown_changed_and_deleted() {
    let app = TestApp::working().await;
    let added = send(&app, "/app/people/new", &[("firstName", " Mara "), ("email", "mara@example.org"), ("company", "Quillmoor"), ("once", "k1")]).await;
    assert!(toast_after(&app, &added, "/app/people/").await.contains("Added Mara"));
    let at = added.header("location").to_owned();
    // The same form once more: the same person.
    let twice = send(&app, "/app/people/new", &[("firstName", " Mara "), ("email", "mara@example.org"), ("company", "Quillmoor"), ("once", "k1")]).await;
    assert_eq!(twice.header("location"), at);

    let page = html(&app.get(&at).await);
    assert!(page.contains("<h1>Mara</h1>") && page.contains("Quillmoor") && page.contains("May be mailed"));
    app.post("/email/suppressions", json!({"email": "mara@example.org", "reason": "manual"})).await.ok();
    let barred = html(&app.get(&at).await);
    assert!(barred.contains("<a href=\"/app/settings/suppressions?address=mara%40example.org\">the address is on the suppression list</a>"), "{barred}");
    let saved = send(&app, &at, &[("field", "city"), ("value", "Austin"), ("was", "")]).await;
    assert!(toast_after(&app, &saved, &at).await.contains("Austin"));
    let cleared = send(&app, &at, &[("field", "firstName"), ("value", " "), ("was", "Mara")]).await;
    assert_eq!(cleared.status, 422);
    assert!(html(&cleared).contains("First name: is needed"));

    let ask = html(&app.get(&format!("{at}/delete")).await);
    assert!(ask.contains("<h1>Delete Mara?</h1>"));
    let deleted = send(&app, &format!("{at}/delete"), &[("sure", "yes")]).await;
    assert!(toast_after(&app, &deleted, "/app/people").await.contains("Deleted Mara"));
    assert_eq!(app.get(&at).await.status, 404);
    // Whoever had the form open loses nothing.
    let kept = send(&app, &format!("{at}/edit"), &[("firstName", "Mara"), ("email", "mara@example.org"), ("company", "Elsewhere"), ("was", "x")]).await;
    assert_eq!(kept.status, 404);
    let kept = html(&kept);
    for part in ["was deleted while you changed them", "value=\"Elsewhere\"", "action=\"/app/people/new\""] {
        assert!(kept.contains(part), "{part}: {kept}");
    }
    // Back, and the same button.
    let again = send(&app, &format!("{at}/delete"), &[("sure", "yes")]).await;
    assert!(toast_after(&app, &again, "/app/people").await.contains("deleted already"));
}

#[tokio::test]
async fn faults_stand_beside_their_fields_and_nothing_typed_is_lost() {
    let app = TestApp::new().await;
    app.user("ann").await;
    let long = "x".repeat(51);
    let answer = send(&app, "/app/people/new", &[("firstName", ""), ("email", "no address"), ("company", &long)]).await;
    assert_eq!(answer.status, 422);
    let page = html(&answer);
    assert!(page.contains("3 fields cannot be taken like this") && page.contains(&long) && page.contains("value=\"no address\""), "{page}");
    assert_eq!(page.matches("aria-invalid=\"true\"").count(), 3);
    let taken = send(&app, "/app/people/new", &[("firstName", "B"), ("email", "ANN@example.org")]).await;
    assert_eq!(taken.status, 422);
    assert!(html(&taken).contains("Somebody else has this address already."));
}

#[tokio::test]
async fn a_change_of_somebody_else_is_shown_beside_what_was_typed() {
    let app = TestApp::new().await;
    app.user("ann").await;
    let form = html(&app.get("/app/people/ann/edit").await);
    assert!(form.contains("<h1>Edit Ann ann</h1>") && form.contains("<a href=\"/app/people/ann\">Ann ann</a>"), "{form}");
    let was = form.split("name=\"was\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    // A counter that moves is no change of the form's fields.
    app.event("e1").await;
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    let fields = |company| vec![("firstName", "Ann"), ("lastName", "ann"), ("email", "ann@example.org"), ("company", company), ("was", was.as_str())];
    assert_eq!(send(&app, "/app/people/ann/edit", &fields("Mine")).await.status, 303);
    // The first form is old now.
    let stale = send(&app, "/app/people/ann/edit", &fields("Other")).await;
    assert_eq!(stale.status, 412);
    let page = html(&stale);
    assert!(page.contains("Somebody else changed this person meanwhile") && page.contains("Stored now: <b>Mine</b>") && page.contains("value=\"Other\""));
    assert_eq!(app.get("/users/ann").await.ok()["company"], "Mine");

    let fact = send(&app, "/app/people/ann", &[("field", "company"), ("value", "Third"), ("was", "")]).await;
    assert_eq!(fact.status, 412);
    assert!(html(&fact).contains("Somebody else changed it to <b>Mine</b> meanwhile"));
    let fresh = send(&app, "/app/people/ann", &[("field", "company"), ("value", "Third"), ("was", "Mine")]).await;
    assert_eq!(fresh.status, 303);
}

async fn crowd() -> TestApp {
    let app = TestApp::working().await;
    for n in 0..25 {
        let city = if n % 2 == 0 { "Austin" } else { "Waco" };
        let person = json!({"id": format!("u{n:02}"), "firstName": format!("P{n:02}"), "lastName": "X", "email": format!("p{n}@example.org"), "city": city});
        app.post("/users", person).await.ok();
    }
    app.settled().await;
    app
}

#[tokio::test]
async fn people_are_filtered_counted_and_paged_back_and_forth() {
    let app = crowd().await;
    let austin = html(&app.get("/app/people?city=Austin&sort=-name").await);
    assert!(austin.contains("13 people") && austin.contains("Page 1 of 1, by name, backwards"));
    assert!(austin.contains("href=\"/app/campaigns/new?city=Austin\""), "the filter goes along to the campaign");
    assert!(austin.contains("value=\"Waco\"") && austin.contains("<span class=\"n\">12</span>"), "another city can be added");
    let both = html(&app.get("/app/people?city=Austin&city=Waco&city=").await);
    assert!(both.contains("25 people") && both.contains("Austin +1"));

    let first = html(&app.get("/app/people?size=20").await);
    let link = |page: &str, rel: &str| {
        let tail = page.split(&format!("rel=\"{rel}\" href=\"")).nth(1).unwrap();
        tail.split('"').next().unwrap().replace("&amp;", "&")
    };
    let second = html(&app.get(&link(&first, "next")).await);
    assert!(second.contains("Page 2 of 2") && second.contains("P24 X") && !second.contains("P19 X"));
    let back = html(&app.get(&link(&second, "prev")).await);
    assert!(back.contains("Page 1 of 2") && back.contains("P00 X"));

    let text = html(&app.get("/app/people?q=P07").await);
    assert!(text.contains("1 person") && text.contains("Free text never chooses who gets mail") && !text.contains("href=\"/app/campaigns/new"));
    let none = html(&app.get("/app/people?city=Nowhere").await);
    assert!(none.contains("Nobody matches"));
    let wrong = app.get("/app/people?minAttended=5&maxAttended=2").await;
    assert_eq!(wrong.status, 422);
    assert!(html(&wrong).contains("must not be less than"));
    assert_eq!(app.get("/app/people?cursor=forged").await.status, 303);
    assert_eq!(app.get("/app/people?sort=nonsense").await.status, 422);
    let part = app.call(Method::GET, "/app/people?city=Waco", &[("hx-request", "true")], Body::empty()).await;
    assert!(html(&part).starts_with("<div class=\"stack dims\">"));
}

#[tokio::test]
async fn what_stands_outside_the_results_follows_a_filter_that_acts_at_once() {
    let app = crowd().await;
    let whole = html(&app.get("/app/people?city=Waco").await);
    assert!(whole.contains("id=\"export\" href=\"/app/people/export.csv?city=Waco\">") && whole.contains("id=\"filter-count\">1</span>"), "{whole}");
    assert!(!whole.contains("hx-swap-oob"), "{whole}");
    let part = html(&app.call(Method::GET, "/app/people?city=Waco&minAttended=0", &[("hx-request", "true")], Body::empty()).await);
    assert!(part.contains("id=\"export\" href=\"/app/people/export.csv?city=Waco&amp;minAttended=0\" data-hx-swap-oob=\"true\""), "{part}");
    assert!(part.contains("id=\"filter-count\" data-hx-swap-oob=\"true\">2</span>"), "{part}");
    let none = html(&app.call(Method::GET, "/app/people", &[("hx-request", "true")], Body::empty()).await);
    assert!(none.contains("id=\"filter-count\" hidden data-hx-swap-oob=\"true\">0</span>"), "{none}");
}

#[tokio::test]
async fn several_are_deleted_after_a_question() {
    let app = crowd().await;
    let ids = [("id", "u00"), ("id", "u01"), ("id", "nobody"), ("city", "Austin")];
    let ask = send(&app, "/app/people/delete", &ids).await;
    assert_eq!(ask.status, 200);
    assert!(html(&ask).contains("<h1>Delete 2 people?</h1>"));
    assert_eq!(app.get("/users/u00").await.status, 200, "nothing is deleted by asking");
    let sure = [ids.as_slice(), &[("sure", "yes")]].concat();
    let done = send(&app, "/app/people/delete", &sure).await;
    assert!(toast_after(&app, &done, "/app/people?city=Austin").await.contains("Deleted 2 people"));
    assert_eq!(app.get("/users/u00").await.status, 404);
    assert_eq!(send(&app, "/app/people/delete", &[]).await.status, 303);
    let gone = send(&app, "/app/people/delete", &[("id", "u00"), ("id", "u01")]).await;
    assert!(toast_after(&app, &gone, "/app/people").await.contains("deleted already"), "nobody is asked about nobody");
}

#[tokio::test]
async fn several_are_put_on_an_events_list_and_whoever_finds_no_place_is_named() {
    let app = crowd().await;
    let nothing = html(&send(&app, "/app/people/to-event", &[("id", "u00")]).await);
    assert!(nothing.contains("No event is to come") && nothing.contains("href=\"/app/events/new\""), "{nothing}");
    let event = |id: &str, title: &str, most: Option<i64>| json!({"id": id, "title": title, "slug": id, "startAt": "2031-05-08T18:00:00", "endAt": "2031-05-08T21:00:00", "maxCapacity": most});
    app.post("/events", event("small", "Small", Some(3))).await.ok();
    app.post("/events", event("open", "Open", None)).await.ok();
    app.post("/attend", json!({"user_id": "u02", "event_id": "small"})).await.ok();
    app.settled().await;
    let list = html(&app.get("/app/people?city=Austin").await);
    assert!(list.contains("href=\"/app/people/to-event?city=Austin\"") && list.contains("formaction=\"/app/people/to-event\""), "{list}");
    assert!(!html(&app.get("/app/people?q=P07").await).contains("href=\"/app/people/to-event"), "words choose nobody");

    // A page asks for which event. Asking stores nothing.
    let three = [("id", "u00"), ("id", "u01"), ("id", "u02"), ("id", "nobody"), ("city", "Austin")];
    let with = |event: &'static str| [three.as_slice(), &[("event", event)]].concat();
    let ask = send(&app, "/app/people/to-event", &three).await;
    assert_eq!(ask.status, 200);
    let ask = html(&ask);
    for text in [
        "<h1>Add 3 people to an event</h1>",
        "<option value=\"small\">Small, ",
        "2 places left</option>",
        "<option value=\"open\">Open, ",
        "name=\"id\" value=\"u01\"",
        "name=\"city\" value=\"Austin\"",
    ] {
        assert!(ask.contains(text), "{text}: {ask}");
    }
    let none = send(&app, "/app/people/to-event", &with("")).await;
    assert_eq!(none.status, 422);
    assert!(html(&none).contains("Choose an event."));
    let gone = send(&app, "/app/people/to-event", &with("nothing")).await;
    assert_eq!(gone.status, 422);
    assert!(html(&gone).contains("This event was deleted meanwhile."));
    assert_eq!(app.get("/events/small").await.ok()["attendeeCount"], 1);

    let done = send(&app, "/app/people/to-event", &with("small")).await;
    assert!(toast_after(&app, &done, "/app/events/small").await.contains("2 people are on the list of “Small” now. 1 was on it already."));
    let again = send(&app, "/app/people/to-event", &with("small")).await;
    assert!(toast_after(&app, &again, "/app/events/small").await.contains("Nobody was added to “Small”. 3 were on it already."));

    // It is full: whoever is left can be put somewhere else.
    let full = send(&app, "/app/people/to-event", &[("id", "u01"), ("id", "u03"), ("event", "small")]).await;
    assert_eq!(full.status, 200);
    let full = html(&full);
    for text in ["Nobody was added to “Small”. 1 was on it already. 1 found no place.", "<h1>Add 1 person to an event</h1>", "value=\"u03\"", "Small, "] {
        assert!(full.contains(text), "{text}: {full}");
    }
    assert!(full.contains(", no place left</option>") && !full.contains("value=\"u01\""), "{full}");
    assert_eq!(app.get("/events/small").await.ok()["attendeeCount"], 3);

    // All whom a filter finds.
    let all = html(&app.get("/app/people/to-event?city=Waco").await);
    assert!(all.contains("<h1>Add 12 people to an event</h1>") && all.contains("name=\"all\"") && !all.contains("name=\"id\""), "{all}");
    assert!(all.contains("name=\"expected\" value=\"12\""), "{all}");
    for expected in ["11", "x", ""] {
        let changed = send(&app, "/app/people/to-event", &[("all", "yes"), ("expected", expected), ("city", "Waco"), ("event", "open")]).await;
        assert_eq!(changed.status, 409);
        let changed = html(&changed);
        for text in ["Nobody was added. It finds 12 people now", "name=\"expected\" value=\"12\"", "value=\"open\" selected>"] {
            assert!(changed.contains(text), "{text}: {changed}");
        }
    }
    assert_eq!(app.get("/events/open").await.ok()["attendeeCount"], 0);
    let done = send(&app, "/app/people/to-event", &[("all", "yes"), ("expected", "12"), ("city", "Waco"), ("event", "open")]).await;
    assert!(toast_after(&app, &done, "/app/events/open").await.contains("12 people are on the list of “Open” now."));
    assert_eq!(app.get("/events/open").await.ok()["attendeeCount"], 12);

    // Nobody, and words instead of a filter: back to the list, and nothing happens. A filter that cannot be one never means everybody.
    let nobody = send(&app, "/app/people/to-event", &[("event", "open")]).await;
    assert!(toast_after(&app, &nobody, "/app/people").await.contains("Nobody was selected"));
    assert_eq!(app.get("/app/people/to-event?q=P07").await.status, 303);
    let words = send(&app, "/app/people/to-event", &[("all", "yes"), ("q", "P07"), ("event", "open")]).await;
    assert!(toast_after(&app, &words, "/app/people?q=P07").await.contains("Free text never chooses"));
    assert_eq!(app.get("/app/people/to-event?minAttended=5&maxAttended=2").await.status, 422);
    let faulty = [("all", "yes"), ("minAttended", "5"), ("maxAttended", "2"), ("event", "open")];
    assert_eq!(send(&app, "/app/people/to-event", &faulty).await.status, 422);
    assert_eq!(app.get("/events/open").await.ok()["attendeeCount"], 12);

    while app.app.audit_chain().await.unwrap() > 0 {}
    let trail = app.get("/audit?object=event%23open").await.ok();
    assert!(trail.to_string().contains("attendances.imported"), "{trail}");
}

#[tokio::test]
async fn people_are_exported_by_the_filter_without_formulas() {
    let app = crowd().await;
    app.post("/users", json!({"id": "f", "firstName": "=1+1", "lastName": "a,b", "email": "f@example.org", "city": "Austin"})).await.ok();
    app.settled().await;
    let file = app.get("/app/people/export.csv?city=Austin").await;
    assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "text/csv; charset=utf-8"));
    let text = html(&file);
    assert!(text.starts_with("\u{feff}id,firstName,") && text.contains("f,'=1+1,\"a,b\",f@example.org") && !text.contains("Waco"));
    assert_eq!(text.lines().count(), 1 + 14);
    assert_eq!(html(&app.get("/app/people/export.csv").await).lines().count(), 1 + 26);
    let chosen = send(&app, "/app/people/export.csv", &[("id", "u01"), ("id", "u02")]).await;
    assert_eq!(html(&chosen).lines().count(), 3);
}

#[tokio::test]
async fn what_people_typed_comes_out_as_text_everywhere() {
    let app = TestApp::working().await;
    let short: String = HOSTILE.chars().take(50).collect();
    let person = json!({"id": "x", "firstName": short, "lastName": short, "email": "x@example.org", "phoneNumber": "\"><b>'1234567", "jobTitle": short, "company": short, "city": short, "state": short, "avatar": short});
    app.post("/users", person).await.ok();
    app.post("/events", json!({"id": "e", "title": HOSTILE, "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00", "venue": HOSTILE, "owner": "x"}))
        .await
        .ok();
    app.post("/attend", json!({"user_id": "x", "event_id": "e", "attended": short})).await.ok();
    app.settled().await;
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", HOSTILE).append_pair("city", &short).finish();
    let paths = [
        "/app".to_owned(),
        "/app/people".to_owned(),
        "/app/people/x".to_owned(),
        "/app/people/x/edit".to_owned(),
        "/app/people/x?edit=company".to_owned(),
        "/app/people/x/delete".to_owned(),
        format!("/app/people?{query}"),
        format!("/app/search?{query}"),
        "/app/search?q=img".to_owned(),
    ];
    for path in paths {
        let page = html(&app.get(&path).await);
        assert!(page.contains("&lt;img") && !page.contains("<img") && !page.contains("<b>'"), "{path}: {page}");
    }
    let form = html(&send(&app, "/app/people/new", &[("firstName", HOSTILE), ("email", HOSTILE)]).await);
    assert!(form.contains("&lt;img") && !form.contains("<img"));
}

#[tokio::test]
async fn searching_finds_people_and_events() {
    let app = TestApp::working().await;
    app.user("ann").await;
    app.post("/events", json!({"id": "e", "title": "Annual meeting", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00"})).await.ok();
    app.settled().await;
    let found = html(&app.get("/app/search?q=ann").await);
    assert!(found.contains("href=\"/app/people/ann\"") && found.contains("href=\"/app/events/e\""));
    assert!(html(&app.get("/app/search?q=zzz").await).contains("Nothing matches “zzz”"));
    assert!(html(&app.get("/app/search").await).contains("<h1>Search</h1>"));
    let part = app.call(Method::GET, "/app/search?q=ann", &[("hx-request", "true")], Body::empty()).await;
    assert!(html(&part).starts_with("<div class=\"stack dims\">"));
}

#[tokio::test]
async fn while_the_index_is_away_everybody_is_still_there() {
    let app = crowd().await;
    app.index.take_away(true);
    let first = app.get("/app/people?size=20").await;
    let page = html(&first);
    assert_eq!(first.status, 200, "{page}");
    for part in ["Searching is not possible right now", "Everybody is shown, in no order", ">People</h2>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("25 people") && !page.contains("exact</span>") && !page.contains("Mail these") && !page.contains("aria-sort"), "{page}");
    assert_eq!(page.matches("name=\"id\" value=\"").count(), 20);
    let next = page.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let rest = html(&app.get(&next).await);
    assert_eq!(rest.matches("name=\"id\" value=\"").count(), 5, "{rest}");
    // What was asked for cannot be answered, and nobody is counted.
    let filtered = app.get("/app/people?city=Waco").await;
    assert_eq!(filtered.status, 503);
    assert!(!html(&filtered).contains("0 people") && html(&filtered).contains("people are still there"), "{}", html(&filtered));
    let found = html(&app.get("/app/search?q=P7@example.org").await);
    assert!(found.contains("Searching is not possible right now") && found.contains("href=\"/app/people/u07\""), "{found}");
    app.index.take_away(false);
    // The storage's cursor is none of the index.
    assert_eq!(app.get(&next).await.status, 303);
    assert!(html(&app.get("/app/people").await).contains("25 people"));
}

#[tokio::test]
async fn a_long_timeline_goes_on_page_by_page_and_shows_everything_once() {
    let app = TestApp::new().await;
    app.user("ann").await;
    for n in 0..60 {
        app.event(&format!("e{n:02}")).await;
        app.post("/attend", json!({"user_id": "ann", "event_id": format!("e{n:02}")})).await.ok();
    }
    let shown = |page: &str| -> Vec<String> { page.split("<a href=\"/app/events/e").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect() };
    // No index: what somebody hosts cannot be looked up, and the rest can.
    let first = html(&app.get("/app/people/ann").await);
    assert_eq!(shown(&first).len(), 50);
    let older = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    assert!(older.starts_with("/app/people/ann?show=all&attended="), "{older}");
    let second = html(&app.get(older.split('#').next().unwrap()).await);
    let mut all = [shown(&first), shown(&second)].concat();
    all.sort();
    all.dedup();
    assert_eq!((shown(&second).len(), all.len()), (10, 60));
    assert!(!second.contains("Show older") && second.contains("From the start"), "{second}");
    let forged = app.get("/app/people/ann?attended=forged").await;
    assert_eq!((forged.status.as_u16(), forged.header("location")), (303, "/app/people/ann?show=all"));
}
