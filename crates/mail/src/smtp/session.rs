//! One mail transaction after the other on a kept connection, and what a failure means.
//!
//! | what happened | answer |
//! |---|---|
//! | 4xx, 5xx to MAIL, RCPT, DATA or the message | `Temporary`, `Permanent` with the server's words |
//! | 421 to any of them | `Temporary`: the message was not taken. The connection is replaced before the next message |
//! | 421 or hang-up as the first answer on a kept connection | it had been idle too long or had enough: once more, on a new connection |
//! | broken, silent or garbled before the last byte of the message was written | `Unavailable` |
//! | the same after it | `Unknown` |
//! | 421, hang-up or silence where an announced mail (below) was to be answered or taken | once more, on a new connection; nothing is announced for a while |
//!
//! Where the next mail is known and the server takes commands together, its envelope goes out behind the message: the message may be the first of a group of commands,
//! and the MAIL of the next one may follow it (RFC 2920 3.1). The answers are read when that mail's turn comes. If it does not come, nothing can be taken back: the
//! connection is dropped, and as no message followed, none is delivered.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Shared;
use super::announced::Announced;
use super::data;
use super::dial::{Offers, dial};
use super::reply::Reply;
use super::wire::{Broken, Cut, Io, Wire};
use crate::transport::{Connection, Envelope, Handover, MailError, Receipt};

/// A farewell is polite, not worth waiting for.
const QUIT_MAX: Duration = Duration::from_secs(2);
/// How long to listen for a reason when a server stops reading in the middle of a message.
const REASON_MAX: Duration = Duration::from_secs(2);
/// Memory that a connection keeps for its messages, in bytes.
const OUT_KEPT: usize = 256 * 1024;
/// Of an announced mail, as far as its answers need to know it.
const ENVELOPE: &[u8] = b"MAIL\r\nRCPT\r\nDATA\r\n";
const UNASKED: &str = "it spoke without being asked";

pub(crate) struct SmtpConnection {
    shared: Arc<Shared>,
    /// None: to be replaced before the next message. Taken out while a message is under way, so that a dropped future leaves nothing half said.
    session: Option<Session>,
    /// Kept for its memory.
    out: Vec<u8>,
}

struct Session {
    wire: Wire<Box<dyn Io>>,
    offers: Offers,
    /// Messages tried on this connection.
    mails: u32,
    /// A transaction was left open: RSET comes first.
    open: bool,
    /// Nothing more can be said on it.
    over: bool,
    /// The server waits for this mail, or has refused it.
    announced: Option<Announced>,
}

/// How a transaction ended.
enum End {
    Taken(Reply),
    Refused(Reply),
    /// 421 as the first answer.
    Busy(Reply),
    /// Closed before the first answer.
    Gone(String),
    Broken(String),
    Unknown(String),
    /// This server can never be given this message. Nothing was said.
    Unsendable(&'static str),
}

impl SmtpConnection {
    pub(crate) async fn open(shared: Arc<Shared>) -> Result<Self, MailError> {
        let session = Session::open(&shared).await?;
        Ok(Self { shared, session: Some(session), out: Vec::new() })
    }

    /// Keeps the session where it can be used again, and says what the end means.
    fn settle(&mut self, session: Session, end: End) -> Result<Receipt, MailError> {
        let server = |cause: String| format!("{}: {cause}", self.shared.settings);
        let result = match end {
            End::Taken(reply) => Ok(Receipt { reply: reply.to_string() }),
            End::Refused(reply) if reply.code / 100 == 5 => Err(MailError::Permanent { reply: reply.to_string() }),
            End::Refused(reply) | End::Busy(reply) => Err(MailError::Temporary { reply: reply.to_string() }),
            End::Unsendable(why) => Err(MailError::Permanent { reply: format!("not sent: {why}") }),
            End::Gone(cause) | End::Broken(cause) => return Err(MailError::Unavailable { cause: server(cause) }),
            End::Unknown(cause) => return Err(MailError::Unknown { cause: server(cause) }),
        };
        if !session.over {
            self.session = Some(session);
        }
        result
    }
}

#[async_trait]
impl Connection for SmtpConnection {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        self.send_before(handover, None).await
    }

    async fn send_before(&mut self, handover: &Handover, next: Option<&Envelope>) -> Result<Receipt, MailError> {
        handover.check()?;
        let mut kept = self.session.take().filter(|session| session.serves(handover, &self.shared));
        if kept.as_ref().is_some_and(|session| session.mails >= self.shared.settings.mails_per_connection)
            && let Some(used_up) = kept.take()
        {
            used_up.quit().await;
        }
        if let Some(mut session) = kept {
            match session.transaction(handover, next, &self.shared, &mut self.out).await {
                End::Busy(_) | End::Gone(_) => {}
                end => return self.settle(session, end),
            }
        }
        let mut session = Session::open(&self.shared).await?;
        let end = session.transaction(handover, next, &self.shared, &mut self.out).await;
        self.settle(session, end)
    }

