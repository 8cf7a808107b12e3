//! What sending would do, before anything is sent: who gets it and who does not, by reason; what the mails look like; what is missing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use emcrm_mail::Identity;
use emcrm_model::{CampaignDraft, CampaignId, CampaignKind, EmailAddress, FieldErrors, Recipients, Role, User, UserId};
use emcrm_store::{Transaction, keys};

use super::pace::Pace;
use super::recipients::{FIRST, Reach};
use crate::audit::Deed;
use crate::render::{Filled, Prepared, Recipe, clean};
use crate::template::{Content, RenderError};
use crate::users::unexpected;
use crate::{App, AppError, Call, DomainLimits};

/// Mails that a preflight shows.
const SAMPLES: usize = 5;
/// People whose names are listed for one reason.
const LISTED: usize = 20;
/// People that a preflight looks at, and for how long. A larger audience is checked in part, and the answer says so.
const CHECKED_MAX: u64 = 50_000;
const CHECK_TIME: Duration = Duration::from_secs(10);
/// People read at once.
const CHUNK: u32 = 500;
/// Mails larger than this are cut by common mail programs.
const CLIPPED: usize = 102_000;

/// Nothing else is wrong with such a mail, so it is easily overlooked.
const SHEET_LEFT: &str = "The rules of the style sheet could not be moved into the elements, so mail programs that drop style sheets show the mail without them: \
                          mend the HTML around conditions, above all in tables, or write the rules into style attributes.";

/// What a campaign would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// People who match.
    pub total: u64,
    /// The first of them.
    pub recipients: Vec<User>,
    /// As the first of them would get it.
    pub subject: String,
    pub text: String,
    /// Cleaned of everything that could run.
    pub html: Option<String>,
    pub warnings: Vec<String>,
}

/// People who would not get the mail, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    pub count: u64,
    /// The first of them.
    pub people: Vec<Unmailed>,
}

/// Somebody who would not get the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmailed {
    pub user: User,
    /// Variables that they have no value for; empty where that is not the reason.
    pub missing: Vec<&'static str>,
}

/// One mail as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub user: User,
    pub subject: String,
    pub text: String,
    /// Cleaned of everything that could run.
    pub html: Option<String>,
}

/// Everything that is worth knowing before a campaign is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preflight {
    /// People who match.
    pub matches: u64,
    /// Every change that was made before is in the figures.
    pub settled: bool,
    /// How many of them were looked at. All, unless there are more than the limit.
    pub checked: u64,
    /// Of those who were looked at, how many would be mailed.
    pub recipients: u64,
    /// The others, by reason: `manual`, `unsubscribed`, `bounced`, `complained`, `invalid_address`, `duplicate_address`, `missing_value`, `too_long`.
    pub left_out: BTreeMap<&'static str, LeftOut>,
    /// Variables without a value, by name, with how many people lack them.
    pub missing: BTreeMap<&'static str, u64>,
    /// Variables in use.
    pub variables: Vec<&'static str>,
    pub samples: Vec<Sample>,
    /// Every mail that was looked at has the header, and the link in each of its parts.
    pub unsubscribe: bool,
    /// The address that mails come from.
    pub from: String,
    /// What the mail service says of that address; none: it does not tell.
    pub sender: Option<Identity>,
    /// Whether the way to the mail server is encrypted; none: it is no network way, or not known.
    pub tls: Option<bool>,
    /// What keeps mail from being handed over now.
    pub transport_fault: Option<String>,
    /// Of those who were looked at, how many have their address at the domain that has the most.
    pub largest_domain: u64,
    /// At the lowest of the limits, those for each domain included; none where nothing limits it, or where only domains are limited and an earlier campaign tells
    /// more.
    pub seconds: Option<u64>,
    /// What the mails to the largest domain take, by what a domain may have in a second and at once; 0 where that is not limited.
    domain_seconds: u64,
    /// How fast an earlier campaign went, where nothing limits this one and there is one that tells.
    pub pace: Option<Pace>,
    /// Bytes of the largest sample.
    pub largest: usize,
    /// Reasons not to send it like this.
    pub errors: Vec<String>,
    /// Reasons to look again.
    pub warnings: Vec<String>,
}

