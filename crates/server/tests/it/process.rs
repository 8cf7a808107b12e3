//! The binary: starting, refusing to start, stopping.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::helpers::process::{Process, emcrm, run, start};

fn connect(server: &Process) -> TcpStream {
    TcpStream::connect(server.address.trim_start_matches("http://")).unwrap()
}

fn ask(server: &Process, request: &str) -> String {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn an_empty_folder_is_enough_to_start_and_a_signal_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(emcrm(folder.path()));
    assert!(ask(&server, HEALTH).starts_with("HTTP/1.1 200 OK\r\n"));
    let key = folder.path().join("data/secret.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&key).unwrap();
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
    let mut server = start(emcrm(folder.path()));
    server.signal("INT");
    assert_eq!(server.end().0.code(), Some(0));
    assert_eq!(std::fs::read(&key).unwrap(), before, "the key stays");
}

/// Until the server has a request in hand, besides the one that asks.
fn wait_until_in_hand(server: &Process) {
    for _ in 0..6_000 {
        let metrics = ask(server, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let in_hand = metrics.lines().find_map(|line| line.strip_prefix("emcrm_http_requests_in_hand ")).map(|n| n.parse::<f64>().unwrap());
        if in_hand.is_some_and(|n| n >= 2.0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the server does not have the request in hand");
}

#[test]
fn a_request_in_hand_ends_before_the_server_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(emcrm(folder.path()));
    let body = r#"{"firstName":"A","lastName":"","email":"a@example.org"}"#;
    let mut stream = connect(&server);
    write!(stream, "POST /users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    let (first, rest) = body.split_at(10);
    stream.write_all(first.as_bytes()).unwrap();
    wait_until_in_hand(&server);
    server.signal("TERM");
    // New connections are refused from now on; the one in hand is not.
    while TcpStream::connect(server.address.trim_start_matches("http://")).is_ok() {
        std::thread::yield_now();
    }
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = emcrm(folder.path());
    command.env("APP_SHUTDOWN_TIMEOUT", "3600");
    let mut server = start(command);
    let mut stream = connect(&server);
    stream.write_all(b"POST /users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{").unwrap();
    wait_until_in_hand(&server);
    server.signal("TERM");
    while TcpStream::connect(server.address.trim_start_matches("http://")).is_ok() {
        std::thread::yield_now();
    }
    server.signal("TERM");
    let (status, said) = server.end();
    assert_eq!((status.code(), said.trim()), (Some(1), "Ended at once."));
}

#[test]
fn a_request_that_is_not_http_or_too_large_is_refused_without_harm() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(emcrm(folder.path()));
    assert!(ask(&server, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    let many = "X-Y: 1\r\n".repeat(200);
    assert!(ask(&server, &format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).starts_with("HTTP/1.1 431"));
    assert!(ask(&server, HEALTH).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_wrong_setting_ends_with_2_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = emcrm(folder.path());
    command.env("APP_API_PORT", "eighty").env("APP_DEBUG", "perhaps");
    let (status, _, said) = run(command);
    assert_eq!(status, 2);
    assert!(said.contains("APP_API_PORT: \"eighty\" (from the environment)") && said.contains("APP_DEBUG"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

#[test]
fn a_port_in_use_ends_with_4_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = emcrm(folder.path());
    command.env("APP_API_PORT", taken.local_addr().unwrap().port().to_string());
    let (status, _, said) = run(command);
    assert_eq!(status, 4);
    assert!(said.contains("is in use by another program") && said.contains("APP_API_PORT"), "{said}");
}

#[test]
fn a_data_folder_in_use_ends_with_3_and_names_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(emcrm(folder.path()));
    let (status, _, said) = run(emcrm(folder.path()));
    assert_eq!(status, 3);
    assert!(said.contains(&server.child.id().to_string()) && said.contains("APP_DATA_DIR"), "{said}");
    assert!(ask(&server, HEALTH).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_database_that_is_not_one_ends_with_3_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("emcrm.db"), "something else entirely").unwrap();
    let (status, _, said) = run(emcrm(folder.path()));
    assert_eq!(status, 3);
    assert!(said.contains("emcrm.db") && said.contains("left as it is"), "{said}");
    assert_eq!(std::fs::read_to_string(data.join("emcrm.db")).unwrap(), "something else entirely");
}

#[test]
fn a_data_folder_that_cannot_be_made_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    let (status, _, said) = run(emcrm(folder.path()));
    assert_eq!(status, 3);
    assert!(said.contains("APP_DATA_DIR"), "{said}");
}

#[test]
fn the_document_is_printed_without_starting_anything() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = emcrm(folder.path());
    command.arg("openapi");
    let (status, text, _) = run(command);
    assert_eq!(status, 0);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["info"]["title"], "EMCRM API");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn help_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    for command_name in ["serve", "generate", "verify", "backup", "restore", "reindex", "doctor", "openapi", "completions"] {
        let mut command = emcrm(folder.path());
        command.args([command_name, "--help"]);
        let (status, text, _) = run(command);
        assert!(status == 0 && text.contains("Example") && text.contains(&format!("emcrm {command_name}")), "{text}");
    }
}
