//! Reads from memory are never behind what was answered; each way of writing takes out what is kept; what is kept is bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{expiry::forget, faults::on_writer, put, read};
use crate::{
    engine::{Attrs, Change, Engine, EngineError, Guard, Item, Key, Op, Query, Table, TransactError, Transaction},
    rules::Rule,
    sqlite::{SqliteEngine, cache::Cache, write_beside, writer::Job},
};

fn cache(engine: &SqliteEngine) -> &Cache {
    engine.cache.as_deref().expect("a cache")
}

/// Works on this thread until it is done.
fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// A read that has read when a change is made, and is kept when the change was answered. Gives what a read sees that begins then.
fn a_read_that_is_overtaken(guarded: bool) -> Option<Value> {
    let engine = SqliteEngine::memory();
    let tampering = &cache(&engine).tampering;
    tampering.unguarded.store(!guarded, Ordering::Relaxed);
    wait(engine.transact(put("a", json!({"rev": 1})))).unwrap();
    let (arrived, has_read) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    *tampering.pause.lock() = Some(Arc::new(move |_: &Key| {
        arrived.send(()).unwrap();
        // Also when nobody says so any more.
        let _ = may_go.lock().recv();
    }));
    thread::scope(|scope| {
        let go = go;
        let overtaken = scope.spawn(|| wait(read(&engine, "a")));
        has_read.recv().unwrap();
        *tampering.pause.lock() = None;
        wait(engine.transact(put("a", json!({"rev": 2})))).unwrap();
        go.send(()).unwrap();
        assert_eq!(overtaken.join().unwrap(), Some(json!({"rev": 1})), "it began before the change");
    });
    wait(read(&engine, "a"))
}

#[test]
fn what_was_read_before_a_change_is_not_kept_after_it() {
    assert_eq!(a_read_that_is_overtaken(true), Some(json!({"rev": 2})));
    // The same without the gate: the test can tell.
    assert_eq!(a_read_that_is_overtaken(false), Some(json!({"rev": 1})));
}

/// While a commit is on its way nothing that is read is kept, and what was kept is gone: nobody reads the old state after somebody read the new one.
#[test]
fn while_a_change_is_committed_its_item_is_neither_kept_nor_read_from_memory() {
    let cache = Cache::new(1 << 20);
    let (changed, other) = (Key::single("a"), Key::single("b"));
    let old = || Ok::<_, EngineError>(Some("old".to_owned()));
    let new = || Ok::<_, EngineError>(Some("new".to_owned()));
    for key in [&changed, &other] {
        cache.get(key, old).unwrap();
        assert!(cache.keeps(key));
    }
    let changing = cache.changing(&[&changed]);
    assert!(!cache.keeps(&changed) && cache.keeps(&other));
    assert_eq!(cache.get(&changed, old).unwrap().as_deref(), Some("old"), "not committed yet");
    assert!(!cache.keeps(&changed));
    assert_eq!(cache.get(&changed, new).unwrap().as_deref(), Some("new"), "committed, and not told yet");
    assert!(!cache.keeps(&changed));
    drop(changing);
    assert_eq!(cache.get(&changed, new).unwrap().as_deref(), Some("new"));
    assert!(cache.keeps(&changed));
    // What cannot be read, and what is not there, is asked for each time.
    let missing = Key::single("c");
    let unavailable = || Err(EngineError::Unavailable("a test says so".to_owned()));
    assert!(cache.get(&missing, unavailable).is_err());
    assert_eq!(cache.get(&missing, || Ok(None)), Ok(None));
    assert_eq!(cache.get(&missing, new).unwrap().as_deref(), Some("new"));
}

const KEYS: usize = 3;
const WRITERS: usize = 3;
const READERS: usize = 4;
/// Of each writer.
const WRITES: usize = 100;

#[derive(Default)]
struct Watch {
    /// Additions to each item that were answered.
    answered: [AtomicU64; KEYS],
    /// The latest that somebody read of it.
    seen: [AtomicU64; KEYS],
    done: AtomicBool,
    pauses: AtomicUsize,
    /// Reads of a state that was over when they began.
    past: AtomicUsize,
}

