//! A date-time comes back as it was sent, and means one moment in every zone.
#![no_main]

use emcrm_model::DateTime;
use jiff::tz::{Offset, TimeZone};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(at) = DateTime::parse(text) else { return };
    assert_eq!(at.as_str(), text.trim());
    assert_eq!(DateTime::parse(at.as_str()).as_ref(), Ok(&at));
    assert_eq!(DateTime::from(at.as_str().to_owned()), at);
    let zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"].iter().filter_map(|name| TimeZone::get(name).ok());
    let edges = [Offset::MIN, Offset::MAX].map(TimeZone::fixed);
    let moments: Vec<_> = zones.chain(edges).map(|zone| at.instant(&zone)).collect();
    if at.has_offset() {
        assert!(moments.windows(2).all(|pair| pair[0] == pair[1]));
        let written = DateTime::from_instant(moments[0]);
        assert_eq!(DateTime::parse(written.as_str()).map(|again| again.instant(&TimeZone::UTC)), Ok(moments[0]));
    }
});
