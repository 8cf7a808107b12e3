//! Reading a storage, sorting beyond memory, writing the file.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use emcrm_store::{Item, Table, keys};
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ArchiveError, FORMAT, VERSION, line};
use crate::App;
use crate::sorter::Sorter;

/// Items that one read takes.
const READ: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    pub items: u64,
    /// Of the content, in hexadecimal.
    pub sha256: String,
}

/// Writes everything into `file`, readable by its owner only. It appears when it is whole. `online`: although workers run.
pub async fn export(app: &App, file: &Path, online: bool, progress: &dyn Fn(u64)) -> Result<Exported, ArchiveError> {
    let now = app.now();
    // An archive holds the audit trail as a chain.
    while app.audit_chain().await? > 0 {}
    let running = app.store.leases.alive(now.as_millisecond()).await?;
    if running > 0 && !online {
        return Err(ArchiveError::Running(running));
    }
    let failed = |error: io::Error| ArchiveError::File(file.display().to_string(), error);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut sorter = Sorter::new(Some(folder));
    let mut items = 0;
    for (place, table) in (0_u8..).zip(line::TABLES) {
        let mut after = None;
        loop {
            let rows = app.store.engine.scan(table, after, READ).await?;
            for item in rows.items {
                if !is_moved(table, &item, now.as_second()) {
                    continue;
                }
                refuse_busy(&item)?;
                let (pk, sk) = (item.key.pk.clone(), item.key.sk.clone());
                sorter.add(place, &pk, &sk, line::of(table, item)).map_err(failed)?;
                items += 1;
            }
            progress(items);
            after = rows.next;
            if after.is_none() {
                break;
            }
        }
    }
    let sha256 = write(file, items, sorter).map_err(failed)?;
    Ok(Exported { items, sha256 })
}

/// Whether an item belongs to the data and not to the processes that work on them.
fn is_moved(table: Table, item: &Item, now: i64) -> bool {
    let pk = item.key.pk.as_str();
    // Sessions stay behind too: they are of browsers that know another address.
    let prefixes = ["task#index#", keys::SESSION_PREFIX, keys::SESSIONS_PREFIX];
    let of_processes =
        table == Table::Main && (keys::is_of_processes(pk) || prefixes.iter().any(|prefix| pk.starts_with(prefix)) || item.key == keys::import_state());
    let expired = item.attrs.get(emcrm_store::engine::EXPIRES).and_then(Value::as_i64).is_some_and(|at| at <= now);
    !of_processes && !expired
}

fn refuse_busy(item: &Item) -> Result<(), ArchiveError> {
    let text = |name: &str| item.attrs.get(name).and_then(Value::as_str);
    match text("status") {
        Some(status @ ("freezing" | "sending")) if text("type") == Some(keys::TYPE_CAMPAIGN) => {
            Err(ArchiveError::Busy(item.key.pk.trim_start_matches("email#").to_owned(), status.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Under another name first; what was begun and cannot be finished is removed.
fn write(file: &Path, items: u64, sorter: Sorter) -> io::Result<String> {
    let beside = file.with_added_extension("part");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_beside(&beside, items, sorter).and_then(|sha256| std::fs::rename(&beside, file).map(|()| sha256));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn write_beside(beside: &Path, items: u64, sorter: Sorter) -> io::Result<String> {
    let mut options = OpenOptions::new();
    // New, so that it has this mode and is no link to something else.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let out = options.open(beside)?;
    // No name and no time in the head: the same content gives the same bytes.
    let mut out = GzBuilder::new().write(BufWriter::new(out), Compression::default());
    let mut hash = Sha256::new();
    let mut put = |text: &str| {
        hash.update(text.as_bytes());
        hash.update(b"\n");
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")
    };
    put(&json!({"format": FORMAT, "version": VERSION}).to_string())?;
    let mut sorted = sorter.finish()?;
    while let Some(line) = sorted.next()? {
        put(&line)?;
    }
    let sha256 = hex(&hash.finalize());
    writeln!(out, "{}", json!({"items": items, "sha256": sha256}))?;
    out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(sha256)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}
