//! Everything as one file: the same content gives the same bytes, what is damaged changes nothing, what was interrupted goes on.

use std::path::Path;
use std::sync::Arc;

use emcrm_app::archive::{ArchiveError, export, import};
use emcrm_app::verify::verify;
use emcrm_store::faulty::{Fault, FaultPlan, FaultyEngine};
use emcrm_store::sqlite::SqliteEngine;
use emcrm_store::{Item, Key, Table, Transaction, keys};
use serde_json::json;

use crate::support::TestApp;

/// A town with everything in it, and some odd rows.
async fn town() -> TestApp {
    let t = TestApp::new();
    let ann = t.user_with("ann", json!({"city": "Köln\n\"1\""})).await;
    let event = t.event("gala", json!({})).await;
    t.attend(&ann, &event).await;
    for n in 0..250 {
        t.user(&format!("u{n:03}")).await;
    }
    t.settle().await;
    let mut tx = Transaction::new();
    let odd = json!({"whole": 2.0, "fraction": 0.1, "large": 1.25e20, "deep": {"b": [1, {"z": 1.0, "a": ""}], "a": true}, "long": "x".repeat(300_000)});
    tx.put(Table::Main, Item { key: Key::new("later version\u{1F600}", "s/k"), attrs: odd.as_object().unwrap().clone() });
    tx.put(Table::Main, Item { key: Key::single("idem#old"), attrs: json!({"expiresAt": 5}).as_object().unwrap().clone() });
    t.app.store.engine.transact(tx).await.unwrap();
    t
}

async fn exported(t: &TestApp, file: &Path) -> Vec<u8> {
    export(&t.app, file, false, &|_| ()).await.unwrap();
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn what_is_moved_is_the_same_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.gz"), folder.path().join("two.gz"));
    let from = town().await;
    let bytes = exported(&from, &one).await;
    assert_eq!(exported(&from, &one).await, bytes, "twice the same");
    let to = TestApp::new();
    let imported = import(&to.app, &one, &|_, _| ()).await.unwrap();
    assert_eq!((imported.before, imported.documents), (0, 252));
    assert_eq!(exported(&to, &two).await, bytes);
    assert!(verify(&to.app, false, &|_, _| ()).await.unwrap().is_clean());
    // What expired and what belongs to processes stays behind.
    assert_eq!(to.app.store.engine.get(Table::Main, &Key::single("idem#old")).await, Ok(None));
    assert_eq!(to.app.store.engine.get(Table::Main, &keys::import_state()).await, Ok(None));
}

#[tokio::test]
async fn a_file_that_is_not_whole_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.gz");
    let bytes = exported(&town().await, &file).await;
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0x10;
    let mut more = bytes.clone();
    more.extend_from_slice(&bytes);
    let mut garbage = bytes.clone();
    garbage.extend_from_slice(b"something else");
    for (what, broken) in [
        ("flipped", &flipped[..]),
        ("cut", &bytes[..bytes.len() - 40]),
        ("last byte", &bytes[..bytes.len() - 1]),
        ("half", &bytes[..bytes.len() / 2]),
        ("twice", &more[..]),
        ("garbage behind it", &garbage[..]),
        ("empty", b""),
        ("text", b"hello"),
    ] {
        std::fs::write(&file, broken).unwrap();
        let to = TestApp::new();
        let error = import(&to.app, &file, &|_, _| ()).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged(_) | ArchiveError::NoArchive(_)), "{what}: {error}");
        assert!(to.app.store.engine.scan(Table::Main, None, 10).await.unwrap().items.is_empty(), "{what}");
    }
    assert!(import(&TestApp::new().app, &folder.path().join("nothing"), &|_, _| ()).await.is_err());
    let newer = |version: u64| {
        use std::io::Write as _;
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writeln!(out, "{}", json!({"format": "emcrm-archive", "version": version})).unwrap();
        out.finish().unwrap()
    };
    std::fs::write(&file, newer(2)).unwrap();
    assert!(matches!(import(&TestApp::new().app, &file, &|_, _| ()).await, Err(ArchiveError::Newer(2))));
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut content).ok()?;
    Some(content)
}

