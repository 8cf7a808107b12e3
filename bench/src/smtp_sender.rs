//! A sender that does nothing but send: kept connections, TCP_NODELAY, no record of anything. What a campaign is compared with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How it talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commands {
    /// Each command waits for the answer to the one before, as most senders do: four round trips a mail.
    InTurn,
    /// MAIL, RCPT and DATA in one write (PIPELINING): two round trips a mail.
    Together,
}

struct Line {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Line {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut line = Self { stream, input: Vec::with_capacity(1024) };
        line.replies(1).await?;
        line.stream.write_all(b"EHLO bench\r\n").await?;
        line.replies(1).await?;
        Ok(line)
    }

    /// Reads this many replies; all must be positive.
    async fn replies(&mut self, count: usize) -> Result<()> {
        self.input.clear();
        let (mut seen, mut start) = (0, 0);
        loop {
            while let Some(at) = memchr::memchr(b'\n', self.input.get(start..).unwrap_or_default()) {
                let line = self.input.get(start..start + at).unwrap_or_default();
                if !matches!(line.first(), Some(b'2' | b'3')) {
                    bail!("the sink refused: {}", String::from_utf8_lossy(line));
                }
                seen += usize::from(line.get(3) != Some(&b'-'));
                start += at + 1;
            }
            if seen == count {
                return Ok(());
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the sink closed the connection");
            }
        }
    }

    async fn send(&mut self, commands: Commands, recipient: &str, data: &[u8]) -> Result<()> {
        let envelope = format!("MAIL FROM:<bench@example.org>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
        if commands == Commands::Together {
            self.stream.write_all(envelope.as_bytes()).await?;
            self.replies(3).await?;
        } else {
            for command in envelope.split_inclusive('\n') {
                self.stream.write_all(command.as_bytes()).await?;
                self.replies(1).await?;
            }
        }
        self.stream.write_all(data).await?;
        self.replies(1).await
    }
}

/// Sends `message` (CRLF line ends, leading dots doubled) `mails` times over `connections` connections; returns the time from the first to the last.
pub fn send(address: SocketAddr, commands: Commands, connections: usize, mails: usize, message: &[u8]) -> Result<Duration> {
    let mut data = message.to_vec();
    data.extend_from_slice(if data.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" });
    let data: Arc<[u8]> = data.into();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let mut lines = Vec::with_capacity(connections);
        for _ in 0..connections {
            lines.push(Line::open(address).await?);
        }
        let began = Instant::now();
        let mut working = JoinSet::new();
        for mut line in lines {
            let (next, data) = (next.clone(), data.clone());
            working.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= mails {
                        return anyhow::Ok(());
                    }
                    line.send(commands, &format!("bare{n}@example.org"), &data).await?;
                }
            });
        }
        while let Some(ended) = working.join_next().await {
            ended??;
        }
        Ok(began.elapsed())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp_sink;

    #[test]
    fn the_sink_counts_every_mail_and_names_every_recipient_once() {
        let sink = smtp_sink::in_background().unwrap();
        let message = b"Subject: x\r\n\r\nA line.\r\n..A line that begins with a dot.\r\n";
        send(sink, Commands::Together, 5, 203, message).unwrap();
        send(sink, Commands::InTurn, 5, 203, message).unwrap();
        let stats = smtp_sink::stats(sink).unwrap();
        assert_eq!((stats.mails, stats.bytes), (406, 406 * (message.len() + 3)));
        assert_eq!(smtp_sink::first_mail(sink).unwrap(), message);
        let mut expected: Vec<String> = (0..203).flat_map(|n| vec![format!("bare{n}@example.org"); 2]).collect();
        expected.sort();
        assert_eq!(smtp_sink::recipients(sink).unwrap(), expected);
    }

    #[test]
    fn a_recipient_who_is_mailed_twice_stands_there_twice() {
        let sink = smtp_sink::in_background().unwrap();
        send(sink, Commands::InTurn, 1, 2, b"Subject: x\r\n\r\nx\r\n").unwrap();
        send(sink, Commands::InTurn, 1, 1, b"Subject: x\r\n\r\nx\r\n").unwrap();
        assert_eq!(smtp_sink::recipients(sink).unwrap(), ["bare0@example.org", "bare0@example.org", "bare1@example.org"]);
    }
}
