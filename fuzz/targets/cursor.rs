//! Cursors and signed links: nothing that was not given out here opens, and what was given out comes back unchanged.
#![no_main]

use emcrm_app::fuzzing::{cursor_open, cursor_seal, link_open, link_seal};
use emcrm_app::links::{Purpose, Signed};
use emcrm_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let [list, id, target] = parts(text);
    // Nobody guesses a tag of 96 bits.
    assert_eq!(cursor_open(list, id), None);
    assert_eq!(link_open(Purpose::Click, target), None);
    let position = json!([id, target, list.len()]);
    let cursor = cursor_seal(list, &position);
    if cursor.len() > 4_096 {
        assert_eq!(cursor_open(list, &cursor), None);
        return;
    }
    assert_eq!(cursor_open(list, &cursor).as_ref(), Some(&position));
    assert_eq!(cursor_open(&format!("{list}x"), &cursor), None);
    let at = text.len() % cursor.len();
    let changed: String = cursor.char_indices().map(|(n, c)| if n == at { if c == 'A' { 'B' } else { 'A' } } else { c }).collect();
    assert_eq!(cursor_open(list, &changed), None);
    // Ids have 1 to 50 characters; others never come here.
    if (1..=200).contains(&id.len()) && (1..=200).contains(&list.len()) {
        let signed = Signed { campaign: id.to_owned().into(), user: list.to_owned().into(), target: target.to_owned() };
        let link = link_seal(Purpose::Click, &signed);
        if link.len() <= 4_096 {
            assert_eq!(link_open(Purpose::Click, &link).as_ref(), Some(&signed));
            assert_eq!(link_open(Purpose::Unsubscribe, &link), None);
        }
    }
});
