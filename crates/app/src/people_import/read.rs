//! A file of rows as spreadsheets write it: what it is encoded in, what stands between its columns, and its rows.

use std::borrow::Cow;

use emcrm_model::FieldErrors;
use encoding_rs::{Encoding, WINDOWS_1252};
use serde::{Deserialize, Serialize};

use super::ROWS_AT_ONCE;

/// Largest file, in bytes: it is read in memory.
pub const FILE_MAX: usize = 25 * 1024 * 1024;
/// Most rows of one import.
pub const ROWS_MAX: usize = 100_000;
const COLUMNS_MAX: usize = 100;
/// Longest cell that is kept whole; longer than any field may be, so that what is cut is faulty anyway.
const CELL_MAX: usize = 2_100;
/// Bytes of a piece of rows as they are stored, and so of a row.
const PIECE_BYTES: usize = 150 * 1024;

/// A row: its line in the file, from 1, and its cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row(pub u64, pub Vec<String>);

#[derive(Debug, PartialEq, Eq)]
pub struct Sheet {
    pub encoding: &'static str,
    pub delimiter: char,
    pub header: Vec<String>,
    pub pieces: Vec<Vec<Row>>,
    pub rows: u64,
}

/// The text of a file: by its byte order mark; else UTF-8 if it is that; else what Windows wrote before. With the name of what it was written in.
pub fn decode(bytes: &[u8]) -> (Cow<'_, str>, &'static str) {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let (text, _) = encoding.decode_without_bom_handling(bytes.get(mark..).unwrap_or_default());
        return (text, encoding.name());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), "UTF-8"),
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(bytes).0, WINDOWS_1252.name()),
    }
}

fn reader(text: &str, delimiter: char) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter as u8).flexible(true).has_headers(false).from_reader(text.as_bytes())
}

/// The one that makes the most columns which the first rows agree on.
fn delimiter(text: &str) -> char {
    let score = |delimiter: char| {
        let lengths: Vec<usize> = reader(text, delimiter).records().take(20).filter_map(Result::ok).map(|record| record.len()).collect();
        let columns = lengths.first().copied().unwrap_or(0);
        let agree = lengths.iter().filter(|length| **length == columns).count();
        if columns < 2 { 0 } else { columns * agree * 100 / lengths.len().max(1) }
    };
    let mut best = (',', score(','));
    for other in [';', '\t', '|'] {
        let found = score(other);
        if found > best.1 {
            best = (other, found);
        }
    }
    best.0
}

fn fault(message: impl Into<String>) -> FieldErrors {
    FieldErrors::one("file", "value_error", message)
}

/// Which line a place of the text is in. The reader itself counts no line ends of old Macs, which are a single carriage return, and ends rows at them.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub fn of_text(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, line: 1 }
    }
    /// Of the row that begins there, or after the line ends there. Places come in their order.
    pub fn of(&mut self, begin: usize) -> u64 {
        while let Some(byte) = self.text.get(self.at).filter(|byte| self.at < begin || matches!(byte, b'\n' | b'\r')) {
            let next = self.text.get(self.at + 1);
            self.line += u64::from(*byte == b'\n' || *byte == b'\r' && next != Some(&b'\n'));
            self.at += 1;
        }
        self.line
    }
}

/// Reads a whole file. Rows without any text are left out.
pub fn sheet(bytes: &[u8]) -> Result<Sheet, FieldErrors> {
    let (text, encoding) = decode(bytes);
    let delimiter = delimiter(&text);
    let mut records = reader(&text, delimiter).into_records();
    let unreadable = |error: csv::Error| fault(format!("the file cannot be read as a table: {error}"));
    let header: Vec<String> = match records.next().transpose().map_err(unreadable)? {
        Some(record) => record.iter().map(|name| cell(name, 100)).collect(),
        None => return Err(fault("the file is empty")),
    };
    if header.len() > COLUMNS_MAX {
        return Err(fault(format!("the file has {} columns; at most {COLUMNS_MAX} are read", header.len())));
    }
    let mut sheet = Sheet { encoding, delimiter, header, pieces: Vec::new(), rows: 0 };
    let (mut piece, mut bytes) = (Vec::new(), 0);
    let mut lines = Lines::of_text(&text);
    for record in records {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, |at| lines.of(at.byte() as usize));
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let wanted = sheet.header.len();
        let row = Row(line, record.iter().take(wanted).map(|text| cell(text, CELL_MAX)).collect());
        let size = serde_json::to_string(&row).map_or(usize::MAX, |text| text.len());
        if size > PIECE_BYTES {
            return Err(fault(format!("the row in line {line} holds {} kB; at most {} kB are read", size.div_ceil(1024), PIECE_BYTES / 1024)));
        }
        if piece.len() == ROWS_AT_ONCE || bytes + size > PIECE_BYTES {
            sheet.pieces.push(std::mem::take(&mut piece));
            bytes = 0;
        }
        bytes += size;
        piece.push(row);
        sheet.rows += 1;
        if sheet.rows > ROWS_MAX as u64 {
            return Err(fault(format!("the file has more than {ROWS_MAX} rows; split it")));
        }
    }
    if sheet.rows == 0 {
        return Err(fault("the file has a first row with names and nothing under it"));
    }
    sheet.pieces.push(piece);
    Ok(sheet)
}

