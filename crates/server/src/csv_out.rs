//! Lines of CSV (RFC 4180) that are safe to open in a spreadsheet.

/// Appends one line. A field that a spreadsheet would take for a formula gets an apostrophe in front, as OWASP advises.
pub fn row(out: &mut Vec<u8>, fields: &[&str]) {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    for field in fields {
        // Writing to memory cannot fail.
        let _ = writer.write_field(&*neutral(field));
    }
    let _ = writer.write_record(None::<&[u8]>);
}

/// The field as it is, or with an apostrophe where it begins like a formula.
pub fn neutral(field: &str) -> std::borrow::Cow<'_, str> {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{field}").into() } else { field.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text_and_quotes_are_doubled() {
        let mut out = Vec::new();
        row(&mut out, &["a", "=1+1", "say \"hi\", ok", "two\nlines", "@x", ""]);
        assert_eq!(String::from_utf8(out).unwrap(), "a,'=1+1,\"say \"\"hi\"\", ok\",\"two\nlines\",'@x,\r\n");
    }
}
