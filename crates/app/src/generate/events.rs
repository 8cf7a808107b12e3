//! Made-up events and who comes: always the same for the same seed and numbers.

use std::collections::HashMap;

use emcrm_model::{DateTime, EventDraft, EventId, Slug};
use jiff::{Timestamp, ToSpan};

use super::dice::{Dice, Shuffled};
use super::people::user_id;
use super::words::{FORMATS, PLACES, PROMISES, SEASONS, TOPICS, VENUES};

const ID: u64 = 11;
const DRAFT: u64 = 12;
const WHO: u64 = 13;
const SIZE: u64 = 14;

/// In order of numbers, which is the order of ids.
pub(super) fn event_id(seed: u64, n: u64) -> EventId {
    let mut bytes = [0; 10];
    let random = Dice::of(seed, ID, n).id();
    bytes.copy_from_slice(random.as_bytes().get(..10).unwrap_or(&[0; 10]));
    // 2025-01-01, and a minute more for each event.
    uuid::Builder::from_unix_timestamp_millis(1_735_689_600_000 + n * 60_000, &bytes).into_uuid().into()
}

/// How many come to each event: few are large, most are small, nobody comes twice. The sum is `attendance`, or all that fit.
pub(super) fn sizes(seed: u64, users: u64, events: u64, attendance: u64) -> Vec<u64> {
    let order = Shuffled::new(&mut Dice::of(seed, SIZE, 0), events);
    let weight = |n: u64| 1.0 / (order.at(n) as f64 + 1.0).powf(0.6);
    let sum: f64 = (0..events).map(weight).sum();
    let mut sizes: Vec<u64> = (0..events).map(|n| ((weight(n) / sum * attendance as f64) as u64).min(users)).collect();
    let mut left = attendance.min(users.saturating_mul(events)).saturating_sub(sizes.iter().sum());
    while left > 0 {
        let open = sizes.iter().filter(|size| **size < users).count() as u64;
        let each = left.div_ceil(open.max(1));
        for size in sizes.iter_mut().filter(|size| **size < users) {
            let more = each.min(users - *size).min(left);
            *size += more;
            left -= more;
        }
    }
    sizes
}

/// Slugs that were given, so that two events of one title have two.
#[derive(Debug, Default)]
pub(super) struct Titles(HashMap<String, u32>);

/// `size`: how many will come. None only if the lists hold a value that is not valid, which a test rules out.
pub(super) fn event(seed: u64, n: u64, users: u64, size: u64, base: Timestamp, titles: &mut Titles) -> Option<EventDraft> {
    let mut dice = Dice::of(seed, DRAFT, n);
    let place = dice.favour(PLACES)?;
    let topic = dice.text(TOPICS);
    let format = dice.text(FORMATS);
    let title = match dice.below(4) {
        0 => format!("{} {topic} {format}", dice.text(SEASONS)),
        1 => format!("{topic} {format} {}", place.city),
        _ => format!("{topic} {format}"),
    };
    let number = titles.0.entry(title.clone()).or_default();
    // Slugs made of different titles may be the same, too; whoever makes the event takes another then.
    let slug = Slug::from_title(&title, *number);
    *number += 1;

    // A year back and a year ahead.
    let day = jiff::tz::TimeZone::UTC.to_datetime(base).date().checked_add((dice.below(730) as i64 - 365).days()).ok()?;
    let start = day.at(8 + dice.below(12) as i8, if dice.percent(50) { 0 } else { 30 }, 0, 0);
    let end = start.checked_add((60 + 30 * dice.below(9) as i64).minutes()).ok()?;
    let capacity = match dice.below(10) {
        0..3 => None,
        // Full.
        3 => Some(size.max(1)),
        _ => Some((size + size * dice.below(80) / 100).div_ceil(10) * 10 + 10),
    };
    let owner = (users > 0).then(|| user_id(seed, dice.below(users.min(1 + users / 20))));
    let mut hosts: Vec<_> = (0..if users == 0 { 0 } else { dice.below(4) }).map(|_| user_id(seed, dice.below(users.min(1 + users / 10)))).collect();
    hosts.sort();
    hosts.dedup();
    Some(EventDraft {
        slug: Some(slug),
        title,
        description: dice.percent(80).then(|| format!("{topic} in {}. {} {}", place.city, dice.text(PROMISES), dice.text(PROMISES))),
        start_at: DateTime::parse(&start.to_string()).ok()?,
        end_at: DateTime::parse(&end.to_string()).ok()?,
        timezone: Some(place.zone.to_owned()),
        venue: dice.percent(85).then(|| dice.text(VENUES).to_owned()),
        max_capacity: capacity.map(|capacity| capacity as i64),
        owner,
        hosts,
        public: Some(true),
    })
}

