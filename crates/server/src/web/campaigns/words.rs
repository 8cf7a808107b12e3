//! States, durations and logs in the words that people read.

use emcrm_app::AppError;
use emcrm_model::{Audience, Campaign, CampaignState, DeliveryState, Recipients, UserFilter};
use emcrm_store::LogEntry;
use serde::Serialize;

use crate::api::error::{ApiError, Problem};
use crate::web::stack::Bar;

/// A state as a word with its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Badge {
    pub word: &'static str,
    pub class: &'static str,
}

pub fn campaign_badge(state: CampaignState) -> Badge {
    let (word, class) = match state {
        CampaignState::Draft => ("Draft", "mute hollow"),
        CampaignState::Scheduled => ("Scheduled", "mute hollow"),
        CampaignState::Pending => ("Starting", "live now"),
        CampaignState::Freezing => ("Choosing the audience", "live now"),
        CampaignState::Sending => ("Sending", "live now"),
        CampaignState::Paused => ("Paused", "warn"),
        CampaignState::Sent => ("Sent", "ok"),
        CampaignState::Cancelled => ("Cancelled", "mute"),
        CampaignState::Error => ("Stopped", "bad"),
    };
    Badge { word, class }
}

pub fn delivery_badge(state: DeliveryState) -> Badge {
    let (word, class) = match state {
        DeliveryState::Pending => ("Waiting", "mute hollow"),
        DeliveryState::Sending => ("Sending", "live now"),
        DeliveryState::Sent => ("Sent", "ok"),
        DeliveryState::Error => ("Refused", "bad"),
        DeliveryState::Unknown => ("Unknown", "warn"),
        DeliveryState::Suppressed | DeliveryState::Skipped => ("Left out", "mute"),
        DeliveryState::Cancelled => ("Cancelled", "mute"),
        DeliveryState::Bounced => ("Came back", "bad"),
        DeliveryState::Complained => ("Reported as unwanted", "bad"),
    };
    Badge { word, class }
}

/// States that people do not tell apart.
#[derive(Debug)]
pub struct Group {
    /// In addresses.
    pub key: &'static str,
    pub word: &'static str,
    pub fill: &'static str,
    pub states: &'static [DeliveryState],
}

/// All states of deliveries, in the order of the bar.
pub static GROUPS: [Group; 9] = [
    Group { key: "sent", word: "Sent", fill: "f-sent", states: &[DeliveryState::Sent] },
    Group { key: "sending", word: "Sending", fill: "f-sending", states: &[DeliveryState::Sending] },
    Group { key: "error", word: "Refused", fill: "f-error", states: &[DeliveryState::Error] },
    Group { key: "bounced", word: "Came back", fill: "f-error", states: &[DeliveryState::Bounced] },
    Group { key: "complained", word: "Reported as unwanted", fill: "f-error", states: &[DeliveryState::Complained] },
    Group { key: "unknown", word: "Unknown", fill: "f-unknown", states: &[DeliveryState::Unknown] },
    Group { key: "left-out", word: "Left out", fill: "f-left-out", states: &[DeliveryState::Suppressed, DeliveryState::Skipped] },
    Group { key: "cancelled", word: "Cancelled", fill: "f-left-out", states: &[DeliveryState::Cancelled] },
    Group { key: "pending", word: "Waiting", fill: "f-pending", states: &[DeliveryState::Pending] },
];

impl Group {
    pub fn count(&self, campaign: &Campaign) -> u64 {
        self.states.iter().map(|state| campaign.counts.get(*state).max(0) as u64).sum()
    }
}

/// Groups that always have a place in the legend, also with nothing in them.
const ALWAYS: [&str; 3] = ["sent", "error", "left-out"];

/// One entry of the legend, or one tab of the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    pub key: &'static str,
    pub word: &'static str,
    pub fill: &'static str,
    pub count: u64,
}

pub fn parts(campaign: &Campaign) -> Vec<Part> {
    let part = |group: &'static Group| Part { key: group.key, word: group.word, fill: group.fill, count: group.count(campaign) };
    GROUPS.iter().map(part).filter(|part| part.count > 0 || ALWAYS.contains(&part.key)).collect()
}

/// The bar, and what it says to those who do not see it.
#[derive(Debug, Serialize)]
pub struct Stack {
    pub bars: Vec<Bar>,
    pub label: String,
}

pub fn stack(campaign: &Campaign) -> Stack {
    let counts: Vec<_> = GROUPS.iter().map(|group| (group.fill, group.count(campaign))).collect();
    let words: Vec<String> = GROUPS
        .iter()
        .map(|group| (group, group.count(campaign)))
        .filter(|(_, n)| *n > 0)
        .map(|(group, n)| format!("{n} {}", group.word.to_lowercase()))
        .collect();
    Stack { bars: crate::web::stack::bars(&counts), label: if words.is_empty() { "nobody yet".to_owned() } else { words.join(", ") } }
}

/// `10 min 6 s`
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) if rest > 0 && minutes < 15 => format!("{minutes} min {rest} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}

/// Among whom the filter chooses, as the composer offers it.
pub fn audience(audience: Audience) -> &'static str {
    match audience {
        Audience::People => "People, by the filters",
        Audience::Attendees => "Everybody on the event\u{2019}s list",
        Audience::Here => "Who came to the event",
        Audience::Away => "Who is on the list and has not come",
    }
}

