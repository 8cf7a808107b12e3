//! The audit trail: who did what to which object, when, from where.
//!
//! A deed is noted in the transaction that does it, so there is no deed without its entry and no entry without its deed. A worker then moves the entries into one
//! chain: each carries a keyed digest over the digest before it and itself, so that an entry that was changed, taken out or put in is found by `emcrm verify`.
//! Chaining comes after the deed because one chain in every transaction would make all writes wait for each other.
//!
//! What says where the chain begins and ends, and what is not in it yet, carries a seal (`seals`): otherwise the chain could be cut, emptied, or given entries to
//! take up. What the worker finds without a seal that fits is never made good in silence: it leaves an entry that `emcrm verify` names for as long as it is kept.

mod seals;

use std::borrow::Cow;

use emcrm_model::{Actor, AuditEntry, ChainedEntry, Clock, IdSource, NewEntry, Page, PageRequest, Position, Role};
use emcrm_store::{ChainMark, ChainPoint, ChainPoints, EngineError, Item, Key, Rule, TransactError, Transaction, from_item, keys};

use crate::{App, AppError, Call};
use seals::{Point, digest, digest_of_earlier, seal_of_mark, seal_of_new, seal_of_point};

/// Entries that one transaction moves into the chain: four operations each, and one for the end of the chain.
const AT_ONCE: usize = 24;
/// Entries that one look takes from each shard.
const LOOK: u32 = 100;
/// Entries that one read of the chain takes.
const STEP: u64 = 100;
/// What an entry says in the place of something that was not as this program left it.
const NOT_OURS: &str = "audit.not_ours";
/// What is noted when the trail of an earlier version gets its seals.
const SEALED: &str = "audit.sealed";

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
    /// The mark that sealing has begun is missing or not what was written.
    Mark,
    /// What says where the kept part of the chain begins has no seal that fits.
    Beginning(u64),
    /// What says where the chain ends has no seal that fits.
    Ending(u64),
    /// The entry at this place says that something here was not as this program left it.
    NotOurs(u64),
    /// Something that this program did not note lay among the new entries. It was laid aside under this key and is in no chain.
    LaidAside(Key),
}

/// A new entry and its seal.
fn sealed(secret: &[u8; 32], entry: AuditEntry) -> NewEntry {
    let seal = Some(seal_of_new(secret, &entry));
    NewEntry { entry, seal }
}

/// An entry of the program itself, for a command that has no application at hand.
fn own_entry(clock: &dyn Clock, ids: &dyn IdSource, what: &str, note: Option<String>) -> AuditEntry {
    let call = Call::system();
    AuditEntry {
        id: ids.ordered().simple().to_string(),
        at: format!("{:.6}", clock.now()),
        actor: call.actor.name().to_owned(),
        label: call.actor.label().to_owned(),
        what: what.to_owned(),
        object: String::new(),
        also: None,
        note,
        from: None,
        request_id: None,
    }
}

