//! The commands that are not the server: generate, verify, reindex, doctor, and the demo. `user` and `token` are in `commands_access`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::helpers::process::{Process, emcrm, run, start};

pub fn command(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = emcrm(folder);
    command.args(args);
    run(command)
}

/// Exit status and the JSON that was answered.
pub fn json(folder: &Path, args: &[&str]) -> (i32, Value) {
    let (status, stdout, stderr) = command(folder, args);
    (status, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}")))
}

pub fn get(server: &Process, path: &str) -> Value {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
}

const GENERATE: [&str; 9] = ["generate", "--users", "600", "--events", "10", "--attendance", "900", "--json", "--seed"];

#[test]
fn generated_data_is_the_same_for_the_same_seed_and_verifies() {
    let mut first = Vec::new();
    for seed in ["3", "3", "4"] {
        let folder = tempfile::tempdir().unwrap();
        let (status, made) = json(folder.path(), &[&GENERATE[..], &[seed]].concat());
        assert_eq!((status, &made["users"], &made["events"], &made["attendance"]), (0, &600.into(), &10.into(), &900.into()));
        let (status, again) = json(folder.path(), &[&GENERATE[..], &[seed]].concat());
        assert_eq!((status, &again["users"], &again["already_there"]), (0, &0.into(), &1510.into()));
        let (status, report) = json(folder.path(), &["verify", "--json"]);
        assert_eq!((status, &report["clean"]), (0, &true.into()), "{report}");
        assert_eq!(report["counted"]["documents"], 610);
        let server = start(emcrm(folder.path()));
        let mut users = get(&server, "/users?size=100");
        users["items"].as_array_mut().into_iter().flatten().for_each(|user| drop(user.as_object_mut().unwrap().remove("rev")));
        first.push(users["items"].to_string());
    }
    assert!(first[0] == first[1], "the same seed, the same people");
    assert!(first[0] != first[2], "another seed, other people");
}

#[test]
fn generate_shows_how_far_it_is_to_whoever_looks_and_says_how_fast_it_was() {
    let folder = tempfile::tempdir().unwrap();
    // `script` is a terminal for the command.
    let mut watched = Command::new("script");
    watched.current_dir(folder.path()).env("APP_DATA_DIR", folder.path().join("data")).env("TERM", "xterm").stdin(Stdio::null());
    watched.args([
        "--quiet",
        "--return",
        "--command",
        &format!("{} generate --users 6000 --events 2 --attendance 10", env!("CARGO_BIN_EXE_emcrm")),
        "/dev/null",
    ]);
    let (status, terminal, _) = run(watched);
    assert_eq!(status, 0, "{terminal}");
    let shown = terminal.split(['\r', '\n']).find(|line| line.contains("of 6,") && line.contains("people")).unwrap_or_else(|| panic!("{terminal:?}"));
    assert!(shown.contains("/s, ") && shown.contains(" left"), "{shown:?}");
    assert!(terminal.contains("Made 6000 people (") && terminal.contains("all searchable"), "{terminal:?}");

    let (status, made) = json(folder.path(), &[&GENERATE[..], &["9"]].concat());
    assert_eq!(status, 0);
    for rate in ["usersPerSecond", "attendancePerSecond"] {
        assert!(made[rate].as_f64().unwrap() > 0.0, "{made}");
    }
    let (_, _, piped) = command(folder.path(), &["generate", "--users", "10"]);
    assert!(!piped.contains("left"), "nobody looks: {piped}");
}

#[test]
fn exports_and_backups_stand_in_the_trail_also_while_a_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &[&GENERATE[..], &["1"]].concat());
    assert_eq!(command(folder.path(), &["export", "all.gz"]).0, 0);
    let (status, out, error) = command(folder.path(), &["backup", "quiet"]);
    assert_eq!(status, 0, "{out}{error}");
    let server = start(emcrm(folder.path()));
    let (status, out, error) = command(folder.path(), &["backup", "busy"]);
    assert_eq!(status, 0, "{out}{error}");
    let count = |list: &Value, what: &str| list["items"].as_array().unwrap().iter().filter(|entry| entry["what"] == what).count();
    let begin = std::time::Instant::now();
    let mut list = get(&server, "/audit?size=100");
    while count(&list, "data.backed_up") < 2 {
        assert!(begin.elapsed().as_secs() < 120, "{list}");
        std::thread::sleep(std::time::Duration::from_millis(50));
        list = get(&server, "/audit?size=100");
    }
    assert_eq!((count(&list, "data.backed_up"), count(&list, "data.exported")), (2, 1));
    drop(server);
    let (status, report) = json(folder.path(), &["verify", "--json"]);
    assert_eq!((status, &report["clean"]), (0, &true.into()), "{report}");
    // What is restored says that it was taken.
    for (name, taken) in [("quiet", 1), ("busy", 2)] {
        let copy = tempfile::tempdir().unwrap();
        let (status, out, error) = command(copy.path(), &["restore", folder.path().join(name).to_str().unwrap()]);
        assert_eq!(status, 0, "{out}{error}");
        let (status, report) = json(copy.path(), &["verify", "--json"]);
        assert_eq!((status, &report["clean"]), (0, &true.into()), "{report}");
        let server = start(emcrm(copy.path()));
        assert_eq!(count(&get(&server, "/audit?size=100"), "data.backed_up"), taken, "{name}");
    }
}

