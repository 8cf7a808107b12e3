//! A small SMTP server that does what a script says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use emcrm_mail::{Handover, SmtpSettings, SmtpTransport};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What the server does at a moment.
#[derive(Debug, Clone)]
pub enum Act {
    /// What a server that behaves does.
    Behave,
    Say(String),
    /// Keeps the answer back until the next one, or until the client waits no more.
    Later(String),
    SayAndHangUp(String),
    HangUp,
    /// Nothing, for ever.
    Silence,
}

pub fn say(words: &str) -> Act {
    Act::Say(format!("{words}\r\n"))
}

/// When the script is asked. Verbs: `CONNECT`, those of SMTP, `LINE` (an answer in AUTH), `BODY` (after 354), `END` (after the final dot).
pub struct Moment<'a> {
    pub verb: &'a str,
    pub line: &'a str,
    /// From 1.
    pub connection: usize,
    /// Mails taken on this connection before.
    pub mails: usize,
}

type Script = dyn Fn(&Moment<'_>) -> Act + Send + Sync;

struct State {
    script: Box<Script>,
    tls: Option<TlsAcceptor>,
    arrived: Mutex<Vec<Handover>>,
    log: Mutex<Vec<String>>,
    connections: AtomicUsize,
    ahead: AtomicUsize,
    hang_ups: AtomicUsize,
}

pub struct Server {
    pub port: u16,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

pub const EHLO: &str = "250-server.test\r\n250-PIPELINING\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
pub const EHLO_BARE: &str = "250-server.test\r\n250 8BITMIME\r\n";

impl Server {
    pub async fn start(script: impl Fn(&Moment<'_>) -> Act + Send + Sync + 'static) -> Self {
        Self::start_with(script, None, false).await
    }

    pub async fn start_with(script: impl Fn(&Moment<'_>) -> Act + Send + Sync + 'static, tls: Option<TlsAcceptor>, implicit: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            script: Box::new(script),
            tls,
            arrived: Mutex::default(),
            log: Mutex::default(),
            connections: AtomicUsize::new(0),
            ahead: AtomicUsize::new(0),
            hang_ups: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&state);
        let listener = tokio::spawn(async move {
            // The sessions end with the listener.
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let state = Arc::clone(&accepting);
                sessions.spawn(async move {
                    let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
                    let _ = serve(&state, number, tcp, implicit).await;
                });
            }
        });
        Self { port, state, listener: Some(listener) }
    }

    pub fn settings(&self) -> SmtpSettings {
        SmtpSettings::parse(&format!("smtp://127.0.0.1:{}?timeout=20&answer_timeout=20", self.port)).unwrap()
    }

    pub fn transport(&self) -> SmtpTransport {
        SmtpTransport::new(self.settings()).unwrap()
    }

    pub fn arrived(&self) -> Vec<Handover> {
        self.state.arrived.lock().unwrap().clone()
    }

    /// Commands in the order they came, as `connection:line`.
    pub fn log(&self) -> Vec<String> {
        self.state.log.lock().unwrap().clone()
    }

    pub fn count(&self, command: &str) -> usize {
        self.log().iter().filter(|line| line.split_once(':').unwrap().1.starts_with(command)).count()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How often a command came before the one before it was answered.
    pub fn ahead(&self) -> usize {
        self.state.ahead.load(Ordering::SeqCst)
    }

    /// Connections that it ended after some words.
    pub fn hang_ups(&self) -> usize {
        self.state.hang_ups.load(Ordering::SeqCst)
    }

    /// Closes the port and all connections.
    pub async fn stop(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.abort();
            let _ = listener.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn serve(state: &State, number: usize, tcp: TcpStream, implicit: bool) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    if let (true, Some(tls)) = (implicit, &state.tls) {
        let stream = tls.accept(tcp).await?;
        talk(state, number, stream, true).await?;
        return Ok(());
    }
    if let (Some(tcp), Some(tls)) = (talk(state, number, tcp, true).await?, &state.tls) {
        let stream = tls.accept(tcp).await?;
        talk(state, number, stream, false).await?;
    }
    Ok(())
}

/// Gives the stream back when the client said STARTTLS.
async fn talk<S: Io>(state: &State, number: usize, stream: S, greet: bool) -> std::io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    let (mut from, mut to, mut mails, mut later) = (None, None, 0, String::new());
    let mut next = greet.then(|| ("CONNECT".to_owned(), String::new()));
    let mut login = 0;
    loop {
        let (verb, line) = if let Some(next) = next.take() {
            next
        } else {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let line = line.trim_end().to_owned();
            state.log.lock().unwrap().push(format!("{number}:{line}"));
            let verb = if login > 0 { "LINE".to_owned() } else { line.get(..4).unwrap_or(&line).to_ascii_uppercase() };
            (verb, line)
        };
        let mut body = Vec::new();
        if verb == "END" {
            loop {
                let mut line = Vec::new();
                if stream.read_until(b'\n', &mut line).await? == 0 {
                    return Ok(None);
                }
                if line == b".\r\n" {
                    break;
                }
                body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
        if verb == "BODY" {
            // The message has begun to arrive.
            stream.fill_buf().await?;
        } else if !stream.buffer().is_empty() {
            state.ahead.fetch_add(1, Ordering::SeqCst);
        }
        let act = (state.script)(&Moment { verb: &verb, line: &line, connection: number, mails });
        let words = match (act, verb.as_str()) {
            (Act::Say(words), _) => words,
            (Act::Later(words), _) => {
                match verb.as_str() {
                    "MAIL" => from = Some(between(&line)),
                    "RCPT" => to = Some(between(&line)),
                    _ => {}
                }
                later.push_str(&words);
                continue;
            }
            (Act::SayAndHangUp(words), _) => {
                stream.write_all((later + &words).as_bytes()).await?;
                stream.flush().await?;
                // Read what was under way, so that the words are not lost in a reset.
                stream.get_mut().shutdown().await?;
                state.hang_ups.fetch_add(1, Ordering::SeqCst);
                let mut rest = [0; 4096];
                while matches!(stream.read(&mut rest).await, Ok(n) if n > 0) {}
                return Ok(None);
            }
            (Act::HangUp, _) => return Ok(None),
            (Act::Silence, _) => std::future::pending().await,
            (Act::Behave, "CONNECT") => "220 server.test ESMTP\r\n".to_owned(),
            (Act::Behave, "EHLO") => EHLO.to_owned(),
            (Act::Behave, "MAIL") if from.is_some() => "503 5.5.1 nested\r\n".to_owned(),
            (Act::Behave, "RCPT") if from.is_none() => "503 5.5.1 no sender\r\n".to_owned(),
            (Act::Behave, "DATA") if to.is_none() => "503 5.5.1 no recipient\r\n".to_owned(),
            (Act::Behave, "DATA") => "354 go on\r\n".to_owned(),
            (Act::Behave, "STAR") => "220 go on\r\n".to_owned(),
            (Act::Behave, "BODY") => String::new(),
            (Act::Behave, "END") => "250 2.0.0 Ok: queued\r\n".to_owned(),
            (Act::Behave, "QUIT") => "221 bye\r\n".to_owned(),
            (Act::Behave, _) => "250 ok\r\n".to_owned(),
        };
        let words = std::mem::take(&mut later) + &words;
        let code = words.get(..3).unwrap_or_default().to_owned();
        stream.write_all(words.as_bytes()).await?;
        stream.flush().await?;
        match verb.as_str() {
            "MAIL" if code == "250" => from = Some(between(&line)),
            "RCPT" if code == "250" => to = Some(between(&line)),
            "RSET" => (from, to) = (None, None),
            "DATA" if words.lines().last().is_some_and(|last| last.starts_with("354")) => next = Some(("BODY".to_owned(), String::new())),
            "BODY" => next = Some(("END".to_owned(), String::new())),
            "END" => {
                // An empty message to nobody goes nowhere.
                let (sender, recipient) = (from.take(), to.take());
                if let ("250", Some(from), Some(to)) = (code.as_str(), sender, recipient) {
                    mails += 1;
                    state.arrived.lock().unwrap().push(Handover { from, to, message: body });
                }
            }
            "AUTH" | "LINE" => login = usize::from(code == "334"),
            "STAR" if code == "220" => return Ok(Some(stream.into_inner())),
            "QUIT" => return Ok(None),
            _ => {}
        }
    }
}

fn between(line: &str) -> String {
    line.split_once('<').unwrap().1.rsplit_once('>').unwrap().0.to_owned()
}

/// A short mail.
pub fn mail(to: &str) -> Handover {
    Handover { from: "from@example.org".into(), to: to.into(), message: b"Subject: Hello\r\n\r\nHello\r\n".to_vec() }
}