    async fn close(mut self: Box<Self>) {
        if let Some(session) = self.session.take() {
            session.quit().await;
        }
    }
}

impl Session {
    async fn open(shared: &Shared) -> Result<Self, MailError> {
        let (wire, offers) = dial(shared).await.map_err(|cause| MailError::Unavailable { cause })?;
        tracing::debug!(server = %shared.settings, ?offers, "connected to the mail server");
        Ok(Self { wire, offers, mails: 0, open: false, over: false, announced: None })
    }

    /// Not one where the server waits for another mail.
    fn serves(&self, handover: &Handover, shared: &Shared) -> bool {
        let Some(announced) = &self.announced else { return true };
        if announced.is_old() {
            shared.announcing.rest();
        }
        announced.serves(handover) && !announced.is_old()
    }

    async fn transaction(&mut self, handover: &Handover, next: Option<&Envelope>, shared: &Shared, out: &mut Vec<u8>) -> End {
        let within = shared.settings.timeout;
        out.clear();
        out.shrink_to(OUT_KEPT);
        let announced = self.announced.take().is_some();
        let invited = if announced {
            match self.answers(ENVELOPE, true, within).await {
                // It waited, and had enough.
                Ok(()) if self.wire.has_news().await => Err(End::Gone(UNASKED.to_owned())),
                Ok(()) => Ok(()),
                // No message was said: there is no harm in another connection. Nor does it say anything about the mail, which could be told to any.
                Err(End::Broken(cause)) => Err(End::Gone(cause)),
                Err(End::Refused(reply)) if reply.ends_connection() => Err(End::Busy(reply)),
                Err(end) => Err(end),
            }
        } else {
            match self.commands(&handover.from, &handover.to, Some(&handover.message), out) {
                Err(why) => return End::Unsendable(why),
                // It said something unasked: which answer belongs to what would be a guess.
                Ok(()) if self.wire.has_input() => return End::Gone(UNASKED.to_owned()),
                Ok(()) => match self.envelope(out, within).await {
                    Ok(()) if self.wire.has_input() => Err(End::Broken(UNASKED.to_owned())),
                    invited => invited,
                },
            }
        };
        self.mails += 1;
        if let Err(end) = invited {
            if announced && matches!(end, End::Gone(_) | End::Busy(_)) {
                shared.announcing.rest();
            }
            return end;
        }

        out.clear();
        data::encode(&handover.message, out);
        let end = out.len();
        // With its message, the transaction is over, whatever becomes of it.
        self.open = false;
        if let Some(next) = next.filter(|next| self.may_announce(next, shared)) {
            self.announced = self.announce(next, out);
        }
        let mut cut = None;
        match self.wire.write_all(out, end, within).await {
            Ok(()) => {}
            Err(Cut::After(broken)) => {
                self.over = true;
                cut = Some(broken);
            }
            Err(Cut::Before(broken)) => {
                self.over = true;
                return match self.wire.reply(REASON_MAX).await {
                    Ok(reply) if announced && reply.ends_connection() => End::Busy(reply),
                    Ok(reply) if reply.is_refusal() => End::Refused(reply),
                    _ if announced => End::Gone(broken.into_cause()),
                    _ => End::Broken(broken.into_cause()),
                };
            }
        }
        let answer = self.wire.reply(shared.settings.answer_timeout).await;
        if let Some(announced) = &mut self.announced {
            announced.waits_from_now();
        }
        match answer {
            Ok(reply) if reply.is_positive() => End::Taken(reply),
            Ok(reply) if reply.is_refusal() => {
                self.over |= reply.ends_connection();
                End::Refused(reply)
            }
            Ok(reply) => End::Unknown(format!("it answered the message with: {reply}")),
            Err(broken) => End::Unknown(cut.unwrap_or(broken).into_cause()),
        }
    }

    /// Everything before the message. Ok: the server waits for the message.
    ///
    /// Pipelined, all commands are sent at once and all answers are read, whatever the first ones say (RFC 2920 3.1).
    async fn envelope(&mut self, commands: &[u8], within: Duration) -> Result<(), End> {
        let together = self.offers.pipelining;
        if together {
            self.wire.write(commands, within).await.map_err(|broken| before_answer(broken, true))?;
        }
        self.answers(commands, together, within).await
    }

