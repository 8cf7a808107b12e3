//! The rules that every transport keeps. A crate with a transport runs them with [`transport_conformance!`](crate::transport_conformance).

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::message::{Mailbox, Message};
use crate::transport::{Connection, Envelope, Handover, MailError, Transport};

/// How a recipient is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Temporary,
    Permanent,
}

/// A transport together with the place where its mail arrives.
#[async_trait]
pub trait Subject: Send {
    fn transport(&self) -> Arc<dyn Transport>;
    /// What arrived so far, in order of arrival. A transport without an envelope of its own tells it from what it wrote.
    async fn arrived(&mut self) -> Vec<Handover>;
    /// From now on, mail to this address is refused. False: this cannot be arranged here.
    async fn refuse(&mut self, to: &str, how: Refusal) -> bool;
    /// From now on, nothing can be handed over.
    async fn stop(&mut self);
}

/// Makes one test for each rule. `$subject` is an expression that makes a fresh [`Subject`]; it may `.await`.
#[macro_export]
macro_rules! transport_conformance {
    ($subject:expr) => {
        $crate::transport_conformance! { @rules $subject;
            a_message_arrives_once_with_its_envelope
            a_connection_takes_many_messages_in_order
            connections_work_side_by_side
            lines_with_dots_and_long_texts_arrive_unchanged
            a_refused_message_does_not_arrive_and_the_next_one_does
            a_mail_that_was_announced_arrives_once_and_one_that_never_comes_does_not
            an_address_that_would_break_the_envelope_is_refused_for_good
            a_transport_that_cannot_be_reached_is_unavailable
            a_transport_that_works_is_healthy
        }
    };
    (@rules $subject:expr; $($rule:ident)*) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let mut subject = $subject;
                $crate::conformance::$rule(&mut subject).await;
            }
        )*
    };
}

pub async fn a_message_arrives_once_with_its_envelope(subject: &mut impl Subject) {
    let mut connection = connect(subject).await;
    let mail = mail(1, "Hello");
    let receipt = must(connection.send(&mail).await);
    assert!(!receipt.reply.is_empty(), "a receipt has the other side's words");
    connection.close().await;
    assert_eq!(subject.arrived().await, [mail]);
}

pub async fn a_connection_takes_many_messages_in_order(subject: &mut impl Subject) {
    let mut connection = connect(subject).await;
    let mails: Vec<_> = (0..25).map(|n| mail(n, "One of many")).collect();
    for mail in &mails {
        must(connection.send(mail).await);
    }
    connection.close().await;
    // Folders and services keep no order among messages of one moment.
    assert_eq!(sorted(subject.arrived().await), sorted(mails));
}

pub async fn connections_work_side_by_side(subject: &mut impl Subject) {
    assert!(subject.transport().connections_max() >= 1);
    let mut one = connect(subject).await;
    let mut two = connect(subject).await;
    let mails = [mail(1, "first"), mail(2, "second"), mail(3, "third"), mail(4, "fourth")];
    must(one.send(&mails[0]).await);
    must(two.send(&mails[1]).await);
    one.close().await;
    must(two.send(&mails[2]).await);
    must(two.send(&mails[3]).await);
    two.close().await;
    assert_eq!(sorted(subject.arrived().await), sorted(mails.to_vec()));
}

pub async fn lines_with_dots_and_long_texts_arrive_unchanged(subject: &mut impl Subject) {
    let mut connection = connect(subject).await;
    let texts = [".".to_owned(), "..\n.\n.a\n...\nb.".to_owned(), "x".repeat(200_000), "שלום \u{202e}🎉 ünï\n".repeat(300), String::new()];
    let mails: Vec<_> = texts.iter().enumerate().map(|(n, text)| mail(n, text)).collect();
    for mail in &mails {
        must(connection.send(mail).await);
    }
    connection.close().await;
    assert_eq!(sorted(subject.arrived().await), sorted(mails));
}