#[test]
fn reindex_builds_the_index_that_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &[&GENERATE[..], &["1"]].concat());
    std::fs::remove_dir_all(folder.path().join("data/search")).unwrap();
    let (status, made) = json(folder.path(), &["reindex", "--json"]);
    assert_eq!((status, &made["documents"]), (0, &610.into()));
    assert_eq!(command(folder.path(), &["verify"]).0, 0);
}

#[test]
fn a_folder_without_data_is_not_called_well() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["verify"][..], &["reindex"], &["export", "everything.gz"], &["user", "export", "anna"]] {
        let (status, stdout, stderr) = command(folder.path(), args);
        assert_eq!(status, 3, "{args:?}: {stdout}{stderr}");
        assert!(stderr.contains("There are no data in") && stderr.contains("APP_DATA_DIR"), "{stderr}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?} left something behind");
    }
    // A token may be made before the first start.
    assert_eq!(command(folder.path(), &["token", "create", "first", "--grant", "admin"]).0, 0);
    assert_eq!(command(folder.path(), &["verify"]).0, 0);
}

#[test]
fn verify_ends_with_1_when_something_was_found_and_with_0_after_the_repair() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &[&GENERATE[..], &["1"]].concat());
    {
        use emcrm_store::{Engine, Table, Transaction, keys};
        let engine = emcrm_store::sqlite::SqliteEngine::open(&folder.path().join("data")).unwrap();
        let mut tx = Transaction::new();
        tx.add(Table::Main, keys::count("users", 0), "n", 5);
        tokio::runtime::Runtime::new().unwrap().block_on(engine.transact(tx)).unwrap();
    }
    let (status, stdout, _) = command(folder.path(), &["verify"]);
    assert_eq!(status, 1, "{stdout}");
    assert!(stdout.contains("user_total: count#users: the total says 605, there are 600"), "{stdout}");
    let (status, report) = json(folder.path(), &["verify", "--repair", "--json"]);
    assert_eq!((status, &report["repaired"]), (1, &1.into()), "{report}");
    assert_eq!(command(folder.path(), &["verify"]).0, 0);
}

#[test]
fn while_a_server_runs_the_others_say_so_and_doctor_asks_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let on_port = || {
        let mut command = emcrm(folder.path());
        command.env("APP_API_PORT", &port);
        command
    };
    let mut server = start(on_port());
    for name in ["verify", "reindex", "generate"] {
        let (status, _, stderr) = command(folder.path(), &[name]);
        assert_eq!(status, 3, "{stderr}");
        assert!(stderr.contains("in use by another process") && stderr.contains("Stop that process first"), "{stderr}");
    }
    let mut doctor = on_port();
    doctor.arg("doctor");
    let (status, stdout, stderr) = run(doctor);
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert!(stdout.contains("is ready") && stdout.contains("Nothing is wrong."), "{stdout}");
    for told in ["queue index: ", "queue mail: ", "queue default: ", "0 campaigns are being sent; handed over since the server was started: nothing"] {
        assert!(stdout.contains(told), "{told} in {stdout}");
    }
    let live = || {
        let mut live = on_port();
        live.args(["doctor", "--live"]);
        run(live).0
    };
    assert_eq!(live(), 0);
    server.signal("TERM");
    assert!(server.end().0.success());
    assert_eq!(live(), 1);
}

