//! The real `smtp-sink` of postfix, where `EMCRM_SMTP_SINK` names it.

use std::process::Stdio;

use emcrm_mail::{SmtpSettings, SmtpTransport, Transport};
use tokio::process::Command;

use crate::server::mail;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test asks for its tool")]
async fn a_real_server_takes_many_mails_on_many_connections() {
    let Ok(sink) = std::env::var("EMCRM_SMTP_SINK") else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(&sink);
    command.args(["-u", "nobody", &format!("127.0.0.1:{port}"), "100"]).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{sink}` does not start: {error}"));
    let transport = SmtpTransport::new(SmtpSettings::parse(&format!("smtp://127.0.0.1:{port}?timeout=20&mails_per_connection=30")).unwrap()).unwrap();
    while transport.health().await.is_err() {
        assert!(child.try_wait().unwrap().is_none(), "`{sink}` ended at once");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let senders: Vec<_> = (0..10)
        .map(|sender| {
            let transport = transport.clone();
            tokio::spawn(async move {
                let mut connection = transport.connect().await.unwrap();
                for n in 0..100 {
                    let receipt = connection.send(&mail(&format!("{sender}-{n}@example.org"))).await.unwrap();
                    assert!(receipt.reply.starts_with("250 2.0.0"), "{receipt:?}");
                }
                connection.close().await;
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
}
