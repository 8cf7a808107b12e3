//! Mails that came back: whatever they are, what is read of them is bounded; and what a report says is told as it says it.
#![no_main]

use emcrm_fuzz::parts;
use emcrm_mail::report::read;
use emcrm_mail::{DELIVERY_HEADER, Report, ReportKind};
use libfuzzer_sys::fuzz_target;

/// What can stand in a field as it is.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fuzz_target!(|bytes: &[u8]| {
    let told = read(bytes);
    assert!(told.len() <= 100);
    for report in &told {
        assert_eq!(report.delivery, told[0].delivery, "all of them are about one mail");
        // A byte of a foreign character set becomes three at most.
        let fields = [report.address.as_deref(), Some(report.words.as_str())];
        assert!(fields.into_iter().flatten().all(|field| !field.contains('\n') && field.len() <= 3 * bytes.len() + 20), "{report:?}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let [address, words, token] = parts(text);
    let signed = plain(token) && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !plain(address) || !plain(words) || !signed {
        return;
    }
    let mail = format!(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; {words}\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\n{DELIVERY_HEADER}: {token}\r\n\r\n--b--\r\n"
    );
    let told = read(mail.as_bytes());
    let expected = Report { kind: ReportKind::Bounced, delivery: Some(token.to_owned()), address: Some(address.to_owned()), words: words.to_owned() };
    assert_eq!(told, [expected]);
});
