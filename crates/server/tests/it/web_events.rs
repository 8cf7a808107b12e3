//! Pages of events: what a person sees and does, with and without scripts.

use axum::http::Method;
use serde_json::json;

use crate::helpers::{Answer, TestApp};

/// Text that shows itself where it is not escaped.
const HOSTILE: &str = "<script>alert(1)</script>\"'&<b>";

async fn send(app: &TestApp, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).append_pair("csrf", &app.app.mark("csrf", "local")).finish();
    let headers: Vec<_> = [("content-type", "application/x-www-form-urlencoded")].into_iter().chain(headers.iter().copied()).collect();
    app.call(Method::POST, path, &headers, body).await
}

async fn form(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    send(app, path, fields, &[]).await
}

fn html(answer: &Answer) -> String {
    assert!(answer.header("content-type").starts_with("text/html"), "{:?} {}", answer.status, String::from_utf8_lossy(&answer.body));
    String::from_utf8(answer.body.clone()).unwrap()
}

async fn page(app: &TestApp, path: &str) -> String {
    let answer = app.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    let csp = answer.header("content-security-policy").to_owned();
    assert!(csp.contains("script-src 'self'") && !csp.contains("unsafe"), "{csp}");
    let html = html(&answer);
    assert!(!html.contains(" style=") && !html.contains(" onclick") && !html.contains("<script>"), "{path}");
    html
}

