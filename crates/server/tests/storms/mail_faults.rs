//! A mail server that answers slowly, refuses for now or for good, hangs up, or has not enough for all: each ends as docs/RELIABILITY.md says.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::scripted::{Act, Moment, Server, say};
use crate::support::{Process, Sink, assert_verified, client, embedded, folder, get, post_ok};

const PEOPLE: usize = 40;
/// Those at each of two domains: more than may be refused in a row.
const EACH: usize = 105;

/// A campaign to everybody through a sink with these options, until `over` holds. Returns the campaign and the number of mails that arrived whole.
async fn campaign(options: &[&str], over: impl Fn(&Value) -> bool) -> (Value, Vec<Value>, usize) {
    let folder = folder();
    let sink = Sink::start_with(&folder.path().join("mail"), options);
    let (ended, rows) = campaign_through(&sink.url(), folder.path(), over).await;
    (ended, rows, sink.seen().len())
}

/// The same through the mail server at this address. Returns the campaign and its rows.
async fn campaign_through(url: &str, folder: &Path, over: impl Fn(&Value) -> bool) -> (Value, Vec<Value>) {
    campaign_until(url, folder, over, |_| true).await
}

/// The same until something holds of the campaign, and then something of its rows.
async fn campaign_until(url: &str, folder: &Path, over: impl Fn(&Value) -> bool, rows_say: impl Fn(&[Value]) -> bool) -> (Value, Vec<Value>) {
    let people: Vec<String> = (0..PEOPLE).map(|i| format!("a{i}@example.org")).collect();
    campaign_to(&people, url, folder, over, rows_say).await
}

