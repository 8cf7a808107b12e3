//! What anybody may do: see a public event, take a place there, and give it back by the link in the confirmation.
//!
//! Nothing here tells whether an address is known, and nothing here changes what is known about a person: the answer to a registration is the same for
//! everybody, and what differs stands in the mail, which only the address's owner reads.

use std::fmt::Write as _;
use std::time::Duration;

use emcrm_mail::{Handover, MailError, Mailbox, Message, message_id};
use emcrm_model::{AttendanceDraft, CampaignKind, EmailAddress, Event, EventId, Slug, User, UserDraft, UserId};
use emcrm_store::{CountKind, Guard, Queue, Remembered, Rule, Task, Transaction, keys};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::calendar::event_ics;
use crate::cascade::Outcome;
use crate::roster::REGISTERED;
use crate::users::unexpected;
use crate::when::when_and_zone;
use crate::{App, AppError, Call};

/// Whose idempotency rows keep an address from getting the same reminder again and again.
const PUBLIC: &str = "public";

/// Earliest answer to a registration. Whether an address is known, and has a place, makes some milliseconds more or less of work; the answer must not show it.
pub const ANSWER_AFTER: Duration = Duration::from_millis(100);

/// A defence that a test takes away, to show that it would see the attack succeed. No setting does that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Without {
    #[default]
    Nothing,
    /// Whoever registers a known address is told that it is one.
    KnownAlike,
    /// Whoever registers an address that has a place is told so, at a full event too.
    HeldAlike,
}

/// Without line breaks, which would pretend to be other lines of a mail.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A place at an event, as its link shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub event: Event,
    pub email: EmailAddress,
    pub state: PlaceState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceState {
    Held,
    GivenBack,
    /// The event is over, so nothing can be given back.
    Over,
}

impl App {
    /// An event that anybody may see.
    pub async fn public_event(&self, slug: &str) -> Result<Event, AppError> {
        let slug = Slug::parse(slug).map_err(|_| AppError::EventUnknown)?;
        self.store.events.by_slug(&slug).await?.filter(|event| event.public).ok_or(AppError::EventUnknown)
    }

    pub fn event_is_over(&self, event: &Event) -> bool {
        event.ends(&self.settings.default_zone) <= self.now()
    }

    /// The calendar file of an event.
    pub fn event_calendar(&self, event: &Event) -> String {
        event_ics(event, &self.settings.default_zone, self.mail_domain(), self.event_url(event).as_deref(), self.now())
    }

    /// Where anybody sees the event; none when it is not public, or when the installation does not know its own address.
    pub fn event_url(&self, event: &Event) -> Option<String> {
        let base = self.settings.public_url.as_ref().filter(|_| event.public)?;
        Some(format!("{base}/e/{}", event.slug))
    }

    /// Takes a place for whoever has this address, and mails a confirmation. A person who is not known yet is made; one who is known stays as they are.
    pub async fn public_register(&self, call: &Call, slug: &str, draft: &UserDraft) -> Result<(), AppError> {
        let event = self.public_event(slug).await?;
        if self.event_is_over(&event) {
            return Err(AppError::RegistrationClosed);
        }
        let (registered, ()) = tokio::join!(self.public_place(call, &event, draft), tokio::time::sleep(self.settings.access.answer_after));
        registered
    }

