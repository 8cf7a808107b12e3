//! Mails whose envelope went out behind the message before.

use std::time::Duration;

use emcrm_mail::{Connection, Envelope, Handover, MailError, SmtpTransport, Transport};

use crate::server::{Act, EHLO_BARE, Moment, Server, mail, say};

fn envelope(to: &str) -> Envelope {
    Envelope { from: "from@example.org".into(), to: to.into() }
}

/// Until it holds at this server. Then the runtime has heard of all that was sent before, too.
async fn until(server: &Server, holds: impl Fn(&Server) -> bool) {
    let wait = async {
        while !holds(server) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{:?}", server.log()));
}

/// Until the server has seen so many of these commands.
async fn seen(server: &Server, command: &str, times: usize) {
    until(server, |server| server.count(command) >= times).await;
}

/// Sends `a`, with `b` announced; the server knows of it.
async fn announced(server: &Server) -> Box<dyn Connection> {
    let mut connection = server.transport().connect().await.unwrap();
    connection.send_before(&mail("a@example.org"), Some(&envelope("b@example.org"))).await.unwrap();
    seen(server, "DATA", 2).await;
    connection
}

#[tokio::test]
async fn the_envelope_of_the_next_mail_goes_out_with_the_message_before_it() {
    let server = Server::start(|_| Act::Behave).await;
    let mut connection = announced(&server).await;
    assert_eq!(server.arrived(), [mail("a@example.org")]);
    connection.send_before(&mail("b@example.org"), Some(&envelope("c@example.org"))).await.unwrap();
    connection.send(&mail("c@example.org")).await.unwrap();
    connection.send(&mail("d@example.org")).await.unwrap();
    connection.close().await;
    assert_eq!(server.arrived(), ["a", "b", "c", "d"].map(|name| mail(&format!("{name}@example.org"))));
    assert_eq!((server.connections(), server.count("MAIL"), server.count("RSET"), server.count("QUIT")), (1, 4, 0, 1));
}

#[tokio::test]
async fn another_mail_than_the_announced_goes_over_a_new_connection() {
    let eight_bit = Handover { message: "Subject: x\r\n\r\nünï\r\n".into(), ..mail("b@example.org") };
    let from_another = Handover { from: "other@example.org".into(), ..mail("b@example.org") };
    for other in [mail("c@example.org"), eight_bit, from_another] {
        let server = Server::start(|_| Act::Behave).await;
        let mut connection = announced(&server).await;
        connection.send(&other).await.unwrap();
        connection.close().await;
        assert_eq!(server.arrived(), [mail("a@example.org"), other]);
        assert_eq!((server.connections(), server.count("QUIT")), (2, 1), "nothing is said where the server waits for a message");
    }
}

#[tokio::test]
async fn where_no_mail_follows_nothing_is_delivered() {
    let server = Server::start(|_| Act::Behave).await;
    announced(&server).await.close().await;
    drop(announced(&Server::start(|_| Act::Behave).await).await);
    assert_eq!((server.arrived(), server.count("QUIT")), (vec![mail("a@example.org")], 0));
}

#[tokio::test]
async fn nothing_is_announced_that_the_server_might_not_want() {
    type Script = fn(&Moment<'_>) -> Act;
    let bare: Script = |moment| if moment.verb == "EHLO" { Act::Say(EHLO_BARE.into()) } else { Act::Behave };
    let behave: Script = |_| Act::Behave;
    for (script, next, mails_per_connection) in [
        (bare, "b@example.org", 1_000),
        (behave, "b@example.org", 1),
        (behave, "ünï@example.org", 1_000),
        (behave, "b@example.org>\r\nRCPT TO:<c@example.org", 1_000),
        (behave, "", 1_000),
    ] {
        let server = Server::start(script).await;
        let mut settings = server.settings();
        settings.mails_per_connection = mails_per_connection;
        let mut connection = SmtpTransport::new(settings).unwrap().connect().await.unwrap();
        connection.send_before(&mail("a@example.org"), Some(&envelope(next))).await.unwrap();
        connection.close().await;
        // What was announced would have come before the farewell.
        assert_eq!((server.count("MAIL"), server.count("QUIT")), (1, 1), "{next:?}: {:?}", server.log());
    }
}

#[tokio::test]
async fn a_refusal_of_an_announced_mail_is_told_when_its_turn_comes() {
    for (verb, words) in [("MAIL", "550 5.7.1 no"), ("RCPT", "450 4.2.1 later"), ("DATA", "451 4.3.0 later")] {
        let server = Server::start(move |moment| if moment.verb == verb && moment.mails == 1 { say(words) } else { Act::Behave }).await;
        let mut connection = announced(&server).await;
        let refused = connection.send_before(&mail("b@example.org"), Some(&envelope("c@example.org"))).await;
        let Err(MailError::Temporary { reply } | MailError::Permanent { reply }) = &refused else { panic!("{verb}: {refused:?}") };
        assert_eq!(reply, words);
        // Only now the server behaves: the refused mail did not count.
        assert_eq!((server.arrived(), server.connections()), (vec![mail("a@example.org")], 1), "{verb}");
    }
}

#[tokio::test]
async fn after_a_refused_announcement_the_connection_goes_on() {
    for invites in [false, true] {
        let server = Server::start(move |moment| match (moment.verb, moment.line) {
            ("RCPT", line) if line.contains("b@") => say("550 5.1.1 no such user"),
            // With nobody to send to, some servers ask for the message all the same.
            ("DATA", _) if invites => say("354 go on"),
            _ => Act::Behave,
        })
        .await;
        let mut connection = announced(&server).await;
        let refused = connection.send(&mail("b@example.org")).await;
        assert!(matches!(&refused, Err(MailError::Permanent { .. })), "{refused:?}");
        connection.send_before(&mail("c@example.org"), Some(&envelope("d@example.org"))).await.unwrap();
        connection.send(&mail("d@example.org")).await.unwrap();
        assert_eq!(server.arrived(), ["a", "c", "d"].map(|name| mail(&format!("{name}@example.org"))));
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_message_that_is_refused_takes_nothing_from_the_one_announced_with_it() {
    let server =
        Server::start(|moment| if moment.verb == "END" && moment.mails == 0 && moment.connection == 1 { say("552 5.3.4 too big") } else { Act::Behave }).await;
    let mut connection = server.transport().connect().await.unwrap();
    let refused = connection.send_before(&mail("a@example.org"), Some(&envelope("b@example.org"))).await;
    assert!(matches!(&refused, Err(MailError::Permanent { reply }) if reply.starts_with("552")), "{refused:?}");
    seen(&server, "DATA", 2).await;
    assert_eq!((server.arrived(), server.connections()), (Vec::new(), 1));
}

#[tokio::test]
async fn a_server_that_hangs_up_after_a_message_gets_the_announced_mail_over_a_new_connection() {
    for act in [Act::HangUp, Act::SayAndHangUp("421 4.4.2 enough\r\n".into())] {
        // At the first command of the announced mail.
        let server = Server::start(move |moment| if moment.verb == "MAIL" && moment.mails == 1 { act.clone() } else { Act::Behave }).await;
        let mut connection = server.transport().connect().await.unwrap();
        connection.send_before(&mail("a@example.org"), Some(&envelope("b@example.org"))).await.unwrap();
        connection.send(&mail("b@example.org")).await.unwrap();
        assert_eq!((server.arrived(), server.connections()), (vec![mail("a@example.org"), mail("b@example.org")], 2));
    }
}

#[tokio::test]
async fn a_message_that_is_refused_with_a_farewell_ends_the_connection_and_the_next_goes_over_a_new_one() {
    let farewell = Act::SayAndHangUp("421 4.3.2 going down\r\n".into());
    let server = Server::start(move |moment| if moment.verb == "END" && moment.connection == 1 { farewell.clone() } else { Act::Behave }).await;
    let mut connection = server.transport().connect().await.unwrap();
    let refused = connection.send_before(&mail("a@example.org"), Some(&envelope("b@example.org"))).await;
    assert!(matches!(&refused, Err(MailError::Temporary { reply }) if reply.starts_with("421")), "{refused:?}");
    connection.send(&mail("b@example.org")).await.unwrap();
    assert_eq!((server.arrived(), server.connections()), (vec![mail("b@example.org")], 2));
}

#[tokio::test]
async fn a_lost_answer_is_unknown_whatever_was_announced_with_its_message() {
    let server = Server::start(|moment| if moment.verb == "END" && moment.connection == 1 { Act::HangUp } else { Act::Behave }).await;
    let mut connection = server.transport().connect().await.unwrap();
    let lost = connection.send_before(&mail("a@example.org"), Some(&envelope("b@example.org"))).await;
    assert!(matches!(&lost, Err(MailError::Unknown { .. })), "{lost:?}");
    assert_eq!(server.arrived(), []);
}

#[tokio::test]
async fn a_server_that_gave_up_waiting_for_an_announced_message_is_asked_again() {
    // With and without words behind its invitation, as one that waited too long does, or one that was stopped.
    for words in ["354 go on\r\n421 4.4.2 timeout\r\n", "354 go on\r\n"] {
        let server = Server::start(move |moment| {
            let waited = moment.verb == "DATA" && moment.mails == 1 && moment.connection == 1;
            if waited { Act::SayAndHangUp(words.into()) } else { Act::Behave }
        })
        .await;
        let mut connection = announced(&server).await;
        until(&server, |server| server.hang_ups() == 1).await;
        connection.send(&mail("b@example.org")).await.unwrap();
        assert_eq!((server.arrived(), server.connections()), (vec![mail("a@example.org"), mail("b@example.org")], 2));
    }
}

#[tokio::test]
async fn to_a_server_that_drops_what_comes_behind_a_message_nothing_more_is_announced() {
    // It offers PIPELINING, and never answers.
    let server = Server::start(|moment| if moment.verb == "MAIL" && moment.mails == 1 && moment.connection == 1 { Act::Silence } else { Act::Behave }).await;
    let mut settings = server.settings();
    settings.timeout = Duration::from_millis(200);
    let transport = SmtpTransport::new(settings).unwrap();
    let mut connection = transport.connect().await.unwrap();
    connection.send_before(&mail("a@example.org"), Some(&envelope("b@example.org"))).await.unwrap();
    connection.send_before(&mail("b@example.org"), Some(&envelope("c@example.org"))).await.unwrap();
    connection.close().await;
    // Nor on any other connection.
    let mut connection = transport.connect().await.unwrap();
    connection.send_before(&mail("d@example.org"), Some(&envelope("e@example.org"))).await.unwrap();
    connection.close().await;
    assert_eq!(server.arrived(), ["a", "b", "d"].map(|name| mail(&format!("{name}@example.org"))));
    assert_eq!((server.connections(), server.count("MAIL"), server.count("QUIT")), (3, 4, 2), "{:?}", server.log());
}

#[tokio::test]
async fn a_send_that_was_given_up_leaves_nothing_announced() {
    let server = Server::start(|moment| if moment.verb == "END" && moment.connection == 1 { Act::Silence } else { Act::Behave }).await;
    let mut connection = server.transport().connect().await.unwrap();
    let (first, next) = (mail("a@example.org"), envelope("b@example.org"));
    tokio::select! {
        _ = connection.send_before(&first, Some(&next)) => panic!("the server is silent"),
        () = seen(&server, "DATA", 1) => {}
    }
    connection.send(&mail("b@example.org")).await.unwrap();
    assert_eq!((server.arrived(), server.connections()), (vec![mail("b@example.org")], 2));
}
