//! Each thing that can be wrong is made wrong behind the application's back; it is named, mended, and then everything is clean.

mod support;

use emcrm_model::{CampaignState, DeliveryState};
use emcrm_search::{DocChange, Kind};
use emcrm_store::{Item, Queue, Table, Task, keys};
use serde_json::json;

use super::{FindingKind, NoteKind, Repair, VerifyReport};
use crate::Call;
use support::Town;

fn kinds(report: &VerifyReport) -> Vec<(FindingKind, u64)> {
    report.found.iter().map(|(kind, n)| (*kind, *n)).collect()
}

/// What is wrong is named, once and nothing else; looking mends nothing; `--repair` mends it.
async fn named_and_mended(town: &Town, kinds_expected: &[FindingKind], place: &str) {
    let expected: Vec<_> = kinds_expected.iter().map(|kind| (*kind, 1)).collect();
    for _ in 0..2 {
        let report = town.verify(false).await;
        assert_eq!(kinds(&report), expected, "{:?}", report.findings);
        assert!(report.findings.iter().any(|finding| finding.place.starts_with(place)), "{:?}", report.findings);
        assert!(report.findings.iter().all(|finding| finding.repair != Repair::Done));
    }
    let report = town.verify(true).await;
    assert_eq!(kinds(&report), expected, "{:?}", report.findings);
    assert_eq!(report.repaired, report.total(), "{:?}", report.findings);
    let report = town.verify(false).await;
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// What is wrong is named, and left to a person.
async fn named_and_left(town: &Town, expected: &[(FindingKind, u64)]) {
    for repair in [false, true] {
        let report = town.verify(repair).await;
        assert_eq!(kinds(&report), expected, "{:?}", report.findings);
        assert_eq!(report.repaired, 0);
    }
}

#[tokio::test]
async fn clean_data_gives_no_finding_and_everything_is_looked_at() {
    let town = Town::new().await;
    let report = town.verify(true).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let counted = &report.counted;
    assert_eq!((counted.users, counted.events, counted.attendances, counted.campaigns, counted.deliveries, counted.documents), (5, 2, 6, 1, 5, 7));
}

#[tokio::test]
async fn work_that_waits_is_done_first_and_is_no_finding() {
    let town = Town::new().await;
    town.app.user_delete(&Call::system(), &town.user(1)).await.unwrap();
    town.app.user_create(&Call::system(), None, Town::draft("late@example.org")).await.unwrap();
    town.app.event_delete(&Call::system(), &town.event(1)).await.unwrap();
    let report = town.verify(false).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.counted.documents, 6);
}

#[tokio::test]
async fn wrong_totals_are_set_to_the_recount() {
    for (kind, count, finding) in [
        ("users", 3, FindingKind::UserTotal),
        ("events", -1, FindingKind::EventTotal),
        ("campaigns", 1, FindingKind::CampaignTotal),
        ("suppressions", 2, FindingKind::MailListTotal),
        ("templates", -2, FindingKind::MailListTotal),
    ] {
        let town = Town::new().await;
        town.corrupt(|tx| {
            tx.add(Table::Main, keys::count(kind, 7), "n", count);
        })
        .await;
        named_and_mended(&town, &[finding], &format!("count#{kind}")).await;
    }
}

#[tokio::test]
async fn a_missing_total_is_made() {
    let town = Town::new().await;
    let shards: Vec<u32> = (0..keys::SHARDS).collect();
    town.corrupt(|tx| {
        for shard in &shards {
            tx.delete(Table::Main, keys::count("users", *shard));
        }
    })
    .await;
    named_and_mended(&town, &[FindingKind::UserTotal], "count#users").await;
}

#[tokio::test]
async fn counters_of_users_are_set_to_the_recount_and_searched_by_it() {
    for (attr, finding) in [("attendedCount", FindingKind::AttendedCount), ("hostedCount", FindingKind::HostedCount)] {
        let town = Town::new().await;
        town.corrupt(|tx| {
            tx.add(Table::Main, keys::user(&town.user(0)), attr, -2);
        })
        .await;
        // The index has the right number, the storage has not: both are said.
        let report = town.verify(false).await;
        assert_eq!(kinds(&report), [(finding, 1), (FindingKind::DocumentStale, 1)]);
        let report = town.verify(true).await;
        assert_eq!((report.total(), report.repaired), (1, 1), "{:?}", report.findings);
        assert!(town.verify(false).await.is_clean());
    }
}

#[tokio::test]
async fn the_seats_of_an_event_are_set_to_the_recount() {
    let town = Town::new().await;
    town.corrupt(|tx| {
        tx.add(Table::Main, keys::event(&town.event(0)), "attendeeCount", -1);
    })
    .await;
    named_and_mended(&town, &[FindingKind::AttendeeCount], "event#").await;
}

