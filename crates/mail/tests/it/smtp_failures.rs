//! What each failure means.

use std::time::Duration;

use emcrm_mail::{Connection, Handover, MailError, SmtpTransport, Transport};

use crate::server::{Act, EHLO, EHLO_BARE, Moment, Server, mail, say};

/// A server that does one thing at one moment, to mail for `bad@example.org` only or before there is mail.
async fn at(verb: &'static str, act: Act, pipelining: bool) -> Server {
    let bad = std::sync::atomic::AtomicBool::new(false);
    Server::start(move |moment: &Moment<'_>| {
        use std::sync::atomic::Ordering::SeqCst;
        match moment.verb {
            "EHLO" if verb != "EHLO" => return Act::Say(if pipelining { EHLO } else { EHLO_BARE }.into()),
            "MAIL" => bad.store(moment.line.contains("bad@"), SeqCst),
            _ => {}
        }
        let early = matches!(verb, "CONNECT" | "EHLO");
        if moment.verb == verb && (early || bad.load(SeqCst)) { act.clone() } else { Act::Behave }
    })
    .await
}

fn bad() -> Handover {
    Handover { from: "bad@example.org".into(), ..mail("a@example.org") }
}

fn good() -> Handover {
    mail("good@example.org")
}

async fn connect(server: &Server) -> Box<dyn Connection> {
    server.transport().connect().await.unwrap()
}

async fn connect_error(server: &Server) -> String {
    match server.transport().connect().await.map(|_| ()) {
        Err(MailError::Unavailable { cause }) => cause,
        other => panic!("{other:?}"),
    }
}

const STAGES: [&str; 4] = ["MAIL", "RCPT", "DATA", "END"];

#[tokio::test]
async fn a_refusal_at_any_stage_has_the_servers_words_and_the_connection_goes_on() {
    for pipelining in [true, false] {
        for stage in STAGES {
            for (words, permanent) in
                [("451 4.3.0 not now", false), ("554 5.7.1 not you", true), ("452 no code", false), ("552-5.2.2 box\r\n552 5.2.2 full", true)]
            {
                let server = at(stage, say(words), pipelining).await;
                let mut connection = connect(&server).await;
                connection.send(&good()).await.unwrap();
                let expected = if words.starts_with("552") { "552 5.2.2 box full".to_owned() } else { words.to_owned() };
                let expected = if permanent { MailError::Permanent { reply: expected } } else { MailError::Temporary { reply: expected } };
                assert_eq!(connection.send(&bad()).await, Err(expected), "{stage} {words} pipelining {pipelining}");
                connection.send(&good()).await.unwrap();
                assert_eq!((server.arrived(), server.connections()), (vec![good(), good()], 1), "{stage} {words}");
            }
        }
    }
}

/// Refuses at `verb`, and asks for the message all the same.
async fn inviting(verb: &'static str) -> Server {
    Server::start(move |moment| match moment.verb {
        "DATA" => say("354 go on"),
        now if now == verb && moment.connection == 1 && moment.line.contains("bad@") => say("550 5.7.1 no"),
        "RCPT" => say("250 ok"),
        _ => Act::Behave,
    })
    .await
}

#[tokio::test]
async fn an_invitation_after_a_refused_recipient_is_answered_with_an_empty_message() {
    let server = inviting("RCPT").await;
    let mut connection = connect(&server).await;
    assert_eq!(connection.send(&mail("bad@example.org")).await, Err(MailError::Permanent { reply: "550 5.7.1 no".into() }));
    connection.send(&good()).await.unwrap();
    assert_eq!((server.connections(), server.arrived()), (1, vec![good()]));
}

#[tokio::test]
async fn an_invitation_after_a_refused_sender_gets_no_message_at_all() {
    let server = inviting("MAIL").await;
    let mut connection = connect(&server).await;
    assert_eq!(connection.send(&bad()).await, Err(MailError::Permanent { reply: "550 5.7.1 no".into() }));
    connection.send(&good()).await.unwrap();
    assert_eq!((server.connections(), server.arrived()), (2, vec![good()]));
}