#[test]
fn doctor_tells_what_a_running_server_has_given_up_and_asks_with_its_token() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &[&GENERATE[..], &["1"]].concat());
    {
        use emcrm_store::{Engine, Queue, Tasks, Transaction, keys};
        let engine = std::sync::Arc::new(emcrm_store::sqlite::SqliteEngine::open(&folder.path().join("data")).unwrap());
        let tasks = Tasks::new(engine.clone(), std::sync::Arc::new(emcrm_model::RandomIds));
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut tx = Transaction::new();
            tasks.put(&mut tx, Queue::Default, "a test", "poem", serde_json::json!({}), 1);
            engine.transact(tx).await.unwrap();
            let task = tasks.first(Queue::Default, keys::shard_of("a test")).await.unwrap().unwrap();
            tasks.bury(&task, "nobody can do it").await.unwrap();
        });
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let with = |token: &str| {
        let mut command = emcrm(folder.path());
        command.env("APP_API_PORT", &port).env("APP_METRICS_TOKEN", token);
        command
    };
    let doctor = |token: &str| {
        let mut command = with(token);
        command.arg("doctor");
        run(command)
    };
    let _server = start(with("the token"));
    let (status, stdout, stderr) = doctor("the token");
    assert_eq!(status, 1, "{stdout}{stderr}");
    assert!(stdout.contains("queue default: 1 tasks were given up") && stdout.contains("Settings, Background tasks"), "{stdout}");
    let (status, stdout, stderr) = doctor("another one");
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert!(stdout.contains("is ready") && stdout.contains("its APP_METRICS_TOKEN is another one"), "{stdout}");
    assert!(!stdout.contains("the token") && !stdout.contains("given up"), "{stdout}");
}

#[test]
fn doctor_tells_a_new_folder_a_good_one_and_a_damaged_one_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (status, stdout, _) = command(folder.path(), &["doctor"]);
    assert_eq!(status, 0, "{stdout}");
    assert!(stdout.contains("is not there yet; the first start makes it"), "{stdout}");
    assert!(!folder.path().join("data").exists(), "looking makes nothing");

    json(folder.path(), &[&GENERATE[..], &["1"]].concat());
    let (status, report) = json(folder.path(), &["doctor", "--json"]);
    assert_eq!((status, &report["well"]), (0, &true.into()), "{report}");
    assert!(report.to_string().contains("sqlite answers; 600 people"), "{report}");

    std::fs::write(folder.path().join("data/emcrm.db"), b"this is not a database, it is a poem").unwrap();
    let (status, stdout, _) = command(folder.path(), &["doctor"]);
    assert_eq!(status, 1, "{stdout}");
    assert!(stdout.contains("FAULT") && stdout.contains("Restore it from a backup"), "{stdout}");
}

#[test]
fn a_demo_is_full_of_people_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = emcrm(folder.path());
    demo.args(["serve", "--demo"]).env("TMPDIR", folder.path());
    let mut server = start(demo);
    assert_eq!(get(&server, "/users")["total"], 300);
    assert_eq!(get(&server, "/events")["total"], 12);
    let campaigns = get(&server, "/email/requests");
    let campaigns = campaigns["items"].as_array().unwrap();
    assert_eq!(campaigns.len(), 2);
    let sent: u64 = campaigns.iter().map(|campaign| campaign["counts"]["sent"].as_u64().unwrap()).sum();
    let made: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(made.len(), 1, "one folder, and not the configured one: {made:?}");
    assert_eq!(std::fs::read_dir(made[0].join("outbox")).unwrap().count() as u64, sent);
    assert!(sent > 10, "{sent}");
    server.signal("TERM");
    let (status, told) = server.end();
    assert!(status.success());
    assert!(told.contains("/search/users?city=Austin") && told.contains("outbox"), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "thrown away");
}

#[test]
fn shells_learn_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (status, stdout, stderr) = command(folder.path(), &["completions", shell]);
        assert_eq!(status, 0, "{stderr}");
        for word in ["serve", "backup", "restore", "init-db", "completions"] {
            assert!(stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn what_only_looks_makes_no_folder_and_what_is_missing_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["token", "list"][..], &["token", "revoke", "x"], &["backup", "b"], &["restored", "--at", "2026-11-25T10:00:00Z"]] {
        let (code, _, told) = command(folder.path(), args);
        assert_eq!(code, 3, "{args:?}: {told}");
        assert_eq!(told.matches("emcrm.db").count().min(2), usize::from(args[0] == "backup"), "{told}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
    }
    let (code, _, told) = command(folder.path(), &["restored", "--at", "banana"]);
    assert!(code == 2 && told.contains("2026-11-25T10:00:00Z"), "{code}: {told}");
}

#[cfg(unix)]
#[test]
fn what_is_written_is_for_its_owner_in_a_folder_of_the_operators_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(command(folder.path(), &["generate", "--users", "3", "--events", "1"]).0, 0);
    let mut folders = vec![data];
    let mut seen = 0;
    while let Some(looked_at) = folders.pop() {
        for entry in std::fs::read_dir(looked_at).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            assert_eq!(meta.permissions().mode() & 0o077, 0, "{}", entry.path().display());
            seen += 1;
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(seen > 3);
}
