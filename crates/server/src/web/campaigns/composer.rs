//! The form of a draft: what is in its fields, where that comes from, and what the model makes of it.

use std::collections::BTreeMap;

use emcrm_model::{Audience, BodyFormat, Campaign, CampaignDraft, CampaignKind, FieldErrors, MailTemplate, Recipients};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::words;

/// What is in the fields, as text: also what cannot be a draft.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Values {
    pub audience: String,
    pub company: Vec<String>,
    pub job_title: Vec<String>,
    pub city: Vec<String>,
    pub state: Vec<String>,
    pub min_attended: String,
    pub max_attended: String,
    pub min_hosted: String,
    pub max_hosted: String,
    pub subject: String,
    pub body: String,
    pub body_format: String,
    pub kind: String,
    pub event_id: String,
    pub rate: String,
    pub track_opens: bool,
    pub track_clicks: bool,
}

impl Values {
    /// Out of pairs, by their names: a form, or a query string.
    pub fn read<'a, I: Iterator<Item = &'a str>>(all: impl Fn(&'static str) -> I) -> Self {
        let many = |name| {
            let mut values: Vec<String> = Vec::new();
            for value in all(name).map(str::trim).filter(|value| !value.is_empty()) {
                if !values.iter().any(|have| have == value) {
                    values.push(value.to_owned());
                }
            }
            values
        };
        let one = |name| all(name).last().unwrap_or_default();
        let trimmed = |name| one(name).trim().to_owned();
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        Self {
            audience: or(trimmed("audience"), Audience::People.as_str()),
            company: many("company"),
            job_title: many("jobTitle"),
            city: many("city"),
            state: many("state"),
            min_attended: trimmed("minAttended"),
            max_attended: trimmed("maxAttended"),
            min_hosted: trimmed("minHosted"),
            max_hosted: trimmed("maxHosted"),
            subject: one("subject").to_owned(),
            // Browsers send CRLF.
            body: one("body").replace("\r\n", "\n"),
            body_format: or(trimmed("bodyFormat"), BodyFormat::Markdown.as_str()),
            kind: or(trimmed("kind"), CampaignKind::Marketing.as_str()),
            event_id: trimmed("eventId"),
            rate: trimmed("rate"),
            track_opens: !one("trackOpens").is_empty(),
            track_clicks: !one("trackClicks").is_empty(),
        }
    }

    pub fn of(campaign: &Campaign) -> Self {
        let Campaign { audience, filter, subject, body, body_format, kind, event_id, rate, tracking, .. } = campaign.clone();
        let text = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        Self {
            audience: audience.as_str().to_owned(),
            company: filter.company,
            job_title: filter.job_title,
            city: filter.city,
            state: filter.state,
            min_attended: text(filter.min_attended),
            max_attended: text(filter.max_attended),
            min_hosted: text(filter.min_hosted),
            max_hosted: text(filter.max_hosted),
            subject,
            body,
            body_format: body_format.as_str().to_owned(),
            kind: kind.as_str().to_owned(),
            event_id: event_id.map(String::from).unwrap_or_default(),
            rate: text(rate.map(i64::from)),
            track_opens: tracking.opens,
            track_clicks: tracking.clicks,
        }
    }

    /// The content of a template instead of what was there.
    pub fn fill(&mut self, template: MailTemplate) {
        self.subject = template.subject;
        self.body = template.body;
        template.body_format.as_str().clone_into(&mut self.body_format);
    }

    /// Whom it is for, where that much of the form has no fault.
    pub fn recipients(&self) -> Result<Recipients, FieldErrors> {
        Recipients::parse(&json!({ "audience": self.audience, "filter": self.filter_json(), "eventId": self.event_id }))
    }

    pub fn draft(&self) -> Result<CampaignDraft, FieldErrors> {
        CampaignDraft::parse(&json!({
            "audience": self.audience,
            "filter": self.filter_json(),
            "subject": self.subject,
            "body": self.body,
            "bodyFormat": self.body_format,
            "kind": self.kind,
            "eventId": self.event_id,
            "rate": number(&self.rate),
            "trackOpens": self.track_opens,
            "trackClicks": self.track_clicks,
        }))
    }

    fn filter_json(&self) -> Value {
        let lists = [("company", &self.company), ("jobTitle", &self.job_title), ("city", &self.city), ("state", &self.state)];
        let numbers =
            [("minAttended", &self.min_attended), ("maxAttended", &self.max_attended), ("minHosted", &self.min_hosted), ("maxHosted", &self.max_hosted)];
        let mut filter = Map::new();
        filter.extend(lists.map(|(name, values)| (name.to_owned(), json!(values))));
        filter.extend(numbers.map(|(name, text)| (name.to_owned(), number(text))));
        Value::Object(filter)
    }
}

/// A number where the text is one, the text where it is not, so that the model says what is wrong with it.
fn number(text: &str) -> Value {
    let text = text.trim();
    if text.is_empty() { Value::Null } else { text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from) }
}