#[tokio::test]
async fn closing_with_421_is_temporary_and_the_next_message_has_a_new_connection() {
    for pipelining in [true, false] {
        for stage in STAGES {
            let server = at(stage, Act::SayAndHangUp("421 4.3.2 too much\r\n".into()), pipelining).await;
            let mut connection = connect(&server).await;
            assert_eq!(connection.send(&bad()).await, Err(MailError::Temporary { reply: "421 4.3.2 too much".into() }), "{stage} {pipelining}");
            connection.send(&good()).await.unwrap();
            assert_eq!(server.arrived(), [good()], "{stage} {pipelining}");
        }
    }
}

#[tokio::test]
async fn a_refusal_stands_although_the_connection_breaks_behind_it() {
    let server = Server::start(|moment| match moment.verb {
        "RCPT" if moment.connection == 1 => Act::SayAndHangUp("550 5.1.1 no\r\n".into()),
        _ => Act::Behave,
    })
    .await;
    let mut connection = connect(&server).await;
    assert_eq!(connection.send(&bad()).await, Err(MailError::Permanent { reply: "550 5.1.1 no".into() }));
    connection.send(&good()).await.unwrap();
    assert_eq!((server.connections(), server.arrived()), (2, vec![good()]));
}

#[tokio::test]
async fn a_kept_connection_that_the_server_ended_is_replaced_without_a_word() {
    for act in [Act::HangUp, Act::SayAndHangUp("421 4.4.2 idle\r\n".into())] {
        let server =
            Server::start(move |moment| if moment.connection == 1 && moment.verb == "MAIL" && moment.mails == 1 { act.clone() } else { Act::Behave }).await;
        let mut connection = connect(&server).await;
        connection.send(&mail("a@example.org")).await.unwrap();
        connection.send(&mail("b@example.org")).await.unwrap();
        assert_eq!((server.connections(), server.arrived()), (2, vec![mail("a@example.org"), mail("b@example.org")]));
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_message_is_unavailable() {
    for pipelining in [true, false] {
        for stage in ["MAIL", "RCPT", "DATA"] {
            let server = at(stage, Act::HangUp, pipelining).await;
            let result = connect(&server).await.send(&bad()).await;
            assert!(matches!(result, Err(MailError::Unavailable { .. })), "{stage} {pipelining}: {result:?}");
            assert_eq!(server.arrived(), []);
        }
    }
}

#[tokio::test]
async fn a_connection_lost_inside_the_message_is_unavailable() {
    let server = at("BODY", Act::HangUp, true).await;
    // More than the buffers of two sockets hold, so that the end cannot have been written.
    let big = Handover { message: vec![b'x'; 64 * 1024 * 1024], ..bad() };
    let result = connect(&server).await.send(&big).await;
    assert!(matches!(result, Err(MailError::Unavailable { .. })), "{result:?}");
    assert_eq!(server.arrived(), []);
}

#[tokio::test]
async fn a_server_that_stops_a_message_with_a_reason_refuses_it() {
    let server = at("BODY", Act::SayAndHangUp("552 5.3.4 too big\r\n".into()), true).await;
    let big = Handover { message: vec![b'x'; 64 * 1024 * 1024], ..bad() };
    let mut connection = connect(&server).await;
    let result = connection.send(&big).await;
    // The server reads on and throws away here, so the end is written and its words are the answer to the whole.
    assert_eq!(result, Err(MailError::Permanent { reply: "552 5.3.4 too big".into() }));
    assert_eq!(server.arrived(), []);
}

#[tokio::test]
async fn an_answer_lost_after_the_final_dot_is_unknown() {
    for act in [Act::HangUp, say("hello?"), say("354 more"), Act::Say("250".into()), Act::Silence] {
        let server = at("END", act.clone(), true).await;
        let mut settings = server.settings();
        if matches!(act, Act::Silence | Act::Say(_)) {
            settings.answer_timeout = Duration::from_millis(300);
        }
        let mut connection = SmtpTransport::new(settings).unwrap().connect().await.unwrap();
        let result = connection.send(&bad()).await;
        assert!(matches!(result, Err(MailError::Unknown { .. })), "{act:?}: {result:?}");
        assert_eq!((server.connections(), server.count("MAIL")), (1, 1), "{act:?}: it must not be sent again");
    }
}

#[tokio::test]
async fn silence_before_the_message_is_unavailable() {
    for stage in ["MAIL", "RCPT", "DATA"] {
        let server = at(stage, Act::Silence, true).await;
        let mut settings = server.settings();
        settings.timeout = Duration::from_secs(4);
        let mut connection = SmtpTransport::new(settings).unwrap().connect().await.unwrap();
        let result = connection.send(&bad()).await;
        assert!(matches!(&result, Err(MailError::Unavailable { cause }) if cause.contains("no answer within 4 seconds")), "{stage}: {result:?}");
        assert_eq!(server.connections(), 1, "a silent server is not asked again");
    }
}

#[tokio::test]
async fn garbage_before_the_message_is_unavailable() {
    for stage in ["MAIL", "RCPT", "DATA"] {
        for words in ["what\r\n", "999 no\r\n", "250-a\r\n251 b\r\n", "334 challenge\r\n"] {
            let server = at(stage, Act::Say(words.into()), false).await;
            let result = connect(&server).await.send(&bad()).await;
            assert!(matches!(result, Err(MailError::Unavailable { .. })), "{stage} {words}: {result:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_never_taken_for_another() {
    // Were it read as the answer to the message, a message that is refused would count as sent.
    let server = Server::start(|moment| match moment.verb {
        "DATA" => Act::Say("354 go on\r\n250 ok\r\n".into()),
        "END" => say("554 5.7.1 no"),
        _ => Act::Behave,
    })
    .await;
    let result = connect(&server).await.send(&mail("a@example.org")).await;
    assert!(matches!(result, Err(MailError::Unavailable { .. })), "{result:?}");
}

#[tokio::test]
async fn a_bad_greeting_is_unavailable_with_the_servers_words() {
    for (act, words) in [
        (say("554 5.7.1 go away"), "554 5.7.1 go away"),
        (say("421 4.3.2 busy"), "421 4.3.2 busy"),
        (say("SSH-2.0-OpenSSH"), "does not speak SMTP: `SSH-2.0-OpenSSH`"),
        (Act::HangUp, "closed"),
    ] {
        let server = at("CONNECT", act, true).await;
        let cause = connect_error(&server).await;
        assert!(cause.contains(words) && cause.starts_with(&format!("smtp://127.0.0.1:{}: ", server.port)), "{cause}");
    }
    let server = at("EHLO", say("451 4.3.0 no"), true).await;
    assert!(connect_error(&server).await.contains("451 4.3.0 no"));
}

#[tokio::test]
async fn a_greeting_that_does_not_come_is_unavailable() {
    let server = at("CONNECT", Act::Silence, true).await;
    let mut settings = server.settings();
    settings.timeout = Duration::from_millis(300);
    let transport = SmtpTransport::new(settings).unwrap();
    let result = transport.health().await;
    assert!(matches!(&result, Err(MailError::Unavailable { cause }) if cause.contains("within 0.3 seconds")), "{result:?}");
}

#[tokio::test]
async fn endless_replies_are_cut_off() {
    let lines = "250-more\r\n".repeat(10_000);
    for endless in ["250 ".to_owned() + &"x".repeat(100_000), lines] {
        let server = at("RCPT", Act::Say(endless), true).await;
        let result = connect(&server).await.send(&bad()).await;
        assert!(matches!(&result, Err(MailError::Unavailable { cause }) if cause.contains("longer than 16384 bytes")), "{result:?}");
    }
    let server = at("RCPT", say(&format!("550 {}", "x".repeat(10_000))), true).await;
    let result = connect(&server).await.send(&bad()).await;
    assert!(matches!(&result, Err(MailError::Permanent { reply }) if reply.len() == 1004), "{result:?}");
}