/// Trimmed, without NUL, and without the apostrophe that keeps a spreadsheet from taking a text for a formula.
fn cell(text: &str, max: usize) -> String {
    let text = text.trim();
    let text = text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])).unwrap_or(text);
    text.chars().filter(|letter| *letter != '\0').take(max).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cells(bytes: &[u8]) -> (&'static str, char, Vec<Row>) {
        let sheet = sheet(bytes).unwrap();
        (sheet.encoding, sheet.delimiter, sheet.pieces.into_iter().flatten().collect())
    }

    #[test]
    fn encodings_and_delimiters_are_recognised() {
        let row = |line, cells: &[&str]| Row(line, cells.iter().map(|cell| (*cell).to_owned()).collect());
        assert_eq!(cells("\u{feff}a,b\nJosé,x\n".as_bytes()), ("UTF-8", ',', vec![row(2, &["José", "x"])]));
        assert_eq!(cells(b"a;b;c\r\nJos\xe9;\"x;y\";\x80\r\n"), ("windows-1252", ';', vec![row(2, &["José", "x;y", "€"])]));
        let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain("a\tb\nÅ\tß\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(cells(&wide), ("UTF-16LE", '\t', vec![row(2, &["Å", "ß"])]));
        let wide: Vec<u8> = [0xfe, 0xff].into_iter().chain("a|b\nÅ|ß\n".encode_utf16().flat_map(u16::to_be_bytes)).collect();
        assert_eq!(cells(&wide), ("UTF-16BE", '|', vec![row(2, &["Å", "ß"])]));
    }

    #[test]
    fn quotes_may_hold_line_ends_and_empty_rows_are_left_out() {
        let (_, _, rows) = cells(b"a,b\n\"two\nlines\",\"say \"\"hi\"\"\"\n,\n'=1+1,x,more\n");
        assert_eq!(rows.first().unwrap().1, ["two\nlines", "say \"hi\""]);
        assert_eq!(rows.get(1).unwrap(), &Row(5, vec!["=1+1".into(), "x".into()]));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn rows_are_found_by_their_lines_whatever_ends_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("a,b{end}1,x{end}{end}\"2{end}3\",y{end}4,z");
            let lines: Vec<u64> = cells(text.as_bytes()).2.iter().map(|row| row.0).collect();
            assert_eq!(lines, [2, 4, 6], "{end:?}");
        }
    }

    #[test]
    fn a_file_without_rows_says_so() {
        for bytes in [&b""[..], b"a,b\n", b"a,b\n,\n"] {
            assert!(sheet(bytes).is_err());
        }
    }

    #[test]
    fn a_row_is_read_whole_or_the_file_is_refused_with_its_line() {
        let header = (0..30).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
        let row = |cell: &str| vec![cell; 30].join(",");
        let long = "x".repeat(2_000);
        assert_eq!(sheet(format!("{header}\n{}\n", row(&long)).as_bytes()).unwrap().pieces, [[Row(2, vec![long.clone(); 30])]]);
        // Each letter takes six bytes where it is stored.
        let error = sheet(format!("{header}\n{}\n{}\n", row("y"), row(&"\u{1}".repeat(2_000))).as_bytes()).unwrap_err();
        assert!(format!("{error:?}").contains("the row in line 3 holds 352 kB; at most 150 kB are read"), "{error:?}");
    }

    #[test]
    fn pieces_are_small_enough_to_be_stored() {
        let mut text = "a,b\n".to_owned();
        for _ in 0..200 {
            text.push_str(&"x".repeat(3_000));
            text.push_str(",y\n");
        }
        let sheet = sheet(text.as_bytes()).unwrap();
        assert!(sheet.pieces.iter().all(|piece| piece.len() <= ROWS_AT_ONCE && serde_json::to_string(piece).unwrap().len() < 160 * 1024));
        assert_eq!(sheet.rows, 200);
    }
}
