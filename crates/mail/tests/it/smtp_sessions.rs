//! What goes over the wire when all is well.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use emcrm_mail::conformance::{Refusal, Subject};
use emcrm_mail::{Handover, MailError, SmtpTransport, Transport, transport_conformance};

use crate::server::{Act, EHLO_BARE, Server, mail, say};

struct Smtp {
    server: Server,
    refused: Arc<Mutex<Vec<(String, Refusal)>>>,
}

impl Smtp {
    async fn start() -> Self {
        let refused: Arc<Mutex<Vec<(String, Refusal)>>> = Arc::default();
        let known = Arc::clone(&refused);
        let server = Server::start(move |moment| {
            let found = known.lock().unwrap().iter().find(|(to, _)| moment.verb == "RCPT" && moment.line.contains(to)).map(|(_, how)| *how);
            match found {
                Some(Refusal::Temporary) => say("450 4.2.1 later"),
                Some(Refusal::Permanent) => say("550 5.1.1 no such user"),
                None => Act::Behave,
            }
        })
        .await;
        Self { server, refused }
    }
}

#[async_trait]
impl Subject for Smtp {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.server.transport())
    }
    async fn arrived(&mut self) -> Vec<Handover> {
        self.server.arrived()
    }
    async fn refuse(&mut self, to: &str, how: Refusal) -> bool {
        self.refused.lock().unwrap().push((to.to_owned(), how));
        true
    }
    async fn stop(&mut self) {
        self.server.stop().await;
    }
}

transport_conformance!(Smtp::start().await);

fn bare(moment: &crate::server::Moment<'_>) -> Act {
    if moment.verb == "EHLO" { Act::Say(EHLO_BARE.into()) } else { Act::Behave }
}

#[tokio::test]
async fn commands_go_out_together_where_pipelining_is_offered() {
    // The answers are kept back until DATA came: a client that waits for each would wait for ever.
    let server = Server::start(|moment| match moment.verb {
        "MAIL" | "RCPT" => Act::Later("250 ok\r\n".into()),
        "DATA" => say("354 go on"),
        _ => Act::Behave,
    })
    .await;
    let mut connection = server.transport().connect().await.unwrap();
    connection.send(&mail("a@example.org")).await.unwrap();
    assert_eq!(server.arrived(), [mail("a@example.org")]);
}

#[tokio::test]
async fn commands_wait_for_their_answers_where_it_is_not() {
    let server = Server::start(bare).await;
    let mut connection = server.transport().connect().await.unwrap();
    connection.send(&mail("a@example.org")).await.unwrap();
    connection.send(&mail("b@example.org")).await.unwrap();
    assert_eq!((server.ahead(), server.arrived().len()), (0, 2));
}

#[tokio::test]
async fn a_connection_is_kept_and_replaced_after_its_share_of_mails() {
    let server = Server::start(|_| Act::Behave).await;
    let mut settings = server.settings();
    settings.mails_per_connection = 3;
    let mut connection = SmtpTransport::new(settings).unwrap().connect().await.unwrap();
    for n in 0..7 {
        connection.send(&mail(&format!("{n}@example.org"))).await.unwrap();
    }
    connection.close().await;
    assert_eq!((server.connections(), server.arrived().len(), server.count("QUIT"), server.count("RSET")), (3, 7, 3, 0));
}

#[tokio::test]
async fn reset_is_said_only_after_a_transaction_was_left_open() {
    let server = Server::start(|moment| match (moment.verb, moment.line) {
        ("RCPT", line) if line.contains("bad@") => say("550 5.1.1 no"),
        ("MAIL", line) if line.contains("spam@") => say("550 5.7.1 no"),
        _ => Act::Behave,
    })
    .await;
    let mut connection = server.transport().connect().await.unwrap();
    let spam = Handover { from: "spam@example.org".into(), ..mail("a@example.org") };
    for handover in [mail("a@example.org"), spam, mail("a@example.org"), mail("bad@example.org"), mail("a@example.org")] {
        let _ = connection.send(&handover).await;
    }
    assert_eq!((server.count("RSET"), server.arrived().iter().filter(|m| m.to == "a@example.org").count()), (1, 3));
}

#[tokio::test]
async fn an_old_server_is_greeted_with_helo() {
    let server = Server::start(|moment| if moment.verb == "EHLO" { say("502 what?") } else { Act::Behave }).await;
    let mut connection = server.transport().connect().await.unwrap();
    connection.send(&mail("a@example.org")).await.unwrap();
    assert_eq!((server.count("HELO [127.0.0.1]"), server.arrived().len()), (1, 1));
}

#[tokio::test]
async fn the_hello_name_is_the_one_that_was_set() {
    let server = Server::start(|_| Act::Behave).await;
    let mut settings = server.settings();
    settings.hello = Some("crm.example.org".into());
    SmtpTransport::new(settings).unwrap().connect().await.unwrap();
    assert_eq!(server.log(), ["1:EHLO crm.example.org"]);
}

#[tokio::test]
async fn an_address_with_other_letters_needs_smtputf8() {
    let offering = Server::start(|_| Act::Behave).await;
    let mut connection = offering.transport().connect().await.unwrap();
    connection.send(&mail("ünï@example.org")).await.unwrap();
    assert!(offering.log().iter().any(|line| line.starts_with("1:MAIL") && line.ends_with(" BODY=8BITMIME SMTPUTF8")), "{:?}", offering.log());

    let not = Server::start(bare).await;
    let mut connection = not.transport().connect().await.unwrap();
    let refused = connection.send(&mail("ünï@example.org")).await;
    assert!(matches!(&refused, Err(MailError::Permanent { reply }) if reply.contains("SMTPUTF8")), "{refused:?}");
    connection.send(&mail("uni@example.org")).await.unwrap();
    assert_eq!((not.count("MAIL"), not.connections()), (1, 1));
}

#[tokio::test]
async fn a_send_that_was_given_up_leaves_nothing_half_said() {
    let server = Server::start(|moment| if moment.verb == "RCPT" && moment.connection == 1 { Act::Silence } else { Act::Behave }).await;
    let mut connection = server.transport().connect().await.unwrap();
    let first = mail("a@example.org");
    tokio::select! {
        _ = connection.send(&first) => panic!("the server is silent"),
        () = async { while server.count("RCPT") == 0 { tokio::task::yield_now().await } } => {}
    }
    connection.send(&mail("b@example.org")).await.unwrap();
    assert_eq!(server.arrived(), [mail("b@example.org")]);
    assert_eq!(server.connections(), 2);
}
