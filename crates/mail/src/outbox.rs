//! Mail as files in a folder: the default, for trying things out and for machines that send nothing.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use emcrm_model::Clock;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::message::hex;
use crate::transport::{Connection, Handover, MailError, Receipt, Transport};

/// Bytes of a file that are read for a list.
const HEAD: u64 = 16 * 1024;

/// Writes each mail as one `.eml` file that any mail program opens: `20260102T030405678Z-anna@example.org-0123456789abcdef.eml`.
///
/// - The name is made from the time, the recipient and a hash of `Message-ID` and recipient. The same two handed over again, now or after
///   a restart, replace the file under its first name.
/// - A file appears complete or not at all (temporary name, then rename). It is not forced to disk: the newest files may be lost with the
///   power, the ledger is not.
/// - The envelope is kept in the headers `X-Envelope-From` and `X-Envelope-To`.
/// - To know names again, 24 bytes are held in memory for each file in the folder.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    /// When each mail (by its hash) was first written; none: the folder was not read yet.
    first: Mutex<Option<HashMap<u64, u64>>>,
}

impl Outbox {
    /// The folder is made, readable by its owner only, when the first connection is.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { dir: dir.into(), clock, first: Mutex::new(None) }) }
    }

    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static) -> Result<T, MailError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            work(&shared).map_err(|error| format!("the outbox folder `{}` cannot be written: {error}", shared.dir.display()))
        });
        let done = done.await.unwrap_or_else(|_| Err("writing to the outbox was cut short".to_owned()));
        done.map_err(|cause| MailError::Unavailable { cause })
    }
}

#[async_trait]
impl Transport for Outbox {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        self.blocking(Shared::open).await?;
        Ok(Box::new(OutboxConnection { outbox: self.clone() }))
    }

    /// More would only wait for the same disk.
    fn connections_max(&self) -> usize {
        4
    }

    fn rate(&self) -> Option<u32> {
        None
    }

    /// Writes and removes a file.
    async fn health(&self) -> Result<(), MailError> {
        self.blocking(|shared| {
            shared.open()?;
            let probe = shared.dir.join(".health.tmp");
            fs::write(&probe, b"ok")?;
            fs::remove_file(&probe)
        })
        .await
    }

    fn outbox(&self) -> Option<&Outbox> {
        Some(self)
    }

    fn name(&self) -> &'static str {
        "outbox"
    }
}

/// A mail in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// Its file. Names order mails by time.
    pub name: String,
    /// The first bytes of the file: at least the headers of an ordinary mail.
    pub head: Vec<u8>,
}

/// Some mails of the folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FiledPage {
    pub mails: Vec<Filed>,
    /// Mails in the folder.
    pub total: usize,
    /// More of them are older than the last one here.
    pub more: bool,
}

impl Outbox {
    /// The newest mails that are older than the file `before`, at most `limit`. A folder that was not made yet is empty.
    pub async fn list(&self, before: Option<String>, limit: usize) -> Result<FiledPage, MailError> {
        self.reading(move |shared| shared.list(before.as_deref(), limit)).await
    }

    /// A mail as it was written. Only names that this folder gives to mails lead to a file.
    pub async fn read(&self, name: String) -> Result<Option<Vec<u8>>, MailError> {
        self.reading(move |shared| shared.read(&name)).await
    }

    async fn reading<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static) -> Result<T, MailError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared).map_err(|error| format!("the outbox folder cannot be read: {error}")));
        let done = done.await.unwrap_or_else(|_| Err("reading the outbox was cut short".to_owned()));
        done.map_err(|cause| MailError::Unavailable { cause })
    }
}

struct OutboxConnection {
    outbox: Outbox,
}

#[async_trait]
impl Connection for OutboxConnection {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        handover.check()?;
        let handover = handover.clone();
        let name = self.outbox.blocking(move |shared| shared.write(&handover)).await?;
        Ok(Receipt { reply: format!("written to {name}") })
    }

    async fn close(self: Box<Self>) {}
}