#[tokio::test]
async fn more_attendances_than_seats_are_for_a_person() {
    let town = Town::new().await;
    town.corrupt(|tx| {
        tx.update(Table::Main, keys::event(&town.event(0))).set("maxCapacity", 2);
    })
    .await;
    named_and_left(&town, &[(FindingKind::OverCapacity, 1)]).await;
}

#[tokio::test]
async fn a_missing_claim_is_put_back() {
    let town = Town::new().await;
    let address = town.stored(0).await.email;
    town.corrupt(|tx| {
        tx.delete(Table::Main, keys::email_claim(&address));
    })
    .await;
    named_and_mended(&town, &[FindingKind::EmailClaimMissing], "user#").await;
    assert_eq!(town.app.store.users.by_email(&address).await.unwrap().unwrap().id, town.user(0));

    let slug = town.app.store.events.get(&town.event(0)).await.unwrap().unwrap().slug;
    town.corrupt(|tx| {
        tx.delete(Table::Main, keys::slug_claim(&slug));
    })
    .await;
    named_and_mended(&town, &[FindingKind::SlugClaimMissing], "event#").await;
    assert_eq!(town.app.store.events.by_slug(&slug).await.unwrap().unwrap().id, town.event(0));
}

#[tokio::test]
async fn a_claim_for_somebody_who_does_not_have_it_is_corrected() {
    let town = Town::new().await;
    let address = town.stored(0).await.email;
    let slug = town.app.store.events.get(&town.event(0)).await.unwrap().unwrap().slug;
    for holder in ["nobody", town.user(1).as_str()] {
        town.corrupt(|tx| {
            tx.update(Table::Main, keys::email_claim(&address)).set("user_id", holder);
        })
        .await;
        named_and_mended(&town, &[FindingKind::EmailClaimWrong], "user#").await;
    }
    for holder in ["nothing", town.event(1).as_str()] {
        town.corrupt(|tx| {
            tx.update(Table::Main, keys::slug_claim(&slug)).set("event_id", holder);
        })
        .await;
        named_and_mended(&town, &[FindingKind::SlugClaimWrong], "event#").await;
    }
}

#[tokio::test]
async fn an_address_or_slug_of_two_is_for_a_person() {
    let town = Town::new().await;
    let address = town.stored(0).await.email;
    let was = town.stored(1).await.email;
    town.corrupt(|tx| {
        tx.update(Table::Main, keys::user(&town.user(1))).set("email", address.as_str().to_uppercase());
    })
    .await;
    town.corrupt(|tx| {
        tx.delete(Table::Main, keys::email_claim(&was));
    })
    .await;
    let slug = town.app.store.events.get(&town.event(0)).await.unwrap().unwrap().slug;
    town.corrupt(|tx| {
        tx.update(Table::Main, keys::event(&town.event(1))).set("slug", slug.as_str());
    })
    .await;
    town.app.reindex(|_| ()).await.unwrap();
    named_and_left(&town, &[(FindingKind::EmailShared, 1), (FindingKind::SlugShared, 1)]).await;
}

#[tokio::test]
async fn a_claim_that_nobody_has_is_found_through_the_ledger() {
    let town = Town::new().await;
    let address = town.stored(4).await.email;
    town.app.user_delete(&Call::system(), &town.user(4)).await.unwrap();
    town.corrupt(|tx| town.app.store.users.claim_email(tx, &address, &town.user(4))).await;
    named_and_mended(&town, &[FindingKind::EmailClaimLeft], "claim#email#").await;
    town.app.user_create(&Call::system(), None, Town::draft(address.as_str())).await.expect("the address is free");
}

