//! One campaign to ten thousand people, and a worker that is killed with `kill -9` all the way: before claims, between claim and hand-over, between
//! hand-over and record, and, by further campaigns that begin just before, while audiences are frozen. After each kill a process that runs no tasks says
//! what the dead one left. With the control: a server that forgets its claims, under which the same storm mails people twice.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use emcrm_app::App;
use emcrm_mail::message_id;
use emcrm_server::cli::open;
use emcrm_server::config::{Config, Sources};
use emcrm_server::serve::{ServeSettings, Server, listen};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::forgetful::Forgetful;
use crate::support::{Process, Sink, assert_verified, client, folder, get, on_aws, post_ok, rounds, run, soaks, walk};

const PEOPLE: usize = 10_000;
const CONNECTIONS: usize = 20;
/// The control ends with the first mail that somebody got twice, and after so many kills in any case.
const CONTROL_KILLS: usize = 400;
/// Kills after which the control's campaign is through, or nearly, and another one begins.
const CONTROL_CAMPAIGN: usize = 40;
const THE_LONG_ONE: &str = "The long one";

/// Ten thousand people, and the mail server that takes what is for them.
struct Storm {
    data: PathBuf,
    sink: Sink,
    client: reqwest::Client,
    random: StdRng,
    /// Gone with the storm.
    _folder: tempfile::TempDir,
}

/// What processes left when they were killed.
#[derive(Default)]
struct Left {
    kills: Vec<Kill>,
    /// All rows that were in hand at a kill: campaign and person. They never wait again, so each belongs to one kill.
    in_hand: HashSet<(String, String)>,
    /// How much of an audience was there when its campaign was last seen freezing.
    frozen: HashMap<String, u64>,
}

/// What one of them left.
#[derive(Default)]
struct Kill {
    /// It was choosing an audience.
    freezing: bool,
    /// Rows that it had claimed and not recorded.
    in_hand: Vec<(String, String)>,
}

/// Kills by where they hit. One may hit in several places: there are twenty connections.
#[derive(Debug, Default)]
struct Hits {
    while_freezing: usize,
    /// Claimed, and the mail server never had the mail.
    before_hand_over: usize,
    /// The mail server had it, and the ledger did not know.
    before_record: usize,
    /// Nothing was in hand and nothing being frozen: before a claim, or at rest.
    before_claim: usize,
}

impl Storm {
    fn begin() -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let generated = run(&data, &["generate", "--users", &PEOPLE.to_string(), "--events", "0", "--attendance", "0", "--seed", "5"]);
        assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
        let sink = Sink::start(&folder.path().join("mail"));
        Self { data, sink, client: client(), random: StdRng::seed_from_u64(20_261_124), _folder: folder }
    }

    /// Most milliseconds that a process lives. Where tables are shared a worker needs a second or two until it has its leases and begins.
    fn alive() -> u64 {
        if on_aws() { 3_000 } else { 250 }
    }

    /// Mails per second with which the long campaign lasts as long as the killing does.
    fn rate(kills: usize) -> usize {
        PEOPLE / (kills / 5).max(1) + 200
    }

    async fn server(&self) -> Process {
        Process::start(&self.data, Some(&self.sink.url())).await
    }

    async fn begin_long_one(&self, base: &str, rate: usize) {
        let answer = send(self.client.clone(), base.to_owned(), THE_LONG_ONE.to_owned(), rate).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// Lives for a moment, then does not.
    async fn live_and_die(&mut self, server: Process, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.random_range(1..most))).await;
        server.kill();
    }

    /// Begins a campaign, and dies a moment after the choice of its audience has begun.
    async fn die_freezing(&mut self, server: Process, subject: String) {
        let sending = tokio::spawn(send(self.client.clone(), server.base.clone(), subject.clone(), 1));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            let newest = get(&self.client, format!("{}/email/requests?size=1", server.base)).await["items"][0].clone();
            if newest["subject"] == subject.as_str() && newest["status"] != "pending" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(self.random.random_range(0..Self::alive() / 10))).await;
        server.kill();
        // Whether it was answered is all the same.
        let _ = sending.await.unwrap();
    }

    /// What the process that was just killed left. Nothing is settled meanwhile: the process that is asked runs no tasks.
    async fn look(&self, left: &mut Left) {
        let server = Process::start_as("api", &self.data, Some(&self.sink.url()), &[]).await;
        let mut kill = Kill::default();
        for campaign in self.campaigns(&server).await {
            let id = text(&campaign["email_id"]);
            let total = campaign["totalRecipients"].as_u64().unwrap();
            let status = campaign["status"].as_str().unwrap();
            // By this process, and not by one before it, if there is more of the audience than before.
            kill.freezing |= status == "freezing" && left.frozen.insert(id.clone(), total) != Some(total);
            if campaign["counts"]["sending"] != 0 {
                let each = |row: &Value| {
                    let row = (id.clone(), text(&row["user_id"]));
                    if left.in_hand.insert(row.clone()) {
                        kill.in_hand.push(row);
                    }
                };
                walk(&self.client, &format!("{}/email/status/{id}?status=sending", server.base), 100, each, false).await;
            }
            // Its audience is complete. Cancelled, so that the long one keeps its connections; the next worker carries it out.
            if status == "sending" && campaign["subject"] != THE_LONG_ONE {
                post_ok(&self.client, format!("{}/email/requests/{id}/cancel", server.base), &json!({})).await;
            }
        }
        assert!(kill.in_hand.len() <= CONNECTIONS, "{} rows were in hand at one kill: {:?}", kill.in_hand.len(), kill.in_hand);
        left.kills.push(kill);
    }

    async fn campaigns(&self, server: &Process) -> Vec<Value> {
        let listed = get(&self.client, format!("{}/email/requests?size=100", server.base)).await;
        listed["items"].as_array().unwrap().clone()
    }
}

