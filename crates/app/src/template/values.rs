//! What can be filled in.

use std::fmt;
use std::sync::Arc;

use emcrm_model::{Event, User};
use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use minijinja::value::{Object, Value};
use minijinja::{Error, ErrorKind};

use super::check::Variable;
use crate::when::zone_words;

/// Whom a mail is made for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipient<'a> {
    pub user: Option<&'a User>,
    pub event: Option<&'a EventValues>,
    pub unsubscribe_url: Option<&'a str>,
}

/// An event's fields, the same in all mails of a campaign.
#[derive(Debug, Clone)]
pub struct EventValues {
    title: Value,
    description: Value,
    venue: Value,
    start_at: Value,
    end_at: Value,
    timezone: Value,
    url: Value,
}

impl EventValues {
    /// `url`: the event's public page.
    pub fn new(event: &Event, default_zone: &TimeZone, url: Option<&str>) -> Self {
        let zone = event.zone(default_zone);
        let moment = |at: jiff::Timestamp| Value::from_object(Moment(at.to_zoned_datetime(zone.clone())));
        Self {
            title: Value::from(event.title.as_str()),
            description: text(event.description.as_deref()),
            venue: text(event.venue.as_deref()),
            start_at: moment(event.starts(default_zone)),
            end_at: moment(event.ends(default_zone)),
            timezone: text(zone.iana_name()),
            url: text(url),
        }
    }
}

/// Nothing, or nothing but spaces, is no value: a default takes its place.
fn text(text: Option<&str>) -> Value {
    text.filter(|text| !text.trim().is_empty()).map_or(Value::UNDEFINED, Value::from)
}

impl Recipient<'_> {
    pub(super) fn value(&self, variable: &Variable) -> Value {
        let user = |get: fn(&User) -> Option<&str>| self.user.map_or(Value::UNDEFINED, |user| text(get(user)));
        let event = |get: fn(&EventValues) -> &Value| self.event.map_or(Value::UNDEFINED, |event| get(event).clone());
        match variable.name {
            "user.firstName" => user(|user| Some(&user.first_name)),
            "user.lastName" => user(|user| Some(&user.last_name)),
            "user.fullName" => self.user.map_or(Value::UNDEFINED, |user| text(Some(&user.full_name()))),
            "user.email" => user(|user| Some(user.email.as_str())),
            "user.company" => user(|user| user.company.as_deref()),
            "user.jobTitle" => user(|user| user.job_title.as_deref()),
            "user.city" => user(|user| user.city.as_deref()),
            "user.state" => user(|user| user.state.as_deref()),
            "user.phoneNumber" => user(|user| user.phone_number.as_deref()),
            "user.attendedCount" => self.user.map_or(Value::UNDEFINED, |user| Value::from(user.attended_count)),
            "user.hostedCount" => self.user.map_or(Value::UNDEFINED, |user| Value::from(user.hosted_count)),
            "event.title" => event(|event| &event.title),
            "event.description" => event(|event| &event.description),
            "event.venue" => event(|event| &event.venue),
            "event.startAt" => event(|event| &event.start_at),
            "event.endAt" => event(|event| &event.end_at),
            "event.timezone" => event(|event| &event.timezone),
            "event.url" => event(|event| &event.url),
            "unsubscribeUrl" => text(self.unsubscribe_url),
            _ => Value::UNDEFINED,
        }
    }

    /// The values of these variables, as the objects that a template asks for.
    pub(super) fn values(&self, used: &[&'static Variable]) -> Value {
        self.objects(used, |variable| self.value(variable))
    }

    /// The same with some text for all that have no value, but for this one.
    pub(super) fn values_but(&self, used: &[&'static Variable], name: &str) -> Value {
        self.objects(used, |variable| {
            let value = self.value(variable);
            if value.is_undefined() && variable.name != name { Value::from("x") } else { value }
        })
    }

    fn objects(&self, used: &[&'static Variable], get: impl Fn(&Variable) -> Value) -> Value {
        let object = |prefix: &str| {
            let fields = used.iter().filter_map(|variable| Some((variable.name.strip_prefix(prefix)?, get(variable))));
            Value::from_pairs(fields.filter(|(_, value)| !value.is_undefined()))
        };
        let unsubscribe = text(self.unsubscribe_url);
        Value::from_pairs(
            [("user", object("user.")), ("event", object("event.")), ("unsubscribeUrl", unsubscribe)].into_iter().filter(|(_, value)| !value.is_undefined()),
        )
    }
}

/// A moment where the event takes place.
#[derive(Debug)]
struct Moment(ZonedDateTime);

impl Object for Moment {
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.0.strftime("%A, %-d %B %Y"), clock(&self.0))
    }
}

fn moment<'a>(value: &'a Value, filter: &str) -> Result<&'a ZonedDateTime, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "there is no event"));
    }
    value
        .downcast_object_ref::<Moment>()
        .map(|moment| &moment.0)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{filter} stands behind event.startAt or event.endAt")))
}

/// `Thursday, 19 November 2026`
pub(super) fn day(value: &Value) -> Result<String, Error> {
    Ok(moment(value, "day")?.strftime("%A, %-d %B %Y").to_string())
}

/// `18:30 (America/Chicago)`
fn clock(at: &ZonedDateTime) -> String {
    format!("{} ({})", at.strftime("%H:%M"), zone_words(at.time_zone().iana_name().unwrap_or("UTC")))
}

/// `18:30 (America/Chicago)`
pub(super) fn time(value: &Value) -> Result<String, Error> {
    Ok(clock(moment(value, "time")?))
}
