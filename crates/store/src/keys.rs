//! Every key of both tables, and nothing else in the product spells one. `docs/KEYS.md` says what each is for.

use emcrm_model::{CampaignId, EmailAddress, EventId, Slug, UserId};

use sha2::{Digest as _, Sha256};

use crate::engine::Key;

/// Shards of a counter, of a queue.
pub const SHARDS: u32 = 16;

pub const TYPE_USER: &str = "user";
pub const TYPE_EVENT: &str = "event";
pub const TYPE_ATTENDANCE: &str = "attendance";
pub const TYPE_CAMPAIGN: &str = "email_request";
pub const TYPE_PEOPLE_IMPORT: &str = "people_import";
pub const TYPE_DELIVERY: &str = "email_log";

pub const USER_PREFIX: &str = "user#";
pub const EVENT_PREFIX: &str = "event#";
pub const DELIVERY_PREFIX: &str = "req_email#";

pub fn user(id: &UserId) -> Key {
    Key::single(user_part(id))
}

/// `user#{id}`: the user's key, and the partition of the user's attendances.
pub fn user_part(id: &UserId) -> String {
    format!("{USER_PREFIX}{id}")
}

pub fn event(id: &EventId) -> Key {
    Key::single(event_part(id))
}

/// `event#{id}`: the event's key, and the `SKIndex` partition of its attendances.
pub fn event_part(id: &EventId) -> String {
    format!("{EVENT_PREFIX}{id}")
}

pub fn attendance(user: &UserId, event: &EventId) -> Key {
    Key::new(user_part(user), event_part(event))
}

pub const CLAIM_PREFIX: &str = "claim#";

/// Says that the address belongs to `user_id`.
pub fn email_claim(address: &EmailAddress) -> Key {
    Key::single(format!("claim#email#{}", address.normalised()))
}

/// Says that the slug belongs to `event_id`.
pub fn slug_claim(slug: &Slug) -> Key {
    Key::single(format!("claim#slug#{slug}"))
}

/// Says that the user owns or hosts the event: how a deletion finds the events without an index.
pub fn hosting(user: &UserId, event: &EventId) -> Key {
    Key::new(hosting_part(user), event_part(event))
}

pub fn hosting_part(user: &UserId) -> String {
    format!("host#{user}")
}

/// Stands while the consequences of a deletion are being carried out; the id cannot be taken again before.
pub fn user_tombstone(id: &UserId) -> Key {
    Key::single(format!("gone#user#{id}"))
}

pub fn event_tombstone(id: &EventId) -> Key {
    Key::single(format!("gone#event#{id}"))
}

pub fn count(kind: &str, shard: u32) -> Key {
    Key::single(format!("count#{kind}#{shard}"))
}

pub fn task_part(queue: &str, shard: u32) -> String {
    format!("task#{queue}#{shard}")
}

/// `due`: milliseconds since 1970, 15 digits, so that order of text is order of time.
pub fn task_sk(due: i64, id: &str) -> String {
    format!("{:015}#{id}", due.max(0))
}

/// Tasks that were given up, until a person retries or drops them.
pub fn dead_part(queue: &str) -> String {
    format!("dead#{queue}")
}

/// Workers that are alive share one partition: a handful of rows, read whole.
pub const WORKERS: &str = "workers";

pub fn worker(name: &str) -> Key {
    Key::new(WORKERS, name)
}

pub fn lease(queue: &str, shard: u32) -> Key {
    Key::single(format!("lease#{queue}#{shard}"))
}

/// How far an import is. Stands while it runs, and after it was interrupted.
pub fn import_state() -> Key {
    Key::single("import#state")
}

/// Says that this storage came out of a backup and nobody has looked at its campaigns yet.
pub fn restored() -> Key {
    Key::single("restored#mark")
}

/// Which layout the items have. The embedded engine keeps it in the head of its file.
pub fn format() -> Key {
    Key::single("format#items")
}

/// Whether an item is of the storage itself and its processes, and not of the data.
pub fn is_of_processes(pk: &str) -> bool {
    pk == WORKERS || pk.starts_with("lease#") || pk == format().pk
}

/// People from a file: how far it is.
pub fn people_import(id: &str) -> Key {
    Key::single(people_import_part(id))
}

fn people_import_part(id: &str) -> String {
    format!("people_import#{id}")
}

/// A piece of the file's rows.
pub fn people_import_rows(id: &str, n: u32) -> Key {
    Key::new(people_import_part(id), format!("rows#{n:06}"))
}

/// What a piece does, and what was there before.
pub fn people_import_steps(id: &str, n: u32) -> Key {
    Key::new(people_import_part(id), format!("steps#{n:06}"))
}

/// Who is put on the event's list by a piece.
pub fn people_import_places(id: &str, n: u32) -> Key {
    Key::new(people_import_part(id), format!("places#{n:06}"))
}

/// An actor is named by its issuer and may hold anything: `#` must not end its name early.
pub fn idempotency(actor: &str, key: &str) -> Key {
    let actor = actor.replace('%', "%25").replace('#', "%23");
    Key::single(format!("idem#{actor}#{key}"))
}

pub fn campaign(id: &CampaignId) -> Key {
    Key::single(campaign_part(id))
}

pub fn campaign_part(id: &CampaignId) -> String {
    format!("email#{id}")
}

/// The campaign that a key is of.
pub fn campaign_id(key: &Key) -> Option<CampaignId> {
    key.pk.strip_prefix("email#").map(|id| CampaignId::from(id.to_owned()))
}