/// Faults by the name of their field; several of one field as one text.
pub fn by_field(faults: FieldErrors) -> BTreeMap<String, String> {
    let mut by_field: BTreeMap<String, String> = BTreeMap::new();
    for fault in faults.0 {
        // `filter.city.0` is the field `city`.
        let field = fault.path.iter().rev().find(|part| part.parse::<u32>().is_err() && *part != "filter").cloned().unwrap_or_default();
        let text = by_field.entry(field).or_default();
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&fault.message);
    }
    by_field
}

/// What somebody else saved meanwhile, where it is not what is in the form: by the name of the field.
pub fn theirs(ours: &Values, campaign: &Campaign) -> BTreeMap<&'static str, String> {
    let theirs = Values::of(campaign);
    let mut found = BTreeMap::new();
    let mut differ = |field, same: bool, text: String| {
        if !same {
            found.insert(field, text);
        }
    };
    let filter = |values: &Values| values.recipients().ok().map(|recipients| recipients.filter);
    differ("audience", ours.audience == theirs.audience, words::audience(campaign.audience).to_owned());
    differ("filter", filter(ours) == filter(&theirs), words::filter(&campaign.filter));
    differ("subject", ours.subject.trim() == theirs.subject, theirs.subject.clone());
    differ("body", ours.body.trim() == theirs.body.trim(), theirs.body.clone());
    differ("bodyFormat", ours.body_format == theirs.body_format, theirs.body_format.clone());
    differ("kind", ours.kind == theirs.kind, theirs.kind.clone());
    differ("eventId", ours.event_id == theirs.event_id, if theirs.event_id.is_empty() { "no event".to_owned() } else { theirs.event_id.clone() });
    differ("rate", ours.rate == theirs.rate, if theirs.rate.is_empty() { "no limit".to_owned() } else { theirs.rate.clone() });
    let tracking = |values: &Values| match (values.track_opens, values.track_clicks) {
        (false, false) => "nothing is noted",
        (true, false) => "opening is noted",
        (false, true) => "clicks are noted",
        (true, true) => "opening and clicks are noted",
    };
    differ("tracking", tracking(ours) == tracking(&theirs), tracking(&theirs).to_owned());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &'static [(&'static str, &'static str)]) -> Values {
        Values::read(|name| pairs.iter().filter(move |(have, _)| *have == name).map(|(_, value)| *value))
    }

    #[test]
    fn fields_become_a_draft() {
        let draft = values(&[
            ("city", "Austin"),
            ("city", ""),
            ("city", " Round Rock "),
            ("city", "Austin"),
            ("minAttended", "2"),
            ("subject", "Hi"),
            ("body", "a\r\nb"),
            ("bodyFormat", "text"),
            ("trackOpens", "on"),
            ("rate", ""),
        ])
        .draft()
        .unwrap();
        assert_eq!(draft.filter.city, ["Austin", "Round Rock"]);
        assert_eq!((draft.filter.min_attended, draft.rate, draft.body.as_str()), (Some(2), None, "a\nb"));
        assert!(draft.tracking.opens && !draft.tracking.clicks);
        assert_eq!(draft.body_format, BodyFormat::Text);
    }

    #[test]
    fn faults_stand_at_their_fields() {
        let faults = values(&[("minAttended", "two"), ("maxHosted", "-1"), ("rate", "0"), ("city", "0123456789012345678901234567890123456789012345678901")]);
        let faults = by_field(faults.draft().unwrap_err());
        let fields: Vec<_> = faults.keys().map(String::as_str).collect();
        assert_eq!(fields, ["body", "city", "maxHosted", "minAttended", "rate", "subject"]);
    }

    #[test]
    fn nothing_is_noted_about_readers_unless_somebody_asks_for_it() {
        let plain = values(&[]);
        assert!(!plain.track_opens && !plain.track_clicks);
        assert_eq!((plain.kind.as_str(), plain.body_format.as_str()), ("marketing", "markdown"));
    }
}