impl Preflight {
    /// The domain that answers for these mails.
    pub fn from_domain(&self) -> &str {
        self.from.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
    /// How many mails it would be; at most so many, where not everybody was looked at.
    pub fn mails(&self) -> u64 {
        if self.checked < self.matches { self.matches } else { self.recipients }
    }
    /// Seconds at the pace of an earlier campaign: an estimate. No less than the largest domain takes by itself.
    pub fn estimate(&self) -> Option<u64> {
        self.pace.as_ref().map(|pace| pace.seconds_for(self.mails()).max(self.domain_seconds))
    }
    /// Mails to the largest domain; where not everybody was looked at, in proportion.
    fn mails_to_largest_domain(&self) -> u64 {
        let all = u128::from(self.largest_domain) * u128::from(self.mails());
        all.div_ceil(u128::from(self.recipients.max(1))) as u64
    }
    /// Everybody was looked at.
    pub fn is_exact(&self) -> bool {
        self.settled && self.checked >= self.matches
    }
}

impl App {
    /// One person's mail as this campaign says it, whether or not it was sent to them.
    pub async fn campaign_mail(&self, call: &Call, id: &CampaignId, user: &UserId) -> Result<Sample, AppError> {
        let campaign = self.campaign_get(call, id).await?;
        let user = self.user_get(call, user).await?;
        let prepared = self.prepare(&Recipe::of(&campaign)).await?;
        let filled = self.fill(&prepared, None, &user).map_err(|error| FieldErrors::one("body", "template", error.to_string()))?;
        Ok(sample(user, filled))
    }

    /// What sending would do, in short. Nothing is stored and nothing is sent.
    pub async fn campaign_preview(&self, call: &Call, draft: CampaignDraft) -> Result<Preview, AppError> {
        call.require(Role::Viewer)?;
        let prepared = self.prepare(&Recipe::of_draft(&draft)).await?;
        let Reach { total, people: recipients, .. } = self.reach(call, &Recipients::from(&draft)).await?;
        let mut warnings = Vec::new();
        let nobody = nobody();
        // The first for whom it can be made; nobody's values otherwise.
        let mut shown = None;
        for user in recipients.iter().chain([&nobody]) {
            match self.fill(&prepared, None, user) {
                Ok(filled) => {
                    shown = Some(filled.content);
                    break;
                }
                Err(error) if warnings.is_empty() => warnings.push(format!("{}: {error}", user.full_name())),
                Err(_) => {}
            }
        }
        let mut content = shown.ok_or_else(|| FieldErrors::one("body", "template", warnings.join("; ")))?;
        warnings.extend(worth_saying(&content.subject, &content.text));
        if prepared.template.leaves_sheet() {
            warnings.push(SHEET_LEFT.to_owned());
        }
        if total == 0 {
            warnings.push("Nobody matches.".to_owned());
        }
        content.html = content.html.map(|html| clean(&html));
        Ok(Preview { total, recipients, subject: content.subject, text: content.text, html: content.html, warnings })
    }

    /// One mail to one address, marked as a test, in no ledger, with the values of the first recipient. Answers the mail server's words. A key that was
    /// used before is refused, whatever became of its mail: nobody knows what a server that is being asked will say.
    pub async fn campaign_test(&self, call: &Call, draft: CampaignDraft, to: EmailAddress) -> Result<String, AppError> {
        call.require(Role::Sender)?;
        if self.replayed::<String>(call).await?.is_some() {
            return Err(AppError::KeyReused);
        }
        let prepared = self.prepare(&Recipe::of_draft(&draft)).await?;
        let users = self.first_of(&Recipients::from(&draft), FIRST).await?;
        let nobody = nobody();
        let somebody = users.iter().find(|user| self.fill(&prepared, None, user).is_ok());
        let mail = self.test_mail(&prepared, somebody.unwrap_or(&nobody), to.as_str())?;
        // Whose values go out. Where to is an address, and those are not for the trail.
        let deed = Deed::new("mail.tested", somebody.map_or_else(String::new, |user| keys::user_part(&user.id)));
        let own = self.ids.random().to_string();
        // Of two at the same moment one has the key.
        if self.commit(call, deed, Transaction::new(), own.clone()).await?.map_err(unexpected)? != own {
            return Err(AppError::KeyReused);
        }
        let mut connection = self.transport.connect().await?;
        let receipt = connection.send(&mail).await;
        connection.close().await;
        Ok(receipt?.reply)
    }

    /// Looks at the whole audience as the freeze and the sending would.
    pub async fn campaign_preflight(&self, call: &Call, draft: CampaignDraft) -> Result<Preflight, AppError> {
        call.require(Role::Viewer)?;
        let prepared = self.prepare(&Recipe::of_draft(&draft)).await?;
        let (matches, settled) = self.recipients_count(&Recipients::from(&draft)).await?;
        let mut found = Preflight {
            matches,
            settled,
            variables: prepared.template.variables().collect(),
            unsubscribe: prepared.wants_unsubscribe() && self.settings.public_url.is_some(),
            from: self.settings.mail_from.address.clone(),
            tls: self.transport.encrypted(),
            transport_fault: self.transport.health().await.err().map(|error| error.to_string()),
            ..Preflight::default()
        };
        if found.transport_fault.is_none() {
            found.sender = self.transport.sender(&found.from).await;
        }
        self.look_at_audience(&draft, &prepared, &mut found).await?;
        self.how_long(&draft, &mut found).await?;
        if prepared.template.leaves_sheet() {
            found.warnings.push(SHEET_LEFT.to_owned());
        }
        self.judge(&draft, &mut found);
        Ok(found)
    }

