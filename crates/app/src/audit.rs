//! The audit trail: who did what to which object, when, from where.
//!
//! A deed is noted in the transaction that does it, so there is no deed without its entry and no entry without its deed. A worker then moves the entries into one
//! chain: each carries a keyed digest over the digest before it and itself, so that an entry that was changed, taken out or put in is found by `emcrm verify`.
//! Chaining comes after the deed because one chain in every transaction would make all writes wait for each other.

use std::borrow::Cow;

use emcrm_model::{Actor, AuditEntry, ChainedEntry, Page, PageRequest, Position, Role};
use emcrm_store::{ChainPoint, Key, Rule, Transaction};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{App, AppError, Call};

/// Entries that one transaction moves into the chain: four operations each, and one for the end of the chain.
const AT_ONCE: usize = 24;
/// Entries that one look takes from each shard.
const LOOK: u32 = 100;
/// Entries that one read of the chain takes.
const STEP: u64 = 100;

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    what: Cow<'static, str>,
    object: String,
    also: Option<String>,
    note: Option<String>,
}

impl Deed {
    /// `what` is `thing.done`; `object` names it by its id.
    pub(crate) fn new(what: impl Into<Cow<'static, str>>, object: impl Into<String>) -> Self {
        Self { what: what.into(), object: object.into(), also: None, note: None }
    }
    /// A second object that it was done to.
    pub(crate) fn and(self, object: impl Into<String>) -> Self {
        Self { also: Some(object.into()), ..self }
    }
    /// How much, or to what else. Never personal data: the trail outlives an erasure.
    pub(crate) fn with(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// There is no entry at this place.
    Missing(u64),
    /// The entry at this place, or one before it, is not what was written.
    Changed(u64),
    /// The chain ends at one place and its end says another.
    End { found: u64, said: u64 },
}

fn digest(secret: &[u8; 32], before: &str, seq: u64, entry: &AuditEntry) -> String {
    use std::fmt::Write as _;
    // A key of 32 bytes is always accepted.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(b"audit\0");
    mac.update(before.as_bytes());
    mac.update(&seq.to_be_bytes());
    mac.update(&serde_json::to_vec(entry).unwrap_or_default());
    mac.finalize().into_bytes().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl App {
    /// Notes a deed in the transaction that does it.
    pub(crate) fn audit_note(&self, tx: &mut Transaction, call: &Call, deed: Deed) {
        let Deed { what, object, also, note } = deed;
        let entry = AuditEntry {
            id: self.ids.ordered().simple().to_string(),
            at: self.stamp(),
            actor: call.actor.name().to_owned(),
            label: call.actor.label().to_owned(),
            what: what.into_owned(),
            object,
            also,
            note,
            // Of the public it is the address of the very person whom the deed is about, and the trail outlives their erasure.
            from: call.from.filter(|_| call.actor != Actor::Public).map(|from| from.to_string()),
            request_id: Some(call.request_id.clone()).filter(|id| !id.is_empty()),
        };
        self.store.audit.note(tx, &entry);
    }

    /// Notes a deed that changes nothing stored, such as an export or a sign-in.
    pub(crate) async fn audit(&self, call: &Call, deed: Deed) -> Result<(), AppError> {
        let mut tx = Transaction::new();
        self.audit_note(&mut tx, call, deed);
        Ok(self.transact(tx).await?)
    }

    /// Somebody took data out: noted before the first byte leaves.
    pub async fn audit_export(&self, call: &Call, what: &'static str, object: &str) -> Result<(), AppError> {
        call.require(Role::Viewer)?;
        self.audit(call, Deed::new(what, object)).await
    }

    /// Moves what is new to the end of the chain; how many entries were moved.
    pub async fn audit_chain(&self) -> Result<usize, AppError> {
        let mut new = self.store.audit.new_entries(LOOK).await?;
        new.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        let mut head = self.store.audit.head().await?;
        let mut moved = 0;
        for chunk in new.chunks(AT_ONCE) {
            let mut after = head.clone();
            let chained: Vec<(Key, ChainedEntry)> = chunk
                .iter()
                .map(|(key, entry)| {
                    let seq = after.seq + 1;
                    let mac = digest(&self.settings.secret_key, &after.mac, seq, entry);
                    after = ChainPoint { seq, mac: mac.clone() };
                    (key.clone(), ChainedEntry { seq, entry: entry.clone(), mac })
                })
                .collect();
            let mut tx = Transaction::new();
            self.store.audit.chain(&mut tx, &head, &chained, &after);
            match self.transact(tx).await {
                Ok(()) => moved += chunk.len(),
                // Another process does the same: it goes on, we do not.
                Err(error) if error.rule() == Some(Rule::Changed) => return Ok(moved),
                Err(error) => return Err(error.into()),
            }
            head = after;
        }
        Ok(moved)
    }

    /// Forgets entries that are older than the retention says; how many.
    pub async fn audit_forget(&self) -> Result<usize, AppError> {
        let Some(days) = self.settings.access.audit_days else { return Ok(0) };
        let Ok(oldest) = self.now().checked_sub(jiff::SignedDuration::from_hours(24 * i64::from(days))) else { return Ok(0) };
        let oldest = format!("{oldest:.6}");
        let (anchor, head) = (self.store.audit.anchor().await?, self.store.audit.head().await?);
        // The last entry always stays: the chain must have an end to begin from.
        let seqs = anchor.seq + 1..head.seq.min(anchor.seq + 1 + AT_ONCE as u64);
        let entries: Vec<ChainedEntry> = self.store.audit.entries(seqs).await?.into_iter().flatten().take_while(|chained| chained.entry.at < oldest).collect();
        let Some(last) = entries.last() else { return Ok(0) };
        let after = ChainPoint { seq: last.seq, mac: last.mac.clone() };
        let mut tx = Transaction::new();
        self.store.audit.forget(&mut tx, &anchor, &entries, &after);
        match self.transact(tx).await {
            Ok(()) => Ok(entries.len()),
            Err(error) if error.rule() == Some(Rule::Changed) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// What was done, newest first; with `object` to that only, such as `user#…`.
    pub async fn audit_list(&self, call: &Call, object: Option<&str>, page: &PageRequest) -> Result<Page<ChainedEntry>, AppError> {
        call.require(Role::Admin)?;
        self.audit_page(object, page).await
    }

    pub(crate) async fn audit_page(&self, object: Option<&str>, page: &PageRequest) -> Result<Page<ChainedEntry>, AppError> {
        let list = format!("audit/{}", object.unwrap_or_default());
        let (anchor, head) = (self.store.audit.anchor().await?, self.store.audit.head().await?);
        let size = u64::from(page.size);
        let (mut before, mut skip, number) = match &page.position {
            Position::Number(number) => {
                let number = (*number).max(1);
                if u64::from(number) * size > u64::from(PageRequest::DEEPEST) {
                    return Err(AppError::TooDeep);
                }
                (head.seq + 1, u64::from(number - 1) * size, number)
            }
            Position::Cursor(cursor) => (self.cursors.open::<u64>(&list, cursor)?, 0, 1),
        };
        let (seqs, total) = if let Some(object) = object {
            let mut all = 0;
            let mut seqs = Vec::new();
            let mut at = head.seq + 1;
            // Counted by walking: one object has few entries.
            loop {
                let places = self.store.audit.places_of(object, at, STEP as u32).await?;
                let Some(last) = places.last() else { break };
                at = *last;
                all += places.len() as u64;
                for seq in places {
                    if seq < before && skip > 0 {
                        skip -= 1;
                    } else if seq < before && seqs.len() as u64 <= size {
                        seqs.push(seq);
                    }
                }
            }
            (seqs, all)
        } else {
            before = before.saturating_sub(skip);
            let lowest = anchor.seq + 1;
            ((lowest..before).rev().take(page.size as usize + 1).collect(), head.seq - anchor.seq)
        };
        let more = seqs.len() > page.size as usize;
        let shown: Vec<u64> = seqs.into_iter().take(page.size as usize).collect();
        let next = shown.last().filter(|_| more).map(|last| self.cursors.seal(&list, last));
        let items = self.store.audit.entries(shown.into_iter()).await?.into_iter().flatten().collect();
        Ok(Page { items, total, page: number, size: page.size, next })
    }

    /// Recomputes the chain; the number of entries and what is wrong with them. The first faults only: after one, everything that follows is in doubt.
    pub async fn audit_check(&self) -> Result<(u64, Vec<ChainFault>), AppError> {
        let (anchor, head) = (self.store.audit.anchor().await?, self.store.audit.head().await?);
        let mut at = anchor;
        while at.seq < head.seq {
            let upto = head.seq.min(at.seq + STEP);
            let wanted = at.seq + 1..upto + 1;
            for (seq, found) in wanted.clone().zip(self.store.audit.entries(wanted).await?) {
                let Some(chained) = found else { return Ok((at.seq, vec![ChainFault::Missing(seq)])) };
                let mac = digest(&self.settings.secret_key, &at.mac, seq, &chained.entry);
                if chained.seq != seq || chained.mac != mac {
                    return Ok((at.seq, vec![ChainFault::Changed(seq)]));
                }
                at = ChainPoint { seq, mac };
            }
        }
        let beyond = self.store.audit.entries(std::iter::once(head.seq + 1)).await?.into_iter().flatten().next().is_some();
        if beyond || at != head {
            return Ok((at.seq, vec![ChainFault::End { found: at.seq + u64::from(beyond), said: head.seq }]));
        }
        Ok((head.seq, Vec::new()))
    }
}
