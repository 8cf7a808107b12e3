//! The index against the storage: a document for each user and event, made from the present state, and no other.

use std::collections::VecDeque;
use std::time::Duration;

use emcrm_model::{Event, User};
use emcrm_search::{Kind, WALK_MAX};
use emcrm_store::{Events, Item, Users, from_item, keys};

use super::walk::Rows;
use super::{Check, FindingKind, Repair};
use crate::AppError;

/// How long changes on their way into the index are waited for.
const SETTLE_WAIT: Duration = Duration::from_secs(30);
/// Differences that one comparison remembers; there may be more.
const REMEMBERED: usize = 1_000;

/// What one comparison found.
#[derive(Default)]
struct Differences {
    listed: Vec<(FindingKind, String)>,
    counts: [u64; 3],
    documents: u64,
}

impl Differences {
    fn add(&mut self, kind: FindingKind, name: String) {
        let at = match kind {
            FindingKind::DocumentMissing => 0,
            FindingKind::DocumentLeft => 1,
            _ => 2,
        };
        self.counts.get_mut(at).into_iter().for_each(|n| *n += 1);
        if self.listed.len() < REMEMBERED {
            self.listed.push((kind, name));
        }
    }
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Check<'_> {
    pub(super) async fn index(&mut self) -> Result<(), AppError> {
        if !self.app.index_settled(SETTLE_WAIT).await? {
            let detail = "changes wait for the index and nobody brings them there, so it was not compared";
            self.found(FindingKind::IndexBehind, "task#index", detail, Repair::NotPossible);
            return Ok(());
        }
        let mut found = self.compare().await?;
        if found.total() > 0 {
            // What changed while it was compared has arrived by now.
            self.app.index_settled(SETTLE_WAIT).await?;
            found = self.compare().await?;
        }
        self.report.counted.documents = found.documents;
        if found.total() == 0 {
            return Ok(());
        }
        let repair = if self.repair {
            let progress = self.progress;
            match self.app.reindex(|n| progress("documents of a new index", n)).await {
                Ok(_) if self.compare().await?.total() == 0 => Repair::Done,
                Ok(_) => Repair::Overtaken,
                Err(error) => return Err(error),
            }
        } else {
            Repair::NotAsked
        };
        let unlisted = found.total() - found.listed.len() as u64;
        for (kind, name) in found.listed {
            let detail = match kind {
                FindingKind::DocumentMissing => "stored, but cannot be found by searching",
                FindingKind::DocumentLeft => "found by searching, but not stored",
                _ => "found by an older state than the stored one",
            };
            self.found(kind, name, detail, repair);
        }
        if unlisted > 0 {
            self.found(FindingKind::DocumentStale, "index", format!("{unlisted} more documents differ"), repair);
        }
        Ok(())
    }

    /// Walks the documents and the items side by side: both are in the order of their ids.
    async fn compare(&self) -> Result<Differences, AppError> {
        let mut found = Differences::default();
        for kind in Kind::ALL {
            let (query, prefix) = match kind {
                Kind::User => (Users::list(), keys::USER_PREFIX),
                Kind::Event => (Events::list(), keys::EVENT_PREFIX),
            };
            let mut rows = Rows::new(self.app.store.engine.as_ref(), query);
            let mut documents = Documents { kind, ready: VecDeque::new(), after: None, ended: false };
            let mut last: Option<String> = None;
            while let Some(item) = rows.next().await? {
                let id = item.key.pk.strip_prefix(prefix).unwrap_or_default().to_owned();
                let name = item.key.pk.clone();
                let mut present = None;
                while let Some((document, digest)) = documents.peek(self).await? {
                    if *document > id {
                        break;
                    }
                    let twice = last.as_ref() == Some(document);
                    if *document == id && !twice {
                        present = Some(*digest);
                    } else {
                        found.add(FindingKind::DocumentLeft, format!("{prefix}{document}"));
                    }
                    last = Some(document.clone());
                    documents.ready.pop_front();
                    found.documents += 1;
                }
                match (present, self.digest(kind, item)) {
                    (None, Some(_)) => found.add(FindingKind::DocumentMissing, name),
                    (Some(have), Some(right)) if have != right => found.add(FindingKind::DocumentStale, name),
                    _ => {}
                }
                if found.documents.is_multiple_of(1_000) {
                    (self.progress)("documents", found.documents);
                }
            }
            while let Some((document, _)) = documents.peek(self).await? {
                found.add(FindingKind::DocumentLeft, format!("{prefix}{document}"));
                documents.ready.pop_front();
                found.documents += 1;
            }
        }
        Ok(found)
    }

    /// Digest of the document that the stored state makes; none when it cannot be read, which is another finding.
    fn digest(&self, kind: Kind, item: Item) -> Option<u64> {
        Some(match kind {
            Kind::User => crate::App::user_doc(&from_item::<User>(item).ok()?).digest(),
            Kind::Event => self.app.event_doc(&from_item::<Event>(item).ok()?).digest(),
        })
    }
}

/// Documents in the order of their ids; holds one page.
struct Documents {
    kind: Kind,
    ready: VecDeque<(String, u64)>,
    after: Option<String>,
    ended: bool,
}

impl Documents {
    async fn peek(&mut self, check: &Check<'_>) -> Result<Option<&(String, u64)>, AppError> {
        if self.ready.is_empty() && !self.ended {
            self.ready = check.app.index.digests(self.kind, self.after.take(), WALK_MAX).await?.into();
            self.after = self.ready.back().map(|(id, _)| id.clone());
            self.ended = self.ready.is_empty();
        }
        Ok(self.ready.front())
    }
}