    async fn public_place(&self, call: &Call, event: &Event, draft: &UserDraft) -> Result<(), AppError> {
        let without = self.settings.access.without;
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let known = self.store.users.by_email(&draft.email).await?;
            if known.is_some() && without == Without::KnownAlike {
                return Err(AppError::EmailTaken);
            }
            if let Some(user) = &known
                && self.store.attendances.get(&user.id, &event.id).await?.is_some()
            {
                self.registration_remind(call, event, user).await?;
                if without == Without::HeldAlike {
                    return Err(AppError::AlreadyAttending);
                }
                // A full event says so to everybody, or it would tell who is in.
                return if self.is_full(&event.id).await? { Err(AppError::EventFull) } else { Ok(()) };
            }
            match self.place_take(call, event, known.as_ref(), draft).await? {
                Ok(()) => return Ok(()),
                // Somebody else with the same address was quicker, or the person was deleted this moment: look again.
                Err(Rule::EmailTaken | Rule::AlreadyAttending | Rule::Changed | Rule::IdTaken) => {}
                Err(Rule::EventFull) => return Err(AppError::EventFull),
                Err(Rule::EventUnknown) => return Err(AppError::EventUnknown),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    async fn is_full(&self, event: &EventId) -> Result<bool, AppError> {
        let event = self.store.events.get(event).await?.ok_or(AppError::EventUnknown)?;
        Ok(event.places_left() == Some(0))
    }

    /// One transaction: the person if they are new, the place, the counters, the mail.
    async fn place_take(&self, call: &Call, event: &Event, known: Option<&User>, draft: &UserDraft) -> Result<Result<(), Rule>, AppError> {
        let mut tx = Transaction::new();
        self.store.attendances.seat_take(&mut tx, &event.id);
        if let Some(op) = tx.ops.last_mut() {
            op.guards.push((Guard::equals("public", true), Rule::EventUnknown));
        }
        let id = if let Some(user) = known {
            self.store.users.count(&mut tx, &user.id, "attendedCount", 1, Rule::Changed);
            user.id.clone()
        } else {
            let user = User { attended_count: 1, ..self.user_new(self.ids.random().into(), draft.clone()) };
            self.user_put(&mut tx, &user);
            self.store.counts.add(&mut tx, CountKind::Users, user.id.as_str(), 1);
            user.id
        };
        self.attendance_insert(&mut tx, AttendanceDraft { user_id: id.clone(), event_id: event.id.clone(), attended: REGISTERED.to_owned() });
        self.reindex_later(&mut tx, &[keys::user_part(&id)]);
        self.mail_later(&mut tx, event, &id, &self.stamp(), false);
        let deed = Deed::new("attendance.registered", keys::event_part(&event.id)).and(keys::user_part(&id));
        Ok(self.commit(call, deed, tx, Value::Null).await?.map(|_| ()))
    }

    /// Somebody who has a place asks for one: a mail with the link, at most one in an hour, so that nobody can be flooded with them.
    async fn registration_remind(&self, call: &Call, event: &Event, user: &User) -> Result<(), AppError> {
        let hour = self.now().as_second() / 3_600;
        let digest = Sha256::digest(format!("{}#{}#{hour}", event.id, user.id).as_bytes());
        let key = digest.iter().take(16).fold("reminder-".to_owned(), |key, byte| format!("{key}{byte:02x}"));
        let remembered = Remembered { fingerprint: String::new(), answer: Value::Null };
        let mut tx = Transaction::new();
        self.store.idempotency.put(&mut tx, PUBLIC, &key, &remembered, self.now().as_second());
        self.mail_later(&mut tx, event, &user.id, &key, true);
        self.audit_note(&mut tx, call, Deed::new("attendance.reminded", keys::event_part(&event.id)).and(keys::user_part(&user.id)));
        match self.transact(tx).await {
            Ok(()) => Ok(()),
            Err(error) if error.rule() == Some(Rule::KeyUsed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `which` tells this mail from others to the same person about the same event; it is in the Message-ID.
    fn mail_later(&self, tx: &mut Transaction, event: &Event, user: &UserId, which: &str, again: bool) {
        let payload = json!({ "event": event.id.as_str(), "user": user.as_str(), "which": which, "again": again });
        self.store.tasks.put(tx, Queue::Mail, &keys::user_part(user), "registration_mail", payload, self.now_ms());
    }

    /// The task: hands the confirmation over. A repeat has the same Message-ID, so that one copy is shown.
    pub(crate) async fn registration_mail(&self, task: &Task) -> Result<Outcome, AppError> {
        let text = |name: &str| task.payload.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (event, user) = (EventId::from(text("event")), UserId::from(text("user")));
        let Some(event) = self.store.events.get(&event).await? else { return Ok(Outcome::Done) };
        let Some(user) = self.store.users.get(&user).await? else { return Ok(Outcome::Done) };
        if self.store.attendances.get(&user.id, &event.id).await?.is_none() || !user.email.is_deliverable() {
            return Ok(Outcome::Done);
        }
        if self.store.suppressions.get(&user.email).await?.is_some_and(|entry| entry.reason.stops(CampaignKind::Transactional)) {
            tracing::info!(task = %task.id, "a confirmation is not sent: the address is on the suppression list");
            return Ok(Outcome::Done);
        }
        let again = task.payload.get("again").and_then(Value::as_bool).unwrap_or(false);
        let mail = self.confirmation(&event, &user, &text("which"), again)?;
        let _line = self.confirmation_lines.acquire().await.map_err(|_| AppError::Internal("confirmations are closed".to_owned()))?;
        if let Some(at) = self.transport_limiter.take(1) {
            tokio::time::sleep_until(at).await;
        }
        let mut connection = self.transport.connect().await?;
        let sent = connection.send(&mail).await;
        connection.close().await;
        match sent {
            Ok(_) => Ok(Outcome::Done),
            Err(error @ MailError::Permanent { .. }) => {
                tracing::warn!(%error, task = %task.id, "a confirmation was refused");
                Ok(Outcome::Done)
            }
            // It may have arrived; once more is harmless, again and again is not.
            Err(error @ MailError::Unknown { .. }) if task.attempts > 0 => {
                tracing::warn!(%error, task = %task.id, "a confirmation may have been lost");
                Ok(Outcome::Done)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn confirmation(&self, event: &Event, user: &User, which: &str, again: bool) -> Result<Handover, AppError> {
        let zone = &self.settings.default_zone;
        // No name of the person: whoever filled the form in chose it, and could make us send their words to anybody.
        let title = one_line(&event.title);
        let head = if again { "You have a place already at" } else { "You have a place at" };
        let mut text = format!("{head}:\n\n{title}\n\nWhen: {}\n", when_and_zone(event, zone));
        if let Some(venue) = &event.venue {
            let _ = writeln!(text, "Where: {}", one_line(venue));
        }
        if let Some(url) = self.event_url(event) {
            let _ = writeln!(text, "More: {url}");
        }
        if let Some(base) = &self.settings.public_url {
            let link = self.links.seal_registration(&event.id, &user.id);
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\nYou cannot come after all? Give the place back, so that somebody else can have it:\n{base}/r/{link}\n\n\
                 Somebody entered this address on the page of the event. If that was not you, give the place back by the same link.\n"
            );
        } else {
            text.push_str("\nYou cannot come after all, or somebody else entered your address? Answer this mail, please.\n");
        }
        let message = Message {
            from: self.settings.mail_from.clone(),
            to: Mailbox { name: None, address: user.email.as_str().trim().to_owned() },
            reply_to: None,
            subject: if again { format!("You have a place already: {title}") } else { format!("Your place: {title}") },
            text,
            html: None,
            calendar: Some(self.event_calendar(event)),
            message_id: message_id(&format!("registration#{}#{which}", event.id), user.id.as_str(), self.mail_domain()),
            date: self.now(),
            unsubscribe_url: None,
            headers: Vec::new(),
        };
        message.handover(&self.settings.mail_from.address).map_err(|error| AppError::Internal(format!("a confirmation could not be built: {error}")))
    }

    /// The place that a link was made for; none for a forged link, and when the event or the person is gone. Changes nothing.
    pub async fn place_open(&self, token: &str) -> Result<Option<Place>, AppError> {
        let Some((event, user)) = self.links.open_registration(token) else { return Ok(None) };
        let Some(event) = self.store.events.get(&event).await? else { return Ok(None) };
        let Some(user) = self.store.users.get(&user).await? else { return Ok(None) };
        let state = match self.store.attendances.get(&user.id, &event.id).await? {
            _ if self.event_is_over(&event) => PlaceState::Over,
            Some(_) => PlaceState::Held,
            None => PlaceState::GivenBack,
        };
        Ok(Some(Place { event, email: user.email, state }))
    }

    /// Gives the place back. Repeating it changes nothing; after the event nothing can be given back.
    pub async fn place_give_back(&self, call: &Call, token: &str) -> Result<Option<Place>, AppError> {
        let Some(place) = self.place_open(token).await? else { return Ok(None) };
        let Some((event, user)) = self.links.open_registration(token) else { return Ok(None) };
        if place.state != PlaceState::Held {
            return Ok(Some(place));
        }
        match self.attendance_end(call, &user, &event).await {
            Ok(()) | Err(AppError::AttendanceUnknown) => Ok(Some(Place { state: PlaceState::GivenBack, ..place })),
            Err(error) => Err(error),
        }
    }
}
