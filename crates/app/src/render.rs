//! A campaign's mails: its content compiled once, filled in for each recipient, with what the law and the product add.

use emcrm_mail::{DELIVERY_HEADER, Handover, Mailbox, Message, message_id};
use emcrm_model::{BodyFormat, Campaign, CampaignDraft, CampaignId, CampaignKind, EventId, FieldErrors, MailContent, Role, Tracking, User};

use crate::calendar::event_ics;
use crate::links::Purpose;
use crate::template::{Content, EventValues, Recipient, RenderError, Template, without_tags};
use crate::tracking::{Click, with_tracking};
use crate::{App, AppError, Call};

/// What makes a mail, besides its recipient.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub content: MailContent,
    pub kind: CampaignKind,
    pub event_id: Option<EventId>,
    pub tracking: Tracking,
}

impl Recipe {
    pub(crate) fn of(campaign: &Campaign) -> Self {
        Self {
            content: MailContent { subject: campaign.subject.clone(), body: campaign.body.clone(), body_format: campaign.body_format },
            kind: campaign.kind,
            event_id: campaign.event_id.clone(),
            tracking: campaign.tracking,
        }
    }
    pub(crate) fn of_draft(draft: &CampaignDraft) -> Self {
        Self { content: draft.content(), kind: draft.kind, event_id: draft.event_id.clone(), tracking: draft.tracking }
    }
}

/// Content that is ready for any number of recipients.
pub(crate) struct Prepared {
    pub(crate) template: Template,
    event: Option<EventValues>,
    calendar: Option<String>,
    kind: CampaignKind,
    tracking: Tracking,
}

/// One person's mail, as parts.
pub(crate) struct Filled {
    pub content: Content,
    pub unsubscribe_url: Option<String>,
}

impl Filled {
    /// Whether each of its parts says how to unsubscribe.
    pub(crate) fn says_how_to_unsubscribe(&self) -> bool {
        let Some(url) = self.unsubscribe_url.as_deref() else { return false };
        self.content.text.contains(url) && self.content.html.as_ref().is_none_or(|html| html.contains(url))
    }
}

impl Prepared {
    /// Whether mails say how to unsubscribe.
    pub(crate) fn wants_unsubscribe(&self) -> bool {
        self.kind == CampaignKind::Marketing
    }
}

impl App {
    /// Checks and compiles. Faults name the fields of a draft.
    pub(crate) async fn prepare(&self, recipe: &Recipe) -> Result<Prepared, AppError> {
        let mut event = None;
        if let Some(id) = &recipe.event_id {
            event = self.store.events.get(id).await?;
            if event.is_none() {
                return Err(FieldErrors::one("eventId", "value_error", "there is no such event").into());
            }
        }
        let template = Template::compile(&recipe.content, event.is_some())?;
        if self.settings.public_url.is_none() && template.uses("unsubscribeUrl") {
            let message = "unsubscribeUrl can be used once the installation knows its own address: set APP_PUBLIC_URL";
            return Err(FieldErrors::one("body", "template", message).into());
        }
        let url = event.as_ref().and_then(|event| self.event_url(event));
        let zone = &self.settings.default_zone;
        Ok(Prepared {
            template,
            calendar: event.as_ref().map(|event| event_ics(event, zone, self.mail_domain(), url.as_deref(), self.now())),
            event: event.map(|event| EventValues::new(&event, zone, url.as_deref())),
            kind: recipe.kind,
            tracking: recipe.tracking,
        })
    }

    /// A campaign's subject as one person reads it, with what is known of them now: what was sent may have had other values. Where it cannot be filled in, it
    /// stands without its tags.
    pub async fn campaign_subject_to(&self, call: &Call, campaign: &Campaign, user: &User) -> Result<String, AppError> {
        call.require(Role::Viewer)?;
        let subject = &campaign.subject;
        if !subject.contains('{') {
            return Ok(subject.clone());
        }
        let event = match &campaign.event_id {
            Some(id) if subject.contains("event") => self.store.events.get(id).await?,
            _ => None,
        };
        let values = event.map(|event| EventValues::new(&event, &self.settings.default_zone, self.event_url(&event).as_deref()));
        let alone = MailContent { subject: subject.clone(), body: String::new(), body_format: BodyFormat::Text };
        let recipient = Recipient { user: Some(user), event: values.as_ref(), unsubscribe_url: None };
        let filled = Template::compile(&alone, values.is_some()).ok().and_then(|template| template.render(&recipient).ok());
        Ok(filled.map_or_else(|| without_tags(subject), |content| content.subject))
    }

    /// Of the sender's address.
    pub(crate) fn mail_domain(&self) -> &str {
        self.settings.mail_from.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }

