//! How numbers and moments are written in pages: as the reader writes them, in the reader's time zone.
//!
//! | in a template | gives |
//! |---|---|
//! | `{{ 18462 \| num }}` | `18,462` |
//! | `{{ n \| plural("person", "people") }}` | `1 person`, `1,284 people` |
//! | `{{ moment \| when }}` | a `<time>`: relative within a day, else day and time; the exact instant in `title` |
//! | `{{ moment \| date }}` | a `<time>`: the day alone |
//! | `{{ moment \| when(zone="Europe/Berlin") }}` | day and time of that place, never relative |
//!
//! Where the reader's zone is not known (`zone_guessed`), a day and time says in which one it is.
//!
//! The filters read `locale`, `zone` and `now` of the context's `shell`, where there is one. A moment is an RFC 3339 text or a number of milliseconds
//! since 1970; a text that is none is shown as it is, and nothing gives nothing.
//!
//! Pages are English, so are the names of days and months. The order of day and month, the clock of 12 or 24 hours and the marks in numbers are the reader's.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, HtmlEscape, State};
use serde::Serialize;

pub fn add_filters(env: &mut Environment<'_>) {
    env.add_filter("num", |state: &State<'_, '_>, value: Value| number_of(state, &value));
    env.add_filter("plural", plural);
    env.add_filter("when", |state: &State<'_, '_>, value: Value, kwargs: Kwargs| time_of(state, &value, &kwargs, Shown::Moment));
    env.add_filter("date", |state: &State<'_, '_>, value: Value, kwargs: Kwargs| time_of(state, &value, &kwargs, Shown::Day));
}

/// What the reader is used to, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locale {
    #[default]
    En,
    /// The month before the day, and twelve hours.
    EnUs,
    /// Points between thousands.
    Point,
    /// Narrow spaces between thousands.
    Space,
    /// Apostrophes between thousands.
    Apostrophe,
}

impl Locale {
    /// The first language of an `Accept-Language` header.
    pub fn accepted(header: &str) -> Self {
        let first = header.split([',', ';']).next().unwrap_or_default().trim().to_ascii_lowercase();
        let language = first.split('-').next().unwrap_or_default();
        match (first.as_str(), language) {
            ("en-us" | "en-ca" | "en-ph", _) => Self::EnUs,
            ("de-ch" | "de-li" | "it-ch", _) => Self::Apostrophe,
            ("es-mx", _) => Self::En,
            (_, "de" | "nl" | "da" | "it" | "es" | "id" | "tr" | "el" | "hr" | "sl" | "ro") | ("pt-br", _) => Self::Point,
            (_, "fr" | "pt" | "sv" | "nb" | "nn" | "no" | "fi" | "pl" | "cs" | "sk" | "ru" | "uk" | "hu" | "bg" | "et" | "lv" | "lt") => Self::Space,
            _ => Self::En,
        }
    }
    /// Of whoever sent these headers.
    pub fn of_reader(headers: &HeaderMap) -> Self {
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).map(Self::accepted).unwrap_or_default()
    }
    fn separator(self) -> char {
        match self {
            Self::En | Self::EnUs => ',',
            Self::Point => '.',
            Self::Space => '\u{202f}',
            Self::Apostrophe => '’',
        }
    }
    /// Between whole numbers and tenths.
    fn point(self) -> char {
        match self {
            Self::En | Self::EnUs | Self::Apostrophe => '.',
            Self::Point | Self::Space => ',',
        }
    }
    /// Hours of the clock.
    pub fn hours(self) -> u8 {
        if self == Self::EnUs { 12 } else { 24 }
    }
    /// A day of this year, for `strftime`: `Thursday, 19 November`.
    pub fn weekday_and_day(self) -> &'static str {
        if self == Self::EnUs { "%A, %B %-d" } else { "%A, %-d %B" }
    }
    /// As it stands in a context.
    pub fn word(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::EnUs => "en-us",
            Self::Point => "point",
            Self::Space => "space",
            Self::Apostrophe => "apostrophe",
        }
    }
    fn of(word: &str) -> Self {
        [Self::EnUs, Self::Point, Self::Space, Self::Apostrophe].into_iter().find(|one| one.word() == word).unwrap_or_default()
    }
}