impl Watch {
    /// Every second read that goes to the database is kept only when its item has changed.
    fn pause(&self, key: &Key) {
        let answered = &self.answered[key.pk.parse::<usize>().unwrap()];
        let before = answered.load(Ordering::SeqCst);
        if self.pauses.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            while answered.load(Ordering::SeqCst) == before && !self.done.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
    }

    /// Reads until the writers are done, and all items once more.
    async fn read(&self, engine: &SqliteEngine, as_json: bool) {
        loop {
            let last = self.done.load(Ordering::SeqCst);
            for n in 0..KEYS {
                let least = self.answered[n].load(Ordering::SeqCst).max(self.seen[n].load(Ordering::SeqCst));
                let found = rev(engine, n, as_json).await;
                if found < least {
                    self.past.fetch_add(1, Ordering::SeqCst);
                }
                self.seen[n].fetch_max(found, Ordering::SeqCst);
            }
            if last {
                break;
            }
        }
    }
}

async fn rev(engine: &SqliteEngine, n: usize, as_json: bool) -> u64 {
    let key = Key::single(n.to_string());
    let attrs: Attrs = if as_json {
        let text = engine.get_many_json(Table::Main, &[key]).await.unwrap().remove(0).unwrap();
        serde_json::from_str(&text).unwrap()
    } else {
        engine.get(Table::Main, &key).await.unwrap().unwrap().attrs
    };
    attrs["rev"].as_u64().unwrap()
}

/// Many threads read what many write. Gives how many reads saw a state that was over, and how many came from memory.
fn storm(guarded: bool) -> (usize, u64) {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path()).unwrap();
    let watch = Arc::new(Watch::default());
    for n in 0..KEYS {
        wait(engine.transact(put(&n.to_string(), json!({"rev": 0})))).unwrap();
    }
    let pausing = Arc::clone(&watch);
    let tampering = &cache(&engine).tampering;
    tampering.unguarded.store(!guarded, Ordering::Relaxed);
    *tampering.pause.lock() = Some(Arc::new(move |key: &Key| pausing.pause(key)));
    let (engine_of_all, watch_of_all) = (&engine, &watch);
    let write = move |writer: usize| {
        for round in 0..WRITES {
            let n = (writer + round) % KEYS;
            let mut tx = Transaction::new();
            tx.add(Table::Main, Key::single(n.to_string()), "rev", 1);
            wait(engine_of_all.transact(tx)).unwrap();
            watch_of_all.answered[n].fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        for reader in 0..READERS {
            scope.spawn(move || wait(watch_of_all.read(engine_of_all, reader.is_multiple_of(2))));
        }
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        // Readers end in any case.
        watch.done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "a writer failed");
    });
    for n in 0..KEYS {
        assert_eq!(watch.answered[n].load(Ordering::SeqCst), (WRITERS * WRITES / KEYS) as u64);
    }
    (watch.past.load(Ordering::SeqCst), cache(&engine).usage().hits)
}

#[test]
fn no_read_sees_a_state_that_was_over_when_it_began() {
    let (past, hits) = storm(true);
    assert_eq!(past, 0);
    assert!(hits > 0, "nothing was read from memory, so the test shows nothing");
}

#[test]
fn without_the_gate_reads_of_the_past_are_seen() {
    let (past, hits) = storm(false);
    assert!(past > 0, "{hits} reads came from memory, none of them from the past: the test above shows nothing");
}

/// A transaction of one change of one item.
fn change(name: &str, change: Change, guards: Vec<(Guard, Rule)>) -> Transaction {
    Transaction { ops: vec![Op { table: Table::Main, key: Key::single(name), change, guards }] }
}

fn update(set: Value, remove: &[&str], add: &[(&str, i64)]) -> Change {
    let Value::Object(set) = set else { panic!("not an object") };
    Change::Update { set, remove: remove.iter().copied().map(str::to_owned).collect(), add: add.iter().map(|(name, by)| ((*name).to_owned(), *by)).collect() }
}

