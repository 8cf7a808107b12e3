//! An event as a calendar file (RFC 5545).

use emcrm_model::Event;
use icalendar::{Calendar, Class, Component as _, EventLike as _, Property};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Line ends are LF, which is written as `\n`, and other control characters are left out, but for tabs: no value may hold them (RFC 5545, section 3.3.11). A bare CR
/// would end the line on its way through a mail, and what follows it would be a property.
fn text(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// One event, to be put into somebody's calendar. A later file with the same UID and a higher SEQUENCE replaces an earlier one.
///
/// Times are written in UTC, so that they mean the same in every calendar program; `X-WR-TIMEZONE` names the zone in which the event takes place.
/// `domain` makes the UID unique in the world; `url` is the event's page; `stamp` is when the file is made.
pub fn event_ics(event: &Event, default_zone: &TimeZone, domain: &str, url: Option<&str>, stamp: Timestamp) -> String {
    let zone = event.zone(default_zone);
    let utc = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut entry = icalendar::Event::new();
    entry
        .uid(&format!("{}@{domain}", event.id))
        .sequence(u32::try_from(event.rev.0).unwrap_or(0))
        .summary(&text(&event.title))
        .class(Class::Public)
        .append_property(Property::new("DTSTAMP", utc(stamp)))
        .append_property(Property::new("DTSTART", utc(event.starts(default_zone))))
        .append_property(Property::new("DTEND", utc(event.ends(default_zone))));
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
    calendar.to_string()
}