impl<S: Sync> FromRequestParts<S> for Locale {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of_reader(&parts.headers))
    }
}

/// What the filters read of a `shell`, for pages and parts that have none.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reader {
    pub locale: &'static str,
}

impl From<Locale> for Reader {
    fn from(locale: Locale) -> Self {
        Self { locale: locale.word() }
    }
}

/// `18462` as `18,462`.
pub fn number(value: i64, locale: Locale) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push('−');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(locale.separator());
        }
        text.push(digit);
    }
    text
}

/// `13.8`, without marks between thousands.
pub fn tenths(value: f64, locale: Locale) -> String {
    format!("{value:.1}").replace('.', locale.point().encode_utf8(&mut [0; 4]))
}

fn shell(state: &State<'_, '_>, name: &str) -> Option<String> {
    state.lookup("shell")?.get_attr(name).ok()?.as_str().map(str::to_owned)
}

fn locale(state: &State<'_, '_>) -> Locale {
    shell(state, "locale").map(|word| Locale::of(&word)).unwrap_or_default()
}

fn number_of(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    if matches!(value.kind(), ValueKind::None | ValueKind::Undefined) {
        return Ok(String::new());
    }
    Ok(number(i64::try_from(value.clone())?, locale(state)))
}

fn plural(state: &State<'_, '_>, value: Value, one: &str, many: &str) -> Result<String, Error> {
    let count = i64::try_from(value)?;
    Ok(format!("{} {}", number(count, locale(state)), if count == 1 { one } else { many }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Moment,
    Day,
}

fn moment(value: &Value) -> Option<Timestamp> {
    match value.as_str() {
        Some(text) => text.parse().ok(),
        None => i64::try_from(value.clone()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
    }
}

fn time_of(state: &State<'_, '_>, value: &Value, kwargs: &Kwargs, shown: Shown) -> Result<Value, Error> {
    let zone: Option<&str> = kwargs.get("zone")?;
    kwargs.assert_all_used()?;
    if matches!(value.kind(), ValueKind::None | ValueKind::Undefined) {
        return Ok(Value::from(""));
    }
    let Some(at) = moment(value) else { return Ok(value.clone()) };
    let elsewhere = zone.is_some();
    let zone = zone.map(str::to_owned).or_else(|| shell(state, "zone")).and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
    let now = shell(state, "now").and_then(|now| now.parse().ok()).filter(|_| !elsewhere && shown == Shown::Moment);
    let local = at.to_zoned_datetime(zone);
    let locale = locale(state);
    let guessed = !elsewhere && state.lookup("shell").and_then(|shell| shell.get_attr("zone_guessed").ok()).is_some_and(|guessed| guessed.is_true());
    let mut text = match (shown, now) {
        (Shown::Day, _) => day(&local, locale),
        (Shown::Moment, Some(now)) => relative(&local, now, locale),
        (Shown::Moment, None) => day_and_time(&local, locale),
    };
    if guessed && text == day_and_time(&local, locale) {
        let _ = write!(text, " {}", local.strftime("%Z"));
    }
    let exact = format!("{} {}", day_and_seconds(&local, locale), local.strftime("%Z"));
    let mut html = String::new();
    let _ = write!(html, r#"<time datetime="{at}" title="{}">{}</time>"#, HtmlEscape(&exact), HtmlEscape(&text));
    Ok(Value::from_safe_string(html))
}

pub fn day(at: &ZonedDateTime, locale: Locale) -> String {
    at.strftime(if locale == Locale::EnUs { "%b %-d, %Y" } else { "%-d %b %Y" }).to_string()
}

pub fn clock(at: &ZonedDateTime, locale: Locale) -> String {
    at.strftime(if locale.hours() == 12 { "%-I:%M %p" } else { "%H:%M" }).to_string()
}

/// From one time to another of the same day: `18:30–21:00`, `6:30–9:00 PM`.
pub fn clocks(start: &ZonedDateTime, end: &ZonedDateTime, locale: Locale) -> String {
    let (from, to) = (clock(start, locale), clock(end, locale));
    match (from.rsplit_once(' '), to.rsplit_once(' ')) {
        (Some((bare, half)), Some((_, same))) if half == same => format!("{bare}–{to}"),
        _ => format!("{from}–{to}"),
    }
}

/// `Thursday, 19 November 2026, 18:30–21:00`, and with a second date where it ends on another day. The last comma is that before the last time.
pub fn span(start: &ZonedDateTime, end: &ZonedDateTime, locale: Locale) -> String {
    let date = if locale == Locale::EnUs { "%A, %B %-d, %Y" } else { "%A, %-d %B %Y" };
    if start.date() == end.date() {
        format!("{}, {}", start.strftime(date), clocks(start, end, locale))
    } else {
        format!("{}, {} to {}, {}", start.strftime(date), clock(start, locale), end.strftime(date), clock(end, locale))
    }
}

/// The same in short, for a list that has the date beside it: `Thu, 18:30–21:00`, `Thu, 22:00 to Fri, 20 Nov, 02:00`.
pub fn short_span(start: &ZonedDateTime, end: &ZonedDateTime, locale: Locale) -> String {
    if start.date() == end.date() {
        format!("{}, {}", start.strftime("%a"), clocks(start, end, locale))
    } else {
        let date = if locale == Locale::EnUs { "%a, %b %-d" } else { "%a, %-d %b" };
        format!("{}, {} to {}, {}", start.strftime("%a"), clock(start, locale), end.strftime(date), clock(end, locale))
    }
}

pub fn day_and_time(at: &ZonedDateTime, locale: Locale) -> String {
    format!("{}, {}", day(at, locale), clock(at, locale))
}

fn day_and_seconds(at: &ZonedDateTime, locale: Locale) -> String {
    let clock = at.strftime(if locale.hours() == 12 { "%-I:%M:%S %p" } else { "%H:%M:%S" });
    format!("{}, {clock}", day(at, locale))
}

/// Minutes and hours within a day in both directions; then day and time.
fn relative(at: &ZonedDateTime, now: Timestamp, locale: Locale) -> String {
    let seconds = at.timestamp().as_second() - now.as_second();
    let (past, minutes) = (seconds <= 0, seconds.unsigned_abs() / 60);
    let amount = match minutes {
        0 => return if past { "just now" } else { "in a moment" }.to_owned(),
        1..=59 => format!("{minutes} min"),
        60..=1439 => format!("{} h", minutes / 60),
        _ => return day_and_time(at, locale),
    };
    if past { format!("{amount} ago") } else { format!("in {amount}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_as_the_reader_does() {
        let written = |value, header| number(value, Locale::accepted(header));
        assert_eq!(written(0, ""), "0");
        assert_eq!(written(999, "en"), "999");
        assert_eq!(written(1_284, "en-GB,en;q=0.9"), "1,284");
        assert_eq!(written(1_234_567, "de-DE"), "1.234.567");
        assert_eq!(written(1_234, "de-CH"), "1’234");
        assert_eq!(written(-12_345, "fr"), "−12\u{202f}345");
        assert_eq!(written(1_000, "*"), "1,000");
    }

    #[test]
    fn tenths_have_the_readers_mark() {
        assert_eq!(["en-GB", "en-US", "de", "fr", "de-CH"].map(|header| tenths(13.84, Locale::accepted(header))), ["13.8", "13.8", "13,8", "13,8", "13.8"]);
    }

    #[test]
    fn an_event_is_when_the_reader_would_write_it() {
        let written = |from: &str, to: &str, header| {
            let at = |text: &str| text.parse::<ZonedDateTime>().unwrap();
            let (from, to) = (at(from), at(to));
            (span(&from, &to, Locale::accepted(header)), short_span(&from, &to, Locale::accepted(header)))
        };
        let (six, nine, two) = ("2026-11-19T18:30[Europe/Berlin]", "2026-11-19T21:00[Europe/Berlin]", "2026-11-20T02:00[Europe/Berlin]");
        let text = |long: &str, short: &str| (long.to_owned(), short.to_owned());
        for header in ["en-GB", "de-DE", "fr", ""] {
            assert_eq!(written(six, nine, header), text("Thursday, 19 November 2026, 18:30–21:00", "Thu, 18:30–21:00"), "{header}");
            let over_night = text("Thursday, 19 November 2026, 18:30 to Friday, 20 November 2026, 02:00", "Thu, 18:30 to Fri, 20 Nov, 02:00");
            assert_eq!(written(six, two, header), over_night, "{header}");
        }
        assert_eq!(written(six, nine, "en-US,en;q=0.9"), text("Thursday, November 19, 2026, 6:30–9:00 PM", "Thu, 6:30–9:00 PM"));
        let over_night = text("Thursday, November 19, 2026, 6:30 PM to Friday, November 20, 2026, 2:00 AM", "Thu, 6:30 PM to Fri, Nov 20, 2:00 AM");
        assert_eq!(written(six, two, "en-US"), over_night);
        let noon = written("2026-11-19T11:00[Europe/Berlin]", "2026-11-19T12:15[Europe/Berlin]", "en-CA");
        assert_eq!(noon, text("Thursday, November 19, 2026, 11:00 AM–12:15 PM", "Thu, 11:00 AM–12:15 PM"));
    }

    #[test]
    fn moments_are_relative_within_a_day() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        let shown = |at: &str| relative(&at.parse::<Timestamp>().unwrap().to_zoned_datetime(TimeZone::UTC), now, Locale::En);
        assert_eq!(shown("2026-01-02T11:59:30Z"), "just now");
        assert_eq!(shown("2026-01-02T11:50:30Z"), "9 min ago");
        assert_eq!(shown("2026-01-02T14:10:00Z"), "in 2 h");
        assert_eq!(shown("2026-01-01T12:00:00Z"), "1 Jan 2026, 12:00");
        assert_eq!(shown("2026-01-04T09:05:00Z"), "4 Jan 2026, 09:05");
    }

    #[test]
    fn filters_escape_what_is_no_moment_and_follow_the_shell() {
        let mut env = Environment::new();
        add_filters(&mut env);
        env.add_template("t.html", "{{ a | when }} {{ a | date }} {{ a | when(zone='Europe/Berlin') }} {{ b | when }} {{ n | plural('person', 'people') }}")
            .unwrap();
        let shell = minijinja::context! { locale => "en-us", zone => "America/Chicago", now => "2026-01-02T12:00:00Z" };
        let context = minijinja::context! { shell, a => "2025-11-17T16:42:19Z", b => "<b>", n => 1284 };
        let text = env.get_template("t.html").unwrap().render(context).unwrap();
        assert_eq!(
            text,
            "<time datetime=\"2025-11-17T16:42:19Z\" title=\"Nov 17, 2025, 10:42:19 AM CST\">Nov 17, 2025, 10:42 AM</time> \
             <time datetime=\"2025-11-17T16:42:19Z\" title=\"Nov 17, 2025, 10:42:19 AM CST\">Nov 17, 2025</time> \
             <time datetime=\"2025-11-17T16:42:19Z\" title=\"Nov 17, 2025, 5:42:19 PM CET\">Nov 17, 2025, 5:42 PM</time> &lt;b&gt; 1,284 people"
        );
    }

    #[test]
    fn a_time_says_its_zone_while_that_of_the_reader_is_not_known() {
        let mut env = Environment::new();
        add_filters(&mut env);
        env.add_template("t.html", "{{ a | when }} {{ a | date }} {{ a | when(zone='Europe/Berlin') }} {{ b | when }}").unwrap();
        let shell = minijinja::context! { locale => "en", zone => "UTC", zone_guessed => true, now => "2026-01-02T12:00:00Z" };
        let context = minijinja::context! { shell, a => "2025-11-17T16:42:19Z", b => "2026-01-02T11:00:00Z" };
        let text = env.get_template("t.html").unwrap().render(context).unwrap();
        for shown in [">17 Nov 2025, 16:42 UTC<", ">17 Nov 2025<", ">17 Nov 2025, 17:42<", ">1 h ago<"] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
    }
}