/// The body of the campaign with this key.
pub fn campaign_body(campaign: &Key) -> Key {
    Key::single(campaign.pk.replacen("email#", "email_body#", 1))
}

pub fn delivery(campaign: &CampaignId, user: &UserId) -> Key {
    Key::new(delivery_part(campaign), user_part(user))
}

pub fn delivery_part(campaign: &CampaignId) -> String {
    format!("{DELIVERY_PREFIX}{campaign}")
}

pub const TYPE_SUPPRESSION: &str = "suppression";
pub const TYPE_TEMPLATE: &str = "template";

pub const SUPPRESSION_PREFIX: &str = "suppress#";
/// No address begins like this: a colon cannot stand in a local part that is not quoted.
pub const SUPPRESSION_HASH_PREFIX: &str = "suppress#sha256:";

/// An address that must not be mailed.
pub fn suppression(address: &EmailAddress) -> Key {
    Key::single(format!("{SUPPRESSION_PREFIX}{}", address.normalised()))
}

/// The same for somebody who was erased: only a SHA-256 of the normalised address is kept.
pub fn suppression_hash(address: &EmailAddress) -> Key {
    suppression_of_hash(&address_hash(address))
}

pub fn suppression_of_hash(hash: &str) -> Key {
    Key::single(format!("{SUPPRESSION_HASH_PREFIX}{hash}"))
}

/// What is kept of the address of somebody who was erased: SHA-256 of the normalised address, in hexadecimal.
pub fn address_hash(address: &EmailAddress) -> String {
    sha256(address.normalised())
}

/// In hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reusable content of mails.
pub fn template(id: &str) -> Key {
    Key::single(format!("template#{id}"))
}

/// Who did what to a campaign, in the order of time.
pub fn campaign_log_part(id: &CampaignId) -> String {
    format!("campaign_log#{id}")
}

pub fn campaign_log(id: &CampaignId, at: &str, entry: &str) -> Key {
    Key::new(campaign_log_part(id), format!("{at}#{entry}"))
}

/// What was noted about the reading of a campaign's mails.
pub fn hits_part(id: &CampaignId) -> String {
    format!("hits#{id}")
}

/// `class`: two letters, of which each has places of its own. Earlier rows have none.
pub fn hit(id: &CampaignId, user: &UserId, class: &str, n: u32) -> Key {
    Key::new(hits_part(id), format!("{user}#{class}{n:02}"))
}

/// API tokens share one partition: there are few.
pub const API_TOKENS: &str = "api_tokens";

pub fn api_token(id: &str) -> Key {
    Key::new(API_TOKENS, id)
}

pub const SESSION_PREFIX: &str = "session#";
pub const SESSIONS_PREFIX: &str = "sessions#";

/// Somebody who is signed in, by the digest of what their browser holds.
pub fn session(digest: &str) -> Key {
    Key::single(format!("{SESSION_PREFIX}{digest}"))
}

/// Which sessions somebody has.
pub fn sessions_part(subject: &str) -> String {
    format!("{SESSIONS_PREFIX}{subject}")
}

pub fn session_of(subject: &str, digest: &str) -> Key {
    Key::new(sessions_part(subject), digest)
}

/// Shards of deeds that are not in the chain yet.
pub const AUDIT_SHARDS: u32 = 4;

pub const AUDIT_NEW_PREFIX: &str = "audit_new#";

pub fn audit_new_part(shard: u32) -> String {
    format!("{AUDIT_NEW_PREFIX}{shard}")
}

/// What lay among the deeds of that shard and was not noted by this program. Not longer than where it was, so that it fits whatever its size.
const AUDIT_BAD_PREFIX: &str = "audit_bad#";

pub fn audit_bad_part(shard: u32) -> String {
    format!("{AUDIT_BAD_PREFIX}{shard}")
}

/// Where something is laid aside that was found there.
pub fn audit_bad(found: &Key) -> Key {
    Key::new(found.pk.replacen(AUDIT_NEW_PREFIX, AUDIT_BAD_PREFIX, 1), found.sk.clone())
}

/// That the points of the chain, and deeds that are not in it yet, are sealed.
pub fn audit_sealed() -> Key {
    Key::single("audit_sealed")
}

/// Where the chain of the audit trail ends.
pub fn audit_head() -> Key {
    Key::single("audit_head")
}

/// Where what is kept of the chain begins.
pub fn audit_anchor() -> Key {
    Key::single("audit_anchor")
}

/// Entries of one partition of the chain.
const AUDIT_BUCKET: u64 = 1_000;

/// An entry at its place in the chain, 15 digits, so that order of text is order of numbers.
pub fn audit_entry(seq: u64) -> Key {
    Key::new(format!("audit_log#{:012}", seq / AUDIT_BUCKET), format!("{seq:015}"))
}

/// What was done to an object: places in the chain.
pub fn audit_of_part(object: &str) -> String {
    format!("audit_of#{object}")
}

pub fn audit_of(object: &str, seq: u64) -> Key {
    Key::new(audit_of_part(object), format!("{seq:015}"))
}

/// Shard of a subject: FNV-1a, stable for ever because it is stored in keys.
pub fn shard_of(subject: &str) -> u32 {
    let hash = subject.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    ((hash >> 32) % u64::from(SHARDS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_actors_have_no_key_of_an_idempotent_call_in_common() {
        let pairs = [("a", "b#k"), ("a#b", "k"), ("a%23b", "k"), ("a%2523b", "k")];
        let keys: std::collections::BTreeSet<String> = pairs.iter().map(|(actor, key)| idempotency(actor, key).pk).collect();
        assert_eq!(keys.len(), pairs.len());
    }
}