/// Notes a deed of the program itself, for a command that works beside a running server and has no application: a backup.
pub fn noted_beside(secret: &[u8; 32], clock: &dyn Clock, ids: &dyn IdSource, what: &str) -> Transaction {
    let mut tx = Transaction::new();
    emcrm_store::Audit::note_in(&mut tx, &sealed(secret, own_entry(clock, ids, what, None)));
    tx
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
        self.store.audit.note(tx, &sealed(&self.settings.secret_key, entry));
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

    /// Moves what is new to the end of the chain; how many entries were moved, or laid aside. None where everything that says where the chain is was written under
    /// another key: most likely this process has the wrong one, and a trail that is well must not be harmed by that.
    pub async fn audit_chain(&self) -> Result<usize, AppError> {
        self.audit_chain_as(false).await
    }

    /// The same under a key that is new for good: the trail goes on behind what another key wrote, and says so.
    pub async fn audit_chain_anew(&self) -> Result<usize, AppError> {
        self.audit_chain_as(true).await
    }

    async fn audit_chain_as(&self, anew: bool) -> Result<usize, AppError> {
        let mut items = self.store.audit.new_items(LOOK).await?;
        if items.is_empty() && !anew {
            return Ok(0);
        }
        let mut points = self.audit_points().await?;
        if !anew && self.is_of_another_key(&points) {
            tracing::error!(
                "the audit trail was written under another APP_SECRET_KEY; nothing is added to it. Put that key back, or run `emcrm verify --repair`"
            );
            return Ok(0);
        }
        if points.mark.is_none() && self.audit_begin(&points).await? {
            points = self.audit_points().await?;
            if points.mark.is_none() {
                // Somebody moved them meanwhile: the next look begins anew.
                return Ok(0);
            }
            items = self.store.audit.new_items(LOOK).await?;
        }
        let mut head = match self.audit_go_on(points).await {
            Ok(head) => head,
            // Another process does the same: it goes on, we do not.
            Err(error) if error.rule() == Some(Rule::Changed) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut moved = 0;
        let mut new = Vec::with_capacity(items.len());
        for item in items {
            if let Some(entry) = self.audit_open(&item) {
                new.push((item.key, entry));
            } else {
                self.audit_lay_aside(&item).await?;
                moved += 1;
            }
        }
        new.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        for chunk in new.chunks(AT_ONCE) {
            let mut after = head.clone();
            let chained: Vec<(Key, ChainedEntry)> = chunk
                .iter()
                .map(|(key, entry)| {
                    let chained = self.audit_link(&after, entry.clone());
                    after = ChainPoint { seq: chained.seq, mac: chained.mac.clone(), seal: None };
                    (key.clone(), chained)
                })
                .collect();
            let after = self.sealed_point(Point::Head, after);
            let mut tx = Transaction::new();
            self.store.audit.chain(&mut tx, &head, &chained, &after);
            match self.transact(tx).await {
                Ok(()) => moved += chunk.len(),
                Err(error) if error.rule() == Some(Rule::Changed) => return Ok(moved),
                Err(error) => return Err(error.into()),
            }
            head = after;
        }
        Ok(moved)
    }

    /// The entry behind this point.
    fn audit_link(&self, before: &ChainPoint, entry: AuditEntry) -> ChainedEntry {
        let seq = before.seq.saturating_add(1);
        let mac = digest(&self.settings.secret_key, &before.mac, seq, &entry);
        ChainedEntry { seq, entry, mac }
    }

    fn sealed_point(&self, which: Point, point: ChainPoint) -> ChainPoint {
        let seal = Some(seal_of_point(&self.settings.secret_key, which, point.seq, &point.mac));
        ChainPoint { seal, ..point }
    }

    fn is_sealed(&self, which: Point, point: &ChainPoint) -> bool {
        point.seal.as_deref() == Some(seal_of_point(&self.settings.secret_key, which, point.seq, &point.mac).as_str())
    }

    /// The mark and both points. They are read one by one: what was seen in the middle of somebody's transaction is whole when it is read again.
    async fn audit_points(&self) -> Result<ChainPoints, EngineError> {
        let points = self.store.audit.points().await?;
        if self.is_marked(&points) && self.is_sealed(Point::Head, &points.head) && self.is_sealed(Point::Anchor, &points.anchor) {
            return Ok(points);
        }
        self.store.audit.points().await
    }

    fn audit_mark(&self) -> ChainMark {
        let at = self.stamp();
        let seal = seal_of_mark(&self.settings.secret_key, &at);
        ChainMark { at, seal }
    }

    fn is_marked(&self, points: &ChainPoints) -> bool {
        points.mark.as_ref().is_some_and(|mark| mark.seal == seal_of_mark(&self.settings.secret_key, &mark.at))
    }

    /// Nothing fits, though all of it is there.
    pub(crate) fn is_of_another_key(&self, points: &ChainPoints) -> bool {
        let sealed = points.mark.is_some() && points.head.seal.is_some() && points.anchor.seal.is_some();
        sealed && !self.is_marked(points) && !self.is_sealed(Point::Head, &points.head) && !self.is_sealed(Point::Anchor, &points.anchor)
    }

    /// The entry in an item; none when this program did not note it.
    fn audit_open(&self, item: &Item) -> Option<AuditEntry> {
        let NewEntry { entry, seal } = from_item(item.clone()).ok()?;
        (seal? == seal_of_new(&self.settings.secret_key, &entry)).then_some(entry)
    }

    /// Out of the way of the others, and kept.
    async fn audit_lay_aside(&self, item: &Item) -> Result<(), AppError> {
        let mut tx = Transaction::new();
        self.store.audit.lay_aside(&mut tx, item);
        match self.transact(tx).await {
            Ok(()) => {
                let kept = keys::audit_bad(&item.key);
                tracing::error!(
                    pk = kept.pk,
                    sk = kept.sk,
                    "an entry of the audit trail was not noted by this program, or under another key; it is laid aside"
                );
                Ok(())
            }
            // Another process was quicker.
            Err(error) if error.rule() == Some(Rule::Changed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Entries about an object that are not in the chain yet, oldest first. Those only that were noted before this call, so that it ends however many are noted.
    pub(crate) async fn audit_waiting_about(&self, object: &str) -> Result<Vec<AuditEntry>, AppError> {
        let until = self.ids.ordered().simple().to_string();
        let mut about = Vec::new();
        for shard in 0..keys::AUDIT_SHARDS {
            let mut after = None;
            loop {
                let items = self.store.audit.new_items_of(shard, LOOK, after.take()).await?;
                let Some(last) = items.last().filter(|last| last.key.sk < until) else {
                    about.extend(items.iter().filter_map(|item| self.audit_open(item)));
                    break;
                };
                after = Some(last.key.clone());
                about.extend(items.iter().filter_map(|item| self.audit_open(item)));
            }
        }
        about.retain(|entry| entry.objects().any(|of| of == object));
        about.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(about)
    }

    /// Gives what an earlier version left its seals, once: the mark says that it was done. False where nothing says that an earlier version left it.
    ///
    /// Who takes the mark and all seals away cannot have this repeated for entries that were chained since: their digests are others. What is left, and that this
    /// happened, stands in the trail.
    async fn audit_begin(&self, points: &ChainPoints) -> Result<bool, AppError> {
        if !self.is_of_earlier(points).await? {
            return Ok(false);
        }
        let waiting = self.audit_seal_waiting().await?;
        let (anchor, head) = (self.sealed_point(Point::Anchor, points.anchor.clone()), self.sealed_point(Point::Head, points.head.clone()));
        let mut tx = Transaction::new();
        self.store.audit.begin(&mut tx, &self.audit_mark(), &anchor, &head);
        if head.seq > 0 || waiting > 0 {
            let note = format!("the trail of an earlier version: it ends at {}, and {waiting} entries were not in it yet", head.seq);
            let entry = own_entry(self.clock.as_ref(), self.ids.as_ref(), SEALED, Some(note));
            self.store.audit.note(&mut tx, &sealed(&self.settings.secret_key, entry));
        }
        match self.transact(tx).await {
            Ok(()) => Ok(true),
            // Another process was quicker.
            Err(error) if error.rule() == Some(Rule::Changed) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether these points are those of a version that wrote no seals: both without one, and the entries beside them digested as it did. Nothing at all is one too.
    async fn is_of_earlier(&self, points: &ChainPoints) -> Result<bool, AppError> {
        let ChainPoints { anchor, head, .. } = points;
        if anchor.seal.is_some() || head.seal.is_some() || head.seq == u64::MAX {
            return Ok(false);
        }
        if self.audit_at(head.seq + 1).await?.is_some() {
            return Ok(false);
        }
        if head.seq == 0 {
            return Ok(anchor.seq == 0);
        }
        // An earlier version always left the last entry.
        if anchor.seq >= head.seq {
            return Ok(false);
        }
        let before = if head.seq - 1 == anchor.seq { Some(anchor.mac.clone()) } else { self.audit_at(head.seq - 1).await?.map(|chained| chained.mac) };
        let (first, last) = (self.audit_at(anchor.seq + 1).await?, self.audit_at(head.seq).await?);
        let (Some(before), Some(first), Some(last)) = (before, first, last) else { return Ok(false) };
        let secret = &self.settings.secret_key;
        let fits_last = head.mac == digest_of_earlier(secret, &before, head.seq, &last.entry);
        Ok(fits_last && first.mac == digest_of_earlier(secret, &anchor.mac, anchor.seq + 1, &first.entry))
    }

    /// The entry at a place.
    async fn audit_at(&self, seq: u64) -> Result<Option<ChainedEntry>, EngineError> {
        Ok(self.store.audit.entries(std::iter::once(seq)).await?.into_iter().flatten().next())
    }

    /// Seals entries that an earlier version has noted and not chained; how many.
    async fn audit_seal_waiting(&self) -> Result<u64, AppError> {
        let mut sealed = 0;
        for shard in 0..keys::AUDIT_SHARDS {
            let mut after = None;
            loop {
                let items = self.store.audit.new_items_of(shard, LOOK, after.take()).await?;
                let Some(last) = items.last() else { break };
                after = Some(last.key.clone());
                for item in items {
                    let key = item.key.clone();
                    let Ok(NewEntry { entry, seal: None }) = from_item(item) else { continue };
                    let mut tx = Transaction::new();
                    self.store.audit.seal(&mut tx, key, &seal_of_new(&self.settings.secret_key, &entry));
                    match self.transact(tx).await {
                        Ok(()) => sealed += 1,
                        Err(error) if error.rule() == Some(Rule::Changed) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(sealed)
    }

    /// Where the chain goes on. Where its end or the mark is not as this program left it, an entry says so first, and both are written anew.
    async fn audit_go_on(&self, points: ChainPoints) -> Result<ChainPoint, TransactError> {
        if self.is_marked(&points) && self.is_sealed(Point::Head, &points.head) {
            return Ok(points.head);
        }
        let said = points.head;
        // Behind what is there: places that are taken are not written over. Below the anchor nothing is any more.
        let from = if points.anchor.seq > said.seq { &points.anchor } else { &said };
        let mut end = ChainPoint { seal: None, ..from.clone() };
        loop {
            let next = end.seq.saturating_add(1)..end.seq.saturating_add(1 + STEP);
            let found = self.store.audit.entries(next).await?;
            let more = found.last().is_some_and(Option::is_some);
            for chained in found.into_iter().map_while(|found| found) {
                end = ChainPoint { seq: end.seq + 1, mac: chained.mac, seal: None };
            }
            if !more {
                break;
            }
        }
        let note = format!("the end of the audit trail said {}; that, or the mark that it is sealed, was not what was written; it goes on from here", said.seq);
        let entry = own_entry(self.clock.as_ref(), self.ids.as_ref(), NOT_OURS, Some(note));
        let chained = self.audit_link(&end, entry);
        let head = self.sealed_point(Point::Head, ChainPoint { seq: chained.seq, mac: chained.mac.clone(), seal: None });
        tracing::error!(said = said.seq, goes_on = head.seq, "the end of the audit trail is not what this program wrote, or it wrote it under another key");
        let mut tx = Transaction::new();
        self.store.audit.mark(&mut tx, &self.audit_mark());
        self.store.audit.append(&mut tx, &chained);
        self.store.audit.move_head(&mut tx, said.seq, &head);
        self.transact(tx).await?;
        Ok(head)
    }

    /// Forgets entries that are older than the retention says; how many.
    pub async fn audit_forget(&self) -> Result<usize, AppError> {
        let Some(days) = self.settings.access.audit_days else { return Ok(0) };
        let Ok(oldest) = self.now().checked_sub(jiff::SignedDuration::from_hours(24 * i64::from(days))) else { return Ok(0) };
        let oldest = format!("{oldest:.6}");
        let points = self.audit_points().await?;
        if points.mark.is_none() && points.head.seq > 0 && self.audit_begin(&points).await? {
            // The next look finds what is sealed now.
            return Ok(0);
        }
        let ChainPoints { anchor, head, .. } = points;
        // The last entry always stays: the chain must have an end to begin from.
        let seqs = anchor.seq.saturating_add(1)..head.seq.min(anchor.seq.saturating_add(1 + AT_ONCE as u64));
        let entries: Vec<ChainedEntry> = self.store.audit.entries(seqs).await?.into_iter().flatten().take_while(|chained| chained.entry.at < oldest).collect();
        let Some(last) = entries.last() else { return Ok(0) };
        let after = self.sealed_point(Point::Anchor, ChainPoint { seq: last.seq, mac: last.mac.clone(), seal: None });
        let mut tx = Transaction::new();
        self.store.audit.forget(&mut tx, &anchor, &entries, &after);
        if !self.is_sealed(Point::Anchor, &anchor) || !self.fits(&anchor, &entries) {
            // What is forgotten cannot be checked any more, so it is said now.
            let note = format!("entries up to {} were forgotten, which were not all what was written", last.seq);
            let entry = own_entry(self.clock.as_ref(), self.ids.as_ref(), NOT_OURS, Some(note));
            self.store.audit.note(&mut tx, &sealed(&self.settings.secret_key, entry));
        }
        match self.transact(tx).await {
            Ok(()) => Ok(entries.len()),
            Err(error) if error.rule() == Some(Rule::Changed) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether these entries are what was written, in a row, behind this point.
    fn fits(&self, before: &ChainPoint, entries: &[ChainedEntry]) -> bool {
        let (mut seq, mut mac) = (before.seq, before.mac.as_str());
        entries.iter().all(|chained| {
            seq = seq.saturating_add(1);
            let fits = chained.seq == seq && self.is_digest(mac, chained);
            mac = chained.mac.as_str();
            fits
        })
    }

    /// Whether an entry has its digest, ours or that of an earlier version.
    fn is_digest(&self, before: &str, chained: &ChainedEntry) -> bool {
        let secret = &self.settings.secret_key;
        chained.mac == digest(secret, before, chained.seq, &chained.entry) || chained.mac == digest_of_earlier(secret, before, chained.seq, &chained.entry)
    }

    /// What was done, newest first; with `object` to that only, such as `user#…`.
    pub async fn audit_list(&self, call: &Call, object: Option<&str>, page: &PageRequest) -> Result<Page<ChainedEntry>, AppError> {
        call.require(Role::Admin)?;
        self.audit_page(object, page).await
    }

    pub(crate) async fn audit_page(&self, object: Option<&str>, page: &PageRequest) -> Result<Page<ChainedEntry>, AppError> {
        let list = format!("audit/{}", object.unwrap_or_default());
        let ChainPoints { anchor, head, .. } = self.store.audit.points().await?;
        let size = u64::from(page.size);
        let (mut before, mut skip, number) = match &page.position {
            Position::Number(number) => {
                let number = (*number).max(1);
                if u64::from(number) * size > u64::from(PageRequest::DEEPEST) {
                    return Err(AppError::TooDeep);
                }
                (head.seq.saturating_add(1), u64::from(number - 1) * size, number)
            }
            Position::Cursor(cursor) => (self.cursors.open::<u64>(&list, cursor)?, 0, 1),
        };
        let (seqs, total) = if let Some(object) = object {
            let mut all = 0;
            let mut seqs = Vec::new();
            let mut at = head.seq.saturating_add(1);
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
            let lowest = anchor.seq.saturating_add(1);
            ((lowest..before).rev().take(page.size as usize + 1).collect(), head.seq.saturating_sub(anchor.seq))
        };
        let more = seqs.len() > page.size as usize;
        let shown: Vec<u64> = seqs.into_iter().take(page.size as usize).collect();
        let next = shown.last().filter(|_| more).map(|last| self.cursors.seal(&list, last));
        let items = self.store.audit.entries(shown.into_iter()).await?.into_iter().flatten().collect();
        Ok(Page { items, total, page: number, size: page.size, next })
    }

    /// Recomputes the chain; the number of entries and what is wrong with them. Of entries that are missing or changed the first only: after one, everything that
    /// follows is in doubt.
    pub async fn audit_check(&self) -> Result<(u64, Vec<ChainFault>), AppError> {
        let mut points = self.audit_points().await?;
        if points.mark.is_none() && points.head.seq > 0 && self.audit_begin(&points).await? {
            points = self.audit_points().await?;
        }
        let mut faults: Vec<ChainFault> = self.store.audit.laid_aside(LOOK).await?.into_iter().map(ChainFault::LaidAside).collect();
        let untouched = points == ChainPoints::default();
        if !untouched {
            faults.extend((!self.is_marked(&points)).then_some(ChainFault::Mark));
            faults.extend((!self.is_sealed(Point::Anchor, &points.anchor)).then_some(ChainFault::Beginning(points.anchor.seq)));
            faults.extend((!self.is_sealed(Point::Head, &points.head)).then_some(ChainFault::Ending(points.head.seq)));
        }
        let ChainPoints { anchor, head, .. } = points;
        let mut at = anchor;
        while at.seq < head.seq {
            let upto = head.seq.min(at.seq + STEP);
            let wanted = at.seq + 1..upto + 1;
            for (seq, found) in wanted.clone().zip(self.store.audit.entries(wanted).await?) {
                let Some(chained) = found else {
                    faults.push(ChainFault::Missing(seq));
                    return Ok((at.seq, faults));
                };
                if chained.seq != seq || !self.is_digest(&at.mac, &chained) {
                    faults.push(ChainFault::Changed(seq));
                    return Ok((at.seq, faults));
                }
                if chained.entry.what == NOT_OURS {
                    faults.push(ChainFault::NotOurs(seq));
                }
                at = ChainPoint { seq, mac: chained.mac, seal: None };
            }
        }
        let beyond = self.audit_at(head.seq.saturating_add(1)).await?.is_some();
        let differs = beyond || (at.seq, &at.mac) != (head.seq, &head.mac);
        // Somebody else may have added to it meanwhile.
        if differs && self.store.audit.points().await?.head.seq == head.seq {
            faults.push(ChainFault::End { found: at.seq + u64::from(beyond), said: head.seq });
        }
        Ok((at.seq, faults))
    }
}