    /// The parts of one person's mail. `campaign`: none for a preview or a test, whose links lead nowhere.
    pub(crate) fn fill(&self, prepared: &Prepared, campaign: Option<&CampaignId>, user: &User) -> Result<Filled, RenderError> {
        let links = campaign.map(|campaign| self.links.of(campaign, &user.id));
        let link = |purpose, path: &str, suffix: &str| {
            let base = self.settings.public_url.as_ref()?;
            let token = links.as_ref().map_or_else(|| "preview".to_owned(), |links| links.seal(purpose, ""));
            Some(format!("{base}{path}{token}{suffix}"))
        };
        let unsubscribe_url =
            if prepared.wants_unsubscribe() || prepared.template.uses("unsubscribeUrl") { link(Purpose::Unsubscribe, "/u/", "") } else { None };
        let recipient = Recipient { user: Some(user), event: prepared.event.as_ref(), unsubscribe_url: unsubscribe_url.as_deref() };
        let mut content = prepared.template.render(&recipient)?;
        if let Some(url) = unsubscribe_url.as_deref().filter(|_| prepared.wants_unsubscribe()) {
            with_footer(&mut content, url);
        }
        if let (Some(links), Some(base), Some(html)) = (&links, &self.settings.public_url, &mut content.html) {
            let pixel = prepared.tracking.opens.then(|| link(Purpose::Open, "/t/o/", ".gif")).flatten();
            let click = |out: &mut String, target: &str| {
                out.push_str(base);
                out.push_str("/t/c/");
                links.seal_into(out, Purpose::Click, target);
            };
            with_tracking(html, pixel.as_deref(), prepared.tracking.clicks.then_some(&click as &Click<'_>), &format!("{base}/u/"));
        }
        Ok(Filled { content, unsubscribe_url })
    }

    /// The mail of one delivery, ready to hand over. The Message-ID is the same at every attempt.
    pub(crate) fn mail_for(&self, prepared: &Prepared, campaign: &CampaignId, user: &User, address: &str) -> Result<Handover, String> {
        let Filled { content, unsubscribe_url } = self.fill(prepared, Some(campaign), user).map_err(|error| error.to_string())?;
        let name = user.full_name();
        let to = Mailbox { name: Some(name).filter(|name| !name.is_empty()), address: address.trim().to_owned() };
        let message_id = message_id(campaign.as_str(), user.id.as_str(), self.mail_domain());
        let delivery = self.links.of(campaign, &user.id).seal(Purpose::Delivery, "");
        let headers = vec![(DELIVERY_HEADER.to_owned(), delivery)];
        let unsubscribe_url = unsubscribe_url.filter(|_| prepared.wants_unsubscribe());
        self.mail(content, prepared.calendar.clone(), to, message_id, unsubscribe_url, headers)
    }

    /// One mail to one address, marked as a test.
    pub(crate) fn test_mail(&self, prepared: &Prepared, sample: &User, to: &str) -> Result<Handover, AppError> {
        let Filled { mut content, unsubscribe_url } =
            self.fill(prepared, None, sample).map_err(|error| FieldErrors::one("body", "template", error.to_string()))?;
        content.subject = format!("[Test] {}", content.subject);
        let message_id = format!("test-{}@{}", self.ids.random().simple(), self.mail_domain());
        let headers = vec![("X-EMCRM-Test".to_owned(), "yes".to_owned())];
        let to = Mailbox { name: None, address: to.to_owned() };
        let unsubscribe_url = unsubscribe_url.filter(|_| prepared.wants_unsubscribe());
        self.mail(content, prepared.calendar.clone(), to, message_id, unsubscribe_url, headers).map_err(AppError::Internal)
    }

    fn mail(
        &self,
        content: Content,
        calendar: Option<String>,
        to: Mailbox,
        message_id: String,
        unsubscribe_url: Option<String>,
        headers: Vec<(String, String)>,
    ) -> Result<Handover, String> {
        let message = Message {
            from: self.settings.mail_from.clone(),
            to,
            reply_to: None,
            subject: content.subject,
            text: content.text,
            html: content.html,
            calendar,
            message_id,
            date: self.now(),
            unsubscribe_url,
            headers,
        };
        message.handover(&self.settings.mail_from.address).map_err(|error| format!("a mail could not be built: {error}"))
    }
}

/// Every mail that people can refuse says how, in each of its parts: also where nobody thought of it, where the link stands in a condition that does not hold for
/// this person, or in the subject alone.
fn with_footer(content: &mut Content, url: &str) {
    let says = |part: &str| memchr::memmem::find(part.as_bytes(), url.as_bytes()).is_some();
    let text = &mut content.text;
    if !says(text) {
        text.truncate(text.trim_end().len());
        text.push_str("\n\n-- \nYou do not want mails like this one any more? ");
        text.push_str(url);
        text.push('\n');
    }
    if let Some(html) = content.html.as_mut().filter(|html| !says(html)) {
        let footer = format!("<p style=\"margin-top:2em;font-size:12px;color:#666\"><a href=\"{url}\" style=\"color:#666\">Unsubscribe</a></p>\n");
        insert_at_end(html, &footer);
    }
}

/// Before the end of the body, where there is one.
pub(crate) fn insert_at_end(html: &mut String, what: &str) {
    let last = |end: &str| memchr::memmem::rfind(html.as_bytes(), end.as_bytes());
    let at = last("</body>").or_else(|| last("</BODY>")).unwrap_or(html.len());
    html.insert_str(at, what);
}

/// Safe to show in a frame of its own: no scripts, no forms, no frames.
pub(crate) fn clean(html: &str) -> String {
    ammonia::Builder::default().add_generic_attributes(["style", "align", "width", "height", "bgcolor"]).clean(html).to_string().trim().to_owned()
}
