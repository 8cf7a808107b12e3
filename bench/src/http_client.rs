//! An HTTP/1.1 client that costs little, so that the server is what is measured: one write and as few reads as possible for each request,
//! kept connections, no decoding.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(16 * 1024) })
    }

    /// Sends one request and waits for its answer: status and body.
    pub async fn ask(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.input.clear();
        loop {
            if let Some(head) = Head::parse(&self.input)? {
                while self.input.len() < head.end + head.body {
                    self.more().await?;
                }
                return Ok((head.status, self.input.get(head.end..head.end + head.body).unwrap_or_default()));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.input).await? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}

struct Head {
    status: u16,
    /// Where the body begins.
    end: usize,
    /// Bytes of the body.
    body: usize,
}

impl Head {
    /// None when the head is not complete yet.
    fn parse(input: &[u8]) -> Result<Option<Self>> {
        let Some(at) = memchr::memmem::find(input, b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(input.get(..at).unwrap_or_default()).context("the answer's head is not text")?;
        let status = head.get(9..12).and_then(|code| code.parse().ok()).context("the answer has no status")?;
        let mut body = 0;
        for line in head.split("\r\n").skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                body = value.trim().parse().context("the answer's length is no number")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("the answer comes in chunks, which this client does not read");
            }
        }
        Ok(Some(Self { status, end: at + 4, body }))
    }
}

/// A request of which only the path changes.
pub fn get(path: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: localhost\r\n\r\n");
}

pub fn post(path: &str, body: &str, out: &mut Vec<u8>) {
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// What a load did.
#[derive(Debug, Default)]
pub struct Load {
    pub took: Duration,
    /// Time of each answer.
    pub waits: Vec<Duration>,
    /// Which request each of them belongs to.
    pub which: Vec<usize>,
}

/// Keeps `connections` connections busy, one request at a time on each, on this one thread. `next` writes a request and answers which one it is, or
/// none when it is enough; `seen` gets each answer.
pub fn drive(address: SocketAddr, connections: usize, next: impl FnMut(&mut Vec<u8>) -> Option<usize>, seen: impl FnMut(usize, u16, &[u8])) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (next, seen) = (RefCell::new(next), RefCell::new(seen));
    let times = RefCell::new((Vec::new(), Vec::new()));
    let took = runtime.block_on(async {
        let clients = try_join_all((0..connections).map(|_| Client::connect(address))).await?;
        let began = Instant::now();
        let (next, seen, times) = (&next, &seen, &times);
        let work = clients.into_iter().map(|mut client| async move {
            let mut request = Vec::with_capacity(1024);
            loop {
                request.clear();
                let Some(n) = (*next.borrow_mut())(&mut request) else { return anyhow::Ok(()) };
                let asked = Instant::now();
                let (status, body) = client.ask(&request).await?;
                let mut times = times.borrow_mut();
                times.0.push(asked.elapsed());
                times.1.push(n);
                drop(times);
                (*seen.borrow_mut())(n, status, body);
            }
        });
        try_join_all(work).await?;
        anyhow::Ok(began.elapsed())
    })?;
    let (waits, which) = times.into_inner();
    Ok(Load { took, waits, which })
}

/// One request on a connection of its own: status and body as JSON (null when it is none).
pub fn ask_once(address: SocketAddr, request: &[u8]) -> Result<(u16, serde_json::Value)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(address).await?;
        let (status, body) = client.ask(request).await?;
        Ok((status, serde_json::from_slice(body).unwrap_or_default()))
    })
}

pub fn get_once(address: SocketAddr, path: &str) -> Result<(u16, serde_json::Value)> {
    let mut request = Vec::new();
    get(path, &mut request);
    ask_once(address, &request)
}

pub fn post_once(address: SocketAddr, path: &str, body: &serde_json::Value) -> Result<(u16, serde_json::Value)> {
    let mut request = Vec::new();
    post(path, &body.to_string(), &mut request);
    ask_once(address, &request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_only_when_it_is_complete() {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";
        assert!(Head::parse(&answer[..answer.len() - 7]).unwrap().is_none());
        let head = Head::parse(answer).unwrap().unwrap();
        assert_eq!((head.status, head.body, &answer[head.end..]), (404, 5, &b"hello"[..]));
    }

    #[test]
    fn chunks_and_nonsense_are_refused_not_misread() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Head::parse(b"hello\r\n\r\n").is_err());
    }

    #[test]
    fn each_request_gets_its_own_answer() {
        let (address, server) = crate::bare_http::in_background(b"{\"id\":1}".to_vec()).unwrap();
        let (mut left, mut answers) = (100, Vec::new());
        let load = drive(
            address,
            7,
            |request| {
                left -= 1;
                get("/users/1", request);
                (left >= 0).then_some(left as usize)
            },
            |n, status, body| answers.push((n, status, body.to_vec())),
        )
        .unwrap();
        answers.sort();
        assert_eq!((answers.len(), load.waits.len()), (100, 100));
        assert!(answers.iter().enumerate().all(|(i, (n, status, body))| *n == i && *status == 200 && body == b"{\"id\":1}"));
        drop(server);
    }
}
