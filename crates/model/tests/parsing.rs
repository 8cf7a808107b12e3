//! What is accepted, what is refused, and that every fault is told at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::cast_lossless,
    reason = "tests fail by panicking, say their figures, and are called with literals"
)]

use emcrm_model::{CampaignDraft, DateTime, EmailAddress, EventDraft, FieldErrors, Patch, Slug, UserDraft, UserFilter, UserId, UserPatch, fold};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

fn faults(errors: FieldErrors) -> Vec<(String, &'static str)> {
    errors.0.into_iter().map(|error| (error.path.join("."), error.kind)).collect()
}

fn user(changes: Value) -> Value {
    let mut body = json!({ "firstName": "Ann", "lastName": "Lee", "email": "ann@example.org" });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn event(changes: Value) -> Value {
    let mut body = json!({ "title": "Talks", "startAt": "2026-12-01T18:00:00", "endAt": "2026-12-01T21:00:00" });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn every_faulty_field_is_named_at_once() {
    let body = json!({ "firstName": " ", "lastName": "x".repeat(51), "email": "nope", "phoneNumber": "123", "gender": "robot", "company": 7 });
    let expected = [
        ("firstName", "string_too_short"),
        ("lastName", "string_too_long"),
        ("email", "value_error"),
        ("phoneNumber", "string_too_short"),
        ("gender", "enum"),
        ("company", "string_type"),
    ];
    assert_eq!(faults(UserDraft::parse(&body).unwrap_err()), expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!(faults(UserDraft::parse(&json!({})).unwrap_err()).len(), 3);
    assert_eq!(faults(UserDraft::parse(&json!([])).unwrap_err()), [(String::new(), "model_type")]);
}

#[test]
fn limits_count_characters_after_trimming() {
    let fifty = "ü".repeat(50);
    let draft = UserDraft::parse(&user(json!({ "firstName": format!("  {fifty} "), "city": "" }))).unwrap();
    assert_eq!((draft.first_name, draft.city), (fifty, None));
    assert!(UserDraft::parse(&user(json!({ "firstName": "ü".repeat(51) }))).is_err());
    assert!(UserDraft::parse(&user(json!({ "company": "a\0b" }))).is_err());
}

#[test]
fn counters_in_a_body_are_ignored() {
    assert_eq!(UserDraft::parse(&user(json!({ "attendedCount": 99, "hostedCount": "x" }))), UserDraft::parse(&user(json!({}))));
}

#[test]
fn a_patch_tells_absent_from_null_from_a_value() {
    let patch = UserPatch::parse(&json!({ "company": null, "city": "Austin" })).unwrap();
    assert_eq!((patch.company, patch.city, patch.state), (Patch::Clear, Patch::Set("Austin".to_owned()), Patch::Keep));
    assert_eq!(faults(UserPatch::parse(&json!({ "email": null, "gender": "robot" })).unwrap_err()).len(), 2);
}

#[test]
fn addresses_are_taken_as_strict_mail_programs_take_them() {
    for good in ["a@b.co", "first.last+tag@sub.example.org", "\"odd one\"@example.org", "ann@bücher.example", "用户@例え.jp", "o'neil@example.org"] {
        assert!(EmailAddress::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "a",
        "a@",
        "@b.co",
        "a@b",
        "a@localhost",
        "a@@b.co",
        "a b@c.de",
        "a@b..co",
        "a@.b.co",
        "a@[127.0.0.1]",
        "Ann <a@b.co>",
        "a@b.co\r\nBcc: x@y.z",
        "a\0@b.co",
        ".a@b.co",
        "a.@b.co",
        "a@-b.co",
    ] {
        assert!(EmailAddress::parse(bad).is_err(), "{bad}");
    }
    assert!(EmailAddress::parse(&format!("{}@example.org", "a".repeat(250))).is_err());
    assert_eq!(EmailAddress::parse(" Ann@BÜCHER.example ").unwrap().normalised(), "ann@xn--bcher-kva.example");
}

#[test]
fn slugs_are_groups_joined_by_single_dashes() {
    for good in ["abc", "a-b", "rust-2026", "0-0"] {
        assert!(Slug::parse(good).is_ok(), "{good}");
    }
    for bad in ["ab", "-abc", "abc-", "a--b", "Abc", "a_b", "ä-b-c", &"a".repeat(51)] {
        assert!(Slug::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_event_ends_after_it_starts_in_its_own_zone() {
    let utc = TimeZone::UTC;
    assert!(EventDraft::parse(&event(json!({ "endAt": "2026-12-01T18:00:00" })), &utc).is_err());
    let both = EventDraft::parse(&event(json!({ "title": "", "endAt": "2026-12-01T18:00:00" })), &utc).unwrap_err();
    assert!(["title", "endAt"].iter().all(|field| format!("{both:?}").contains(field)), "all faults are told at once: {both:?}");
    // Half past seven in Berlin is half past six in UTC.
    let mixed = json!({ "timezone": "Europe/Berlin", "startAt": "2026-12-01T19:30:00", "endAt": "2026-12-01T18:45:00Z" });
    assert!(EventDraft::parse(&event(mixed), &utc).is_ok());
    let faulty = json!({ "timezone": "Mars/Base", "maxCapacity": 0, "hosts": ["a", 5, "b c"], "slug": "No" });
    let expected =
        [("slug", "value_error"), ("timezone", "value_error"), ("maxCapacity", "greater_than_equal"), ("hosts.1", "string_type"), ("hosts.2", "value_error")];
    assert_eq!(faults(EventDraft::parse(&event(faulty), &utc).unwrap_err()), expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert!(EventDraft::parse(&event(json!({ "hosts": vec!["a"; 11] })), &utc).is_err());
    assert_eq!(EventDraft::parse(&event(json!({ "owner": "" })), &utc).unwrap().owner, None);
}

#[test]
fn ids_are_short_and_plain() {
    for good in ["a", "A-1_b.c", &"x".repeat(50)] {
        assert!(UserId::parse(good).is_ok(), "{good}");
    }
    for bad in ["", " ", "a b", "a/b", "a#b", "ü", &"x".repeat(51)] {
        assert!(UserId::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_filter_names_reversed_ranges_and_takes_one_value_or_several() {
    let filter = UserFilter::parse(&json!({ "company": ["Acme", "", "Zeta"], "city": "Austin", "state": "", "minAttended": 2 })).unwrap();
    assert_eq!((filter.company.len(), filter.city.len(), filter.state.len(), filter.min_attended), (2, 1, 0, Some(2)));
    let reversed = json!({ "minAttended": 3, "maxAttended": 2, "minHosted": -1, "maxHosted": 1.5 });
    assert_eq!(faults(UserFilter::parse(&reversed).unwrap_err()).len(), 3);
    assert!(UserFilter::parse(&json!({ "city": ["a\0b"] })).is_err() && UserFilter::parse(&json!({ "city": "a\0b" })).is_err());
    assert_eq!(serde_json::from_value::<UserFilter>(filter.to_json()).unwrap(), filter);
}

#[test]
fn a_campaign_needs_a_filter_a_subject_in_one_line_and_a_body() {
    let body = json!({ "filter": { "city": 5 }, "subject": "a\nb", "body": "ä".repeat(60_000), "rate": 0 });
    let expected = [("filter.city", "string_type"), ("subject", "value_error"), ("body", "string_too_long"), ("rate", "greater_than_equal")];
    assert_eq!(faults(CampaignDraft::parse(&body).unwrap_err()), expected.map(|(path, kind)| (path.to_owned(), kind)));
    // A condition that is not known would select everybody if it were passed over.
    let misspelt = json!({ "filter": { "compny": ["X"], "city": "Austin" }, "subject": "s", "body": "b" });
    assert_eq!(faults(CampaignDraft::parse(&misspelt).unwrap_err()), [("filter.compny".to_owned(), "extra_forbidden")]);
    let hostile: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("x{n}"), Value::Null)).collect();
    assert_eq!(faults(CampaignDraft::parse(&json!({ "filter": hostile, "subject": "s", "body": "b" })).unwrap_err()).len(), 3);
    let list = |audience: &str, more: Value| {
        let mut body = json!({ "audience": audience, "filter": {}, "subject": "s", "body": "b" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        CampaignDraft::parse(&body)
    };
    for audience in ["attendees", "here", "away"] {
        for without in [json!({}), json!({ "eventId": null }), json!({ "eventId": "" })] {
            assert_eq!(faults(list(audience, without).unwrap_err()), [("eventId".to_owned(), "missing")]);
        }
        assert!(list(audience, json!({ "eventId": "tea" })).is_ok());
    }
    assert!(list("people", json!({})).is_ok());
    assert_eq!(faults(list("friends", json!({})).unwrap_err()).len(), 1);
    assert_eq!(faults(CampaignDraft::parse(&json!({})).unwrap_err()), ["filter", "subject", "body"].map(|name| (name.to_owned(), "missing")));
}

#[test]
fn folding_ignores_case_width_and_spacing_only() {
    assert_eq!(fold("  ACME  GmbH\t& Co "), "acme gmbh & co");
    assert_eq!(fold("ＡＣＭＥ"), "acme");
    assert_ne!(fold("Zoe"), fold("Zoë"));
    assert_ne!(fold("York"), fold("New York"));
}

proptest! {
    #[test]
    fn a_date_time_comes_back_as_it_was_sent(text in "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?") {
        let parsed = DateTime::parse(&text).unwrap();
        prop_assert_eq!(parsed.as_str(), text.as_str());
        let stored: DateTime = serde_json::from_value(serde_json::to_value(&parsed).unwrap()).unwrap();
        prop_assert_eq!(stored.instant(&TimeZone::UTC), parsed.instant(&TimeZone::UTC));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = DateTime::parse(&text);
        let _ = Slug::parse(&text);
        let _ = UserId::parse(&text);
        if let Ok(address) = EmailAddress::parse(&text) {
            prop_assert!(!address.as_str().contains(['\r', '\n', '\0']));
            // What is normalised stays as it is.
            let again = EmailAddress::parse(address.normalised()).unwrap();
            prop_assert_eq!(again.normalised(), address.normalised());
            // Stored and read back it is the same, by the short way too.
            prop_assert_eq!(EmailAddress::from(address.as_str().to_owned()), address);
        }
    }

    #[test]
    fn an_address_is_the_same_when_it_is_read_back(local in "[A-Za-z0-9.+'_-]{1,20}", domain in "([A-Za-z0-9äßÉ-]{1,8}\\.){1,3}[A-Za-z]{2,5}") {
        if let Ok(address) = EmailAddress::parse(&format!("{local}@{domain}")) {
            prop_assert_eq!(EmailAddress::from(address.as_str().to_owned()), address);
        }
    }

    #[test]
    fn folding_twice_is_folding_once(text in any::<String>()) {
        prop_assert_eq!(fold(&fold(&text)), fold(&text));
    }

    #[test]
    fn a_slug_can_always_be_made_of_a_title(title in ".{3,100}", attempt in 0..10_000_u32) {
        let slug = Slug::from_title(&title, attempt);
        prop_assert!(Slug::parse(slug.as_str()).is_ok(), "{}", slug);
    }

    #[test]
    fn a_stored_user_reads_back_the_same(first in "[^\\pC]{1,20}", company in prop::option::of("[^\\pC]{1,20}")) {
        let body = user(json!({ "firstName": format!("x{first}"), "company": company.map(|company| format!("x{company}")) }));
        let draft = UserDraft::parse(&body).unwrap();
        prop_assert_eq!(&UserPatch::parse(&json!({})).unwrap().apply(draft.clone()), &draft);
    }
}