/// What a browser makes of an attribute.
fn plain(text: &str) -> String {
    let signs = [("&quot;", "\""), ("&#34;", "\""), ("&#x2f;", "/"), ("&#x27;", "'"), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    signs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The value of a hidden field.
fn hidden(html: &str, name: &str) -> String {
    let at = html.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no field {name}"));
    plain(at.split('"').next().unwrap())
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
    answer.header("location")
}

const FIELDS: [(&str, &str); 5] =
    [("title", "Rust Night"), ("startAt", "2026-03-01T18:00"), ("endAt", "2026-03-01T20:00"), ("timezone", "Europe/Berlin"), ("maxCapacity", "2")];

#[tokio::test]
async fn an_event_is_made_by_a_form_and_stored_as_the_api_stores_it() {
    let app = TestApp::working().await;
    app.user("ann").await;
    let blank = page(&app, "/app/events/new").await;
    let once = hidden(&blank, "once");
    let fields: Vec<_> = FIELDS.into_iter().chain([("once", once.as_str()), ("owner", "ann"), ("hosts", "ann"), ("public", "yes")]).collect();
    let made = form(&app, "/app/events/new", &fields).await;
    let at = location(&made).to_owned();
    let event = app.get(&at.replace("/app", "")).await.ok();
    assert_eq!((&event["slug"], &event["startAt"], &event["maxCapacity"]), (&json!("rust-night"), &json!("2026-03-01T18:00"), &json!(2)));
    assert_eq!((&event["owner"], &event["hosts"], &event["public"]), (&json!("ann"), &json!(["ann"]), &json!(true)));
    // Sent twice, it acts once.
    assert_eq!(location(&form(&app, "/app/events/new", &fields).await), at);
    app.settled().await;
    let list = page(&app, "/app/events").await;
    assert_eq!(list.matches("<article").count(), 1);
    assert!(list.contains("Rust Night") && list.contains("March 2026") && list.contains("Sun, 18:00–20:00 (Europe/Berlin)"), "{list}");
    let shown = page(&app, &at).await;
    assert!(shown.contains("Sunday, 1 March 2026, 18:00–20:00") && shown.contains("Ann ann") && shown.contains("2 left"), "{shown}");
    // Somebody else writes it otherwise.
    for (path, words) in [
        (at.as_str(), "Sunday, March 1, 2026, 6:00–8:00 PM"),
        ("/app/events", "Sun, 6:00–8:00 PM (Europe/Berlin)"),
        ("/app/events/calendar?month=2026-03", "<span>6:00 PM</span>"),
    ] {
        let answer = app.call(Method::GET, path, &[("accept-language", "en-US,en;q=0.9")], "").await;
        let html = String::from_utf8(answer.body.clone()).unwrap();
        assert!(answer.status == 200 && html.contains(words), "{path}: {html}");
    }
}

#[tokio::test]
async fn faults_stand_beside_their_fields_and_nothing_typed_is_lost() {
    let app = TestApp::new().await;
    app.event("e1").await;
    let fields =
        [("title", HOSTILE), ("slug", "event-e1"), ("startAt", "2026-03-01T18:00"), ("endAt", "2026-03-01T17:00"), ("maxCapacity", "many"), ("venue", HOSTILE)];
    let refused = form(&app, "/app/events/new", &fields).await;
    assert_eq!(refused.status, 422);
    let text = html(&refused);
    assert!(text.contains("The end must be after the start.") && text.contains("This is not a whole number.") && text.contains("id=\"endAt-fault\""), "{text}");
    assert!(text.contains("value=\"many\"") && !text.contains("<script>alert") && text.contains("&lt;script&gt;alert(1)"), "{text}");
    let fields = [("title", "Other"), ("slug", "event-e1"), ("startAt", "2026-03-01T18:00"), ("endAt", "2026-03-01T19:00")];
    let text = html(&form(&app, "/app/events/new", &fields).await);
    assert!(text.contains("“event-e1” belongs to Event e1. Free: event-e1-2."), "{text}");
    let unknown = [("title", "Other"), ("startAt", "2026-03-01T18:00"), ("endAt", "2026-03-01T19:00"), ("owner", "nobody")];
    let text = html(&form(&app, "/app/events/new", &unknown).await);
    assert!(text.contains("was deleted. Choose anew."), "{text}");
}

#[tokio::test]
async fn people_are_chosen_in_the_form_without_scripts() {
    let app = TestApp::working().await;
    for id in ["ann", "bob"] {
        app.user(id).await;
    }
    app.settled().await;
    let find = |more: [(&'static str, &'static str); 2]| FIELDS.into_iter().chain(more).collect::<Vec<_>>();
    let found = form(&app, "/app/events/new", &find([("find", "host"), ("hostText", "bob")])).await;
    assert_eq!(found.status, 200);
    let text = html(&found);
    assert!(text.contains("name=\"pickHost\" value=\"bob\"") && text.contains("value=\"Rust Night\""), "{text}");
    let text = html(&form(&app, "/app/events/new", &find([("hosts", "ann"), ("pickHost", "bob")])).await);
    assert!(text.contains("name=\"hosts\" value=\"ann\"") && text.contains("name=\"hosts\" value=\"bob\""), "{text}");
    let text = html(&form(&app, "/app/events/new", &find([("hosts", "ann"), ("dropHost", "ann")])).await);
    assert!(!text.contains("name=\"hosts\" value=\"ann\""));
    // A name that was typed and not chosen is asked about instead of forgotten.
    let text = html(&form(&app, "/app/events/new", &find([("ownerText", "ann@example.org"), ("x", "y")])).await);
    assert!(text.contains("name=\"pickOwner\" value=\"ann\""), "{text}");
    let part = app.call(Method::GET, "/app/events/people?hostText=ann", &[("hx-request", "true")], "").await;
    assert!(html(&part).contains("pickHost") && !html(&part).contains("<html"));
}

#[tokio::test]
async fn when_somebody_else_saved_first_theirs_stands_beside_ours() {
    let app = TestApp::new().await;
    app.event("e1").await;
    app.user("ann").await;
    let open = page(&app, "/app/events/e1/edit").await;
    let was = hidden(&open, "was");
    // A registration is no reason to refuse, another edit is.
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    let ours = |title: &'static str, was: String| {
        let mut fields: Vec<(&'static str, String)> =
            [("title", title), ("slug", "event-e1"), ("startAt", "2026-03-01T18:00"), ("endAt", "2026-03-01T20:00"), ("description", "Ours")]
                .map(|(n, v)| (n, v.to_owned()))
                .to_vec();
        fields.push(("was", was));
        fields
    };
    let post = async |fields: Vec<(&'static str, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        form(&app, "/app/events/e1/edit", &fields).await
    };
    location(&post(ours("Event e1", was.clone())).await);
    app.patch("/events/e1", json!({"title": "Their title", "venue": "Their room"})).await.ok();
    let now = hidden(&page(&app, "/app/events/e1/edit").await, "was");
    // Somebody has the form open as it was before their change.
    let stale = was.replace("\"description\":\"\"", "\"description\":\"Ours\"");
    assert_ne!(stale, now);
    let moved = post(ours("Our title", stale)).await;
    assert_eq!(moved.status, 409);
    let text = html(&moved);
    assert!(text.contains("“Their title”") && text.contains("value=\"Our title\"") && text.contains("name=\"take\" value=\"title\""), "{text}");
    assert!(text.contains("“Their room”") && text.contains("value=\"Their room\"") && !text.contains("name=\"take\" value=\"venue\""), "{text}");
    assert_eq!(app.get("/events/e1").await.ok()["title"], "Their title", "nothing was overwritten");
    // Looked over, it is saved.
    let mut again = ours("Our title", hidden(&text, "was"));
    again.push(("venue", "Their room".to_owned()));
    location(&post(again).await);
    let event = app.get("/events/e1").await.ok();
    assert_eq!((&event["title"], &event["venue"], &event["description"]), (&json!("Our title"), &json!("Their room"), &json!("Ours")));
}

#[tokio::test]
async fn deleting_asks_first() {
    let app = TestApp::new().await;
    app.event("e1").await;
    app.user("ann").await;
    app.post("/attend", json!({"user_id": "ann", "event_id": "e1"})).await.ok();
    assert!(page(&app, "/app/events/e1/delete").await.contains("Delete the event and its list of 1 attendee"));
    assert_eq!(app.get("/events/e1").await.status, 200);
    assert_eq!(location(&form(&app, "/app/events/e1/delete", &[]).await), "/app/events");
    // Pressed twice.
    assert_eq!(location(&form(&app, "/app/events/e1/delete", &[]).await), "/app/events");
    // Whoever had its form open loses nothing.
    let fields: Vec<_> = FIELDS.into_iter().chain([("description", "Mine")]).collect();
    let kept = form(&app, "/app/events/e1/edit", &fields).await;
    assert_eq!(kept.status, 404);
    let text = html(&kept);
    assert!(text.contains("was deleted while you filled in its form") && text.contains("value=\"Rust Night\"") && text.contains("Mine"), "{text}");
    assert!(text.contains("action=\"/app/events/new\"") && text.contains("data-keep=\"typed\""), "{text}");
    // The back button leads to a page that says so.
    let gone = app.get("/app/events/e1").await;
    assert_eq!((gone.status.as_u16(), html(&gone).contains("<h1>")), (404, true));
}

#[tokio::test]
async fn people_are_added_taken_off_and_put_back() {
    let app = TestApp::working().await;
    app.event("e1").await;
    app.patch("/events/e1", json!({"maxCapacity": 1})).await.ok();
    for id in ["ann", "bob"] {
        app.user(id).await;
    }
    app.settled().await;
    let found = page(&app, "/app/events/e1?who=ann").await;
    assert!(found.contains("name=\"user\" value=\"ann\""), "{found}");
    let added = form(&app, "/app/events/e1/attendees", &[("user", "ann")]).await;
    assert_eq!(location(&added), "/app/events/e1");
    let full = form(&app, "/app/events/e1/attendees", &[("user", "bob")]).await;
    assert_eq!(full.status, 409);
    assert!(html(&full).contains("Ann bob was not added: all places are taken."), "{}", html(&full));
    assert!(page(&app, "/app/events/e1?who=bob").await.contains("no place left"));

    form(&app, "/app/events/e1/attendees/ann/here", &[("here", "yes")]).await;
    let removed = form(&app, "/app/events/e1/attendees/ann/remove", &[]).await;
    assert_eq!(location(&removed), "/app/events/e1");
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 0);
    let cookie = removed.header("set-cookie").split(';').next().unwrap().to_owned();
    let toast = html(&app.call(Method::GET, "/app/events/e1", &[("cookie", &cookie)], "").await);
    let undo = plain(toast.split("action=\"").find(|part| part.contains("restore?")).unwrap().split('"').next().unwrap());
    location(&form(&app, &undo, &[]).await);
    assert_eq!(app.get("/attend/ann/e1").await.ok()["attended"], "here", "as it was");
    // Twice is as good as once.
    location(&form(&app, "/app/events/e1/attendees/ann/remove", &[]).await);
    location(&form(&app, "/app/events/e1/attendees/ann/remove", &[]).await);
}

#[tokio::test]
async fn who_is_new_leads_back_to_the_list_they_were_looked_for() {
    let app = TestApp::working().await;
    app.event("e1").await;
    app.user("ann").await;
    app.settled().await;
    let none = page(&app, "/app/events/e1?who=Cid+Doe").await;
    assert!(none.contains("href=\"/app/people/new?firstName=Cid&amp;lastName=Doe&amp;event=e1\""), "{none}");
    let blank = page(&app, "/app/people/new?firstName=Cid&event=e1").await;
    assert_eq!(hidden(&blank, "event"), "e1");
    let fields = [("firstName", "Cid"), ("email", "no address"), ("event", "e1")];
    assert_eq!(hidden(&html(&form(&app, "/app/people/new", &fields).await), "event"), "e1", "a fault does not lose the way back");
    let made = form(&app, "/app/people/new", &[("firstName", "Cid"), ("email", "cid@example.org"), ("event", "e1")]).await;
    assert_eq!(location(&made), "/app/events/e1?who=cid%40example.org#add");
    app.settled().await;
    assert!(page(&app, "/app/events/e1?who=cid%40example.org").await.contains("name=\"user\" value=\""));
}

#[tokio::test]
async fn the_door_works_with_and_without_scripts() {
    let app = TestApp::new().await;
    app.event("e1").await;
    for id in ["ann", "bob"] {
        app.user(id).await;
        app.post("/attend", json!({"user_id": id, "event_id": "e1"})).await.ok();
    }
    let door = page(&app, "/app/events/e1/door").await;
    assert!(door.contains("<b>0</b> of 2") && door.contains("Check in Ann ann") && door.contains("Check in Ann bob"), "{door}");
    let plain = form(&app, "/app/events/e1/attendees/ann/here", &[("door", "yes"), ("here", "yes"), ("s", "away"), ("q", "")]).await;
    assert_eq!(location(&plain), "/app/events/e1/door?s=away");
    let door = page(&app, "/app/events/e1/door?s=away").await;
    assert!(door.contains("<b>1</b> of 2") && !door.contains("Check in Ann ann"), "{door}");
    assert!(page(&app, "/app/events/e1/door?q=ann").await.contains("Undo check-in of Ann ann"), "a search finds those who are here, too");
    let part = send(&app, "/app/events/e1/attendees/bob/here", &[("door", "yes"), ("here", "yes")], &[("hx-request", "true")]).await;
    let text = html(&part);
    assert!(text.trim_start().starts_with("<li") && text.contains("is-here") && text.contains("hx-swap-oob") && text.contains("<b>2</b> of 2"), "{text}");
    assert_eq!(app.get("/attend/bob/e1").await.ok()["attended"], "here");
    send(&app, "/app/events/e1/attendees/bob/here", &[("door", "yes"), ("here", "no")], &[("hx-request", "true")]).await;
    assert_eq!(app.get("/attend/bob/e1").await.ok()["attended"], "yes");
    // Somebody took them off the list meanwhile.
    app.delete("/attend/bob/e1").await.ok();
    let part = send(&app, "/app/events/e1/attendees/bob/here", &[("door", "yes"), ("here", "yes")], &[("hx-request", "true")]).await;
    assert!(html(&part).contains("not on the list any more"), "{}", html(&part));
}

/// An event whose list takes two pages and more.
async fn attended_by_many() -> TestApp {
    let app = TestApp::new().await;
    app.event("e1").await;
    for n in 0..120 {
        let id = format!("u{n:03}");
        app.user(&id).await;
        app.post("/attend", json!({"user_id": id, "event_id": "e1"})).await.ok();
    }
    app
}

#[tokio::test]
async fn a_form_in_a_list_leads_back_to_where_it_stood() {
    let app = attended_by_many().await;
    let values = |html: &str, action: &str| -> Vec<(String, String)> {
        let form = html.split(&format!("action=\"{action}\"")).nth(1).unwrap().split("</form>").next().unwrap().to_owned();
        let field = |part: &str| part.split_once("\" value=\"").map(|(name, rest)| (name.to_owned(), plain(rest.split('"').next().unwrap())));
        form.split("type=\"hidden\" name=\"").skip(1).filter_map(field).filter(|(name, _)| name != "csrf").collect()
    };
    for (list, person) in [("/app/events/e1?s=away&q=ann&sort=-name&page=2", "u020"), ("/app/events/e1/door?s=away&q=ann&sort=-name&page=2", "u010")] {
        let here = format!("/app/events/e1/attendees/{person}/here");
        let fields = values(&page(&app, list).await, &here);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(location(&form(&app, &here, &fields).await), list);
    }
    let list = "/app/events/e1?s=all&sort=-name&page=2";
    let remove = "/app/events/e1/attendees/u060/remove";
    let fields = values(&page(&app, list).await, remove);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(location(&form(&app, remove, &fields).await), list);
}

#[tokio::test]
async fn whoever_is_checked_in_hides_nobody_on_the_next_page_of_the_door() {
    let app = attended_by_many().await;
    let link = |html: &str, rel: &str| plain(html.split(&format!("rel=\"{rel}\" href=\"")).nth(1).unwrap().split('"').next().unwrap());
    let door = page(&app, "/app/events/e1/door").await;
    assert!(door.contains("1–100 of 120") && !door.contains("rel=\"prev\""), "{door}");
    for n in 0..30 {
        form(&app, &format!("/app/events/e1/attendees/u{n:03}/here"), &[("door", "yes"), ("here", "yes")]).await;
    }
    let second = page(&app, &link(&door, "next")).await;
    for n in 100..120 {
        assert!(second.contains(&format!("Check in Ann u{n:03}")), "u{n:03}: {second}");
    }
    assert!(second.contains("71–90 of 90") && !second.contains("Check in Ann u099") && !second.contains("rel=\"next\""), "{second}");
    let back = page(&app, &link(&second, "prev")).await;
    assert!(back.contains("Check in Ann u030") && back.contains("Check in Ann u119") && !back.contains("rel=\"next\""), "all of them fit on one: {back}");

    // The same on the event's page; a number in an old address still leads somewhere.
    let away = page(&app, "/app/events/e1?s=away").await;
    let next = link(&away, "next");
    form(&app, "/app/events/e1/attendees/u031/here", &[("here", "yes")]).await;
    let second = page(&app, &next).await;
    assert!(second.contains("Ann u080") && !second.contains("Ann u079") && second.contains("50–89 of 89"), "{second}");
    assert!(page(&app, "/app/events/e1?s=away&page=2").await.contains("51–89 of 89"));
}

#[tokio::test]
async fn lists_are_paged_filtered_and_laid_out_by_month() {
    let app = TestApp::working().await;
    app.post("/users", json!({"id": "mara", "firstName": "Mara", "lastName": "Okonjo", "email": "mara@example.org"})).await.ok();
    for n in 0..60 {
        let (day, month) = (n % 27 + 1, n / 27 + 2);
        let owner = if n == 7 { "mara" } else { "" };
        app.post("/events", json!({"title": format!("Meeting {n}"), "owner": owner, "startAt": format!("2026-{month:02}-{day:02}T10:00:00"), "endAt": format!("2026-{month:02}-{day:02}T11:00:00")})).await.ok();
    }
    app.post("/events", json!({"title": "Long ago", "startAt": "2025-01-05T10:00:00", "endAt": "2025-01-05T11:00:00"})).await.ok();
    // Running now counts as coming.
    app.post("/events", json!({"title": "Right now", "startAt": "2026-01-02T01:00:00", "endAt": "2026-01-03T11:00:00"})).await.ok();
    app.settled().await;
    let first = page(&app, "/app/events").await;
    assert_eq!(first.matches("<article").count(), 50);
    assert!(first.contains("Running now") && first.contains("Page 1 of 2 · 61 events") && first.contains("Past <small>1</small>"), "{first}");
    // An event that comes into the list while it is read moves nobody out of sight.
    let next = plain(first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap());
    assert!(next.contains("page=2&at=") && next.contains("&cursor="), "{next}");
    app.clock.advance(jiff::SignedDuration::from_secs(1));
    app.post("/events", json!({"title": "Came between", "startAt": "2026-01-03T10:00:00", "endAt": "2026-01-03T11:00:00"})).await.ok();
    app.settled().await;
    let second = page(&app, &next).await;
    assert!(second.matches("<article").count() == 11 && second.contains("Page 2 of 2 · 62 events") && !second.contains("rel=\"next\""), "{second}");
    let titles = |html: &str| -> Vec<String> { html.split("<h3><a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect() };
    let mut all = [titles(&first), titles(&second)].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 61, "each once");
    assert_eq!(app.get("/app/events?cursor=forged").await.header("location"), "/app/events?sort=startAt");
    let came = app.get("/events?q=came").await.ok()["items"][0]["id"].as_str().unwrap().to_owned();
    app.delete(&format!("/events/{came}")).await;
    app.settled().await;
    let home = page(&app, "/app").await;
    assert!(home.contains("61 events coming up or under way") && home.contains("Right now</a> <span class=\"badge live now\">"), "{home}");
    assert_eq!(page(&app, "/app/events?page=2").await.matches("<article").count(), 11);
    assert!(page(&app, "/app/events?view=past").await.contains("Long ago"));
    let hosted = page(&app, "/app/events?who=okon").await;
    assert_eq!(hosted.matches("<article").count(), 1);
    assert!(hosted.contains("Mara Okonjo"));
    assert_eq!(page(&app, "/app/events?host=mara&q=meeting").await.matches("<article").count(), 1);
    // The tabs count what the filters leave, and lead to it.
    let both = page(&app, "/app/events?host=mara&q=meeting&sort=title").await;
    assert!(both.contains("href=\"/app/events?view=past&amp;q=meeting&amp;host=mara&amp;sort=title\""), "{both}");
    assert!(both.contains("href=\"/app/events?q=meeting&amp;host=mara&amp;sort=title\" aria-current=\"page\""), "{both}");
    assert!(both.contains("href=\"/app/events?q=meeting&amp;sort=title\" aria-label=\"Take the filter by host away\""), "{both}");
    let typed = page(&app, "/app/events?who=nobodyatall").await;
    assert!(typed.contains("href=\"/app/events?view=past&amp;who=nobodyatall\""), "an order of time is that of the tab: {typed}");
    assert!(page(&app, "/app/events?who=nobodyatall").await.contains("Nobody who hosts an event is called that"));
    assert!(page(&app, "/app/events?q=zzz").await.contains("Take all filters away"));
    let month = page(&app, "/app/events/calendar?month=2026-01").await;
    assert!(month.contains("January 2026") && month.contains("Right now") && month.contains("goes on"), "{month}");
    assert!(month.contains(">Upcoming <small>") && month.contains(">Past <small>"), "the tabs count as they do at the lists: {month}");
    assert!(!month.contains("2026-02-08"), "a week that is all the next month's is left out");
    for bad in ["/app/events/calendar?month=soon", "/app/events?sort=rev", "/app/events?page=0"] {
        let refused = app.get(bad).await;
        assert_eq!(refused.status, 422, "{bad}");
        html(&refused);
    }
}

#[tokio::test]
async fn hostile_text_is_shown_as_text_everywhere() {
    let app = TestApp::working().await;
    app.post("/users", json!({"id": "evil", "firstName": HOSTILE, "lastName": "O'N\"", "email": "evil@example.org", "company": HOSTILE})).await.ok();
    app.post("/events", json!({"id": "e1", "title": HOSTILE, "slug": "evil", "description": HOSTILE, "venue": HOSTILE, "public": true, "hosts": ["evil"], "owner": "evil", "startAt": "2026-03-01T18:00:00", "endAt": "2026-03-01T20:00:00"})).await.ok();
    app.post("/attend", json!({"user_id": "evil", "event_id": "e1", "attended": "<b>x</b>\"'"})).await.ok();
    app.settled().await;
    for path in [
        "/app/events",
        "/app/events?q=%3Cscript%3Ealert(1)%3C/script%3E%22'",
        "/app/events?who=evil",
        "/app/events/calendar?month=2026-03",
        "/app/events/e1",
        "/app/events/e1?who=evil",
        "/app/events/e1?q=%3Cscript%3Ealert(1)%3C/script%3E%22'",
        "/app/events/e1/edit",
        "/app/events/e1/delete",
        "/app/events/e1/door",
        "/app/events/e1/door?q=%3Cscript%3Ealert(1)%3C/script%3E%22'",
        "/app/events/e1/print",
        "/app/events/e1/import",
        "/app/events/people?hostText=evil",
        "/app/events/e1/candidates?who=evil",
        "/e/evil",
    ] {
        let text = page(&app, path).await;
        assert!(!text.contains("<script>alert") && !text.contains("<b>x</b>"), "{path}: {text}");
        assert!(!text.contains("\"'&<b>") && !text.contains("\"'&amp;<b>"), "{path}: {text}");
    }
}

#[tokio::test]
async fn attendees_go_out_as_a_file_that_no_spreadsheet_runs_and_come_in_row_by_row() {
    let app = TestApp::new().await;
    app.event("e1").await;
    app.post("/users", json!({"id": "evil", "firstName": "=1+1", "lastName": "a,\"b\"", "email": "evil@example.org"})).await.ok();
    app.post("/attend", json!({"user_id": "evil", "event_id": "e1"})).await.ok();
    let file = app.get("/app/events/e1/attendees.csv").await;
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"attendees-event-e1.csv\"");
    let text = String::from_utf8(file.body).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.starts_with("\u{feff}user_id,"), "spreadsheets are told what it is written in: {text}");
    assert!(text.contains("evil,'=1+1,\"a,\"\"b\"\"\",evil@example.org,,yes,2026-01-02"), "{text}");

    let rows = "First name;E-Mail;Surname\nBea;bea@example.org;Öz\n;nobody;\nEvil;evil@example.org;X\n";
    let done = html(&form(&app, "/app/events/e1/import", &[("rows", rows)]).await);
    assert!(done.contains("1 person added") && done.contains("1 on the list already") && done.contains("1 not added"), "{done}");
    // What was not added stands in the form below, to be mended and sent again.
    let again = "address,first name,last name\nnobody,,\n";
    assert!(done.contains("1 line that was not added stands below") && done.contains(&format!("{again}</textarea>")), "{done}");
    let mended = form(&app, "/app/events/e1/import", &[("rows", &again.replace("nobody,,", "cid@example.org,Cid,"))]).await;
    assert!(html(&mended).contains("1 person added") && html(&mended).contains("Import more"), "{}", html(&mended));
    app.delete(&format!("/attend/{}/e1", app.get("/users?email=cid@example.org").await.ok()["items"][0]["id"].as_str().unwrap())).await.ok();
    assert_eq!(app.get("/events/e1").await.ok()["attendeeCount"], 2);
    let bea = app.get("/users?email=bea@example.org").await.ok();
    assert_eq!(bea["items"][0]["lastName"], "Öz");
    assert_eq!(form(&app, "/app/events/e1/import", &[("rows", " ")]).await.status, 422);
    let paper = page(&app, "/app/events/e1/print").await;
    assert!(paper.contains("Signature") && paper.contains("2 people"), "{paper}");
}

