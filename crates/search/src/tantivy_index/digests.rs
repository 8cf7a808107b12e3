//! What each document was made from, in order of ids.

use tantivy::Searcher;
use tantivy::columnar::TermOrdHit;

use super::fault;
use super::fields::{DIGEST, ID};
use super::top::{Best, Key, io_fault, texts};
use crate::SearchError;

/// Ids after `after` with their digests, at most `limit`. Looks at every document as a number, and reads the texts of those it returns.
pub fn digests(searcher: &Searcher, after: Option<&str>, limit: usize) -> Result<Vec<(String, u64)>, SearchError> {
    let mut rows = Vec::new();
    for reader in searcher.segment_readers() {
        let fast = reader.fast_fields();
        let missing = || SearchError::Corrupt("a segment has no ids or digests".to_owned());
        let ids = fast.str(ID).map_err(fault)?.ok_or_else(missing)?;
        let digests = fast.column_opt::<u64>(DIGEST).map_err(fault)?.ok_or_else(missing)?;
        let start = match after.map(|after| ids.dictionary().term_ord_or_next(after)).transpose().map_err(io_fault)? {
            None => 0,
            Some(TermOrdHit::Exact(ord)) => ord + 1,
            Some(TermOrdHit::Next(ord)) => ord.min(ids.num_terms() as u64),
        };
        // Place in the order of ids (high 32 bits), and the document.
        let mut best = Best::new(Key::from(start) << 32, limit);
        for doc in reader.doc_ids_alive() {
            best.push(Key::from(ids.ords().values.get_val(doc)) << 32 | Key::from(doc));
        }
        let keys = best.finish();
        let names = texts(&ids, keys.iter().map(|key| (key >> 32) as u64).collect())?;
        rows.extend(names.into_iter().zip(keys.iter().map(|key| digests.first(*key as u32).unwrap_or(0))));
    }
    rows.sort_unstable();
    rows.truncate(limit);
    Ok(rows)
}
