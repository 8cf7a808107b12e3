//! Encryption and sign-in.

use std::sync::Arc;

use emcrm_mail::{BadSmtpSettings, MailError, SmtpSettings, SmtpTransport, Transport};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::{Act, Moment, Server, mail, say};

const EHLO_TLS: &str = "250-server.test\r\n250-PIPELINING\r\n250-AUTH LOGIN PLAIN\r\n250 STARTTLS\r\n";
const EHLO_LOGIN: &str = "250-server.test\r\n250 AUTH CRAM-MD5 LOGIN\r\n";
/// NUL user NUL pass, in base64.
const TOKEN: &str = "AHVzZXIAcGFzczEyMw==";

fn certificate() -> (TlsAcceptor, NamedTempFile) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), cert.pem()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

fn offering_tls(moment: &Moment<'_>) -> Act {
    match (moment.verb, moment.line) {
        ("EHLO", _) => Act::Say(EHLO_TLS.into()),
        ("AUTH", line) if line == format!("AUTH PLAIN {TOKEN}") => say("235 2.7.0 welcome"),
        ("AUTH", line) => Act::Say(format!("535 5.7.8 no: {line}\r\n")),
        _ => Act::Behave,
    }
}

fn transport(scheme: &str, server: &Server, ca: Option<&NamedTempFile>) -> SmtpTransport {
    let ca = ca.map_or(String::new(), |file| format!("&ca={}", file.path().display()));
    SmtpTransport::new(SmtpSettings::parse(&format!("{scheme}:{}?timeout=20{ca}", server.port)).unwrap()).unwrap()
}

async fn cause(transport: &SmtpTransport) -> String {
    match transport.health().await {
        Err(MailError::Unavailable { cause }) => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn mail_goes_through_starttls_and_implicit_tls_with_the_sign_in_inside() {
    for (scheme, implicit) in [("smtp+starttls://user:pass123@localhost", false), ("smtps://user:pass123@127.0.0.1", true)] {
        let (tls, ca) = certificate();
        let server = Server::start_with(offering_tls, Some(tls), implicit).await;
        let mut connection = transport(scheme, &server, Some(&ca)).connect().await.unwrap();
        connection.send(&mail("a@example.org")).await.unwrap();
        connection.close().await;
        assert_eq!(server.arrived(), [mail("a@example.org")]);
        let log = server.log();
        let place = |word: &str| log.iter().position(|line| line.starts_with(&format!("1:{word}")));
        assert!(place("AUTH") > place("STARTTLS"), "{log:?}");
    }
}

#[tokio::test]
async fn required_encryption_that_is_not_offered_ends_the_connection_before_any_secret() {
    let server = Server::start(|moment| if moment.verb == "EHLO" { Act::Say("250-x\r\n250 AUTH PLAIN\r\n".into()) } else { Act::Behave }).await;
    let cause = cause(&transport("smtp+starttls://user:pass123@127.0.0.1", &server, None)).await;
    assert!(cause.contains("does not offer STARTTLS"), "{cause}");
    assert_eq!((server.count("AUTH"), server.count("MAIL")), (0, 0));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    for (scheme, implicit) in [("smtp+starttls://user:pass123@localhost", false), ("smtps://user:pass123@localhost", true)] {
        let (tls, _) = certificate();
        let (_, other) = certificate();
        let server = Server::start_with(offering_tls, Some(tls), implicit).await;
        for ca in [None, Some(&other)] {
            let cause = cause(&transport(scheme, &server, ca)).await;
            assert!(cause.contains("no encryption: invalid peer certificate"), "{cause}");
        }
        assert_eq!(server.count("AUTH"), 0);
    }
}

#[tokio::test]
async fn words_slipped_in_before_the_encryption_end_the_connection() {
    let (tls, ca) = certificate();
    let script = |moment: &Moment<'_>| match moment.verb {
        "EHLO" => Act::Say(EHLO_TLS.into()),
        "STAR" => Act::Say("220 go on\r\n250 AUTH PLAIN\r\n".into()),
        _ => Act::Behave,
    };
    let server = Server::start_with(script, Some(tls), false).await;
    let cause = cause(&transport("smtp+starttls://localhost", &server, Some(&ca))).await;
    assert!(cause.contains("between STARTTLS and the encryption"), "{cause}");
}

#[tokio::test]
async fn a_refused_sign_in_is_unavailable_and_tells_no_secret() {
    let server = Server::start(|moment| match moment.verb {
        "EHLO" => Act::Say(EHLO_TLS.into()),
        "AUTH" => Act::Say(format!("535 5.7.8 no: {}\r\n", moment.line)),
        _ => Act::Behave,
    })
    .await;
    let cause = cause(&transport("smtp://user:pass123@127.0.0.1", &server, None)).await;
    assert!(cause.contains("the sign-in was refused: 535 5.7.8 no: AUTH PLAIN …"), "{cause}");
}

#[tokio::test]
async fn login_is_used_where_plain_is_not_offered() {
    let server = Server::start(|moment| match (moment.verb, moment.line) {
        ("EHLO", _) => Act::Say(EHLO_LOGIN.into()),
        ("AUTH", "AUTH LOGIN") => say("334 VXNlcm5hbWU6"),
        ("LINE", "dXNlcg==") => say("334 UGFzc3dvcmQ6"),
        ("LINE", "cGFzczEyMw==") => say("235 2.7.0 welcome"),
        ("LINE" | "AUTH", _) => say("535 5.7.8 no"),
        _ => Act::Behave,
    })
    .await;
    assert_eq!(transport("smtp://user:pass123@127.0.0.1", &server, None).health().await, Ok(()));
    let nothing = Server::start(|_| Act::Behave).await;
    assert!(cause(&transport("smtp://user:pass123@127.0.0.1", &nothing, None)).await.contains("neither AUTH PLAIN nor AUTH LOGIN"));
}

#[test]
fn a_file_without_certificates_is_named() {
    let empty = NamedTempFile::new().unwrap();
    let settings = SmtpSettings::parse(&format!("smtps://mail.example.org?ca={}", empty.path().display())).unwrap();
    let error = SmtpTransport::new(settings).err().unwrap();
    assert!(matches!(&error, BadSmtpSettings::CaFile { path, .. } if *path == empty.path().display().to_string()), "{error}");
}
