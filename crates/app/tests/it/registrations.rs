use emcrm_app::registrations::PlaceState;
use emcrm_app::{AppError, Call, Worker};
use emcrm_model::{EmailAddress, Event, EventPatch, PageRequest, Position, SuppressionReason, User, UserDraft};
use emcrm_store::CountKind;
use mailparse::MailHeaderMap;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, call, user_draft};

fn anybody() -> Call {
    Call::public(None, "request")
}

const URL: &str = "https://crm.example";

async fn public(t: &TestApp, more: Value) -> Event {
    let mut body = json!({ "public": true, "timezone": "Europe/Berlin", "venue": "Hall\r\nBcc: x@evil.example" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    t.event("Rust Night", body).await
}

async fn by_email(t: &TestApp, address: &str) -> Option<User> {
    t.app.store.users.by_email(&EmailAddress::parse(address).unwrap()).await.unwrap()
}

fn text_of(mail: &[u8]) -> String {
    let mail = mailparse::parse_mail(mail).unwrap();
    mail.subparts.first().unwrap_or(&mail).get_body().unwrap()
}

fn id_of(mail: &[u8]) -> String {
    mailparse::parse_mail(mail).unwrap().headers.get_first_value("Message-ID").unwrap()
}

fn token_in(text: &str) -> String {
    text.split(&format!("{URL}/r/")).nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn somebody_new_gets_a_place_and_a_confirmation_with_a_link_that_gives_it_back() {
    let t = TestApp::public(URL);
    let event = public(&t, json!({})).await;
    t.app.public_register(&anybody(), event.slug.as_str(), &user_draft("Ann", json!({}))).await.unwrap();
    let ann = by_email(&t, "ann@example.org").await.unwrap();
    assert_eq!((ann.first_name.as_str(), ann.attended_count), ("Ann", 1));
    t.assert_counts().await;
    t.settle().await;
    assert_eq!(t.mail.taken(), ["ann@example.org"]);
    let mail = t.mail.messages().remove(0);
    let text = text_of(&mail);
    assert!(text.contains("You have a place at") && text.contains("Tuesday, 1 December 2026, 18:00–21:00 (Europe/Berlin)"), "{text}");
    assert!(text.contains("Where: Hall Bcc: x@evil.example") && text.contains("https://crm.example/e/rust-night"), "{text}");
    assert!(!text.contains("Ann"), "whoever fills in the form must not choose words of the mail: {text}");
    let parsed = mailparse::parse_mail(&mail).unwrap();
    assert_eq!(parsed.headers.get_first_value("Subject").unwrap(), "Your place: Rust Night");
    assert!(parsed.headers.get_first_value("Bcc").is_none() && parsed.headers.get_first_value("List-Unsubscribe").is_none());
    assert!(parsed.subparts.iter().any(|part| part.ctype.mimetype == "text/calendar"));

    let token = token_in(&text);
    let place = t.app.place_open(&token).await.unwrap().unwrap();
    assert_eq!((place.event.id, place.email.as_str(), place.state), (event.id.clone(), "ann@example.org", PlaceState::Held));
    for _ in 0..2 {
        assert_eq!(t.app.place_give_back(&anybody(), &token).await.unwrap().unwrap().state, PlaceState::GivenBack);
    }
    assert_eq!(t.app.event_get(&call(), event.id.as_str()).await.unwrap().attendee_count, 0);
    t.assert_counts().await;
}

#[tokio::test]
async fn a_known_address_gets_the_same_answer_and_the_person_stays_as_they_are() {
    let t = TestApp::public(URL);
    let event = public(&t, json!({})).await;
    let ann = t.user_with("Ann", json!({ "company": "Quillmoor" })).await;
    let other = UserDraft { first_name: "Evil".to_owned(), ..user_draft("Ann", json!({ "email": "ANN@example.org", "lastName": "Other" })) };
    t.app.public_register(&anybody(), event.slug.as_str(), &other).await.unwrap();
    let after = t.reload(&ann).await;
    assert_eq!((after.first_name.as_str(), after.last_name.as_str(), after.email.as_str(), after.attended_count), ("Ann", "Test", "ann@example.org", 1));
    assert_eq!(t.app.store.counts.total(CountKind::Users).await.unwrap(), 1);

    // Again: the answer is the same, the mail says that there is a place already, and in one hour there is one such mail.
    for _ in 0..5 {
        t.app.public_register(&anybody(), event.slug.as_str(), &other).await.unwrap();
    }
    t.settle().await;
    let mails = t.mail.messages();
    assert_eq!(mails.len(), 2);
    let again = mails.iter().map(|mail| text_of(mail)).find(|text| text.contains("You have a place already at")).unwrap();
    assert_eq!(t.app.place_open(&token_in(&again)).await.unwrap().unwrap().state, PlaceState::Held);
    t.later(3_600);
    t.app.public_register(&anybody(), event.slug.as_str(), &other).await.unwrap();
    t.settle().await;
    assert_eq!(t.mail.messages().len(), 3);
    // Each mail is in the audit trail.
    while t.app.audit_chain().await.unwrap() > 0 {}
    let of_ann =
        t.app.audit_list(&call(), Some(&emcrm_store::keys::user_part(&ann.id)), &PageRequest { position: Position::Number(1), size: 50 }).await.unwrap();
    let what: Vec<&str> = of_ann.items.iter().map(|chained| chained.entry.what.as_str()).collect();
    assert_eq!(what, ["attendance.reminded", "attendance.reminded", "attendance.registered", "user.created"]);
    assert_eq!(t.app.event_get(&call(), event.id.as_str()).await.unwrap().attendee_count, 1);
    t.assert_counts().await;
}

#[tokio::test]
async fn a_full_event_refuses_the_known_the_unknown_and_those_who_are_in_alike() {
    let t = TestApp::public(URL);
    let event = public(&t, json!({ "maxCapacity": 1 })).await;
    t.user("bob").await;
    t.app.public_register(&anybody(), event.slug.as_str(), &user_draft("ann", json!({}))).await.unwrap();
    for name in ["ann", "bob", "carl"] {
        let refused = t.app.public_register(&anybody(), event.slug.as_str(), &user_draft(name, json!({}))).await;
        assert!(matches!(refused, Err(AppError::EventFull)), "{name}: {refused:?}");
    }
    assert!(by_email(&t, "carl@example.org").await.is_none(), "who is refused is not kept");
    t.settle().await;
    // Who is in gets the link once more.
    assert_eq!(t.mail.taken(), ["ann@example.org", "ann@example.org"]);
    t.assert_counts().await;
}

#[tokio::test]
async fn what_is_not_public_or_over_takes_nobody() {
    let t = TestApp::public(URL);
    let event = public(&t, json!({})).await;
    let hidden = t.event("Board", json!({})).await;
    let ann = user_draft("ann", json!({}));
    for slug in [hidden.slug.as_str(), "nothing-here", "A B", ""] {
        assert!(matches!(t.app.public_register(&anybody(), slug, &ann).await, Err(AppError::EventUnknown)), "{slug}");
        assert!(matches!(t.app.public_event(slug).await, Err(AppError::EventUnknown)), "{slug}");
    }
    t.app.public_register(&anybody(), event.slug.as_str(), &ann).await.unwrap();
    t.settle().await;
    let token = token_in(&text_of(&t.mail.messages()[0]));
    t.clock.advance(jiff::SignedDuration::from_hours(24 * 30));
    assert!(matches!(t.app.public_register(&anybody(), event.slug.as_str(), &user_draft("bob", json!({}))).await, Err(AppError::RegistrationClosed)));
    // The link has run out: after the event nothing is given back.
    assert_eq!(t.app.place_give_back(&anybody(), &token).await.unwrap().unwrap().state, PlaceState::Over);
    assert_eq!(t.app.event_get(&call(), event.id.as_str()).await.unwrap().attendee_count, 1);
}

#[tokio::test]
async fn forged_links_and_links_to_what_is_gone_open_nothing() {
    let t = TestApp::public(URL);
    let event = public(&t, json!({})).await;
    t.app.public_register(&anybody(), event.slug.as_str(), &user_draft("ann", json!({}))).await.unwrap();
    t.settle().await;
    let token = token_in(&text_of(&t.mail.messages()[0]));
    let mut forged = token.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    for bad in [String::from_utf8(forged).unwrap(), token[..token.len() - 1].to_owned(), String::new(), "x".repeat(9_000)] {
        assert!(t.app.place_open(&bad).await.unwrap().is_none() && t.app.place_give_back(&anybody(), &bad).await.unwrap().is_none(), "{bad}");
    }
    assert!(t.app.unsubscribe_open(&token).await.unwrap().is_none(), "a link of one purpose is no link of another");
    let ann = by_email(&t, "ann@example.org").await.unwrap();
    t.app.user_delete(&call(), &ann.id).await.unwrap();
    assert!(t.app.place_open(&token).await.unwrap().is_none());
}

#[tokio::test]
async fn a_confirmation_is_tried_again_with_the_same_message_id_and_never_to_a_suppressed_address() {
    let t = TestApp::public(URL);
    let event = public(&t, json!({})).await;
    t.mail.answer("ann@example.org", &[Answer::TakenThenLost]);
    t.mail.answer("bob@example.org", &[Answer::Temporary]);
    t.mail.answer("carl@example.org", &[Answer::Permanent]);
    t.app.suppression_add(&call(), &EmailAddress::parse("dora@example.org").unwrap(), SuppressionReason::Complained, None).await.unwrap();
    t.app.suppression_add(&call(), &EmailAddress::parse("emil@example.org").unwrap(), SuppressionReason::Unsubscribed, None).await.unwrap();
    for name in ["ann", "bob", "carl", "dora", "emil"] {
        t.app.public_register(&anybody(), event.slug.as_str(), &user_draft(name, json!({}))).await.unwrap();
    }
    for _ in 0..4 {
        t.settle().await;
        t.later(10);
    }
    // Who unsubscribed from news still hears about a place.
    assert_eq!(t.mail.taken(), ["ann@example.org", "ann@example.org", "bob@example.org", "emil@example.org"]);
    let ids: std::collections::HashSet<String> = t.mail.messages().iter().map(|mail| id_of(mail)).collect();
    assert_eq!(ids.len(), 3, "each person's mail has one id");
    assert_eq!(t.app.backlog().await.unwrap().queues.iter().map(|queue| queue.waiting + queue.dead).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_registrations_never_fills_more_than_there_is_and_leaves_nobody_half_in() {
    let t = TestApp::public(URL);
    let event = public(&t, json!({ "maxCapacity": 20 })).await;
    for n in 0..10 {
        t.user(&format!("p{n}")).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..120 {
        let (app, slug) = (t.app.clone(), event.slug.clone());
        // Forty addresses, three times each; ten of them are known.
        let draft = user_draft(&format!("p{}", n % 40), json!({}));
        tasks.spawn(async move { app.public_register(&anybody(), slug.as_str(), &draft).await });
    }
    let mut full = 0;
    while let Some(result) = tasks.join_next().await {
        match result.unwrap() {
            Ok(()) => {}
            Err(AppError::EventFull) => full += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(full >= 20, "{full}");
    assert_eq!(t.app.event_get(&call(), event.id.as_str()).await.unwrap().attendee_count, 20);
    t.assert_counts().await;
    let worker = Worker::spawn(t.app.clone());
    worker.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_know_the_switch_leaves_it_as_it_is() {
    let t = TestApp::new();
    let event = public(&t, json!({})).await;
    let replaced = t.app.event_replace(&call(), &event.id, crate::support::event_draft("Rust Night", json!({}))).await.unwrap();
    assert!(replaced.public && t.app.event_get(&call(), event.id.as_str()).await.unwrap().public);
    let off = EventPatch::parse(&json!({ "public": false })).unwrap();
    assert!(!t.app.event_patch(&call(), &event.id, off).await.unwrap().public);
    let item = t.app.store.events.item(&event.id).await.unwrap().unwrap();
    assert!(!item.attrs.contains_key("public"), "false is left out");
    assert!(EventPatch::parse(&json!({ "public": null })).is_err());
}
