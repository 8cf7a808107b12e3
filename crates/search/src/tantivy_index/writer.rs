//! Writes the documents of one version. Used by the writer thread alone.

use std::collections::HashSet;
use std::sync::Arc;

use tantivy::index::SegmentId;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, UserOperation};
use tantivy::{IndexWriter, Searcher};

use super::fault;
use super::fields::Columns;
use super::version::{Part, Version};
use crate::{Doc, DocChange, Kind, SearchError};

/// Bytes of documents that wait in memory before they become a segment. The least that the library takes.
const HEAP: usize = 15_000_000;
/// Changes that wait for a flush before they are committed without one: a bound for memory. Deletions weigh about 1.5 kB each.
const DELETIONS_MAX: usize = 4_096;
const ADDITIONS_MAX: usize = 50_000;
/// Segments with more living documents are left alone: a bound for the memory and the time of a merge. A million documents are about
/// ten to twenty such segments; one that shrinks below the bound is merged again, and so loses its deleted documents.
const MERGED_MAX: usize = 60_000;

pub struct VersionWriter {
    pub version: Arc<Version>,
    columns: Arc<Columns>,
    users: Option<PartWriter>,
    events: Option<PartWriter>,
    lost: bool,
}

impl VersionWriter {
    /// Opens nothing yet: an index that is only read needs no writer.
    pub fn new(version: Arc<Version>, columns: Arc<Columns>) -> Self {
        Self { version, columns, users: None, events: None, lost: false }
    }

    /// Whether a fault of the disk lost documents that were written and not yet committed: the version lacks something.
    pub fn has_lost(&self) -> bool {
        self.lost
    }

    pub fn apply(&mut self, change: &DocChange) -> Result<(), SearchError> {
        match change {
            DocChange::Upsert(doc) => self.upsert(doc),
            DocChange::Delete(kind, id) => {
                let (part, columns) = self.part(*kind)?;
                part.delete(columns, id)
            }
        }
    }

    pub fn upsert(&mut self, doc: &Doc) -> Result<(), SearchError> {
        let (part, columns) = self.part(doc.kind)?;
        part.upsert(columns, doc)
    }

    /// Makes everything that was written durable and visible.
    pub fn commit(&mut self) -> Result<(), SearchError> {
        for (kind, part) in [(Kind::User, &mut self.users), (Kind::Event, &mut self.events)] {
            if let Some(writer) = part {
                let result = writer.commit(self.version.part(kind));
                if writer.broken {
                    // A new one starts from the last commit.
                    self.lost = true;
                    *part = None;
                }
                result?;
            }
        }
        Ok(())
    }

    fn part(&mut self, kind: Kind) -> Result<(&mut PartWriter, &Columns), SearchError> {
        let slot = match kind {
            Kind::User => &mut self.users,
            Kind::Event => &mut self.events,
        };
        let part = self.version.part(kind);
        let writer = match slot.take() {
            Some(writer) if !writer.broken => writer,
            Some(_) => {
                self.lost = true;
                PartWriter::open(part)?
            }
            None => PartWriter::open(part)?,
        };
        let writer = slot.insert(writer);
        if writer.deletions >= DELETIONS_MAX || writer.waiting.len() >= ADDITIONS_MAX {
            writer.commit(part)?;
        }
        Ok((writer, &self.columns))
    }
}

/// Writes the documents of one kind.
struct PartWriter {
    writer: IndexWriter,
    /// As of the last commit.
    searcher: Searcher,
    /// Ids written since.
    waiting: HashSet<String>,
    deletions: usize,
    broken: bool,
}

impl PartWriter {
    fn open(part: &Part) -> Result<Self, SearchError> {
        let options = IndexWriterOptions::builder().memory_budget_per_thread(HEAP).num_worker_threads(1).num_merge_threads(1).build();
        let writer: IndexWriter = part.index.writer_with_options(options).map_err(fault)?;
        let mut policy = LogMergePolicy::default();
        policy.set_min_num_segments(6);
        policy.set_min_layer_size(1_000);
        policy.set_level_log_size(1.5);
        policy.set_del_docs_ratio_before_merge(0.3);
        policy.set_max_docs_before_merge(MERGED_MAX);
        writer.set_merge_policy(Box::new(policy));
        part.reload()?;
        Ok(Self { writer, searcher: part.searcher(), waiting: HashSet::new(), deletions: 0, broken: false })
    }

    fn upsert(&mut self, columns: &Columns, doc: &Doc) -> Result<(), SearchError> {
        let document = columns.document(doc)?;
        let add = UserOperation::Add(document);
        // Deleting what is not there would be harmless too, but not free: for the writer now, for every count later.
        let operations = if self.may_have(columns, &doc.id)? {
            self.deletions += 1;
            vec![UserOperation::Delete(columns.id_term(&doc.id)), add]
        } else {
            vec![add]
        };
        self.waiting.insert(doc.id.clone());
        self.run(operations)
    }

    fn delete(&mut self, columns: &Columns, id: &str) -> Result<(), SearchError> {
        if !self.may_have(columns, id)? {
            return Ok(());
        }
        self.deletions += 1;
        self.waiting.insert(id.to_owned());
        self.run(vec![UserOperation::Delete(columns.id_term(id))])
    }

    fn run(&mut self, operations: Vec<UserOperation>) -> Result<(), SearchError> {
        self.writer.run(operations).map_err(fault).inspect_err(|_| self.broken = true)?;
        Ok(())
    }

    /// Whether a document with the id was written at any time that still shows.
    fn may_have(&self, columns: &Columns, id: &str) -> Result<bool, SearchError> {
        Ok(self.waiting.contains(id) || self.searcher.doc_freq(&columns.id_term(id)).map_err(fault)? > 0)
    }

    fn commit(&mut self, part: &Part) -> Result<(), SearchError> {
        if self.waiting.is_empty() && self.segments_are_loaded(part)? {
            return Ok(());
        }
        if !self.waiting.is_empty() {
            self.writer.commit().map_err(fault).inspect_err(|_| self.broken = true)?;
            self.waiting.clear();
            self.deletions = 0;
        }
        part.reload()?;
        self.searcher = part.searcher();
        Ok(())
    }

    /// False when segments were merged since: their files stay until readers let go of them.
    fn segments_are_loaded(&self, part: &Part) -> Result<bool, SearchError> {
        let committed: HashSet<SegmentId> = part.index.searchable_segment_ids().map_err(fault)?.into_iter().collect();
        Ok(self.searcher.segment_readers().iter().all(|reader| committed.contains(&reader.segment_id())))
    }
}
