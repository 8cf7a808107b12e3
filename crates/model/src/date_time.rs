//! Date-times that come back exactly as they were sent.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// An ISO 8601 date-time, with or without offset, kept as sent. Without an offset it is wall-clock time in the event's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct DateTime {
    sent: String,
    meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Instant(Timestamp),
    WallClock(civil::DateTime),
}

/// What is wrong with a date-time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 date and time like 2026-11-22T18:30:00 or 2026-11-22T18:30:00+01:00")]
pub struct BadDateTime;

impl DateTime {
    /// Longest accepted text, in bytes.
    pub const MAX: usize = 40;

    pub fn parse(text: &str) -> Result<Self, BadDateTime> {
        let sent = text.trim();
        // A zone in brackets would be a second opinion beside the event's zone.
        if sent.len() > Self::MAX || sent.len() < 16 || sent.contains('[') {
            return Err(BadDateTime);
        }
        let meaning = if let Ok(instant) = sent.parse::<Timestamp>() {
            Meaning::Instant(instant)
        } else {
            Meaning::WallClock(sent.parse::<civil::DateTime>().map_err(|_| BadDateTime)?)
        };
        Ok(Self { sent: sent.to_owned(), meaning })
    }

    /// An instant, written in UTC.
    pub fn from_instant(instant: Timestamp) -> Self {
        Self { sent: instant.to_string(), meaning: Meaning::Instant(instant) }
    }

    pub fn as_str(&self) -> &str {
        &self.sent
    }

    /// The moment that is meant. `zone` counts only where no offset was sent. A time that the zone skips or repeats is
    /// taken as RFC 5545 says: the earlier of two, the later side of a gap.
    pub fn instant(&self, zone: &TimeZone) -> Timestamp {
        match self.meaning {
            Meaning::Instant(instant) => instant,
            Meaning::WallClock(wall) => zone.to_ambiguous_timestamp(wall).compatible().unwrap_or(if wall.year() > 0 { Timestamp::MAX } else { Timestamp::MIN }),
        }
    }

    pub fn has_offset(&self) -> bool {
        matches!(self.meaning, Meaning::Instant(_))
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sent)
    }
}

/// What is stored is taken as it is; what cannot be read counts as the earliest moment.
impl From<String> for DateTime {
    fn from(text: String) -> Self {
        Self::parse(&text).unwrap_or(Self { sent: text, meaning: Meaning::Instant(Timestamp::MIN) })
    }
}

impl From<DateTime> for String {
    fn from(value: DateTime) -> String {
        value.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a wall clock in this zone says, in UTC.
    fn utc(wall: &str, zone: &str) -> String {
        DateTime::parse(wall).unwrap().instant(&TimeZone::get(zone).unwrap()).to_string()
    }

    #[test]
    fn a_time_that_a_zone_skips_is_as_much_later_as_the_clocks_are_put_forward() {
        for (wall, zone, expected) in [
            ("2026-03-08T02:30:00", "America/Chicago", "2026-03-08T08:30:00Z"),
            ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00Z"),
            ("2026-03-29T01:30:00", "Europe/London", "2026-03-29T01:30:00Z"),
            // An hour before and after there is no doubt.
            ("2026-03-08T01:30:00", "America/Chicago", "2026-03-08T07:30:00Z"),
            ("2026-03-08T03:30:00", "America/Chicago", "2026-03-08T08:30:00Z"),
            ("2026-03-29T01:30:00", "Europe/Berlin", "2026-03-29T00:30:00Z"),
        ] {
            assert_eq!(utc(wall, zone), expected, "{wall} {zone}");
        }
    }

    #[test]
    fn of_a_time_that_a_zone_repeats_the_first_is_meant() {
        for (wall, zone, expected) in [
            ("2026-11-01T01:30:00", "America/Chicago", "2026-11-01T06:30:00Z"),
            ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00Z"),
            ("2026-10-25T01:30:00", "Europe/London", "2026-10-25T00:30:00Z"),
            ("2026-11-01T02:30:00", "America/Chicago", "2026-11-01T08:30:00Z"),
            ("2026-10-25T01:30:00", "Europe/Berlin", "2026-10-24T23:30:00Z"),
        ] {
            assert_eq!(utc(wall, zone), expected, "{wall} {zone}");
        }
        // Who means the second says so.
        assert_eq!(utc("2026-11-01T01:30:00-06:00", "America/Chicago"), "2026-11-01T07:30:00Z");
    }
}