#[tokio::test]
async fn each_way_of_writing_takes_out_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for engine in [SqliteEngine::memory(), SqliteEngine::open(folder.path()).unwrap()] {
        let key = Key::single("a");
        let changes = [
            ("put", put("a", json!({"n": 2})), Some(json!({"n": 2}))),
            ("set", change("a", update(json!({"n": 3}), &[], &[]), Vec::new()), Some(json!({"n": 3, "type": "x"}))),
            ("set, indexed", change("a", update(json!({"type": "y"}), &[], &[]), Vec::new()), Some(json!({"n": 1, "type": "y"}))),
            ("remove", change("a", update(json!({}), &["type"], &[]), Vec::new()), Some(json!({"n": 1}))),
            ("add", change("a", update(json!({}), &[], &[("n", 4)]), Vec::new()), Some(json!({"n": 5, "type": "x"}))),
            ("delete", change("a", Change::Delete, Vec::new()), None),
        ];
        for (what, tx, expected) in changes {
            engine.transact(put("a", json!({"n": 1, "type": "x"}))).await.unwrap();
            assert_eq!(read(&engine, "a").await, Some(json!({"n": 1, "type": "x"})), "{what}");
            assert!(cache(&engine).keeps(&key), "{what}");
            engine.transact(tx).await.unwrap();
            assert!(!cache(&engine).keeps(&key), "{what}");
            // From the database, and from memory.
            for _ in 0..2 {
                assert_eq!(read(&engine, "a").await, expected, "{what}");
                let texts = engine.get_many_json(Table::Main, std::slice::from_ref(&key)).await.unwrap();
                assert_eq!(texts, [expected.as_ref().map(Value::to_string)], "{what}");
            }
        }
        // What was not there is not remembered.
        assert_eq!(read(&engine, "a").await, None);
        engine.transact(put("a", json!({"n": 6}))).await.unwrap();
        assert_eq!(read(&engine, "a").await, Some(json!({"n": 6})));
    }
}

#[tokio::test]
async fn a_change_that_does_not_happen_leaves_what_is_kept() {
    let engine = SqliteEngine::memory();
    engine.transact(put("a", json!({"n": 1}))).await.unwrap();
    assert!(read(&engine, "a").await.is_some());
    let refused = change("a", update(json!({}), &[], &[("n", 1)]), vec![(Guard::Absent, Rule::IdTaken)]);
    assert_eq!(engine.transact(refused).await, Err(TransactError::Refused(vec![Some(Rule::IdTaken)])));
    assert!(cache(&engine).keeps(&Key::single("a")));
    assert_eq!(read(&engine, "a").await, Some(json!({"n": 1})));
}

#[tokio::test]
async fn changes_of_one_commit_are_all_taken_out() {
    let engine = SqliteEngine::memory();
    for name in ["a", "b", "c"] {
        engine.transact(put(name, json!({"n": 1}))).await.unwrap();
        assert!(read(&engine, name).await.is_some());
    }
    // While the writer is held up, all come into one batch.
    let (go, held) = mpsc::channel::<()>();
    engine.send(Job::Run(Box::new(move |_| held.recv().unwrap()))).await.unwrap();
    let mut waiting = Vec::new();
    // One item twice; one that goes and comes again; one whose change is refused.
    for tx in [
        put("a", json!({"n": 2})),
        change("b", Change::Delete, Vec::new()),
        put("b", json!({"n": 2})),
        put("a", json!({"n": 3})),
        change("c", Change::Delete, vec![(Guard::Absent, Rule::IdTaken)]),
    ] {
        let (answer, outcome) = tokio::sync::oneshot::channel();
        engine.send(Job::Transact(tx, answer)).await.unwrap();
        waiting.push(outcome);
    }
    go.send(()).unwrap();
    let mut done = Vec::new();
    for outcome in waiting {
        done.push(outcome.await.unwrap().is_ok());
    }
    assert_eq!(done, [true, true, true, true, false]);
    for (name, n) in [("a", 3), ("b", 2), ("c", 1)] {
        assert_eq!(read(&engine, name).await, Some(json!({"n": n})), "{name}");
    }
}

#[tokio::test]
async fn what_has_expired_and_is_forgotten_is_not_kept() {
    let engine = SqliteEngine::memory();
    for (name, expires) in [("old", 1_000_i64), ("new", 99_999_999_999)] {
        engine.transact(put(name, json!({"expiresAt": expires}))).await.unwrap();
        assert_eq!(read(&engine, name).await, Some(json!({"expiresAt": expires})), "it is there until it is forgotten, and its reader judges the moment");
        assert!(cache(&engine).keeps(&Key::single(name)));
    }
    assert_eq!(forget(&engine, 10).await, 1);
    assert!(!cache(&engine).keeps(&Key::single("old")) && cache(&engine).keeps(&Key::single("new")));
    assert_eq!(read(&engine, "old").await, None);
}