impl Left {
    /// `mails`: the Message-IDs of all mails that the mail server had; `domain`: what stands behind the `@` in them.
    fn hits(&self, mails: &HashSet<String>, domain: &str) -> Hits {
        let mut hits = Hits::default();
        for kill in &self.kills {
            let had = kill.in_hand.iter().filter(|(campaign, user)| mails.contains(&mail_of(campaign, user, domain))).count();
            hits.while_freezing += usize::from(kill.freezing);
            hits.before_record += usize::from(had > 0);
            hits.before_hand_over += usize::from(had < kill.in_hand.len());
            hits.before_claim += usize::from(!kill.freezing && kill.in_hand.is_empty());
        }
        hits
    }
}

/// A campaign to everybody.
async fn send(client: reqwest::Client, base: String, subject: String, rate: usize) -> reqwest::Result<reqwest::Response> {
    let body = json!({ "filter": {}, "subject": subject, "body": "Dear {{ user.firstName }}, hold on.", "rate": rate });
    client.post(format!("{base}/email/send")).json(&body).send().await
}

/// As it stands in the mail.
fn mail_of(campaign: &str, user: &str, domain: &str) -> String {
    format!("<{}>", message_id(campaign, user, domain))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_are_mailed_once_whenever_the_worker_is_killed() {
    let mut storm = Storm::begin();
    let kills = rounds(if on_aws() { 30 } else { 60 }, 220);
    let begin = Instant::now();
    let mut left = Left::default();
    let mut most = Storm::alive();
    for round in 0..kills {
        let server = storm.server().await;
        if round == 0 {
            storm.begin_long_one(&server.base, Storm::rate(kills)).await;
        }
        if round % 20 == 10 {
            storm.die_freezing(server, format!("Frozen {round}")).await;
        } else {
            storm.live_and_die(server, most).await;
        }
        storm.look(&mut left).await;
        // On a machine so slow that a process dies before it does anything, the next one lives longer.
        let idle = left.kills.last().is_some_and(|kill| !kill.freezing && kill.in_hand.is_empty());
        most = if idle { most + Storm::alive() / 10 } else { Storm::alive() };
    }
    let killing = begin.elapsed();

    let server = storm.server().await;
    let campaigns = storm.campaigns(&server).await;
    for campaign in campaigns.iter().filter(|campaign| campaign["subject"] != THE_LONG_ONE && campaign["status"] != "cancelled") {
        post_ok(&storm.client, format!("{}/email/requests/{}/cancel", server.base, text(&campaign["email_id"])), &json!({})).await;
    }
    // Each recipient has one row, in each campaign; and how it ended.
    let mut states: HashMap<(String, String), String> = HashMap::new();
    for campaign in &campaigns {
        let id = text(&campaign["email_id"]);
        let done = loop {
            let now = get(&storm.client, format!("{}/email/requests/{id}", server.base)).await;
            let open = now["counts"]["pending"].as_i64().unwrap() + now["counts"]["sending"].as_i64().unwrap();
            if ["sent", "error", "cancelled"].contains(&now["status"].as_str().unwrap()) && open == 0 {
                break now;
            }
            assert!(begin.elapsed() < killing + Duration::from_mins(20), "{now}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let total = done["totalRecipients"].as_u64().unwrap() as usize;
        let counts = done["counts"].as_object().unwrap();
        assert_eq!(counts.values().map(|n| n.as_u64().unwrap() as usize).sum::<usize>(), total, "{done}");
        assert!(campaign["subject"] != THE_LONG_ONE || total == PEOPLE, "the long one goes to everybody: {done}");
        let (before, mut rows) = (states.len(), 0);
        let each = |row: &Value| {
            rows += 1;
            states.insert((id.clone(), text(&row["user_id"])), text(&row["status"]));
        };
        if total > 0 {
            walk(&storm.client, &format!("{}/email/status/{id}", server.base), 100, each, false).await;
        }
        assert!(rows == total && states.len() - before == total, "{} people in {rows} rows, and {total} in the audience", states.len() - before);
    }
    let in_state = |state: &str| states.iter().filter(|(_, found)| *found == state).map(|(row, _)| row.clone()).collect::<HashSet<_>>();
    let (sent, unknown) = (in_state("sent"), in_state("unknown"));
    assert_eq!(unknown.symmetric_difference(&left.in_hand).count(), 0, "the rows that are unknown are those that were in hand at a kill");

    // Ledger and mail server, mail by mail.
    let seen = storm.sink.seen();
    assert_eq!(seen.values().filter(|times| **times > 1).count(), 0, "mails that the mail server saw twice");
    let mails: HashSet<String> = seen.keys().map(|(_, id)| id.clone()).collect();
    let domain = mails.iter().next().and_then(|id| id.trim_matches(['<', '>']).rsplit_once('@')).map(|(_, domain)| domain.to_owned()).unwrap();
    let had = |rows: &HashSet<(String, String)>| rows.iter().filter(|(campaign, user)| mails.contains(&mail_of(campaign, user, &domain))).count();
    assert_eq!(had(&sent), sent.len(), "each row that says sent has its mail");
    assert_eq!(seen.len(), sent.len() + had(&unknown), "each mail has a row that says sent or unknown");
    let hits = left.hits(&mails, &domain);
    if soaks() {
        let each = [hits.while_freezing, hits.before_claim, hits.before_hand_over, hits.before_record];
        assert!(each.iter().all(|times| *times > 0), "the storm did not hit everywhere: {hits:?}");
    }
    server.stop();
    let verified = assert_verified(&storm.data);
    println!(
        "{kills} kills in {:.0} s: {} campaigns, {PEOPLE} recipients of the long one, {} sent, {} unknown, {} mails arrived, 0 twice\n{hits:?}, at most {} rows in hand\n{verified}",
        killing.as_secs_f64(),
        campaigns.len(),
        sent.len(),
        unknown.len(),
        seen.len(),
        left.kills.iter().map(|kill| kill.in_hand.len()).max().unwrap_or(0),
    );
}

/// A server whose claims are not written. The control starts it in a process of its own, and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "no test: the server of the control below"]
async fn a_server_that_forgets_claims() {
    let sources = Sources::of_process(None);
    if !sources.environment.iter().any(|(name, _)| name == "APP_DATA_DIR") {
        // Whoever runs all ignored tests did not mean this one.
        return;
    }
    let config = Config::load(&sources).unwrap();
    let listener = listen(config.listen().unwrap().address).await.unwrap();
    let mut parts = open::parts(&config).await.unwrap();
    parts.engine = Arc::new(Forgetful(parts.engine));
    let _server = Server::start(App::new(parts), listener, ServeSettings::of(&config)).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_storm_mails_people_twice_where_claims_are_not_written() {
    let mut storm = Storm::begin();
    let (mut kills, mut twice) = (0, 0);
    while twice == 0 && kills < CONTROL_KILLS {
        let server = Process::start_test("campaign_kills::a_server_that_forgets_claims", &storm.data, Some(&storm.sink.url())).await;
        if kills % CONTROL_CAMPAIGN == 0 {
            storm.begin_long_one(&server.base, Storm::rate(CONTROL_CAMPAIGN)).await;
        }
        // Longer from one to the next: on a machine so slow that nobody gets as far as to a mail, somebody does in the end.
        storm.live_and_die(server, Storm::alive() * (40 + kills as u64) / 40).await;
        kills += 1;
        twice = storm.sink.seen().values().filter(|times| **times > 1).count();
    }
    assert!(twice > 0, "the storm proves nothing: {kills} kills and nobody was mailed twice");
    println!("without claims: {twice} mails twice after {kills} kills");
}
