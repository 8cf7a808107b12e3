//! Answers and failures that moto does not give.

use emcrm_mail::{Handover, Identity, MailError, Transport};
use emcrm_mail_ses::{SesSettings, SesTransport};

use super::front::Front;
use super::{moto, settings};

fn mail() -> Handover {
    Handover { from: "bounces@example.org".to_owned(), to: "ann@example.org".to_owned(), message: b"From: bounces@example.org\r\n\r\nHello\r\n".to_vec() }
}

async fn front() -> Front {
    let front = Front::before(&moto()).await;
    front.verify("bounces@example.org").await;
    front
}

const ACCOUNT: &str = r#"{"SendingEnabled":true,"ProductionAccessEnabled":true,"SendQuota":{"Max24HourSend":50000,"MaxSendRate":14,"SentLast24Hours":10}}"#;

#[tokio::test]
async fn the_rate_is_the_smaller_of_setting_and_quota() {
    let front = front().await;
    front.account(200, ACCOUNT);
    assert_eq!(SesTransport::new(settings(&front.address)).await.rate(), Some(14));
    for (rate, expected) in [(5, 5), (100, 14)] {
        let transport = SesTransport::new(SesSettings { rate: Some(rate), ..settings(&front.address) }).await;
        assert_eq!(transport.rate(), Some(expected));
    }
    front.account(403, r#"{"message":"not authorized","__type":"AccessDeniedException"}"#);
    let transport = SesTransport::new(SesSettings { rate: Some(7), ..settings(&front.address) }).await;
    assert_eq!((transport.rate(), transport.health().await), (Some(7), Ok(())), "an account that may not be asked about is fine");
}

#[tokio::test]
async fn an_account_that_may_not_send_is_said_before_anything_is_sent() {
    let front = front().await;
    for (account, word) in [
        (ACCOUNT.replace("\"SendingEnabled\":true", "\"SendingEnabled\":false"), "paused"),
        (ACCOUNT.replace("\"SentLast24Hours\":10", "\"SentLast24Hours\":50000"), "used up"),
    ] {
        front.account(200, &account);
        let transport = SesTransport::new(settings(&front.address)).await;
        for result in [transport.connect().await.map(drop), transport.health().await] {
            assert!(matches!(&result, Err(MailError::Unavailable { cause }) if cause.contains(word)), "{result:?}");
        }
    }
    assert!(front.taken().is_empty());
}

fn told(verified: bool, dkim: &str) -> (u16, &'static str, String) {
    let dkim = format!(r#"{{"SigningEnabled":true,"Status":"{dkim}","Tokens":[]}}"#);
    (200, "", format!(r#"{{"IdentityType":"DOMAIN","FeedbackForwardingStatus":true,"VerifiedForSendingStatus":{verified},"DkimAttributes":{dkim}}}"#))
}

fn refused(status: u16, code: &'static str) -> (u16, &'static str, String) {
    (status, code, r#"{"message":"no"}"#.to_owned())
}

#[tokio::test]
async fn the_sender_is_proven_by_its_address_or_by_a_domain_above_it() {
    let front = front().await;
    let transport = SesTransport::new(settings(&front.address)).await;
    let identity = |name: &str, verified, signed| Some(Identity { name: name.to_owned(), verified, signed });
    let ask = async || transport.sender("crm@mail.example.org").await;

    front.identities(|name| if name == "example.org" { told(true, "SUCCESS") } else { refused(404, "NotFoundException") });
    assert_eq!(ask().await, identity("example.org", true, true));
    front.identities(|name| match name {
        "crm@mail.example.org" => told(true, "NOT_STARTED"),
        "mail.example.org" => told(false, "PENDING"),
        _ => refused(404, "NotFoundException"),
    });
    assert_eq!(ask().await, identity("crm@mail.example.org", true, false), "nobody signs it");
    front.identities(|name| if name == "mail.example.org" { told(false, "PENDING") } else { refused(404, "NotFoundException") });
    assert_eq!(ask().await, identity("mail.example.org", false, false), "not proven yet");
    front.identities(|_| refused(404, "NotFoundException"));
    assert_eq!(ask().await, identity("mail.example.org", false, false), "not known at all");
}

#[tokio::test]
async fn who_may_not_ask_about_the_sender_is_told_nothing() {
    let front = front().await;
    let transport = SesTransport::new(settings(&front.address)).await;
    front.identities(|_| refused(403, "AccessDeniedException"));
    assert_eq!(transport.sender("crm@example.org").await, None);
    // The right may be for the domain alone.
    front.identities(|name| if name == "example.org" { told(true, "SUCCESS") } else { refused(403, "AccessDeniedException") });
    assert!(transport.sender("crm@example.org").await.is_some_and(|identity| identity.verified && identity.signed));
    front.stop();
    assert_eq!(transport.sender("crm@example.org").await, None, "nobody answers");
}

#[tokio::test]
async fn what_nobody_knows_is_unknown_and_what_was_not_taken_is_not() {
    let front = front().await;
    let transport = SesTransport::new(settings(&front.address)).await;
    let mut connection = transport.connect().await.unwrap();
    for (status, code, meaning) in
        [(500, "InternalFailure", "unknown"), (0, "", "unknown"), (400, "SendingPausedException", "unavailable"), (429, "Throttling", "temporary")]
    {
        front.answer(move |_| Some((status, code, "no")));
        let found = match connection.send(&mail()).await {
            Err(MailError::Unknown { .. }) => "unknown",
            Err(MailError::Unavailable { .. }) => "unavailable",
            Err(MailError::Temporary { .. }) => "temporary",
            other => panic!("{status} {code}: {other:?}"),
        };
        assert_eq!(found, meaning, "{status} {code}");
    }
    front.answer(|_| None);
    let receipt = connection.send(&mail()).await.unwrap();
    assert!(receipt.reply.starts_with("taken by SES as "), "{receipt:?}");
    assert_eq!(front.taken().len(), 1);
}

#[tokio::test]
async fn addresses_that_ses_does_not_take_are_refused_for_good() {
    let front = front().await;
    let transport = SesTransport::new(settings(&front.address)).await;
    let mut connection = transport.connect().await.unwrap();
    let result = connection.send(&Handover { to: "jörg@example.org".to_owned(), ..mail() }).await;
    assert!(matches!(result, Err(MailError::Permanent { .. })), "{result:?}");
    assert!(front.taken().is_empty());
}

#[tokio::test]
async fn the_configuration_set_goes_with_each_mail() {
    let front = front().await;
    let transport = SesTransport::new(SesSettings { configuration_set: Some("crm".to_owned()), ..settings(&front.address) }).await;
    let seen = std::sync::Arc::new(parking_lot::Mutex::new(None));
    let kept = seen.clone();
    front.answer(move |request| {
        *kept.lock() = request["ConfigurationSetName"].as_str().map(str::to_owned);
        Some((400, "BadRequestException", "seen"))
    });
    let mut connection = transport.connect().await.unwrap();
    assert!(connection.send(&mail()).await.is_err());
    assert_eq!(seen.lock().as_deref(), Some("crm"));
}
