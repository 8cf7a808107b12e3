//! Checking the whole file, then writing it into an empty storage, from where an interrupted import stopped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use emcrm_store::engine::{OPS_MAX, TX_BYTES_MAX};
use emcrm_store::{Item, Table, TransactError, Transaction, keys};
use flate2::bufread::MultiGzDecoder;
use futures::future::try_join_all;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::export::hex;
use super::{ArchiveError, FORMAT, VERSION, line};
use crate::App;

/// Transactions that are on their way at once; after each such round the position is stored.
const AT_ONCE: usize = 8;
/// Longest line: an item of 400 KB, escaped at its worst.
const LINE_MAX: u64 = 4 * 1024 * 1024;
/// Items that are looked at to see whether a storage is empty.
const LOOK: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    pub items: u64,
    /// Items that an interrupted import had written before.
    pub before: u64,
    /// Documents of the search index, made anew.
    pub documents: u64,
}

/// Imports the archive into an empty storage and fills the search index. Checks the whole file first; a file that is not whole changes nothing.
pub async fn import(app: &App, file: &Path, progress: &dyn Fn(&str, u64)) -> Result<Imported, ArchiveError> {
    let checked = check(file, &|n| progress("items checked", n))?;
    let before = begin(app, &checked).await?;
    let mut lines = Lines::open(file)?;
    // The first one names the format.
    lines.next()?;
    let mut done = 0;
    while done < before && lines.next()?.is_some() {
        done += 1;
    }
    let mut left = None;
    while done < checked.items {
        let mut transactions = Vec::with_capacity(AT_ONCE);
        let mut taken = 0;
        while transactions.len() < AT_ONCE && done + taken < checked.items {
            let (transaction, n) = chunk(&mut lines, &mut left, checked.items - done - taken)?;
            taken += n;
            transactions.push(transaction);
        }
        // What was written twice is as it was.
        try_join_all(transactions.into_iter().map(|transaction| app.store.engine.transact(transaction))).await.map_err(engine_error)?;
        done += taken;
        mark(app, &checked.sha256, done).await?;
        progress("items imported", done);
    }
    let documents = app.reindex(|n| progress("documents of the index", n)).await?;
    let mut end = Transaction::new();
    end.delete(Table::Main, keys::import_state());
    app.store.engine.transact(end).await.map_err(engine_error)?;
    Ok(Imported { items: checked.items, before, documents })
}

fn engine_error(error: TransactError) -> ArchiveError {
    ArchiveError::App(error.into())
}

struct Checked {
    items: u64,
    sha256: String,
}

/// How many items are there already, from an interrupted import of the same archive.
async fn begin(app: &App, checked: &Checked) -> Result<u64, ArchiveError> {
    if let Some(state) = app.store.engine.get(Table::Main, &keys::import_state()).await? {
        let sha256 = state.attrs.get("sha256").and_then(Value::as_str).unwrap_or_default();
        if sha256 != checked.sha256 {
            return Err(ArchiveError::Other(sha256.to_owned()));
        }
        return Ok(state.attrs.get("items").and_then(Value::as_u64).unwrap_or(0));
    }
    for table in line::TABLES {
        let rows = app.store.engine.scan(table, None, LOOK).await?;
        if let Some(item) = rows.items.iter().find(|item| !keys::is_of_processes(&item.key.pk)) {
            return Err(ArchiveError::NotEmpty(item.key.pk.clone()));
        }
    }
    mark(app, &checked.sha256, 0).await?;
    Ok(0)
}

async fn mark(app: &App, sha256: &str, items: u64) -> Result<(), ArchiveError> {
    let mut tx = Transaction::new();
    let attrs = [("sha256".to_owned(), json!(sha256)), ("items".to_owned(), json!(items))].into_iter().collect();
    tx.put(Table::Main, Item { key: keys::import_state(), attrs });
    app.store.engine.transact(tx).await.map_err(engine_error)
}

/// The next transaction, and how many items it has. `left` is an item that did not fit into the one before.
fn chunk(lines: &mut Lines, left: &mut Option<(Table, Item)>, most: u64) -> Result<(Transaction, u64), ArchiveError> {
    let mut transaction = Transaction::new();
    let mut bytes = 0;
    while (transaction.len() as u64) < most && transaction.len() < OPS_MAX {
        let (table, item) = match left.take() {
            Some(item) => item,
            None => lines.item()?,
        };
        let size = emcrm_store::engine::attrs_bytes(&item.attrs) + item.key.pk.len() + item.key.sk.len();
        if !transaction.is_empty() && bytes + size > TX_BYTES_MAX / 2 {
            *left = Some((table, item));
            break;
        }
        bytes += size;
        transaction.put(table, item);
    }
    let n = transaction.len() as u64;
    Ok((transaction, n))
}

/// Reads the whole file once and believes nothing.
fn check(file: &Path, progress: &dyn Fn(u64)) -> Result<Checked, ArchiveError> {
    let mut lines = Lines::open(file)?;
    let head: Value = lines.next()?.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
    if head.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(ArchiveError::NoArchive("its first line does not say so".to_owned()));
    }
    match head.get("version").and_then(Value::as_u64) {
        Some(VERSION) => {}
        other => return Err(ArchiveError::Newer(other.unwrap_or(0))),
    }
    let mut items = 0;
    loop {
        let so_far = lines.sha256();
        let Some(text) = lines.next()? else { return Err(ArchiveError::Damaged("its end is missing".to_owned())) };
        if line::parse(&text).is_some() {
            items += 1;
            if items % 1_000 == 0 {
                progress(items);
            }
            continue;
        }
        let end: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = (end.get("items").and_then(Value::as_u64), end.get("sha256").and_then(Value::as_str));
        if said != (Some(items), Some(so_far.as_str())) {
            return Err(ArchiveError::Damaged(format!("line {} is not what was written", items + 2)));
        }
        if lines.next()?.is_some() {
            return Err(ArchiveError::Damaged("something follows its end".to_owned()));
        }
        return Ok(Checked { items, sha256: so_far });
    }
}

/// The lines of an archive, and the checksum of those that were read.
struct Lines {
    name: String,
    /// To the file's very end, so that nothing behind the archive goes unnoticed.
    reader: BufReader<MultiGzDecoder<BufReader<File>>>,
    hash: Sha256,
}

impl Lines {
    fn open(file: &Path) -> Result<Self, ArchiveError> {
        let name = file.display().to_string();
        let opened = File::open(file).map_err(|error| ArchiveError::File(name.clone(), error))?;
        Ok(Self { name, reader: BufReader::new(MultiGzDecoder::new(BufReader::new(opened))), hash: Sha256::new() })
    }

    fn next(&mut self) -> Result<Option<String>, ArchiveError> {
        let mut line = Vec::new();
        let read = Read::take(&mut self.reader, LINE_MAX).read_until(b'\n', &mut line).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ArchiveError::Damaged(error.to_string()),
            _ => ArchiveError::File(self.name.clone(), error),
        })?;
        if read == 0 {
            return Ok(None);
        }
        self.hash.update(&line);
        if line.pop() != Some(b'\n') {
            return Err(ArchiveError::Damaged("a line has no end".to_owned()));
        }
        String::from_utf8(line).map(Some).map_err(|_| ArchiveError::Damaged("a line is not text".to_owned()))
    }

    fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// The file was checked before; it can only be another one by now.
    fn item(&mut self) -> Result<(Table, Item), ArchiveError> {
        let line = self.next()?;
        line.as_deref().and_then(line::parse).ok_or_else(|| ArchiveError::Damaged("it was changed while it was read".to_owned()))
    }
}
