//! A filter means the same after it was written and read again, and "exact" is settled after one folding.
#![no_main]

use emcrm_fuzz::parts;
use emcrm_model::{User, UserFilter, fold};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    let [body, company, city] = parts(text);
    for value in [company, city] {
        let folded = fold(value);
        assert_eq!(fold(&folded), folded);
        assert!(folded.trim() == folded && !folded.contains("  "));
    }
    let Ok(body) = serde_json::from_str::<Value>(body) else { return };
    let Ok(filter) = UserFilter::parse(&body) else { return };
    let lists = [&filter.company, &filter.job_title, &filter.city, &filter.state];
    assert!(lists.iter().all(|list| list.len() <= UserFilter::VALUES_MAX));
    assert!(
        lists.iter().flat_map(|list| list.iter()).all(|value| !value.is_empty() && value.chars().count() <= UserFilter::VALUE_MAX && !value.contains('\0'))
    );
    let written = filter.to_json();
    let again = UserFilter::parse(&written).expect("what was written is a filter");
    assert_eq!(again.to_json(), written);
    // As it comes out of the storage.
    let stored: UserFilter = serde_json::from_value(written).expect("what was stored is a filter");
    let user = json!({"id": "u", "firstName": "A", "lastName": "B", "email": "a@example.org", "company": company, "city": city});
    let Ok(user) = serde_json::from_value::<User>(user) else { return };
    assert!(again.matches(&user) == filter.matches(&user) && stored.matches(&user) == filter.matches(&user));
});