#[tokio::test]
async fn attendances_without_their_user_or_event_are_cleaned_up() {
    let town = Town::new().await;
    let stored = town.app.store.engine.get(Table::Main, &keys::user(&town.user(1))).await.unwrap().unwrap();
    town.corrupt(|tx| {
        tx.delete(Table::Main, keys::user(&town.user(1)));
    })
    .await;
    town.corrupt(|tx| {
        tx.add(Table::Main, keys::count("users", 0), "n", -1);
    })
    .await;
    assert_eq!(stored.attrs["attendedCount"], 2);
    town.app.reindex(|_| ()).await.unwrap();
    let address = Town::stored_address(1);
    let report = town.verify(false).await;
    assert_eq!(kinds(&report), [(FindingKind::EmailClaimLeft, 1), (FindingKind::AttendanceWithoutUser, 1), (FindingKind::HostWithoutUser, 1)]);
    assert_eq!(town.verify(true).await.repaired, 3);
    assert!(town.verify(false).await.is_clean());
    assert_eq!(town.app.store.events.get(&town.event(0)).await.unwrap().unwrap().attendee_count, 3);
    assert!(town.app.store.users.by_email(&address).await.unwrap().is_none());

    let town = Town::new().await;
    let slug = town.app.store.events.get(&town.event(1)).await.unwrap().unwrap().slug;
    town.corrupt(|tx| {
        let _ = tx.delete(Table::Main, keys::event(&town.event(1)));
        let _ = tx.delete(Table::Main, keys::slug_claim(&slug));
        let _ = tx.add(Table::Main, keys::count("events", 0), "n", -1);
    })
    .await;
    town.app.reindex(|_| ()).await.unwrap();
    let report = town.verify(false).await;
    // The host of the event has its row and its counter still.
    assert_eq!(kinds(&report), [(FindingKind::HostedCount, 1), (FindingKind::AttendanceWithoutEvent, 1), (FindingKind::HostRowLeft, 1)]);
    town.verify(true).await;
    assert!(town.verify(false).await.is_clean());
    assert_eq!(town.stored(1).await.attended_count, 1);
}

#[tokio::test]
async fn rows_of_hosts_follow_the_event() {
    let town = Town::new().await;
    let row = keys::hosting(&town.user(0), &town.event(0));
    town.corrupt(|tx| {
        tx.delete(Table::Main, row.clone());
    })
    .await;
    named_and_mended(&town, &[FindingKind::HostRowMissing], "host#").await;
    town.corrupt(|tx| {
        tx.put(Table::Main, Item { key: keys::hosting(&town.user(3), &town.event(0)), attrs: emcrm_store::Attrs::new() });
    })
    .await;
    named_and_mended(&town, &[FindingKind::HostRowLeft], "host#").await;
}

#[tokio::test]
async fn the_mark_of_a_deletion_on_something_that_exists_is_removed() {
    let town = Town::new().await;
    for key in [keys::user_tombstone(&town.user(0)), keys::event_tombstone(&town.event(0))] {
        town.corrupt(|tx| {
            tx.put(Table::Main, Item { key, attrs: emcrm_store::Attrs::new() });
        })
        .await;
        named_and_mended(&town, &[FindingKind::TombstoneLeft], "").await;
    }
}

#[tokio::test]
async fn counts_of_a_campaign_are_set_to_its_ledger() {
    let town = Town::new().await;
    for attr in ["sentCount", "errorCount", "totalRecipients"] {
        town.corrupt(|tx| {
            tx.add(Table::Email, keys::campaign(&town.campaign), attr, 1);
        })
        .await;
        named_and_mended(&town, &[FindingKind::DeliveryCounts], "email#").await;
    }
}

#[tokio::test]
async fn a_row_that_is_gone_from_the_ledger_shows_in_the_counts() {
    let town = Town::new().await;
    town.corrupt(|tx| {
        tx.delete(Table::Email, keys::delivery(&town.campaign, &town.user(2)));
    })
    .await;
    let report = town.verify(false).await;
    assert_eq!(kinds(&report), [(FindingKind::DeliveryCounts, 1)]);
    assert_eq!(report.findings[0].detail, "sentCount is 5, the ledger has 4; totalRecipients is 5, the ledger has 4");
}

#[tokio::test]
async fn unknown_deliveries_are_counted_and_named_but_are_no_finding() {
    let town = Town::new().await;
    town.set_delivery(2, DeliveryState::Sent, DeliveryState::Unknown).await;
    let report = town.verify(false).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.notes.iter().map(|note| (note.kind, note.count)).collect::<Vec<_>>(), [(NoteKind::UnknownDeliveries, 1)]);
}

#[tokio::test]
async fn rows_that_wait_in_a_campaign_that_has_ended_are_findings() {
    for state in [DeliveryState::Pending, DeliveryState::Sending] {
        let town = Town::new().await;
        town.set_delivery(2, DeliveryState::Sent, state).await;
        named_and_left(&town, &[(FindingKind::DeliveryUnsettled, 1)]).await;
    }
}

#[tokio::test]
async fn a_campaign_that_nobody_carries_on_gets_its_task_back() {
    for state in [CampaignState::Sending, CampaignState::Freezing, CampaignState::Pending] {
        let town = Town::new().await;
        town.corrupt(|tx| {
            tx.update(Table::Email, keys::campaign(&town.campaign)).set("status", state.as_str());
        })
        .await;
        named_and_mended_with_a_note(&town).await;
    }
}

