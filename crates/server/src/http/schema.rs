//! Pieces of the OpenAPI document that state the limits of the model, taken from the model's own constants.

use std::ops::RangeInclusive;

use emcrm_model::campaign_drafts::{CampaignDraft, MailContent, Schedule};
use emcrm_model::events::limits as event;
use emcrm_model::mail_templates::MailTemplateDraft;
use emcrm_model::users::limits as user;
use emcrm_model::{Audience, DateTime, EmailAddress, Slug, UserFilter, ids};
use serde_json::json;
use utoipa::openapi::schema::{AnyOfBuilder, Array, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr};

fn nullable(kind: Type) -> SchemaType {
    SchemaType::from_iter([kind, Type::Null])
}

/// A text that is there: its length counts without the white space around it.
fn text(length: &RangeInclusive<usize>) -> ObjectBuilder {
    let pattern = if *length.start() == 0 { r"^[^\u0000]*$" } else { r"^[^\u0000]*[^\s\u0000][^\u0000]*$" };
    let min = Some(*length.start()).filter(|min| *min > 0);
    ObjectBuilder::new().schema_type(Type::String).min_length(min).max_length(Some(*length.end())).pattern(Some(pattern))
}

/// A text that may be absent, `null` or empty, which all mean that there is none.
fn optional(length: &RangeInclusive<usize>) -> Schema {
    if *length.start() == 0 {
        return text(length).schema_type(nullable(Type::String)).build().into();
    }
    AnyOfBuilder::new().item(none()).item(text(length)).build().into()
}

/// `null` or an empty text.
fn none() -> Object {
    ObjectBuilder::new().schema_type(nullable(Type::String)).max_length(Some(0)).build()
}

fn pattern(pattern: &str, min: usize, max: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).min_length(Some(min)).max_length(Some(max))
}

fn or_none(schema: ObjectBuilder) -> Schema {
    AnyOfBuilder::new().item(none()).item(schema).build().into()
}

pub fn first_name() -> Object {
    text(&user::FIRST_NAME).build()
}
pub fn last_name() -> Object {
    text(&user::LAST_NAME).build()
}
pub fn phone() -> Schema {
    optional(&user::PHONE)
}
pub fn avatar() -> Schema {
    optional(&user::AVATAR)
}
pub fn short() -> Schema {
    optional(&user::SHORT)
}
pub fn attended_in() -> Schema {
    optional(&(0..=50))
}
pub fn attended() -> Object {
    text(&(1..=50)).build()
}
pub fn title() -> Object {
    text(&event::TITLE).build()
}
pub fn description() -> Schema {
    optional(&event::DESCRIPTION)
}
pub fn venue() -> Schema {
    optional(&event::VENUE)
}
pub fn subject() -> Object {
    pattern(r"^\s*[^\s\u0000-\u001F\u007F-\u009F]([^\u0000-\u001F\u007F-\u009F]*)\s*$", 1, MailContent::SUBJECT_MAX).build()
}
pub fn mail_body() -> Object {
    text(&(1..=MailContent::BODY_MAX)).description(Some("At most 100,000 bytes in UTF-8.")).build()
}

pub fn email() -> Object {
    email_builder().build()
}
fn email_builder() -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::Email);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).min_length(Some(3)).max_length(Some(EmailAddress::MAX))
}

fn id_builder() -> ObjectBuilder {
    pattern(r"^[A-Za-z0-9._-]+$", 1, ids::ID_MAX)
}
pub fn id() -> Object {
    id_builder().build()
}
pub fn new_id() -> Schema {
    or_none(id_builder().description(Some("The id that the object shall have; without it one is made.")))
}
pub fn owner() -> Schema {
    or_none(id_builder())
}
pub fn hosts() -> Array {
    ArrayBuilder::new().items(id()).max_items(Some(event::HOSTS)).schema_type(nullable(Type::Array)).build()
}

fn slug_builder() -> ObjectBuilder {
    pattern(r"^[a-z0-9]+(-[a-z0-9]+)*$", Slug::MIN, Slug::MAX)
}
pub fn slug() -> Object {
    slug_builder().build()
}
pub fn new_slug() -> Schema {
    or_none(slug_builder().description(Some("Without it one is made from the title.")))
}

pub fn date_time() -> Schema {
    let with_offset = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .max_length(Some(DateTime::MAX))
        .description(Some("A moment."));
    let wall_clock = pattern(r"^\d{4}-(0[1-9]|1[0-2])-([01]\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?$", 16, DateTime::MAX)
        .description(Some("Wall-clock time in the event's zone."));
    AnyOfBuilder::new().item(with_offset).item(wall_clock).examples([json!("2026-11-22T18:30:00+01:00"), json!("2026-11-22T18:30:00")]).build().into()
}
pub fn zone() -> Schema {
    let zone = pattern(r"^[A-Za-z0-9_+\-/]+$", 1, 64).examples([json!("Europe/Berlin")]);
    or_none(zone)
}
pub fn capacity() -> Object {
    count(event::CAPACITY)
}

fn count(range: RangeInclusive<i64>) -> Object {
    ObjectBuilder::new().schema_type(nullable(Type::Integer)).minimum(Some(*range.start() as f64)).maximum(Some(*range.end() as f64)).build()
}
pub fn filter_count() -> Object {
    count(0..=UserFilter::COUNT_MAX)
}
pub fn late_after() -> Object {
    count(0..=Schedule::LATE_MAX)
}
pub fn template_name() -> Object {
    text(&(1..=MailTemplateDraft::NAME_MAX)).build()
}
pub fn campaign_kind() -> Schema {
    choice(&["marketing", "transactional"])
}
pub fn audience() -> Schema {
    choice(&Audience::ALL.map(Audience::as_str))
}
pub fn suppression_reason() -> Schema {
    choice(&["manual", "unsubscribed", "bounced", "complained"])
}
pub fn event_id() -> Schema {
    or_none(id_builder().description(Some("An event whose fields the text may use; its calendar file goes along.")))
}
pub fn flag() -> Object {
    ObjectBuilder::new().schema_type(nullable(Type::Boolean)).build()
}
pub fn rate() -> Object {
    count(1..=CampaignDraft::RATE_MAX)
}

fn choice(words: &[&str]) -> Schema {
    let known = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied()));
    or_none(known)
}
pub fn gender() -> Schema {
    choice(&["male", "female", "other"])
}
pub fn body_format() -> Schema {
    choice(&["text", "markdown", "html"])
}

/// One value or a list of values; a list means any of them.
pub fn filter_values() -> Schema {
    let value = || text(&(0..=UserFilter::VALUE_MAX));
    let list = ArrayBuilder::new().items(value()).max_items(Some(UserFilter::VALUES_MAX));
    AnyOfBuilder::new().item(value().schema_type(nullable(Type::String))).item(list).build().into()
}

pub fn problem_detail() -> Schema {
    let faults = ArrayBuilder::new().items(Ref::from_schema_name("FieldFault")).min_items(Some(1));
    AnyOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::String)).item(faults).build().into()
}

pub fn location() -> Array {
    let part = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Integer]));
    ArrayBuilder::new().items(part).min_items(Some(1)).build()
}

/// A reference to a schema by name.
pub fn reference(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

/// A count in a query string.
pub fn query_count() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0.0)).maximum(Some(UserFilter::COUNT_MAX as f64)).build()
}