/// Whom a campaign is for, as a sentence. `title`: of the attached event.
pub fn recipients(of: &Recipients, title: Option<&str>) -> String {
    if of.audience == Audience::People {
        return filter(&of.filter);
    }
    let title = title.map_or_else(|| "an event that is gone".to_owned(), |title| format!("\u{201c}{title}\u{201d}"));
    let who = match of.audience {
        Audience::People | Audience::Attendees => format!("Everybody on the list of {title}"),
        Audience::Here => format!("Who came to {title}"),
        Audience::Away => format!("Who is on the list of {title} and has not come"),
    };
    if of.filter.is_empty() { who } else { format!("{who}, and of them: {}", lower(&filter(&of.filter))) }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// A filter as a sentence.
pub fn filter(filter: &UserFilter) -> String {
    let values = |name: &str, values: &[String]| (!values.is_empty()).then(|| format!("{name} {}", values.join(" or ")));
    let range = |name: &str, min: Option<i64>, max: Option<i64>| match (min, max) {
        (None, None) => None,
        (Some(min), None) => Some(format!("{name} {min} or more")),
        (None, Some(max)) => Some(format!("{name} {max} or less")),
        (Some(min), Some(max)) => Some(format!("{name} {min} to {max}")),
    };
    let parts = [
        values("company", &filter.company),
        values("job title", &filter.job_title),
        values("city", &filter.city),
        values("state", &filter.state),
        range("attended", filter.min_attended, filter.max_attended),
        range("hosted", filter.min_hosted, filter.max_hosted),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut chars = text.chars();
    chars.next().map_or_else(|| "Everybody".to_owned(), |first| first.to_uppercase().chain(chars).collect())
}

/// One line of the log.
#[derive(Debug, Serialize)]
pub struct LogLine {
    pub text: String,
    pub at: String,
    pub tone: &'static str,
}

pub fn log_line(entry: LogEntry) -> LogLine {
    let LogEntry { at, who, what, detail, id: _ } = entry;
    let person = !matches!(who.as_str(), "system" | "local");
    let (words, tone) = match what.as_str() {
        "draft" => ("Draft written", ""),
        "created" => ("Written and sent", "live"),
        "edited" => ("Draft changed", ""),
        "scheduled" => ("Scheduled", ""),
        "unscheduled" => ("Made a draft again", ""),
        "duplicated" => ("Copied", ""),
        "due" => ("The moment came, sending began", "live"),
        "held" => ("Held", "warn"),
        "frozen" => ("Audience frozen", ""),
        "sent" if who == "system" => ("Everything is handled", "ok"),
        "sent" => ("Sending was started", "live"),
        "paused" => ("Paused", "warn"),
        "resumed" => ("Resumed", "live"),
        "cancelled" => ("Cancelled", "bad"),
        "retried" => ("Sent again what was refused or unknown", "live"),
        "error" => ("Stopped", "bad"),
        other => (other, ""),
    };
    let mut text = words.to_owned();
    if person {
        text = format!("{text} by {who}");
    }
    if let Some(detail) = detail {
        text = format!("{text}: {detail}");
    }
    LogLine { text, at, tone }
}

/// What went wrong, in the words of pages: the API says "email request" where people say campaign.
pub fn readable(error: AppError) -> ApiError {
    use axum::http::StatusCode;
    match error {
        AppError::CampaignState { now, wanted } => {
            let now = campaign_badge(now).word.to_lowercase();
            Problem::new(
                StatusCode::CONFLICT,
                "wrong_state",
                format!("The campaign stands at \u{201c}{now}\u{201d}, so it cannot be {wanted}. Nothing was changed."),
            )
            .into()
        }
        AppError::CampaignUnknown => {
            Problem::new(StatusCode::NOT_FOUND, "email_request_not_found", "There is no such campaign. It may have been deleted.").into()
        }
        AppError::NoUsersMatch => Problem::new(StatusCode::NOT_FOUND, "no_users_match", "Nobody matches any more. Nothing was sent.").into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_exact_as_somebody_needs() {
        let said = [0, 59, 91, 606, 3_000, 3_600, 7_500, 90_000, 172_800].map(duration);
        assert_eq!(said, ["0 s", "59 s", "1 min 31 s", "10 min 6 s", "50 min", "1 h", "2 h 5 min", "1 d 1 h", "2 d"]);
    }

    #[test]
    fn every_state_is_in_one_group() {
        for state in DeliveryState::ALL {
            assert_eq!(GROUPS.iter().filter(|group| group.states.contains(&state)).count(), 1, "{state:?}");
        }
    }

    #[test]
    fn a_filter_is_a_sentence() {
        let some = UserFilter { city: vec!["Austin".to_owned(), "Round Rock".to_owned()], min_attended: Some(2), ..UserFilter::default() };
        assert_eq!(filter(&some), "City Austin or Round Rock, attended 2 or more");
        assert_eq!(filter(&UserFilter::default()), "Everybody");
        let of = |audience, filter: &UserFilter| Recipients { audience, event_id: Some(String::from("tea").into()), filter: filter.clone() };
        assert_eq!(recipients(&of(Audience::People, &some), Some("Tea")), filter(&some));
        assert_eq!(recipients(&of(Audience::Away, &UserFilter::default()), Some("Tea")), "Who is on the list of \u{201c}Tea\u{201d} and has not come");
        assert_eq!(
            recipients(&of(Audience::Here, &some), Some("Tea")),
            "Who came to \u{201c}Tea\u{201d}, and of them: city Austin or Round Rock, attended 2 or more"
        );
        assert_eq!(recipients(&of(Audience::Attendees, &UserFilter::default()), None), "Everybody on the list of an event that is gone");
    }
}