/// Any bit but those of gzip's own head, which says nothing about the content.
#[tokio::test]
async fn a_bit_that_flips_anywhere_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.gz");
    let from = TestApp::new();
    from.user("ann").await;
    from.settle().await;
    let bytes = exported(&from, &file).await;
    let to = TestApp::new();
    let mut meaningless = 0;
    for bit in 10 * 8..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // A few bits of gzip mean nothing: those that fill up the byte before the last eight, and lengths of codes that are not used.
        if unpacked(&flipped).is_some_and(|content| Some(content) == unpacked(&bytes)) {
            meaningless += 1;
            continue;
        }
        std::fs::write(&file, flipped).unwrap();
        assert!(import(&to.app, &file, &|_, _| ()).await.is_err(), "bit {bit} of {}", bytes.len() * 8);
    }
    assert!(meaningless < 16, "{meaningless} bits changed nothing");
    assert!(to.app.store.engine.scan(Table::Main, None, 10).await.unwrap().items.is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn an_archive_is_its_owners_and_a_failed_one_leaves_nothing_behind() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (file, beside) = (folder.path().join("archive.gz"), folder.path().join("archive.gz.part"));
    // Left by a run that was killed, readable by everybody.
    std::fs::write(&beside, "left").unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o644)).unwrap();
    let from = TestApp::new();
    from.user("ann").await;
    from.settle().await;
    exported(&from, &file).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!beside.exists());
    // A folder cannot be replaced by a file.
    let taken = folder.path().join("folder.gz");
    std::fs::create_dir_all(taken.join("something")).unwrap();
    assert!(export(&from.app, &taken, false, &|_| ()).await.is_err());
    assert!(!folder.path().join("folder.gz.part").exists());
}

#[tokio::test]
async fn only_an_empty_storage_takes_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.gz");
    exported(&town().await, &file).await;
    let to = TestApp::new();
    to.user("somebody").await;
    assert!(matches!(import(&to.app, &file, &|_, _| ()).await, Err(ArchiveError::NotEmpty(_))));
    assert_eq!(to.app.store.counts.total(emcrm_store::CountKind::Users).await, Ok(1));
}

#[tokio::test]
async fn an_interrupted_import_goes_on_and_another_one_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.gz"), folder.path().join("two.gz"));
    let bytes = exported(&town().await, &one).await;
    let other = TestApp::new();
    other.user("other").await;
    exported(&other, &two).await;

    let engine = Arc::new(FaultyEngine::new(Arc::new(SqliteEngine::memory()), 1, FaultPlan::default()));
    let to = TestApp::on(engine.clone());
    // The mark, some items, then nothing more.
    engine.script([None, None, None, Some(Fault::UnknownAfter)]);
    assert!(import(&to.app, &one, &|_, _| ()).await.is_err());
    assert!(matches!(import(&to.app, &two, &|_, _| ()).await, Err(ArchiveError::Other(_))));
    import(&to.app, &one, &|_, _| ()).await.unwrap();
    assert_eq!(exported(&to, &two).await, bytes);
}

#[tokio::test]
async fn an_import_that_ends_at_any_write_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.gz"), folder.path().join("two.gz"));
    let bytes = exported(&town().await, &one).await;
    let mut ended = 0;
    for n in 0..12 {
        for fault in [Fault::UnknownBefore, Fault::UnknownAfter, Fault::Unavailable] {
            let engine = Arc::new(FaultyEngine::new(Arc::new(SqliteEngine::memory()), 1, FaultPlan::default()));
            let to = TestApp::on(engine.clone());
            engine.script(std::iter::repeat_n(None, n).chain([Some(fault)]));
            ended += u32::from(import(&to.app, &one, &|_, _| ()).await.is_err());
            engine.switch(false);
            // The last write may have been the one that ends the import; then the storage is not empty any more, and whole.
            match import(&to.app, &one, &|_, _| ()).await {
                Ok(_) | Err(ArchiveError::NotEmpty(_)) => {}
                Err(error) => panic!("write {n}: {error}"),
            }
            assert!(exported(&to, &two).await == bytes, "write {n}, {fault:?}");
            assert!(verify(&to.app, false, &|_, _| ()).await.unwrap().is_clean(), "write {n}");
        }
    }
    assert!(ended > 20, "the faults did happen: {ended}");
}

#[tokio::test]
async fn a_campaign_that_is_being_sent_is_not_moved() {
    let folder = tempfile::tempdir().unwrap();
    let t = town().await;
    let attrs = json!({"type": "email_request", "status": "sending"});
    let mut tx = Transaction::new();
    tx.put(Table::Email, Item { key: Key::single("email#busy"), attrs: attrs.as_object().unwrap().clone() });
    t.app.store.engine.transact(tx).await.unwrap();
    let error = export(&t.app, &folder.path().join("a.gz"), true, &|_| ()).await.unwrap_err();
    assert!(matches!(&error, ArchiveError::Busy(id, status) if id == "busy" && status == "sending"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn workers_that_run_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.gz");
    let t = town().await;
    t.app.store.leases.announce("somebody", t.clock_ms() + 1_000).await.unwrap();
    assert!(matches!(export(&t.app, &file, false, &|_| ()).await, Err(ArchiveError::Running(1))));
    export(&t.app, &file, true, &|_| ()).await.unwrap();
    t.later(2);
    export(&t.app, &file, false, &|_| ()).await.unwrap();
}