    /// The slowest of what limits it: the campaign and the transport by their rates, each domain of recipients by its own.
    async fn how_long(&self, draft: &CampaignDraft, found: &mut Preflight) -> Result<(), AppError> {
        let rates = [draft.rate, self.transport.rate()];
        let by_rate = rates.into_iter().flatten().filter(|rate| *rate > 0).min().map(|rate| found.mails().div_ceil(u64::from(rate)));
        let DomainLimits { connections, rate } = self.settings.domain_limits;
        let to_one = found.mails_to_largest_domain();
        let by_domain = rate.map(|rate| to_one.div_ceil(u64::from(rate.max(1))));
        found.domain_seconds = by_domain.unwrap_or(0);
        if let Some(by_rate) = by_rate {
            found.seconds = Some(by_rate.max(found.domain_seconds));
            return Ok(());
        }
        found.pace = self.pace().await?;
        match (&found.pace, connections) {
            (None, _) => found.seconds = by_domain,
            (Some(pace), Some(connections)) => {
                // The earlier campaign is taken to have had all connections: where this very limit slowed it down, it takes less.
                let lines = self.transport.connections_max().max(1) as u64;
                let times = lines.div_ceil(u64::from(connections.max(1)));
                found.domain_seconds = found.domain_seconds.max(pace.seconds_for(to_one.saturating_mul(times)));
            }
            (Some(_), None) => {}
        }
        Ok(())
    }

    async fn look_at_audience(&self, draft: &CampaignDraft, prepared: &Prepared, found: &mut Preflight) -> Result<(), AppError> {
        let of = Recipients::from(draft);
        let begun = tokio::time::Instant::now();
        let mut domains: HashMap<String, u64> = HashMap::new();
        let mut after = None;
        let mut ended = false;
        while !ended && found.checked < CHECKED_MAX && begun.elapsed() < CHECK_TIME {
            let ids = self.candidates_walk(&of, after.take(), CHUNK).await?;
            ended = ids.is_empty();
            after = ids.last().cloned();
            let ids: Vec<UserId> = ids.into_iter().map(UserId::from).collect();
            let users = self.recipients_among(&of, &ids).await?;
            let asked: Vec<EmailAddress> = users.iter().map(|user| user.email.clone()).collect();
            let suppressed = async { Ok::<_, AppError>(self.store.suppressions.of(&asked).await?) };
            let (suppressed, shared) = tokio::try_join!(suppressed, self.share_anothers_address(&users))?;
            for (user, (entry, shares)) in users.into_iter().zip(suppressed.into_iter().zip(shared)) {
                found.checked += 1;
                let stopped = entry.map(|entry| entry.reason).filter(|reason| reason.stops(draft.kind));
                let reason = if let Some(reason) = stopped {
                    Some((reason.as_str(), Vec::new()))
                } else if !user.email.is_deliverable() {
                    Some(("invalid_address", Vec::new()))
                } else if shares {
                    Some(("duplicate_address", Vec::new()))
                } else {
                    self.look_at_mail(prepared, &user, found)
                };
                match reason {
                    None => {
                        found.recipients += 1;
                        let mails = domains.entry(user.email.domain().to_owned()).or_default();
                        *mails += 1;
                        found.largest_domain = found.largest_domain.max(*mails);
                    }
                    Some((reason, missing)) => {
                        let left_out = found.left_out.entry(reason).or_default();
                        left_out.count += 1;
                        if left_out.people.len() < LISTED {
                            left_out.people.push(Unmailed { user, missing });
                        }
                    }
                }
            }
        }
        if ended {
            // The storage decides, not what the index thought.
            found.matches = found.checked;
        }
        Ok(())
    }

    /// Why this person would not get the mail, if so, and which variables they lack.
    fn look_at_mail(&self, prepared: &Prepared, user: &User, found: &mut Preflight) -> Option<(&'static str, Vec<&'static str>)> {
        match self.fill(prepared, None, user) {
            Ok(filled) => {
                found.unsubscribe &= filled.says_how_to_unsubscribe();
                if found.samples.len() < SAMPLES {
                    let size = filled.content.text.len() + filled.content.html.as_ref().map_or(0, String::len);
                    found.largest = found.largest.max(size);
                    found.samples.push(sample(user.clone(), filled));
                }
                None
            }
            Err(RenderError::Missing(names)) => {
                for name in &names {
                    *found.missing.entry(*name).or_default() += 1;
                }
                Some(("missing_value", names))
            }
            Err(_) => Some(("too_long", Vec::new())),
        }
    }