#[tokio::test]
async fn a_note_from_beside_is_seen_and_cannot_change_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(folder.path()).unwrap();
    engine.transact(put("a", json!({"n": 1}))).await.unwrap();
    assert!(read(&engine, "a").await.is_some() && read(&engine, "note").await.is_none());
    write_beside(folder.path(), &put("note", json!({"n": 1}))).unwrap();
    assert_eq!(read(&engine, "note").await, Some(json!({"n": 1})));
    for tx in [put("a", json!({"n": 2})), put("note", json!({"n": 2})), change("a", Change::Delete, Vec::new())] {
        let error = write_beside(folder.path(), &tx).unwrap_err();
        assert!(error.to_string().contains("IdTaken"), "{error}");
    }
    for name in ["a", "note"] {
        assert_eq!(read(&engine, name).await, Some(json!({"n": 1})));
    }
    let stored = on_writer(&engine, |connection| {
        connection.query_row("SELECT count(*) FROM main_items WHERE json_extract(item, '$.n') = 1", [], |row| row.get::<_, i64>(0)).unwrap()
    });
    assert_eq!(stored.await, 2);
}

#[tokio::test]
async fn lists_and_reads_of_several_items_keep_nothing() {
    let engine = SqliteEngine::memory();
    let keys = [Key::single("a"), Key::single("b")];
    for table in [Table::Main, Table::Email] {
        let mut tx = Transaction::new();
        for key in &keys {
            let attrs = json!({"n": 1}).as_object().cloned().unwrap();
            tx.put(table, Item { key: key.clone(), attrs });
        }
        engine.transact(tx).await.unwrap();
        assert_eq!(engine.query(Query::table(table, "a")).await.unwrap().items.len(), 1);
        assert_eq!(engine.scan(table, None, 10).await.unwrap().items.len(), 2);
        assert_eq!(engine.get_many(table, &keys).await.unwrap().len(), 2);
        assert_eq!(engine.get_many_json(table, &keys).await.unwrap().len(), 2);
    }
    assert!(engine.get(Table::Email, &keys[0]).await.unwrap().is_some());
    assert!(engine.get_many_json(Table::Email, &keys[..1]).await.unwrap()[0].is_some());
    assert!(keys.iter().all(|key| !cache(&engine).keeps(key)));
    let used = Engine::cache(&engine).unwrap();
    assert_eq!((used.hits, used.misses), (0, 0));
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_bytes() {
    const BYTES: usize = 256 * 1024;
    const ITEM: usize = 1_024;
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open_with_cache(folder.path(), BYTES).unwrap();
    let names: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    for names in names.chunks(100) {
        let mut tx = Transaction::new();
        for name in names {
            tx.ops.append(&mut put(name, json!({"text": "x".repeat(ITEM)})).ops);
        }
        engine.transact(tx).await.unwrap();
    }
    for _ in 0..3 {
        for name in &names {
            assert!(read(&engine, name).await.is_some());
        }
        cache(&engine).settle();
        let used = Engine::cache(&engine).unwrap();
        assert!(used.bytes <= BYTES as u64 && used.bytes > BYTES as u64 / 2, "{used:?}");
        let kept = names.iter().filter(|name| cache(&engine).keeps(&Key::single(name.as_str()))).count();
        assert!(kept * ITEM <= BYTES, "{kept} items are kept");
    }
    // One that would take the place of many.
    engine.transact(put("large", json!({"text": "x".repeat(BYTES / 32)}))).await.unwrap();
    assert!(read(&engine, "large").await.is_some() && !cache(&engine).keeps(&Key::single("large")));
}

#[tokio::test]
async fn an_engine_without_a_cache_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open_with_cache(folder.path(), 0).unwrap();
    for n in 0..3 {
        engine.transact(put("a", json!({"n": n}))).await.unwrap();
        assert_eq!(read(&engine, "a").await, Some(json!({"n": n})));
    }
    assert_eq!(Engine::cache(&engine), None);
}
