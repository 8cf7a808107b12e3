//! Files and pasted tables of people: what is read is bounded, and whoever a row adds keeps the rules of people.
#![no_main]

use emcrm_app::fuzzing::{draft_of, fields_of, guess, sheet};
use emcrm_app::people_import::ROWS_MAX;
use emcrm_app::roster_import::{self, read_rows};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(rows) = read_rows(text) {
            assert!(!rows.is_empty() && rows.len() <= roster_import::ROWS_MAX);
            assert!(rows.iter().map(|row| row.email.len() + row.first_name.len() + row.last_name.len()).sum::<usize>() <= text.len());
        }
    }
    let Ok(sheet) = sheet(bytes) else { return };
    let rows: Vec<_> = sheet.pieces.iter().flatten().collect();
    assert!(rows.len() as u64 == sheet.rows && rows.len() <= ROWS_MAX);
    assert!(
        sheet.pieces.iter().all(|piece| !piece.is_empty() && serde_json::to_string(piece).is_ok_and(|text| text.len() < 390 * 1024)),
        "an item has at most 400 KB"
    );
    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "lines are in their order");
    let mapping = guess(&sheet.header);
    assert!(sheet.header.len() <= 100 && mapping.len() == sheet.header.len());
    for row in rows {
        assert!(row.1.len() <= sheet.header.len() && row.1.iter().all(|cell| !cell.contains('\0')));
        let body = fields_of(&row.1, &mapping);
        if let Ok(draft) = draft_of(&body) {
            assert!(draft.first_name.chars().count() <= 50 && draft.last_name.chars().count() <= 50);
            assert!(draft.email.as_str().len() <= 254 && !draft.email.as_str().contains(['\r', '\n']));
        }
    }
});