    fn judge(&self, draft: &CampaignDraft, found: &mut Preflight) {
        let (errors, warnings) = (&mut found.errors, &mut found.warnings);
        if found.recipients == 0 {
            errors.push("Nobody would get this mail.".to_owned());
        }
        if let Some(fault) = &found.transport_fault {
            errors.push(format!("Mail cannot be handed over now: {fault}"));
        }
        if found.from.ends_with(".invalid") {
            let text = "Mails would come from an address that does not exist: set MAIL_FROM.".to_owned();
            // Files have no reader who could answer.
            if self.transport.outbox().is_some() { warnings.push(text) } else { errors.push(text) }
        }
        if let Some(Identity { name, verified, signed }) = &found.sender {
            if !verified {
                warnings.push(format!("The mail service takes no mail from {name} yet: have the domain verified there."));
            } else if !signed {
                warnings.push(format!(
                    "The mail service does not sign mail from {name} (DKIM), and many recipients' servers distrust what is not signed: set it up there."
                ));
            }
        }
        if draft.kind == CampaignKind::Marketing && !found.unsubscribe {
            warnings.push("Mails do not say how to unsubscribe, which the law asks for in most countries: set APP_PUBLIC_URL.".to_owned());
        }
        if found.tls == Some(false) {
            warnings.push("The way to the mail server is not encrypted.".to_owned());
        }
        for (name, count) in &found.missing {
            warnings.push(format!("{count} have no {name} and are left out; a default would reach them: {{{{ {name} | default(\"…\") }}}}"));
        }
        if draft.tracking != emcrm_model::Tracking::default() && self.settings.public_url.is_none() {
            warnings.push("Nothing is tracked, because the installation does not know its own address: set APP_PUBLIC_URL.".to_owned());
        }
        if found.largest > CLIPPED {
            warnings.push("The mail is larger than 102 kB; common mail programs cut it.".to_owned());
        }
        if !found.settled {
            warnings.push("Changes of the last moments are not in these figures yet; look again.".to_owned());
        }
        if found.checked < found.matches {
            warnings.push(format!("Only {} of {} people were looked at; the rest is checked when it is sent.", found.checked, found.matches));
        }
        if let Some(sample) = found.samples.first() {
            warnings.extend(worth_saying(&sample.subject, &sample.text));
        }
    }
}

/// What a person may want to mend before sending.
fn worth_saying(subject: &str, text: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if subject.chars().count() > 78 {
        warnings.push("The subject is longer than 78 characters; many mail programs cut it.".to_owned());
    }
    if text.trim().is_empty() {
        warnings.push("The mail has no readable text.".to_owned());
    }
    warnings
}

fn sample(user: User, filled: Filled) -> Sample {
    let Content { subject, text, html } = filled.content;
    Sample { user, subject, text, html: html.map(|html| clean(&html)) }
}

/// Somebody to show a mail for where nobody matches.
fn nobody() -> User {
    User {
        id: String::from("nobody").into(),
        first_name: "Alex".to_owned(),
        last_name: "Example".to_owned(),
        email: String::from("alex@example.org").into(),
        phone_number: Some("+1 512 555 0100".to_owned()),
        avatar: None,
        gender: None,
        job_title: Some("Engineer".to_owned()),
        company: Some("Example Inc".to_owned()),
        city: Some("Austin".to_owned()),
        state: Some("TX".to_owned()),
        attended_count: 3,
        hosted_count: 0,
        created_at: None,
        updated_at: None,
        rev: emcrm_model::Rev(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_not_everybody_was_looked_at_all_who_match_may_be_mailed() {
        let found = |matches, checked, recipients| Preflight { matches, checked, recipients, ..Preflight::default() }.mails();
        assert_eq!((found(0, 0, 0), found(10, 10, 7), found(1_000_000, 50_000, 49_990)), (0, 7, 1_000_000));
    }

    #[test]
    fn the_largest_domain_is_reckoned_up_where_not_everybody_was_looked_at() {
        let found = |matches, checked, recipients, largest_domain| {
            Preflight { matches, checked, recipients, largest_domain, ..Preflight::default() }.mails_to_largest_domain()
        };
        assert_eq!((found(0, 0, 0, 0), found(10, 10, 7, 5), found(1_000_000, 50_000, 50_000, 10_000)), (0, 5, 200_000));
    }
}
