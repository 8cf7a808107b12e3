//! A version of the index: one tantivy index for each kind, so that kinds never mix and no query carries the kind.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tantivy::schema::Schema;
use tantivy::{Index, IndexReader, IndexSettings, ReloadPolicy, Searcher};

use super::directory::CommitDirectory;
use super::fault;
use crate::{Kind, SearchError};

pub struct Version {
    /// Its folder; for an index in memory any text.
    pub name: String,
    users: Part,
    events: Part,
}

/// The documents of one kind.
pub struct Part {
    pub index: Index,
    reader: IndexReader,
}

impl Version {
    pub fn memory(name: String, schema: &Schema) -> Result<Self, SearchError> {
        let part = || Part::new(Index::create_in_ram(schema.clone()));
        Ok(Self { name, users: part()?, events: part()? })
    }

    pub fn create(name: String, path: &Path, schema: &Schema) -> Result<Self, SearchError> {
        let part = |kind: Kind| {
            let path = path.join(kind.as_str());
            fs::create_dir_all(&path).map_err(|error| fault(error.into()))?;
            let directory = CommitDirectory::open(&path).map_err(fault)?;
            Part::new(Index::create(directory, schema.clone(), IndexSettings::default()).map_err(fault)?)
        };
        Ok(Self { name, users: part(Kind::User)?, events: part(Kind::Event)? })
    }

    /// # Errors
    /// `Corrupt` for whatever keeps it from being used: it can be made anew.
    pub fn open(name: String, path: &Path, schema: &Schema) -> Result<Self, SearchError> {
        let part = |kind: Kind| {
            let index = Index::open(CommitDirectory::open(&path.join(kind.as_str())).map_err(fault)?).map_err(fault)?;
            if index.schema() != *schema {
                return Err(SearchError::Corrupt("its fields are not the ones of this program".to_owned()));
            }
            Part::new(index)
        };
        // Damaged files may be met anywhere in the library.
        let parts = catch_unwind(AssertUnwindSafe(|| Ok((part(Kind::User)?, part(Kind::Event)?))));
        let (users, events) = parts.unwrap_or_else(|_| Err(SearchError::Corrupt("its files are damaged".to_owned())))?;
        Ok(Self { name, users, events })
    }

    pub fn part(&self, kind: Kind) -> &Part {
        match kind {
            Kind::User => &self.users,
            Kind::Event => &self.events,
        }
    }
}

impl Part {
    fn new(index: Index) -> Result<Self, SearchError> {
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(0).try_into().map_err(fault)?;
        Ok(Self { index, reader })
    }

    pub fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// Makes the last commit visible.
    pub fn reload(&self) -> Result<(), SearchError> {
        self.reader.reload().map_err(fault)
    }
}
