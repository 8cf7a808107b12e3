//! Bytes out, replies in. Every wait has an end, every buffer a bound.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::reply::{Parsed, REPLY_MAX, Reply, parse};

/// A stream to a mail server.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The conversation cannot go on. The text reads as a sentence's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The other side went away: a new connection may do better at once.
    Closed(String),
    /// It is there, and silent or not speaking SMTP.
    Stuck(String),
}

impl Broken {
    pub(crate) fn into_cause(self) -> String {
        match self {
            Self::Closed(cause) | Self::Stuck(cause) => cause,
        }
    }

    fn silent(within: Duration) -> Self {
        Self::Stuck(format!("no answer within {} seconds", within.as_secs_f32()))
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Closed(format!("the connection broke: {error}"))
    }
}

/// How a write ended that did not succeed.
pub(crate) enum Cut {
    /// The message's last byte was never given to the operating system or the TLS layer.
    Before(Broken),
    /// It was; it may have been sent.
    After(Broken),
}

pub(crate) struct Wire<S> {
    stream: S,
    input: Vec<u8>,
    /// Start of what is not read yet.
    start: usize,
}

impl<S: Io + 'static> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: Vec::with_capacity(1024), start: 0 }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    pub(crate) fn boxed(self) -> Wire<Box<dyn Io>> {
        Wire { stream: Box::new(self.stream), input: self.input, start: self.start }
    }

    /// Whether the other side said more than it was asked for.
    pub(crate) fn has_input(&self) -> bool {
        self.start < self.input.len()
    }

    /// The same, with a look at what has come by now. A closed connection says more, too.
    pub(crate) async fn has_news(&mut self) -> bool {
        if self.has_input() {
            return true;
        }
        let mut read = pin!(unconstrained(self.stream.read_buf(&mut self.input)));
        poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_ready())).await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8], within: Duration) -> Result<(), Broken> {
        self.write_all(bytes, bytes.len(), within).await.map_err(|(Cut::Before(broken) | Cut::After(broken))| broken)
    }

    /// Writes everything, telling on which side of the end of the message a failure happened: `end` bytes are the message, what follows belongs to the next.
    pub(crate) async fn write_all(&mut self, bytes: &[u8], end: usize, within: Duration) -> Result<(), Cut> {
        let mut rest = bytes;
        let all = async {
            while !rest.is_empty() {
                let n = self.stream.write(rest).await?;
                if n == 0 {
                    return Err(io::Error::from(io::ErrorKind::WriteZero));
                }
                rest = rest.get(n..).unwrap_or_default();
            }
            self.stream.flush().await
        };
        let done = timeout(within, all).await;
        let broken = match done {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.into(),
            Err(_) => Broken::silent(within),
        };
        Err(if bytes.len() - rest.len() >= end { Cut::After(broken) } else { Cut::Before(broken) })
    }

    pub(crate) async fn reply(&mut self, within: Duration) -> Result<Reply, Broken> {
        if let Some(reply) = self.buffered()? {
            return Ok(reply);
        }
        timeout(within, async {
            loop {
                if self.stream.read_buf(&mut self.input).await? == 0 {
                    return Err(Broken::Closed("the server closed the connection".to_owned()));
                }
                if let Some(reply) = self.buffered()? {
                    return Ok(reply);
                }
            }
        })
        .await
        .unwrap_or_else(|_| Err(Broken::silent(within)))
    }

    fn buffered(&mut self) -> Result<Option<Reply>, Broken> {
        let unread = self.input.get(self.start..).unwrap_or_default();
        match parse(unread) {
            Parsed::Reply(reply, used) => {
                self.start += used;
                if self.start == self.input.len() {
                    self.input.clear();
                    self.start = 0;
                }
                Ok(Some(reply))
            }
            Parsed::Incomplete if unread.len() > REPLY_MAX => Err(Broken::Stuck(format!("its reply is longer than {REPLY_MAX} bytes"))),
            Parsed::Incomplete => {
                self.input.drain(..self.start);
                self.start = 0;
                Ok(None)
            }
            Parsed::Garbage => {
                let shown: String = String::from_utf8_lossy(unread).chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
                Err(Broken::Stuck(format!("it does not speak SMTP: `{}`", shown.trim_end())))
            }
        }
    }

    /// Says one command and reads its reply.
    pub(crate) async fn ask(&mut self, command: &str, within: Duration) -> Result<Reply, Broken> {
        self.write(command.as_bytes(), within).await?;
        self.reply(within).await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Context;

    use tokio::io::ReadBuf;

    use super::*;

    /// Takes so many bytes, and is closed then.
    struct Takes(usize);

    impl AsyncWrite for Takes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Poll::Ready(if taken == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) })
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Takes {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_message_is_out_with_its_own_last_byte_whatever_is_to_follow_it() {
        let (message, with_next) = (b"x\r\n.\r\n", b"x\r\n.\r\nMAIL FROM:<>\r\n");
        for (takes, out) in [(1, false), (message.len() - 1, false), (message.len(), true), (with_next.len() - 1, true)] {
            let written = Wire::new(Takes(takes)).write_all(with_next, message.len(), Duration::from_secs(20)).await;
            assert!(matches!((&written, out), (Err(Cut::Before(_)), false) | (Err(Cut::After(_)), true)), "{takes} bytes");
        }
        assert!(Wire::new(Takes(with_next.len())).write_all(with_next, message.len(), Duration::from_secs(20)).await.is_ok());
    }
}