    /// The answers to all of that; each command is said before its answer, where they are not written yet.
    async fn answers(&mut self, commands: &[u8], written: bool, within: Duration) -> Result<(), End> {
        let mut refusal: Option<(Reply, &str)> = None;
        for (n, command) in commands.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let said = if written { Ok(()) } else { self.wire.write(command, within).await };
            let answer = match said {
                Ok(()) => self.wire.reply(within).await,
                Err(broken) => Err(broken),
            };
            let verb = command.get(..4).and_then(|verb| str::from_utf8(verb).ok()).unwrap_or_default();
            let reply = match (answer, refusal.take()) {
                // What it said about the message stands, although the connection is lost.
                (Err(_), Some((first, _))) => {
                    self.over = true;
                    return Err(End::Refused(first));
                }
                (Err(broken), None) => return Err(before_answer(broken, n == 0)),
                (Ok(reply), earlier) if reply.ends_connection() => {
                    self.over = true;
                    return Err(match earlier {
                        Some((first, _)) => End::Refused(first),
                        None if n == 0 => End::Busy(reply),
                        None => End::Refused(reply),
                    });
                }
                (Ok(reply), earlier) => {
                    refusal = earlier;
                    reply
                }
            };
            match (verb, reply.code / 100) {
                ("RSET", 2) => self.open = false,
                ("MAIL", 2) => self.open = true,
                ("RCPT", 2) => {}
                ("DATA", 3) if reply.code == 354 => return self.invited(refusal, within).await,
                ("MAIL" | "RCPT" | "DATA", 4 | 5) => {
                    refusal.get_or_insert((reply, verb));
                    if !written {
                        break;
                    }
                }
                _ => return Err(End::Broken(format!("it answered {verb} with: {reply}"))),
            }
        }
        Err(refusal.map_or_else(|| End::Broken("it never asked for the message".to_owned()), |(reply, _)| End::Refused(reply)))
    }

    /// The server asks for the message, perhaps after it refused what came before.
    async fn invited(&mut self, refusal: Option<(Reply, &str)>, within: Duration) -> Result<(), End> {
        let Some((reply, verb)) = refusal else { return Ok(()) };
        // With its only recipient refused, an empty message ends the transaction and goes nowhere (RFC 2920 3.1). In any other case it might
        // go somewhere: better to hang up.
        let ended = verb == "RCPT" && self.wire.ask(".\r\n", within).await.is_ok_and(|end| !end.ends_connection());
        self.open = false;
        self.over = !ended;
        Err(End::Refused(reply))
    }

    fn may_announce(&self, next: &Envelope, shared: &Shared) -> bool {
        self.offers.pipelining && next.is_plain() && self.mails < shared.settings.mails_per_connection && shared.announcing.may()
    }

    /// Adds the envelope of the next mail to what is to be written.
    fn announce(&self, next: &Envelope, out: &mut Vec<u8>) -> Option<Announced> {
        self.commands(&next.from, &next.to, None, out).ok()?;
        Some(Announced::now(next.clone()))
    }

    /// Adds everything before a message; the message may not be known yet. Nothing is added where it cannot be sent.
    fn commands(&self, from: &str, to: &str, message: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let utf8 = !from.is_ascii() || !to.is_ascii();
        if utf8 && !self.offers.utf8 {
            return Err("the address has letters that this mail server does not take (it does not offer SMTPUTF8)");
        }
        let eight_bit = utf8 || message.is_some_and(|message| !message.is_ascii());
        if eight_bit && !self.offers.eight_bit {
            return Err("the message has 8-bit text that this mail server does not take (it does not offer 8BITMIME)");
        }
        let reset = if self.open { "RSET\r\n" } else { "" };
        let body = if eight_bit { " BODY=8BITMIME" } else { "" };
        let letters = if utf8 { " SMTPUTF8" } else { "" };
        // Writing to memory cannot fail.
        let _ = write!(out, "{reset}MAIL FROM:<{from}>");
        if let Some(message) = message.filter(|_| self.offers.size) {
            let _ = write!(out, " SIZE={}", message.len());
        }
        let _ = write!(out, "{body}{letters}\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        Ok(())
    }

    async fn quit(mut self) {
        // A farewell would be the message's first line.
        if self.announced.is_some() {
            return;
        }
        let _ = tokio::time::timeout(QUIT_MAX, self.wire.ask("QUIT\r\n", QUIT_MAX)).await;
    }
}

fn before_answer(broken: Broken, first: bool) -> End {
    match broken {
        Broken::Closed(cause) if first => End::Gone(cause),
        broken => End::Broken(broken.into_cause()),
    }
}
