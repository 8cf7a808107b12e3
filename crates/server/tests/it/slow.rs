//! Clients that take their time, at the socket: heads that trickle in, and connections that say nothing, also many of one address.

use std::net::SocketAddr;
use std::time::Duration;

use emcrm_server::config::Config;
use emcrm_server::serve::{ServeSettings, Server, listen};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::helpers::TestApp;

const HEALTH: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

async fn server(app: &TestApp, change: impl FnOnce(&mut ServeSettings)) -> Server {
    let mut settings = ServeSettings::of(&Config::defaults().unwrap());
    settings.role = emcrm_server::config::Role::Api;
    settings.shutdown = Duration::from_millis(100);
    change(&mut settings);
    Server::start(app.app.clone(), listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap(), settings).unwrap()
}

/// Sends a head byte by byte, for at most so long; whether the server hung up.
async fn trickle(address: SocketAddr, patience: Duration) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let attack = async {
        loop {
            if stream.write_all(b"G").await.is_err() {
                return;
            }
            let mut answer = [0; 512];
            if let Ok(read) = timeout(Duration::from_millis(20), stream.read(&mut answer)).await
                && read.unwrap_or(0) == 0
            {
                return;
            }
        }
    };
    timeout(patience, attack).await.is_ok()
}

#[tokio::test]
async fn a_head_that_trickles_in_is_given_up() {
    let app = TestApp::new().await;
    let strict = server(&app, |settings| settings.head = Duration::from_millis(200)).await;
    assert!(trickle(strict.address, Duration::from_mins(1)).await);
    strict.stop().await;
    // The control: with patience it is listened to.
    let patient = server(&app, |_| {}).await;
    assert!(!trickle(patient.address, Duration::from_secs(1)).await);
    patient.stop().await;
}

async fn answered(address: SocketAddr, patience: Duration) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(HEALTH).await.unwrap();
    let mut answer = [0; 12];
    timeout(patience, stream.read_exact(&mut answer)).await.is_ok_and(|read| read.is_ok() && answer.ends_with(b"200"))
}

#[tokio::test]
async fn connections_that_say_nothing_keep_others_out_for_no_longer_than_a_head_may_take() {
    let app = TestApp::new().await;
    let server = server(&app, |settings| (settings.connections, settings.head) = (2, Duration::from_secs(8))).await;
    let _silent = [TcpStream::connect(server.address).await.unwrap(), TcpStream::connect(server.address).await.unwrap()];
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!answered(server.address, Duration::from_millis(300)).await, "more connections than allowed wait");
    assert!(answered(server.address, Duration::from_mins(1)).await, "and get their turn");
    server.stop().await;
}

/// What comes from an address of this machine's: `127.0.0.1` or another one.
async fn from(own: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((own, 0))).unwrap();
    socket.connect(address).await.unwrap()
}

/// Whether a question on this connection is answered.
async fn answers(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 12];
    let asked = async {
        stream.write_all(HEALTH).await?;
        stream.read_exact(&mut answer).await
    };
    timeout(Duration::from_secs(20), asked).await.is_ok_and(|read| read.is_ok() && answer.ends_with(b"200"))
}

#[tokio::test]
async fn one_address_cannot_take_the_connections_of_all_others() {
    const ONE: [u8; 4] = [127, 0, 0, 1];
    const OTHER: [u8; 4] = [127, 0, 0, 2];
    let app = TestApp::new().await;
    let limited = server(&app, |settings| (settings.connections, settings.connections_each, settings.count_loopback) = (4, 2, true)).await;
    let mut silent = vec![from(ONE, limited.address).await, from(ONE, limited.address).await];
    assert!(!answers(&mut from(ONE, limited.address).await).await, "a third one is closed");
    assert!(answers(&mut from(OTHER, limited.address).await).await, "and does not wait before others");
    // A place that is given back is good again.
    silent.pop();
    let mut again = false;
    for _ in 0..200 {
        again = answers(&mut from(ONE, limited.address).await).await;
        if again {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(again);
    limited.stop().await;
    // The control: where the address is not counted it takes them all, and the other one waits.
    let open = server(&app, |settings| (settings.connections, settings.connections_each) = (4, 2)).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(from(ONE, open.address).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut other = from(OTHER, open.address).await;
    assert!(timeout(Duration::from_millis(500), answers(&mut other)).await.is_err());
    drop(silent);
    open.stop().await;
}

/// Asks again and again for something large, and reads nothing. Until the server hangs up, or for at most so long; whether it did.
async fn deaf(address: SocketAddr, patience: Duration) -> bool {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let attack = async {
        // Once nothing is read any more, nothing more is taken either; an error tells that the other end has gone.
        while stream.write_all(ask).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(patience, attack).await.is_ok()
}

#[tokio::test]
async fn whoever_reads_no_answer_loses_the_connection() {
    let app = TestApp::new().await;
    let strict = server(&app, |settings| settings.answer = Duration::from_millis(300)).await;
    assert!(deaf(strict.address, Duration::from_mins(1)).await);
    strict.stop().await;
    // The control: with patience it is waited for.
    let patient = server(&app, |_| {}).await;
    assert!(!deaf(patient.address, Duration::from_secs(2)).await);
    patient.stop().await;
}
