//! A server that answers what it is told, for what a real cluster cannot be made to show.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Requests as they came: head and body.
pub type Seen = Arc<Mutex<Vec<String>>>;

/// Answers each request by the first function that answers it: path and how many came before.
pub async fn serve(answer: impl Fn(&str, usize) -> (u16, String) + Send + Sync + 'static) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let answer = Arc::new(answer);
    let kept = seen.clone();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let (answer, seen) = (answer.clone(), kept.clone());
            tokio::spawn(async move {
                let mut text = Vec::new();
                let mut buffer = [0; 8_192];
                loop {
                    let head_end = loop {
                        if let Some(at) = text.windows(4).position(|window| window == b"\r\n\r\n") {
                            break at + 4;
                        }
                        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                        text.extend_from_slice(&buffer[..read]);
                    };
                    let head = String::from_utf8_lossy(&text[..head_end]).into_owned();
                    let length =
                        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse::<usize>().unwrap()));
                    let end = head_end + length.unwrap_or(0);
                    while text.len() < end {
                        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                        text.extend_from_slice(&buffer[..read]);
                    }
                    let request = String::from_utf8_lossy(&text[..end]).into_owned();
                    text.drain(..end);
                    let path = request.split_whitespace().nth(1).unwrap_or_default().to_owned();
                    let before = {
                        let mut seen = seen.lock();
                        let before = seen.iter().filter(|other| other.split_whitespace().nth(1) == Some(&path)).count();
                        seen.push(request);
                        before
                    };
                    let (status, body) = answer(&path, before);
                    let response = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    if stream.write_all(response.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}
