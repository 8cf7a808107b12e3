//! Tasks that were given up, and what a person does about them.

use emcrm_app::AppError;
use emcrm_store::{Queue, Transaction};
use serde_json::json;

use crate::support::{TestApp, call};

/// A task of a kind that nobody knows, given up.
async fn buried(t: &TestApp) -> String {
    let mut tx = Transaction::new();
    t.app.store.tasks.put(&mut tx, Queue::Default, "x", "unheard_of", json!({"of": 1}), t.clock_ms());
    t.app.store.engine.transact(tx).await.unwrap();
    let mut found = None;
    for shard in 0..emcrm_store::keys::SHARDS {
        found = found.or(t.app.store.tasks.first(Queue::Default, shard).await.unwrap());
    }
    let task = found.unwrap();
    t.app.store.tasks.bury(&task, "no handler").await.unwrap();
    task.id
}

async fn waiting(t: &TestApp) -> u64 {
    t.app.backlog().await.unwrap().queues.iter().map(|queue| queue.waiting).sum()
}

#[tokio::test]
async fn a_task_that_was_given_up_is_put_back_to_work_or_thrown_away() {
    let t = TestApp::new();
    let first = buried(&t).await;
    let dead = t.app.dead_letters(&call()).await.unwrap();
    assert_eq!((dead.len(), dead[0].kind.as_str(), dead[0].error.as_deref()), (1, "unheard_of", Some("no handler")));
    t.app.dead_letter_retry(&call(), Queue::Default, &first).await.unwrap();
    assert_eq!((t.app.dead_letters(&call()).await.unwrap().len(), waiting(&t).await), (0, 1));
    for missing in [first.as_str(), "", "../x", "0190f5c2-7a6e-7c1a-9f4e-2b7f3a1c5d6e"] {
        assert!(matches!(t.app.dead_letter_retry(&call(), Queue::Default, missing).await, Err(AppError::NothingThere(_))), "{missing}");
        assert!(matches!(t.app.dead_letter_drop(&call(), Queue::Mail, missing).await, Err(AppError::NothingThere(_))), "{missing}");
    }

    let t = TestApp::new();
    let second = buried(&t).await;
    t.app.dead_letter_drop(&call(), Queue::Default, &second).await.unwrap();
    assert_eq!((t.app.dead_letters(&call()).await.unwrap().len(), waiting(&t).await), (0, 0));
}

#[tokio::test]
async fn all_are_put_back_to_work_at_once() {
    let t = TestApp::new();
    for _ in 0..3 {
        buried(&t).await;
    }
    assert_eq!(t.app.dead_letters_retry(&call()).await.unwrap(), 3);
    assert_eq!((t.app.dead_letters(&call()).await.unwrap().len(), waiting(&t).await), (0, 3));
}