pub async fn a_refused_message_does_not_arrive_and_the_next_one_does(subject: &mut impl Subject) {
    for (how, to) in [(Refusal::Temporary, "to-1@example.org"), (Refusal::Permanent, "to-2@example.org")] {
        if !subject.refuse(to, how).await {
            return;
        }
    }
    let mut connection = connect(subject).await;
    let temporary = connection.send(&mail(1, "later")).await;
    assert!(matches!(&temporary, Err(MailError::Temporary { reply }) if !reply.is_empty()), "{temporary:?}");
    let permanent = connection.send(&mail(2, "never")).await;
    assert!(matches!(&permanent, Err(MailError::Permanent { reply }) if !reply.is_empty()), "{permanent:?}");
    must(connection.send(&mail(3, "now")).await);
    connection.close().await;
    assert_eq!(subject.arrived().await, [mail(3, "now")]);
}

pub async fn a_mail_that_was_announced_arrives_once_and_one_that_never_comes_does_not(subject: &mut impl Subject) {
    let mut connection = connect(subject).await;
    let mails: Vec<_> = (0..6).map(|n| mail(n, "One of many")).collect();
    let envelope = |n: usize| Envelope { from: "bounces@example.org".to_owned(), to: format!("to-{n}@example.org") };
    // The third one comes instead of another, and after the last one comes none.
    let next = [Some(envelope(1)), Some(envelope(99)), Some(envelope(3)), None, Some(envelope(5)), Some(envelope(98))];
    for (mail, next) in mails.iter().zip(&next) {
        must(connection.send_before(mail, next.as_ref()).await);
    }
    connection.close().await;
    assert_eq!(sorted(subject.arrived().await), sorted(mails));
}

pub async fn an_address_that_would_break_the_envelope_is_refused_for_good(subject: &mut impl Subject) {
    let mut connection = connect(subject).await;
    let good = mail(1, "Hello");
    for bad in ["a@example.org>\r\nRCPT TO:<b@example.org", "a@example.org\nX: y", "a\0@example.org", "a@example.org> SIZE=1", ""] {
        let to = connection.send(&Handover { to: bad.to_owned(), ..good.clone() }).await;
        assert!(matches!(to, Err(MailError::Permanent { .. })), "{bad:?} gave {to:?}");
        if !bad.is_empty() {
            let from = connection.send(&Handover { from: bad.to_owned(), ..good.clone() }).await;
            assert!(matches!(from, Err(MailError::Permanent { .. })), "{bad:?} gave {from:?}");
        }
    }
    must(connection.send(&good).await);
    connection.close().await;
    assert_eq!(subject.arrived().await, [good]);
}

pub async fn a_transport_that_cannot_be_reached_is_unavailable(subject: &mut impl Subject) {
    let mut connection = connect(subject).await;
    subject.stop().await;
    let sent = connection.send(&mail(1, "Hello")).await;
    assert!(matches!(sent, Err(MailError::Unavailable { .. })), "{sent:?}");
    connection.close().await;
    let transport = subject.transport();
    for result in [transport.connect().await.map(|_| ()), transport.health().await] {
        assert!(matches!(&result, Err(MailError::Unavailable { cause }) if !cause.is_empty()), "{result:?}");
    }
    assert_eq!(subject.arrived().await, []);
}

pub async fn a_transport_that_works_is_healthy(subject: &mut impl Subject) {
    assert_eq!(subject.transport().health().await, Ok(()));
    assert_eq!(subject.arrived().await, [], "asking for the health sends no mail");
}

/// A mail to `to-{n}@example.org`.
fn mail(n: usize, text: &str) -> Handover {
    let mailbox = |name: &str, address: String| Mailbox { name: Some(name.to_owned()), address };
    let message = Message {
        from: mailbox("Sender", "sender@example.org".to_owned()),
        to: mailbox("Recipient", format!("to-{n}@example.org")),
        reply_to: None,
        subject: format!("Message {n}"),
        text: text.to_owned(),
        html: None,
        message_id: format!("{n}@example.org"),
        date: jiff::Timestamp::UNIX_EPOCH,
        calendar: None,
        unsubscribe_url: None,
        headers: Vec::new(),
    };
    must(message.handover("bounces@example.org"))
}

fn sorted(mut mails: Vec<Handover>) -> Vec<Handover> {
    mails.sort_by(|a, b| (&a.to, &a.message).cmp(&(&b.to, &b.message)));
    mails
}

async fn connect(subject: &impl Subject) -> Box<dyn Connection> {
    must(subject.transport().connect().await)
}

fn must<T, E: Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("this must work: {error:?}"),
    }
}
