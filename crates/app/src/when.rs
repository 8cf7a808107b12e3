//! When an event is, in words, where it takes place, as mails say it. Pages write it as their reader does.

use emcrm_model::Event;
use jiff::tz::TimeZone;

/// `Thursday, 19 November 2026, 18:30–21:00`, and with a second date where it ends on another day.
fn when_words(event: &Event, default_zone: &TimeZone) -> String {
    let zone = event.zone(default_zone);
    let (start, end) = (event.starts(default_zone).to_zoned_datetime(zone.clone()), event.ends(default_zone).to_zoned_datetime(zone));
    let date = "%A, %-d %B %Y";
    if start.date() == end.date() {
        format!("{}, {}–{}", start.strftime(date), start.strftime("%H:%M"), end.strftime("%H:%M"))
    } else {
        format!("{}, {} to {}, {}", start.strftime(date), start.strftime("%H:%M"), end.strftime(date), end.strftime("%H:%M"))
    }
}

/// The same with its zone: `…, 18:30–21:00 (America/New York)`.
pub fn when_and_zone(event: &Event, default_zone: &TimeZone) -> String {
    format!("{} ({})", when_words(event, default_zone), zone_words(&zone_name(event, default_zone)))
}

/// The name of a zone as people write it: `America/New York`.
pub fn zone_words(name: &str) -> String {
    name.replace('_', " ")
}

/// Name of the zone in which the event takes place.
pub fn zone_name(event: &Event, default_zone: &TimeZone) -> String {
    event.zone(default_zone).iana_name().unwrap_or("UTC").to_owned()
}
