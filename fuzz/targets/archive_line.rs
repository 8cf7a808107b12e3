//! A line of an archive that is taken is written again in one form, and that form is read as itself.
#![no_main]

use emcrm_app::fuzzing::archive_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some(written) = archive_line(text) else { return };
    assert!(!written.contains(['\n', '\r']));
    assert_eq!(archive_line(&written).as_deref(), Some(written.as_str()));
});
