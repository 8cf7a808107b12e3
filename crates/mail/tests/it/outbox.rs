//! Mail as files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use emcrm_mail::conformance::{Refusal, Subject};
use emcrm_mail::{Handover, MailError, Outbox, Transport, transport_conformance};
use emcrm_model::FixedClock;
use jiff::SignedDuration;
use tempfile::TempDir;

use crate::server::mail;

struct Folder {
    dir: TempDir,
}

fn start() -> Folder {
    Folder { dir: TempDir::new().unwrap() }
}

impl Folder {
    fn path(&self) -> PathBuf {
        self.dir.path().join("out/box")
    }
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new("2026-01-02T03:04:05.678Z".parse().unwrap()))
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[async_trait]
impl Subject for Folder {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(Outbox::new(self.path(), clock()))
    }
    async fn arrived(&mut self) -> Vec<Handover> {
        names(&self.path())
            .iter()
            .map(|name| {
                let text = String::from_utf8(std::fs::read(self.path().join(name)).unwrap()).unwrap();
                let (from, rest) = text.strip_prefix("X-Envelope-From: <").unwrap().split_once(">\r\nX-Envelope-To: <").unwrap();
                let (to, message) = rest.split_once(">\r\n").unwrap();
                Handover { from: from.into(), to: to.into(), message: message.into() }
            })
            .collect()
    }
    async fn refuse(&mut self, _: &str, _: Refusal) -> bool {
        false
    }
    async fn stop(&mut self) {
        // A file where the folder was: even root cannot write into it.
        std::fs::remove_dir_all(self.path()).unwrap();
        std::fs::write(self.path(), b"").unwrap();
    }
}

transport_conformance!(start());

fn with_id(id: &str, to: &str) -> Handover {
    Handover { message: format!("Subject: x\r\nMessage-ID: <{id}>\r\n\r\nHello\r\n").into_bytes(), ..mail(to) }
}

#[tokio::test]
async fn a_file_is_named_by_time_recipient_and_hash() {
    let folder = start();
    let clock = clock();
    let outbox = Outbox::new(folder.path(), clock.clone());
    let mut connection = outbox.connect().await.unwrap();
    let receipt = connection.send(&with_id("1@example.org", "Ann/../ü@Example.org")).await.unwrap();
    clock.advance(SignedDuration::from_millis(1));
    connection.send(&with_id("0@example.org", "b@example.org")).await.unwrap();
    let names = names(&folder.path());
    assert_eq!(names.len(), 2);
    assert!(names[0].starts_with("20260102T030405678Z-ann_.._") && names[0].contains("_@example.org-"), "{names:?}");
    assert!(names[1].starts_with("20260102T030405679Z-b@example.org-"), "{names:?}");
    assert_eq!(receipt.reply, format!("written to {}", names[0]));
}

#[tokio::test]
async fn the_same_mail_twice_is_one_file_even_after_a_restart() {
    let folder = start();
    let clock = clock();
    let mut replies = Vec::new();
    for _ in 0..3 {
        let mut connection = Outbox::new(folder.path(), clock.clone()).connect().await.unwrap();
        for _ in 0..2 {
            replies.push(connection.send(&with_id("1@example.org", "a@example.org")).await.unwrap());
            clock.advance(SignedDuration::from_hours(30));
        }
    }
    replies.dedup();
    assert_eq!((replies.len(), names(&folder.path()).len()), (1, 1));
    let mut connection = Outbox::new(folder.path(), clock).connect().await.unwrap();
    connection.send(&with_id("1@example.org", "other@example.org")).await.unwrap();
    connection.send(&with_id("2@example.org", "a@example.org")).await.unwrap();
    assert_eq!(names(&folder.path()).len(), 3);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = start();
    std::fs::write(folder.dir.path().join("out"), b"").unwrap();
    let outbox = Outbox::new(folder.path(), clock());
    let Err(MailError::Unavailable { cause }) = outbox.health().await else { panic!() };
    assert!(cause.contains(&format!("the outbox folder `{}` cannot be written", folder.path().display())), "{cause}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = start();
    Outbox::new(folder.path(), clock()).connect().await.unwrap();
    assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_unavailable_and_leaves_no_half_file() {
    let folder = start();
    let outbox = Outbox::new(folder.path(), clock());
    let mut connection = outbox.connect().await.unwrap();
    // The temporary file leads to a device that is always full.
    let written = connection.send(&with_id("1@example.org", "a@example.org")).await.unwrap().reply;
    let hash = written.rsplit_once('-').unwrap().1.strip_suffix(".eml").unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join(format!(".{hash}.tmp"))).unwrap();
    std::fs::remove_file(folder.path().join(written.strip_prefix("written to ").unwrap())).unwrap();
    let result = connection.send(&with_id("1@example.org", "a@example.org")).await;
    assert!(matches!(&result, Err(MailError::Unavailable { cause }) if cause.contains("No space left on device")), "{result:?}");
    assert_eq!(names(&folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn mails_are_listed_newest_first_and_read_by_their_names_alone() {
    let folder = start();
    let clock = clock();
    let outbox = Outbox::new(folder.path(), clock.clone());
    assert_eq!(outbox.list(None, 10).await.unwrap().total, 0, "no folder yet");
    for to in ["ann@example.org", "bea@example.org", "cid@example.org"] {
        outbox.connect().await.unwrap().send(&mail(to)).await.unwrap();
        clock.advance(SignedDuration::from_secs(1));
    }
    std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    std::fs::write(folder.dir.path().join("secret.txt"), "secret").unwrap();
    std::os::unix::fs::symlink("../../secret.txt", folder.path().join("20260102T030405678Z-x-0123456789abcdef.eml")).unwrap();

    let page = outbox.list(None, 2).await.unwrap();
    let to: Vec<_> = page.mails.iter().map(|mail| mail.name.split('-').nth(1).unwrap()).collect();
    assert_eq!((to, page.more), (vec!["cid@example.org", "bea@example.org"], true));
    let rest = outbox.list(page.mails.last().map(|mail| mail.name.clone()), 1).await.unwrap();
    assert!(rest.mails[0].name.contains("-ann@"), "{rest:?}");
    let mail = outbox.read(page.mails[0].name.clone()).await.unwrap().unwrap();
    assert!(mail.starts_with(&page.mails[0].head));
    for no in [
        "secret.txt",
        "../secret.txt",
        "../../secret.txt",
        "",
        ".",
        "/etc/passwd",
        "20260102T030405678Z-x-0123456789abcdef.eml",
        "20260102T030405678Z-../x-0123456789abcdef.eml",
    ] {
        assert_eq!(outbox.read(no.to_owned()).await.unwrap(), None, "{no}");
    }
}