async fn named_and_mended_with_a_note(town: &Town) {
    assert_eq!(kinds(&town.verify(false).await), [(FindingKind::CampaignStuck, 1)]);
    assert_eq!(town.verify(true).await.repaired, 1);
    let report = town.verify(false).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [NoteKind::TasksWaiting], "the task waits, because verify sends no mail");
}

#[tokio::test]
async fn an_address_that_was_mailed_twice_is_for_a_person() {
    let town = Town::new().await;
    let address = Town::stored_address(0);
    town.corrupt(|tx| {
        tx.update(Table::Email, keys::delivery(&town.campaign, &town.user(3))).set("email", address.as_str());
    })
    .await;
    named_and_left(&town, &[(FindingKind::AddressMailedTwice, 1)]).await;
    // Also one that came back.
    town.set_delivery(3, DeliveryState::Sent, DeliveryState::Bounced).await;
    named_and_left(&town, &[(FindingKind::AddressMailedTwice, 1)]).await;
    town.set_delivery(3, DeliveryState::Bounced, DeliveryState::Sent).await;
    // A row that mailed nobody does not count.
    town.set_delivery(3, DeliveryState::Sent, DeliveryState::Skipped).await;
    assert!(town.verify(false).await.is_clean());
}

#[tokio::test]
async fn a_task_that_was_given_up_is_named_and_tried_again() {
    let town = Town::new().await;
    let now = town.app.now_ms();
    let task = Task {
        queue: Queue::Default,
        shard: 3,
        due: now,
        id: "t1".to_owned(),
        kind: "user_gone".to_owned(),
        payload: json!({ "user": "long-gone" }),
        attempts: 0,
        created: now,
        error: None,
        trace: None,
    };
    town.corrupt(|tx| {
        tx.put(Table::Main, Item { key: task.key(), attrs: emcrm_store::Attrs::new() });
    })
    .await;
    town.app.store.tasks.bury(&task, "the disk was full").await.unwrap();
    let report = town.verify(false).await;
    assert!(report.findings[0].detail.contains("the disk was full"), "{:?}", report.findings);
    named_and_mended(&town, &[FindingKind::DeadTask], "dead#default/t1").await;
}

#[tokio::test]
async fn documents_that_are_missing_left_or_stale_are_named_and_the_index_is_made_anew() {
    let town = Town::new().await;
    let mut ghost = town.stored(0).await;
    ghost.id = "ghost".to_owned().into();
    let mut stale = town.stored(1).await;
    stale.company = Some("Where it was before".to_owned());
    let mut event = town.app.store.events.get(&town.event(0)).await.unwrap().unwrap();
    event.title.push('!');
    let app = &town.app;
    for (changes, expected) in [
        (vec![DocChange::Delete(Kind::User, town.user(0).to_string())], vec![(FindingKind::DocumentMissing, 1)]),
        (vec![DocChange::Delete(Kind::Event, town.event(1).to_string())], vec![(FindingKind::DocumentMissing, 1)]),
        (vec![DocChange::Upsert(crate::App::user_doc(&ghost))], vec![(FindingKind::DocumentLeft, 1)]),
        (vec![DocChange::Upsert(crate::App::user_doc(&stale)), DocChange::Upsert(app.event_doc(&event))], vec![(FindingKind::DocumentStale, 2)]),
    ] {
        app.index.apply(changes).await.unwrap();
        app.index.flush().await.unwrap();
        assert_eq!(kinds(&town.verify(false).await), expected);
        let report = town.verify(true).await;
        assert_eq!((kinds(&report), report.repaired), (expected.clone(), expected[0].1));
        assert!(town.verify(false).await.is_clean());
    }
}

#[tokio::test]
async fn an_index_that_was_made_anew_is_filled_first() {
    let town = Town::with_new_index().await;
    let report = town.verify(false).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.counted.documents, 7);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_does_not_end_the_run() {
    let town = Town::new().await;
    town.corrupt(|tx| {
        tx.update(Table::Main, keys::user(&town.user(0))).set("email", 7);
    })
    .await;
    town.corrupt(|tx| {
        tx.add(Table::Main, keys::count("users", 0), "n", 1);
    })
    .await;
    let report = town.verify(false).await;
    assert_eq!(report.found.get(&FindingKind::Unreadable), Some(&1), "{:?}", report.findings);
    assert_eq!(report.found.get(&FindingKind::UserTotal), Some(&1));
}

#[test]
fn more_findings_than_are_listed_are_counted() {
    let mut report = VerifyReport::default();
    let finding = super::Finding { kind: FindingKind::UserTotal, place: String::new(), detail: String::new(), repair: Repair::Done };
    (0..1_500).for_each(|_| report.add(finding.clone()));
    assert_eq!((report.findings.len(), report.total(), report.repaired), (1_000, 1_500, 1_500));
}
