//! An SMTP server that takes everything and remembers every recipient, on one thread: what mails are sent to.
//!
//! It offers PIPELINING, as every usual server does. Three commands of its own: `XSTATS` tells the number of mails and the time from the first to the last
//! of them, `XRCPTS` lists every recipient in the order they came, `XFIRST` shows the first mail as it came.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Seen {
    recipients: Vec<Box<str>>,
    mails: usize,
    bytes: usize,
    /// The first mail, without the lone dot.
    sample: Vec<u8>,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// Serves until the process is ended. Tells its address on the standard output first.
pub fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        crate::children::tell(&listener.local_addr()?.to_string());
        accept(listener).await
    })
}

async fn accept(listener: TcpListener) -> Result<()> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    loop {
        let (stream, _) = listener.accept().await?;
        let seen = seen.clone();
        tokio::task::spawn_local(async move {
            // A client that hangs up is no fault of the sink.
            let _ = Dialogue::new(stream).run(&seen).await;
        });
    }
}

struct Dialogue {
    stream: TcpStream,
    input: Vec<u8>,
    start: usize,
    recipient: Option<Box<str>>,
}

impl Dialogue {
    fn new(stream: TcpStream) -> Self {
        Self { stream, input: Vec::with_capacity(32 * 1024), start: 0, recipient: None }
    }

    fn unread(&self) -> &[u8] {
        self.input.get(self.start..).unwrap_or_default()
    }

    async fn more(&mut self) -> io::Result<()> {
        self.input.drain(..self.start);
        self.start = 0;
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn run(mut self, seen: &RefCell<Seen>) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.write_all(b"220 sink ESMTP\r\n").await?;
        let mut out = String::new();
        loop {
            // All commands that came together are answered together.
            while let Some(at) = memchr::memchr(b'\n', self.unread()) {
                let line = String::from_utf8_lossy(self.unread().get(..at).unwrap_or_default()).trim_end().to_owned();
                self.start += at + 1;
                if !self.command(&line, seen, &mut out) {
                    continue;
                }
                if line.eq_ignore_ascii_case("QUIT") {
                    return self.stream.write_all(out.as_bytes()).await;
                }
                self.stream.write_all(out.as_bytes()).await?;
                out.clear();
                self.message(seen).await?;
                out.push_str("250 2.0.0 Ok\r\n");
            }
            if !out.is_empty() {
                self.stream.write_all(out.as_bytes()).await?;
                out.clear();
            }
            self.more().await?;
        }
    }

    /// Answers one command; true when something else than the next command follows.
    fn command(&mut self, line: &str, seen: &RefCell<Seen>, out: &mut String) -> bool {
        let verb = line.get(..4).unwrap_or_default();
        if verb.eq_ignore_ascii_case("EHLO") {
            out.push_str("250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
        } else if verb.eq_ignore_ascii_case("RCPT") {
            let address = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address);
            self.recipient = address.map(Into::into);
            out.push_str("250 Ok\r\n");
        } else if verb.eq_ignore_ascii_case("DATA") {
            out.push_str("354 Go on\r\n");
            return true;
        } else if verb.eq_ignore_ascii_case("QUIT") {
            out.push_str("221 Bye\r\n");
            return true;
        } else if line.eq_ignore_ascii_case("XSTATS") {
            let seen = seen.borrow();
            let span = seen.last.zip(seen.first).map_or(0, |(last, first)| (last - first).as_micros());
            let _ = write!(out, "250 {} {span} {}\r\n", seen.mails, seen.bytes);
        } else if line.eq_ignore_ascii_case("XRCPTS") {
            for recipient in &seen.borrow().recipients {
                let _ = write!(out, "250-{recipient}\r\n");
            }
            out.push_str("250 .\r\n");
        } else if line.eq_ignore_ascii_case("XFIRST") {
            for line in String::from_utf8_lossy(&seen.borrow().sample).lines() {
                let _ = write!(out, "250-{line}\r\n");
            }
            out.push_str("250 .\r\n");
        } else {
            out.push_str("250 Ok\r\n");
        }
        false
    }

    /// Reads up to the lone dot and counts the mail.
    async fn message(&mut self, seen: &RefCell<Seen>) -> io::Result<()> {
        const END: &[u8] = b"\r\n.\r\n";
        let mut looked = 0;
        loop {
            let unread = self.unread();
            let from = looked.min(unread.len());
            if let Some(at) = memchr::memmem::find(unread.get(from..).unwrap_or_default(), END) {
                let bytes = from + at + END.len();
                let (now, mut seen) = (Instant::now(), seen.borrow_mut());
                if seen.mails == 0 {
                    seen.sample = unread.get(..from + at + 2).unwrap_or_default().to_vec();
                }
                self.start += bytes;
                seen.first.get_or_insert(now);
                seen.last = Some(now);
                seen.mails += 1;
                seen.bytes += bytes;
                seen.recipients.extend(self.recipient.take());
                return Ok(());
            }
            looked = unread.len().saturating_sub(END.len());
            self.more().await?;
        }
    }
}

/// What a sink has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkStats {
    pub mails: usize,
    /// From the first to the last mail.
    pub span: Duration,
    pub bytes: usize,
}

fn ask(address: SocketAddr, command: &str) -> Result<Vec<String>> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let lines = text.lines().filter(|line| line.starts_with("250"));
    Ok(lines.filter_map(|line| line.get(4..)).map(str::to_owned).collect())
}

pub fn stats(address: SocketAddr) -> Result<SinkStats> {
    let lines = ask(address, "XSTATS")?;
    let numbers: Vec<u64> = lines.iter().flat_map(|line| line.split(' ')).filter_map(|number| number.parse().ok()).collect();
    match numbers.as_slice() {
        [mails, micros, bytes] => Ok(SinkStats { mails: *mails as usize, span: Duration::from_micros(*micros), bytes: *bytes as usize }),
        _ => Err(anyhow::anyhow!("the sink told {lines:?}")),
    }
}

/// Every recipient, once for each mail, sorted.
pub fn recipients(address: SocketAddr) -> Result<Vec<String>> {
    let mut lines = ask(address, "XRCPTS")?;
    lines.pop().filter(|line| line == ".").context("the sink's list has no end")?;
    lines.sort_unstable();
    Ok(lines)
}

/// The first mail, with CRLF line ends, as it was sent: leading dots are doubled.
pub fn first_mail(address: SocketAddr) -> Result<Vec<u8>> {
    let mut lines = ask(address, "XFIRST")?;
    lines.pop().filter(|line| line == ".").context("the sink's mail has no end")?;
    Ok(lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"]).flatten().copied().collect())
}

#[cfg(test)]
pub fn in_background() -> Result<SocketAddr> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            accept(listener).await
        })
    });
    Ok(told.recv()?)
}
