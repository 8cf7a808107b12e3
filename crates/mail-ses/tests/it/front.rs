//! A front before moto.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Answer = (u16, &'static str, &'static str);
type Answers = Box<dyn Fn(&Value) -> Option<Answer> + Send>;
type Identities = Box<dyn Fn(&str) -> (u16, &'static str, String) + Send>;

#[derive(Default)]
struct State {
    /// Bodies of `SendEmail` that were answered 200.
    taken: Vec<Value>,
    answers: Option<Answers>,
    /// What `GetAccount` answers instead of moto: status and body.
    account: Option<(u16, String)>,
    /// What `GetEmailIdentity` answers to a name instead of moto: status, code of an error, body.
    identities: Option<Identities>,
    connections: Vec<JoinHandle<()>>,
}

pub struct Front {
    pub address: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Front {
    pub async fn before(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let kept = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = tokio::spawn(serve(stream, upstream.clone(), kept.clone()));
                kept.lock().connections.push(connection);
            }
        });
        Self { address, state, accepting }
    }

    pub fn taken(&self) -> Vec<Value> {
        self.state.lock().taken.clone()
    }

    /// What is answered instead of moto: none passes the request on.
    pub fn answer(&self, answers: impl Fn(&Value) -> Option<Answer> + Send + 'static) {
        self.state.lock().answers = Some(Box::new(answers));
    }

    pub fn account(&self, status: u16, body: &str) {
        self.state.lock().account = Some((status, body.to_owned()));
    }

    pub fn identities(&self, identities: impl Fn(&str) -> (u16, &'static str, String) + Send + 'static) {
        self.state.lock().identities = Some(Box::new(identities));
    }

    /// Nobody answers any more.
    pub fn stop(&self) {
        self.accepting.abort();
        for connection in self.state.lock().connections.drain(..) {
            connection.abort();
        }
    }

    /// moto refuses senders that it does not know.
    pub async fn verify(&self, sender: &str) {
        let body = format!(r#"{{"EmailIdentity":"{sender}"}}"#);
        let head = "POST /v2/email/identities HTTP/1.1\r\nHost: email.us-east-1.amazonaws.com\r\nContent-Type: application/json\r\n";
        let authorization = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/ses/aws4_request, SignedHeaders=host, Signature=x";
        let request = format!("{head}Authorization: {authorization}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(self.address.trim_start_matches("http://")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200") || answer.contains("AlreadyExists"), "{answer}");
    }
}

/// One message of HTTP with a body of known length: head, body.
async fn message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()).unwrap_or(0);
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    Some((head, body))
}

async fn serve(mut client: TcpStream, upstream: String, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = message(&mut client, &mut buffer).await {
        let closes = head.to_ascii_lowercase().contains("connection: close");
        let sends = head.starts_with("POST /v2/email/outbound-emails ");
        let asks = head.starts_with("GET /v2/email/account ");
        let identity = head.strip_prefix("GET /v2/email/identities/").and_then(|rest| rest.split_once(' ')).map(|(name, _)| name.replace("%40", "@"));
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let told = if sends {
            let state = state.lock();
            state
                .answers
                .as_ref()
                .and_then(|answers| answers(&request))
                .map(|(status, code, message)| (status, format!("X-Amzn-ErrorType: {code}\r\n"), format!(r#"{{"message":"{message}"}}"#)))
        } else if asks {
            state.lock().account.clone().map(|(status, body)| (status, String::new(), body))
        } else if let Some(name) = &identity {
            let state = state.lock();
            state.identities.as_ref().map(|identities| identities(name)).map(|(status, code, body)| {
                let headers = if code.is_empty() { String::new() } else { format!("X-Amzn-ErrorType: {code}\r\n") };
                (status, headers, body)
            })
        } else {
            None
        };
        let answer = match told {
            // Read, and never answered.
            Some((0, ..)) => continue,
            Some((status, headers, body)) => {
                format!("HTTP/1.1 {status} X\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
            }
            None => {
                let Ok(mut server) = TcpStream::connect(&upstream).await else { return };
                let mut whole = head.into_bytes();
                whole.extend_from_slice(&body);
                if server.write_all(&whole).await.is_err() {
                    return;
                }
                let mut buffer = Vec::new();
                let Some((head, body)) = message(&mut server, &mut buffer).await else { return };
                if sends && head.starts_with("HTTP/1.1 200") {
                    state.lock().taken.push(request);
                }
                // moto closes after each answer; to the client this is a new connection each time, as it may be.
                let mut answer = head.into_bytes();
                answer.extend_from_slice(&body);
                answer
            }
        };
        if client.write_all(&answer).await.is_err() || closes {
            return;
        }
    }
}
