//! `/app/events/calendar`: a month as a table.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use emcrm_app::events::Ends;
use emcrm_app::{AppError, EventList};
use emcrm_model::{DateTime, Event, PageRequest, Position};
use jiff::civil::{Date, date};
use jiff::{Span, ToSpan as _};
use serde::Serialize;

use crate::api::error::ApiError;
use crate::auth::{Auth, Viewer};
use crate::http::QueryReader;
use crate::router::ApiState;
use crate::web::format::{Locale, clock};
use crate::web::pages::page as render;
use crate::web::shell::{Place, Shell};

/// Events of one month that are shown.
const MOST: usize = 500;

#[derive(Serialize)]
struct CalendarPage {
    shell: Shell,
    tab: &'static str,
    /// What the tabs of the lists say.
    coming: u64,
    past: u64,
    title: String,
    before: String,
    after: String,
    weeks: Vec<Vec<Day>>,
    /// There are more events than the table shows.
    cut: bool,
    /// The index cannot be asked which events these are.
    down: bool,
    total: usize,
}

#[derive(Serialize)]
struct Day {
    date: String,
    number: i8,
    /// `Thursday, 19 November`, as the reader writes it.
    name: String,
    inside: bool,
    today: bool,
    events: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    title: String,
    /// When it starts on this day; nothing on later days.
    time: Option<String>,
    full: bool,
}

pub async fn month(auth: Auth<Viewer>, State(state): State<ApiState>, mut query: QueryReader) -> Result<Response, ApiError> {
    let wanted = query.text("month", 7);
    let (app, shell) = (auth.app(), Shell::of(&auth, &state, Place::Events));
    let today = app.now().to_zoned_datetime(shell.time_zone()).date();
    let first = match wanted.as_deref().map(parse_month) {
        None => today.first_of_month(),
        Some(Some(first)) => first,
        Some(None) => {
            query.fault("month", "value_error", "must be a month like 2026-11");
            today.first_of_month()
        }
    };
    query.check()?;
    let back = i64::from(first.weekday().to_monday_zero_offset());
    let start = first.checked_sub(back.days()).unwrap_or(first);
    let days: Vec<Date> = (0..42).filter_map(|n: i64| start.checked_add(n.days()).ok()).collect();
    let mut down = false;
    let found = async {
        let shown = events_between(&auth, start, days.last().copied().unwrap_or(first)).await?;
        let now = auth.app().now();
        Ok::<_, AppError>((shown, count(&auth, Ends::After(now)).await?, count(&auth, Ends::Before(now)).await?))
    };
    let ((events, cut), coming, past) = match found.await {
        Err(AppError::Search(error)) => {
            tracing::warn!(%error, "events cannot be searched");
            down = true;
            ((Vec::new(), false), 0, 0)
        }
        found => found?,
    };
    let default = &app.settings.default_zone;
    let mut weeks: Vec<Vec<Day>> = Vec::new();
    for week in days.chunks(7) {
        // The sixth week of most months is the next month's.
        if weeks.len() > 3 && week.first().is_some_and(|day| day.month() != first.month()) {
            continue;
        }
        weeks.push(week.iter().map(|day| day_of(*day, first, today, &events, default, auth.locale())).collect());
    }
    let shift = |months: Span| first.checked_add(months).map(|day| day.strftime("%Y-%m").to_string()).unwrap_or_default();
    let page = CalendarPage {
        shell,
        tab: "calendar",
        coming,
        past,
        title: first.strftime("%B %Y").to_string(),
        before: shift((-1).months()),
        after: shift(1.months()),
        weeks,
        cut,
        down,
        total: events.len(),
    };
    render(StatusCode::OK, "events/calendar.html", page)
}

fn parse_month(text: &str) -> Option<Date> {
    let (year, month) = text.split_once('-')?;
    let (year, month): (i16, i8) = (year.parse().ok()?, month.parse().ok()?);
    // Far from the ends of the calendar, so that no sum leaves it.
    ((1900..=2200).contains(&year) && (1..=12).contains(&month)).then(|| date(year, month, 1))
}

/// Events that touch these days, wherever they take place.
async fn events_between(auth: &Auth<Viewer>, start: Date, end: Date) -> Result<(Vec<Event>, bool), AppError> {
    let (app, call) = (auth.app(), auth.read());
    let zone = &app.settings.default_zone;
    let instant = |day: Date, shift: Span| day.checked_add(shift).and_then(|day| day.to_zoned_datetime(zone.clone())).map(|at| at.timestamp());
    let (Ok(from), Ok(to)) = (instant(start, (-1).days()), instant(end, 2.days())) else { return Ok((Vec::new(), false)) };
    let mut events = Vec::new();
    let mut position = Position::Number(1);
    loop {
        let list = EventList {
            page: PageRequest { position, size: PageRequest::SIZE_MAX },
            from: None,
            to: Some(DateTime::from_instant(to)),
            ends: Ends::After(from),
            q: None,
            owner: None,
            host: None,
            sort: Some("startAt".to_owned()),
        };
        let page = app.event_list(call, list).await?;
        events.extend(page.items);
        match page.next {
            Some(_) if events.len() >= MOST => return Ok((events, true)),
            Some(next) => position = Position::Cursor(next),
            None => return Ok((events, false)),
        }
    }
}

async fn count(auth: &Auth<Viewer>, ends: Ends) -> Result<u64, AppError> {
    let page = PageRequest { size: 1, ..PageRequest::first() };
    let list = EventList { page, from: None, to: None, ends, q: None, owner: None, host: None, sort: Some("startAt".to_owned()) };
    Ok(auth.app().event_list(auth.read(), list).await?.total)
}

fn day_of(day: Date, first: Date, today: Date, events: &[Event], default: &jiff::tz::TimeZone, locale: Locale) -> Day {
    let on_it = events.iter().filter_map(|event| {
        let zone = event.zone(default);
        let (start, end) = (event.starts(default).to_zoned_datetime(zone.clone()), event.ends(default).to_zoned_datetime(zone));
        // What ends at midnight does not take place on the day that begins then.
        let last = end.checked_sub(1.second()).map_or(end.date(), |end| end.date());
        (start.date() <= day && day <= last).then(|| Entry {
            id: event.id.to_string(),
            title: event.title.clone(),
            time: (start.date() == day).then(|| clock(&start, locale)),
            full: event.places_left() == Some(0),
        })
    });
    Day {
        date: day.to_string(),
        number: day.day(),
        name: day.strftime(locale.weekday_and_day()).to_string(),
        inside: day.month() == first.month(),
        today: day == today,
        events: on_it.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_year_and_month_and_nothing_else() {
        assert_eq!(parse_month("2026-11"), Some(date(2026, 11, 1)));
        for bad in ["2026", "2026-13", "2026-0", "-1-1", "99999-1", "x-y", "1800-1", ""] {
            assert_eq!(parse_month(bad), None, "{bad}");
        }
    }
}