/// Numbers of the people who come to an event, each once. A few come to almost everything, some often, most now and then.
pub(super) fn attendees(seed: u64, event: u64, users: u64, size: u64) -> impl Iterator<Item = u64> + Send {
    let mut dice = Dice::of(seed, WHO, event);
    let fans = users / 50;
    let regulars = users / 6;
    let tiers = [fans, regulars, users - fans - regulars];
    let mut take = [size * 15 / 100, size * 40 / 100, 0];
    let mut left = size.min(users);
    let mut first = 0;
    let mut parts = Vec::new();
    for (take, of) in take.iter_mut().zip(tiers) {
        *take = (*take).min(of).min(left);
        left -= *take;
    }
    // The rest comes from the last tier, and what it cannot give from the others.
    for (take, of) in take.iter_mut().zip(tiers).rev() {
        let more = left.min(of - *take);
        *take += more;
        left -= more;
    }
    for (take, of) in take.into_iter().zip(tiers) {
        parts.push((Shuffled::new(&mut dice, of), first, take));
        first += of;
    }
    parts.into_iter().flat_map(|(order, first, take)| (0..take).map(move |place| first + order.at(place)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::tz::TimeZone;
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_add_up_and_nobody_comes_twice() {
        for (users, events, attendance) in [(1_000, 20, 5_000), (10, 3, 7), (10, 3, 30), (10, 3, 99), (1, 1, 1), (0, 5, 10), (5, 0, 10), (300, 12, 900)] {
            let sizes = sizes(7, users, events, attendance);
            assert_eq!(sizes.iter().sum::<u64>(), attendance.min(users * events), "{users} {events} {attendance}");
            for (n, size) in sizes.iter().enumerate() {
                let who: Vec<u64> = attendees(7, n as u64, users, *size).collect();
                assert_eq!(who.len() as u64, *size);
                assert_eq!(who.iter().collect::<BTreeSet<_>>().len() as u64, *size);
                assert!(who.iter().all(|user| *user < users));
            }
        }
        let sizes = sizes(1, 10_000, 100, 50_000);
        assert!(sizes.iter().max() > Some(&2_000) && sizes.iter().min() < Some(&400), "{sizes:?}");
    }

    #[test]
    fn events_are_valid_in_order_of_ids_and_hold_everybody_who_comes() {
        let base: Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
        let mut titles = Titles::default();
        let mut past = 0;
        let sizes = sizes(3, 500, 300, 9_000);
        let mut full = 0;
        for (n, size) in (0..).zip(sizes) {
            let draft = event(3, n, 500, size, base, &mut titles).expect("lists hold valid values");
            assert!(event_id(3, n) < event_id(3, n + 1));
            let body = json!({
                "slug": draft.slug.as_ref().unwrap().as_str(), "title": draft.title, "description": draft.description, "startAt": draft.start_at.as_str(),
                "endAt": draft.end_at.as_str(), "timezone": draft.timezone, "venue": draft.venue, "maxCapacity": draft.max_capacity,
                "owner": draft.owner.as_ref().map(emcrm_model::UserId::as_str), "hosts": draft.hosts.iter().map(emcrm_model::UserId::as_str).collect::<Vec<_>>(),
                "public": draft.public,
            });
            let parsed = EventDraft::parse(&body, &TimeZone::UTC).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(parsed, draft);
            assert!(draft.max_capacity.is_none_or(|most| most as u64 >= size));
            full += u32::from(draft.max_capacity == Some(size as i64));
            past += u32::from(draft.start_at.instant(&TimeZone::UTC) < base);
        }
        assert!((100..200).contains(&past), "{past}");
        assert!(full > 10, "{full}");
    }

    #[test]
    fn some_people_come_far_more_often_than_others() {
        let mut count = vec![0_u32; 300];
        for (event, size) in (0..).zip(sizes(1, 300, 40, 3_000)) {
            attendees(1, event, 300, size).for_each(|user| count[user as usize] += 1);
        }
        count.sort_unstable();
        assert!(count[299] >= 20 && count[100] <= 10, "{count:?}");
    }
}
