//! What holds when many write at once.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::{Bench, attrs};
use crate::{
    engine::{Engine, Guard, Item, Table, Transaction},
    rules::Rule,
};

const TASKS: usize = 16;

pub async fn sixteen_writers_lose_no_addition(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let key = bench.key("count");
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (engine, key) = (bench.engine.clone(), key.clone());
        tasks.spawn(async move {
            for _ in 0..20 {
                let mut tx = Transaction::new();
                tx.add(Table::Main, key.clone(), "count", 3);
                engine.transact(tx).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(bench.read(Table::Main, &key).await, json!({"count": TASKS * 20 * 3}));
}

pub async fn one_of_many_claims_wins(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    for round in 0..5 {
        let claim = bench.key(&format!("claim {round}"));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (bench, claim) = (bench.clone(), claim.clone());
            tasks.spawn(async move {
                let mut tx = Transaction::new();
                tx.put(Table::Main, Item { key: claim, attrs: attrs(json!({"by": task})) }).when(Guard::Absent).or(Rule::EmailTaken);
                tx.put(Table::Main, Item { key: bench.key(&format!("user {round} {task}")), attrs: attrs(json!({})) });
                match bench.engine.transact(tx).await {
                    Ok(()) => Some(task),
                    Err(error) => {
                        assert_eq!(error.rule(), Some(Rule::EmailTaken), "{error}");
                        None
                    }
                }
            });
        }
        let winners: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(bench.read(Table::Main, &claim).await, json!({"by": winners[0]}));
        for task in 0..TASKS {
            let made = bench.read(Table::Main, &bench.key(&format!("user {round} {task}"))).await;
            assert_eq!(!made.is_null(), task == winners[0], "a loser leaves nothing");
        }
    }
}

pub async fn a_limit_is_never_passed_by_concurrent_additions(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let event = bench.key("event");
    bench.put(Table::Main, &event, json!({"max": 25})).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (bench, event) = (bench.clone(), event.clone());
        tasks.spawn(async move {
            let mut inside = 0_usize;
            for round in 0..4 {
                let mut tx = Transaction::new();
                let attendance = bench.row("attendances", &format!("{task} {round}"));
                tx.put(Table::Main, Item { key: attendance, attrs: attrs(json!({})) }).when(Guard::Absent).or(Rule::AlreadyAttending);
                tx.add(Table::Main, event.clone(), "count", 1).when(Guard::below_attr("count", "max")).or(Rule::EventFull);
                match bench.engine.transact(tx).await {
                    Ok(()) => inside += 1,
                    Err(error) => assert_eq!(error.rule(), Some(Rule::EventFull), "{error}"),
                }
            }
            inside
        });
    }
    let inside: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(inside, 25);
    assert_eq!(bench.read(Table::Main, &event).await, json!({"max": 25, "count": 25}));
    let rows = bench.rows(crate::engine::Query::table(Table::Main, bench.own("attendances"))).await;
    assert_eq!(rows.items.len(), 25);
}

pub async fn transactions_that_touch_the_same_items_stay_whole(engine: Arc<dyn Engine>) {
    let bench = Bench::new(engine);
    let accounts: Vec<_> = (0..4).map(|number| bench.key(&format!("account {number}"))).collect();
    for account in &accounts {
        bench.put(Table::Main, account, json!({"balance": 10})).await;
    }
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (bench, accounts) = (bench.clone(), accounts.clone());
        tasks.spawn(async move {
            for round in 0..6 {
                let (from, to) = (task % 4, (task + 1 + round % 3) % 4);
                let mut tx = Transaction::new();
                tx.add(Table::Main, accounts[from].clone(), "balance", -3).when(Guard::AtLeast("balance".to_owned(), 3)).or(Rule::CapacityTooLow);
                tx.add(Table::Main, accounts[to].clone(), "balance", 3);
                if let Err(error) = bench.engine.transact(tx).await {
                    assert_eq!(error.rule(), Some(Rule::CapacityTooLow), "{error}");
                }
            }
        });
    }
    tasks.join_all().await;
    let items = bench.engine.get_many(Table::Main, &accounts).await.unwrap();
    let balances: Vec<_> = items.iter().flatten().map(|item| item.attrs["balance"].as_i64().unwrap()).collect();
    assert_eq!(balances.iter().sum::<i64>(), 40, "{balances:?}");
    assert!(balances.iter().all(|balance| *balance >= 0), "{balances:?}");
}

pub async fn the_engine_is_healthy(engine: Arc<dyn Engine>) {
    assert_eq!(engine.health().await, Ok(()));
    assert!(!engine.name().is_empty());
}
