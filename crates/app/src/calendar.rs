//! An event as a calendar file (RFC 5545).

use emcrm_model::Event;
use icalendar::{Calendar, Class, Component as _, EventLike as _, Property};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Line ends are LF, which is written as `\n`, and other control characters are left out, but for tabs: no value may hold them (RFC 5545, section 3.3.11). A bare CR
/// would end the line on its way through a mail, and what follows it would be a property.
fn text(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// One event, to be put into somebody's calendar. A later file with the same UID and a higher SEQUENCE replaces an earlier one.
///
/// Times are written where the event takes place, with the rules of that zone for the year before it and the year after it; in UTC where the zone is UTC or has no name,
/// and where the clock shows a time twice and the second one is meant. `X-WR-TIMEZONE` names the zone.
/// `domain` makes the UID unique in the world; `url` is the event's page; `stamp` is when the file is made.
pub fn event_ics(event: &Event, default_zone: &TimeZone, domain: &str, url: Option<&str>, stamp: Timestamp) -> String {
    let zone = event.zone(default_zone);
    let (starts, ends) = (event.starts(default_zone), event.ends(default_zone));
    let utc = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let named = zone.iana_name().filter(|name| !matches!(*name, "UTC" | "Etc/UTC"));
    let moment = |name: &str, at: Timestamp| match named.zip(local(&zone, at)) {
        Some((zone, local)) => Property::new(name, local).add_parameter("TZID", zone).done(),
        None => Property::new(name, utc(at)),
    };
    let mut entry = icalendar::Event::new();
    entry
        .uid(&format!("{}@{domain}", event.id))
        .sequence(u32::try_from(event.rev.0).unwrap_or(0))
        .summary(&text(&event.title))
        .class(Class::Public)
        .append_property(Property::new("DTSTAMP", utc(stamp)))
        .append_property(moment("DTSTART", starts))
        .append_property(moment("DTEND", ends));
    if let Some(description) = &event.description {
        entry.description(&text(description));
    }
    if let Some(venue) = &event.venue {
        entry.location(&text(venue));
    }
    if let Some(url) = url {
        entry.url(url);
    }
    let mut calendar = Calendar::new();
    calendar.append_property(Property::new("METHOD", "PUBLISH"));
    if let Some(name) = zone.iana_name() {
        calendar.timezone(name);
    }
    calendar.push(entry.done());
    let mut file = calendar.to_string();
    // The library writes properties into every component that this one must not have (RFC 5545, section 3.6.5).
    if let (Some(name), Some(at)) = (named, file.find("BEGIN:VEVENT\r\n")) {
        file.insert_str(at, &zone_rules(&zone, name, starts, ends));
    }
    file
}

/// What a clock shows; none where it shows that twice and this is the second time (a reader takes the first: RFC 5545, section 3.3.5).
fn local(zone: &TimeZone, at: Timestamp) -> Option<String> {
    let shown = zone.to_datetime(at);
    let understood = zone.to_ambiguous_timestamp(shown).compatible().ok()?;
    (understood == at).then(|| shown.strftime(LOCAL).to_string())
}

const LOCAL: &str = "%Y%m%dT%H%M%S";
/// How far the rules reach before an event begins and after it ends: a year and a day.
const REACH: SignedDuration = SignedDuration::from_hours(366 * 24);

/// The zone as a component: each change of the clock around the event, by itself. A rule that repeats would say more than is known: zones change theirs.
fn zone_rules(zone: &TimeZone, name: &str, starts: Timestamp, ends: Timestamp) -> String {
    let first = starts.checked_sub(REACH).unwrap_or(Timestamp::MIN);
    let last = ends.checked_add(REACH).unwrap_or(Timestamp::MAX);
    let mut rules = format!("BEGIN:VTIMEZONE\r\nTZID:{name}\r\n");
    let mut before = zone.to_offset(first);
    let changes: Vec<_> = zone.following(first).take_while(|change| change.timestamp() <= last).collect();
    // Something has to hold when it begins.
    if changes.first().is_none_or(|change| change.timestamp() > starts) {
        let info = zone.to_offset_info(first);
        rules.push_str(&rule(info.dst().is_dst(), "19700101T000000", before, before, info.abbreviation()));
    }
    for change in &changes {
        let begins = before.to_datetime(change.timestamp()).strftime(LOCAL).to_string();
        rules.push_str(&rule(change.dst().is_dst(), &begins, before, change.offset(), change.abbreviation()));
        before = change.offset();
    }
    rules.push_str("END:VTIMEZONE\r\n");
    rules
}

fn rule(daylight: bool, begins: &str, from: Offset, to: Offset, abbreviation: &str) -> String {
    let kind = if daylight { "DAYLIGHT" } else { "STANDARD" };
    let (from, to) = (offset(from), offset(to));
    format!("BEGIN:{kind}\r\nDTSTART:{begins}\r\nTZOFFSETFROM:{from}\r\nTZOFFSETTO:{to}\r\nTZNAME:{abbreviation}\r\nEND:{kind}\r\n")
}

/// `+0530`, and seconds where there are any.
fn offset(offset: Offset) -> String {
    let seconds = offset.seconds();
    let (sign, total) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let rest = if total % 60 == 0 { String::new() } else { format!("{:02}", total % 60) };
    format!("{sign}{:02}{:02}{rest}", total / 3_600, total / 60 % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(zone: &str, starts: &str, ends: &str) -> String {
        let event = json!({"id": "e", "slug": "s", "title": "T", "startAt": starts, "endAt": ends, "timezone": zone});
        event_ics(&serde_json::from_value(event).unwrap(), &TimeZone::UTC, "example.org", None, Timestamp::UNIX_EPOCH)
    }

    fn rules(file: &str) -> &str {
        let (_, from) = file.split_once("BEGIN:VTIMEZONE\r\n").unwrap();
        from.split_once("END:VTIMEZONE\r\nBEGIN:VEVENT\r\n").unwrap().0
    }

    #[test]
    fn times_are_those_of_the_place_and_its_rules_are_told() {
        let file = file("Europe/Berlin", "2026-07-01T18:00:00", "2026-07-01T20:00:00");
        assert!(file.contains("DTSTART;TZID=Europe/Berlin:20260701T180000\r\n") && file.contains("DTEND;TZID=Europe/Berlin:20260701T200000\r\n"), "{file}");
        assert!(file.contains("DTSTAMP:19700101T000000Z\r\n") && file.matches("DTSTAMP").count() == 1 && file.matches("UID").count() == 1, "{file}");
        let rules = rules(&file);
        assert!(rules.starts_with("TZID:Europe/Berlin\r\n"), "{rules}");
        for rule in [
            "BEGIN:DAYLIGHT\r\nDTSTART:20260329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\nEND:DAYLIGHT\r\n",
            "BEGIN:STANDARD\r\nDTSTART:20261025T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nEND:STANDARD\r\n",
            "BEGIN:DAYLIGHT\r\nDTSTART:20270328T020000\r\n",
        ] {
            assert!(rules.contains(rule), "{rule}: {rules}");
        }
        assert_eq!(rules.matches("BEGIN:").count(), 4, "from October 2025 to March 2027: {rules}");
    }

    #[test]
    fn a_zone_that_never_changes_has_one_rule() {
        let file = file("Asia/Kolkata", "2026-07-01T18:00:00", "2026-07-01T20:00:00");
        assert!(file.contains("DTSTART;TZID=Asia/Kolkata:20260701T180000\r\n"), "{file}");
        let rule = "BEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0530\r\nTZOFFSETTO:+0530\r\nTZNAME:IST\r\nEND:STANDARD\r\n";
        assert_eq!(rules(&file), format!("TZID:Asia/Kolkata\r\n{rule}"));
    }

    #[test]
    fn an_event_on_a_day_on_which_the_clock_changes_is_at_its_time() {
        let spring = file("America/New_York", "2026-03-08T01:30:00", "2026-03-08T03:30:00");
        assert!(
            spring.contains("DTSTART;TZID=America/New_York:20260308T013000\r\n") && spring.contains("DTEND;TZID=America/New_York:20260308T033000\r\n"),
            "{spring}"
        );
        assert!(rules(&spring).contains("BEGIN:DAYLIGHT\r\nDTSTART:20260308T020000\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\nTZNAME:EDT\r\n"), "{spring}");
        // Half past one comes twice on the first of November; without an offset it is the first one.
        let zone = TimeZone::get("America/New_York").unwrap();
        let (first, second): (Timestamp, Timestamp) = ("2026-11-01T05:30:00Z".parse().unwrap(), "2026-11-01T06:30:00Z".parse().unwrap());
        assert_eq!((local(&zone, first).as_deref(), local(&zone, second)), (Some("20261101T013000"), None));
        let autumn = file("America/New_York", "2026-11-01T01:30:00", "2026-11-01T02:30:00");
        assert!(autumn.contains("DTSTART;TZID=America/New_York:20261101T013000\r\n"), "{autumn}");
    }

    #[test]
    fn utc_needs_no_rules() {
        let file = file("UTC", "2026-07-01T18:00:00", "2026-07-01T20:00:00");
        assert!(file.contains("DTSTART:20260701T180000Z\r\n") && !file.contains("VTIMEZONE"), "{file}");
    }

    #[test]
    fn an_offset_has_seconds_where_a_zone_had_them() {
        let of = |seconds| offset(Offset::from_seconds(seconds).unwrap());
        assert_eq!((of(0), of(-12_600), of(20_700), of(-1_521)), ("+0000".to_owned(), "-0330".to_owned(), "+0545".to_owned(), "-002521".to_owned()));
    }
}
