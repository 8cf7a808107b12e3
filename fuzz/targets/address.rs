//! An address that is taken is one line, is taken again as it was and as it is compared, and can stand in a mail's head.
#![no_main]

use emcrm_model::EmailAddress;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(address) = EmailAddress::parse(text) else { return };
    let (typed, normalised) = (address.as_str(), address.normalised());
    assert!(typed.len() <= EmailAddress::MAX && normalised.len() <= EmailAddress::MAX);
    assert!(!typed.chars().any(char::is_control) && !normalised.chars().any(char::is_control));
    assert!(address.domain().is_ascii() && address.domain().contains('.'));
    assert_eq!(EmailAddress::parse(typed).as_ref(), Ok(&address));
    let again = EmailAddress::parse(normalised).expect("what is compared is an address");
    assert_eq!(again.normalised(), normalised);
    // As it comes out of the storage.
    assert_eq!(EmailAddress::from(typed.to_owned()).normalised(), normalised);
    assert!(address.is_deliverable());
});