#[tokio::test]
async fn the_form_of_an_event_stays_while_nobody_can_be_searched() {
    let app = TestApp::working().await;
    app.event("e1").await;
    for id in ["ann", "bob"] {
        app.user(id).await;
    }
    app.settled().await;
    app.index.take_away(true);
    let typed = |text: &'static str| FIELDS.into_iter().chain([("hostText", text)]).collect::<Vec<_>>();
    for path in ["/app/events/new", "/app/events/e1/edit"] {
        let found = form(&app, path, &typed("Bob")).await;
        assert_eq!(found.status, 200, "{path}");
        let text = html(&found);
        assert!(text.contains("value=\"Rust Night\"") && text.contains("Searching is not possible right now") && !text.contains("pickHost"), "{text}");
        let text = html(&form(&app, path, &typed("BOB@example.org")).await);
        assert!(text.contains("name=\"pickHost\" value=\"bob\"") && text.contains("Searching is not possible right now"), "{text}");
    }
    let part = html(&app.get("/app/events/people?hostText=ann").await);
    assert!(part.contains("Searching is not possible right now") && !part.contains("Nobody is found"), "{part}");
    assert!(page(&app, "/app/events/e1?who=Ann").await.contains("Searching is not possible right now"));
    for path in ["/app/events/e1?who=ann@example.org", "/app/events/e1/candidates?who=ann@example.org"] {
        assert!(page(&app, path).await.contains("name=\"user\" value=\"ann\""), "{path}");
    }
    let month = page(&app, "/app/events/calendar?month=2026-03").await;
    assert!(month.contains("Searching is not possible right now") && !month.contains("Nothing takes place"), "{month}");
    app.index.take_away(false);
    assert!(page(&app, "/app/events/calendar?month=2026-03").await.contains("Event e1"));
}

#[tokio::test]
async fn home_shows_what_has_not_ended_by_the_clock_of_each_event() {
    let app = TestApp::working().await;
    // It is 03:04 UTC: 22:04 of the day before in Chicago, 12:04 in Tokyo.
    for (title, start, end, zone) in [
        ("Evening in Chicago", "2026-01-01T21:00", "2026-01-01T23:00", "America/Chicago"),
        ("Noon in Tokyo", "2026-01-02T10:00", "2026-01-02T12:00", "Asia/Tokyo"),
        ("Later in Tokyo", "2026-01-02T13:00", "2026-01-02T14:00", "Asia/Tokyo"),
    ] {
        app.post("/events", json!({"title": title, "startAt": start, "endAt": end, "timezone": zone})).await.ok();
    }
    app.settled().await;
    let home = page(&app, "/app").await;
    assert!(home.contains("Evening in Chicago</a> <span class=\"badge live now\">Running now") && home.contains("Later in Tokyo</a></h3>"), "{home}");
    assert!(!home.contains("Noon in Tokyo"), "{home}");
}