impl Shared {
    fn open(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.dir)?;
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            let mut found = HashMap::new();
            for entry in fs::read_dir(&self.dir)? {
                if let Some((hash, time)) = entry?.file_name().to_str().and_then(parse_name) {
                    found.insert(hash, time);
                }
            }
            *first = Some(found);
        }
        Ok(())
    }

    fn write(&self, handover: &Handover) -> io::Result<String> {
        let hash = hash(handover);
        let time = {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            *first.get_or_insert_default().entry(hash).or_insert_with(|| self.now())
        };
        let name = name(time, &handover.to, hash);
        let temporary = self.dir.join(format!(".{hash:016x}.tmp"));
        let written = write_file(&temporary, handover).and_then(|()| fs::rename(&temporary, self.dir.join(&name)));
        if let Err(error) = written {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(name)
    }

    fn list(&self, before: Option<&str>, limit: usize) -> io::Result<FiledPage> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FiledPage::default()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A link could lead anywhere.
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string().ok().filter(|name| is_mail(name)));
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        let total = names.len();
        let mut older = names.into_iter().filter(|name| before.is_none_or(|before| name.as_str() < before));
        let wanted: Vec<String> = older.by_ref().take(limit).collect();
        let mut mails = Vec::with_capacity(wanted.len());
        for name in wanted {
            let mut head = Vec::new();
            match fs::File::open(self.dir.join(&name)) {
                Ok(file) => file.take(HEAD).read_to_end(&mut head)?,
                // Somebody tidied up meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            mails.push(Filed { name, head });
        }
        Ok(FiledPage { mails, total, more: older.next().is_some() })
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        if is_mail(name) { self.read_whatever(name) } else { Ok(None) }
    }

    /// Without asking whether the name is one of ours.
    fn read_whatever(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        fs::read(path).map(Some)
    }

    /// Year to millisecond as the digits of a number.
    fn now(&self) -> u64 {
        let now = self.clock.now().to_zoned_datetime(TimeZone::UTC);
        let parts = [(now.month(), 100), (now.day(), 100), (now.hour(), 100), (now.minute(), 100), (now.second(), 100)];
        let seconds = parts.iter().fold(u64::from(now.year().unsigned_abs()), |sum, (part, room)| sum * room + u64::from(part.unsigned_abs()));
        seconds * 1000 + u64::from(now.millisecond().unsigned_abs())
    }
}

fn write_file(path: &Path, handover: &Handover) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(handover.message.len() + 128);
    write!(bytes, "X-Envelope-From: <{}>\r\nX-Envelope-To: <{}>\r\n", handover.from, handover.to)?;
    bytes.extend_from_slice(&handover.message);
    fs::write(path, bytes)
}

fn name(time: u64, to: &str, hash: u64) -> String {
    let (date, clock) = (time / 1_000_000_000, time % 1_000_000_000);
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '@' | '-') { c.to_ascii_lowercase() } else { '_' };
    let to: String = to.chars().take(100).map(safe).collect();
    format!("{date:08}T{clock:09}Z-{to}-{hash:016x}.eml")
}

/// Whether [`name`] can have made this name: it has no way out of the folder.
fn is_mail(name: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'@' | b'-');
    name.bytes().all(safe) && parse_name(name).is_some()
}

/// Hash and time of a name that [`name`] made.
fn parse_name(name: &str) -> Option<(u64, u64)> {
    let stem = name.strip_suffix(".eml")?;
    let (rest, hash) = stem.rsplit_once('-')?;
    let (time, _) = rest.split_once("Z-")?;
    let (date, clock) = time.split_once('T')?;
    let (8, 9, 16) = (date.len(), clock.len(), hash.len()) else { return None };
    Some((u64::from_str_radix(hash, 16).ok()?, date.parse::<u64>().ok()? * 1_000_000_000 + clock.parse::<u64>().ok()?))
}

/// Of `Message-ID` and recipient; of everything, where there is no `Message-ID`.
fn hash(handover: &Handover) -> u64 {
    let head = memchr::memmem::find(&handover.message, b"\r\n\r\n").and_then(|end| handover.message.get(..end)).unwrap_or(&handover.message);
    let is_id = |line: &&[u8]| line.get(..11).is_some_and(|name| name.eq_ignore_ascii_case(b"message-id:"));
    let id = head.split(|b| *b == b'\n').find(is_id).unwrap_or(&handover.message);
    let digest = Sha256::new().chain_update((id.len() as u64).to_be_bytes()).chain_update(id).chain_update(handover.to.as_bytes()).finalize();
    u64::from_str_radix(&hex(&digest, 8), 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that lead out of the folder: plainly, from the root, and inside what else looks like a name of ours.
    #[tokio::test]
    async fn only_names_of_our_own_lead_to_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("outbox");
        fs::create_dir_all(dir.join("20260102T030405678Z-a")).unwrap();
        let planted = folder.path().join("planted-0123456789abcdef.eml");
        fs::write(&planted, "the key").unwrap();
        let ours = "20260102T030405678Z-ann@example.org-0123456789abcdef.eml";
        fs::write(dir.join(ours), "a mail").unwrap();
        let clock = emcrm_model::FixedClock::new("2026-01-02T03:04:05.678Z".parse().unwrap());
        let outbox = Outbox::new(&dir, Arc::new(clock));
        let ways_out =
            ["../planted-0123456789abcdef.eml", planted.to_str().unwrap(), "20260102T030405678Z-a/../../planted-0123456789abcdef.eml"].map(str::to_owned);
        for way_out in ways_out {
            assert_eq!(outbox.read(way_out.clone()).await.unwrap(), None, "{way_out}");
            // The control: without the check of its name the file is handed out.
            assert_eq!(outbox.shared.read_whatever(&way_out).unwrap().as_deref(), Some(&b"the key"[..]), "{way_out}");
        }
        assert_eq!(outbox.read(ours.to_owned()).await.unwrap().as_deref(), Some(&b"a mail"[..]));
    }
}