/// The same to these addresses, in their order. Returns the first hundred rows.
async fn campaign_to(people: &[String], url: &str, folder: &Path, over: impl Fn(&Value) -> bool, rows_say: impl Fn(&[Value]) -> bool) -> (Value, Vec<Value>) {
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    embedded(&data);
    let client = client();
    let server = Process::start(&data, Some(url)).await;
    for (i, email) in people.iter().enumerate() {
        let user = json!({ "id": format!("a{i:03}"), "firstName": "Ann", "lastName": i.to_string(), "email": email });
        post_ok(&client, format!("{}/users/", server.base), &user).await;
    }
    let made = post_ok(&client, format!("{}/email/send", server.base), &json!({ "filter": {}, "subject": "Hi", "body": "Come." })).await;
    let at = format!("{}/email/requests/{}", server.base, made["email_id"].as_str().unwrap());
    let begin = Instant::now();
    let ended = loop {
        let now = get(&client, at.clone()).await;
        if over(&now) {
            let rows = get(&client, format!("{}/email/status/{}?size=100", server.base, made["email_id"].as_str().unwrap())).await;
            let rows = rows["items"].as_array().unwrap().clone();
            if rows_say(&rows) {
                break (now, rows);
            }
        }
        assert!(begin.elapsed() < Duration::from_mins(5), "{now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    server.stop();
    assert_verified(&data);
    ended
}

/// A campaign on so many connections through a mail server with these manners: everybody is sent to, at the first attempt that is one, and once.
async fn everybody_is_sent_to_once(manners: impl Fn(&Moment<'_>) -> Act + Send + Sync + 'static, connections: usize) {
    let folder = folder();
    let mail = Server::start(manners).await;
    let url = format!("smtp://127.0.0.1:{}?connections={connections}", mail.port);
    let (campaign, rows) = campaign_through(&url, folder.path(), |now| now["status"] == "sent").await;
    assert_eq!(count(&campaign, "sent"), PEOPLE, "{campaign}");
    assert!(rows.iter().all(|row| row["status"] == "sent" && row["attempts"] == 1), "{rows:?}");
    let to: Vec<String> = mail.arrived().into_iter().map(|taken| taken.to).collect();
    assert_eq!((to.len(), to.iter().collect::<HashSet<_>>().len()), (PEOPLE, PEOPLE), "each once: {to:?}");
}

/// A campaign through a server that says this to whoever is at `one.example`, and takes all others: those at `two.example`, each once. Returns the campaign, its
/// first hundred rows, and how many recipients were refused.
async fn one_domain_is_told(
    words: &'static str,
    people: &[String],
    over: impl Fn(&Value) -> bool,
    rows_say: impl Fn(&[Value]) -> bool,
) -> (Value, Vec<Value>, usize) {
    let folder = folder();
    let told = Arc::new(AtomicUsize::new(0));
    let counter = told.clone();
    let manners = move |moment: &Moment<'_>| {
        if moment.verb == "RCPT" && moment.line.contains("@one.example>") {
            counter.fetch_add(1, Ordering::Relaxed);
            return say(words);
        }
        Act::Behave
    };
    let mail = Server::start(manners).await;
    let url = format!("smtp://127.0.0.1:{}?connections=4", mail.port);
    let (campaign, rows) = campaign_to(people, &url, folder.path(), over, rows_say).await;
    let mut arrived: Vec<String> = mail.arrived().into_iter().map(|taken| taken.to).collect();
    arrived.sort_unstable();
    let mut two: Vec<String> = people.iter().filter(|to| to.ends_with("@two.example")).cloned().collect();
    two.sort_unstable();
    assert_eq!(arrived, two, "each once");
    assert_eq!(count(&campaign, "sent"), two.len(), "{campaign}");
    assert!(rows.iter().filter(|row| !is_at_one(row)).all(|row| row["status"] == "sent" && row["attempts"] == 1), "{rows:?}");
    (campaign, rows, told.load(Ordering::Relaxed))
}

fn is_at_one(row: &Value) -> bool {
    row["email"].as_str().unwrap().ends_with("@one.example")
}

/// Everybody at the other domain was sent to, and those at this one wait.
fn one_waits(now: &Value) -> bool {
    count(now, "sent") == EACH && count(now, "pending") == EACH && count(now, "sending") == 0
}

/// People at both domains, in turn.
fn in_turn() -> Vec<String> {
    (0..EACH).flat_map(|i| ["one", "two"].map(|domain| format!("a{i}@{domain}.example"))).collect()
}

fn count(campaign: &Value, state: &str) -> usize {
    campaign["counts"][state].as_u64().unwrap() as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_mail_server_takes_everything_in_its_time() {
    let (campaign, _, arrived) = campaign(&["-w", "1"], |now| now["status"] == "sent").await;
    assert_eq!((count(&campaign, "sent"), arrived), (PEOPLE, PEOPLE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_for_good_is_an_error_in_the_servers_own_words() {
    let (campaign, rows, arrived) = campaign(&["-f", "RCPT", "-B", "550 5.1.1 no such user"], |now| now["status"] == "error").await;
    assert_eq!((count(&campaign, "error"), arrived), (PEOPLE, 0));
    assert!(rows.iter().all(|row| row["status"] == "error" && row["attempts"] == 1 && row["error"] == "550 5.1.1 no such user"), "{:?}", rows.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_for_now_waits_for_another_try() {
    let folder = folder();
    let sink = Sink::start_with(&folder.path().join("mail"), &["-r", "RCPT", "-b", "450 4.2.1 later"]);
    let waiting = |now: &Value| now["status"] == "sending" && count(now, "pending") == PEOPLE && count(now, "sending") == 0;
    // Also before the first try they all wait; so it is looked at what their rows say.
    let tried = |rows: &[Value]| rows.iter().filter(|row| row["attempts"] == 1 && row["error"] == "450 4.2.1 later").count() > PEOPLE / 2;
    let (campaign, rows) = campaign_until(&sink.url(), folder.path(), waiting, tried).await;
    assert_eq!((count(&campaign, "pending"), sink.seen().len()), (PEOPLE, 0));
    assert!(tried(&rows), "{:?}", rows.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_after_the_data_leaves_rows_that_nobody_sends_again() {
    let (campaign, rows, _) = campaign(&["-q", "."], |now| now["status"] == "sent" || now["status"] == "error").await;
    assert_eq!(count(&campaign, "unknown"), PEOPLE, "{campaign}");
    assert!(rows.iter().all(|row| row["status"] == "unknown" && row["attempts"] == 1), "{:?}", rows.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_before_the_data_delays_the_campaign_and_sends_nothing_twice() {
    let (campaign, rows, arrived) = campaign(&["-q", "DATA"], |now| {
        std::thread::sleep(Duration::from_millis(400));
        now["status"] == "sending" && count(now, "pending") == PEOPLE
    })
    .await;
    assert_eq!((count(&campaign, "pending"), arrived), (PEOPLE, 0));
    assert!(rows.iter().all(|row| row["attempts"] == 0), "a mail that never left is no attempt: {:?}", rows.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_takes_a_few_mails_on_each_connection_gets_all_of_them_on_new_ones() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counter = refused.clone();
    let manners = move |moment: &Moment<'_>| {
        if moment.verb == "MAIL" && moment.mails >= 3 {
            counter.fetch_add(1, Ordering::Relaxed);
            return Act::SayAndHangUp("421 4.7.0 enough for one connection\r\n".to_owned());
        }
        Act::Behave
    };
    // Four connections, so that each would have ten mails.
    everybody_is_sent_to_once(manners, 4).await;
    assert!(refused.load(Ordering::Relaxed) > 0, "it meant it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_gives_three_of_twenty_connections_gets_everything_on_these() {
    let open: Mutex<HashSet<usize>> = Mutex::default();
    let turned_away = Arc::new(AtomicUsize::new(0));
    let counter = turned_away.clone();
    let manners = move |moment: &Moment<'_>| {
        let mut open = open.lock();
        match moment.verb {
            "CONNECT" if open.len() < 3 => {
                open.insert(moment.connection);
                Act::Behave
            }
            // With words, or without.
            "CONNECT" if counter.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => Act::SayAndHangUp("421 4.7.0 too many connections\r\n".to_owned()),
            "CONNECT" => Act::HangUp,
            "QUIT" => {
                open.remove(&moment.connection);
                Act::Behave
            }
            _ => Act::Behave,
        }
    };
    everybody_is_sent_to_once(manners, 20).await;
    assert!(turned_away.load(Ordering::Relaxed) > 0, "it meant it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_recipient_at_whom_the_server_hangs_up_waits_and_all_others_are_sent_to() {
    let folder = folder();
    let manners = |moment: &Moment<'_>| if moment.verb == "RCPT" && moment.line.contains("<a7@") { Act::HangUp } else { Act::Behave };
    let mail = Server::start(manners).await;
    let url = format!("smtp://127.0.0.1:{}?connections=4", mail.port);
    // It is tried again later, as somebody of whom the server says "later".
    let waits = |row: &Value| row["status"] == "pending" && row["attempts"].as_u64().is_some_and(|attempts| attempts > 0);
    let (campaign, rows) = campaign_until(&url, folder.path(), |now| count(now, "sent") == PEOPLE - 1, |rows| rows.iter().any(waits)).await;
    assert_eq!((count(&campaign, "sent"), campaign["status"].as_str()), (PEOPLE - 1, Some("sending")), "{campaign}");
    let bad = rows.iter().find(|row| row["email"] == "a7@example.org").unwrap();
    assert!(waits(bad) && bad["error"].as_str().unwrap().starts_with("the mail server ends the connection at this mail: "), "{bad}");
    assert!(rows.iter().all(|row| waits(row) || (row["status"] == "sent" && row["attempts"] == 1)), "{rows:?}");
    let to: HashSet<String> = mail.arrived().into_iter().map(|taken| taken.to).collect();
    assert_eq!((mail.arrived().len(), to.len()), (PEOPLE - 1, PEOPLE - 1), "each once: {to:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_domain_that_is_refused_for_good_loses_its_mails_and_all_others_are_sent_to() {
    let words = "550 5.7.1 nobody at one.example takes mail from here";
    let ended = |now: &Value| ["sent", "error", "paused"].iter().any(|state| now["status"] == *state);
    let (campaign, rows, told) = one_domain_is_told(words, &in_turn(), ended, |_| true).await;
    assert_eq!((campaign["status"].as_str(), count(&campaign, "error"), told), (Some("sent"), EACH, EACH), "{campaign}");
    let lost = |row: &Value| row["status"] == "error" && row["attempts"] == 1 && row["error"] == words;
    assert!(rows.iter().filter(|row| is_at_one(row)).all(lost), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_domain_whose_mailboxes_are_refused_for_now_waits_and_all_others_are_sent_to() {
    let words = "450 4.2.1 later";
    // A few of the others first, then more than a hundred refusals in a row.
    let at = |domain: &'static str, range: std::ops::Range<usize>| range.map(move |i| format!("a{i}@{domain}.example"));
    let people: Vec<String> = at("two", 0..8).chain(at("one", 0..EACH)).chain(at("two", 8..EACH)).collect();
    let waits = |row: &Value| row["status"] == "pending" && row["attempts"] == 1 && row["error"] == words;
    let (campaign, rows, told) = one_domain_is_told(words, &people, one_waits, |rows| rows.iter().filter(|row| is_at_one(row)).all(waits)).await;
    assert_eq!((campaign["status"].as_str(), told), (Some("sending"), EACH), "{campaign}");
    assert_eq!(rows.iter().filter(|row| is_at_one(row)).count(), 92);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_domain_that_says_later_is_left_alone_and_all_others_are_sent_to() {
    let words = "451 4.7.1 greylisted";
    let (campaign, rows, told) = one_domain_is_told(words, &in_turn(), one_waits, |_| true).await;
    assert_eq!(campaign["status"], "sending", "{campaign}");
    // Those that were in hand when it said so first; it is asked for no other.
    assert!((1..=16).contains(&told), "{told}");
    let of_one: Vec<&Value> = rows.iter().filter(|row| is_at_one(row)).collect();
    assert!(of_one.iter().all(|row| row["status"] == "pending"), "{of_one:?}");
    let tried = of_one.iter().filter(|row| row["attempts"] == 1 && row["error"] == words).count();
    assert_eq!((tried, of_one.iter().filter(|row| row["attempts"] == 0).count()), (told, of_one.len() - told), "{of_one:?}");
}
