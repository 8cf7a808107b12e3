//! `.env` files: `NAME=value` lines. Quotes are taken off, `#` after a blank begins a comment, nothing is expanded.

/// Pairs of a file, or the number of the first line that cannot be read.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut pairs = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(number + 1)?;
        let value = unquote(value.trim()).ok_or(number + 1)?;
        pairs.push((name.trim().to_owned(), value));
    }
    Ok(pairs)
}

fn unquote(value: &str) -> Option<String> {
    match value.chars().next() {
        Some('\'') => {
            let (inner, rest) = value.get(1..)?.split_once('\'')?;
            is_comment(rest).then(|| inner.to_owned())
        }
        Some('"') => {
            let mut out = String::new();
            let mut chars = value.get(1..)?.chars();
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => match chars.next()? {
                        'n' => out.push('\n'),
                        't' => out.push('\t'),
                        other => out.push(other),
                    },
                    other => out.push(other),
                }
            }
            is_comment(chars.as_str()).then_some(out)
        }
        Some('#') => Some(String::new()),
        _ => Some(value.split_once(" #").map_or(value, |(value, _)| value).trim_end().to_owned()),
    }
}

fn is_comment(rest: &str) -> bool {
    let rest = rest.trim();
    rest.is_empty() || rest.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        let text = "# c\n\nA=1\nexport B = two words \nC=\"x # y\" # c\nD='$HOME\"'\nE=a#b\nF=v # c\nG=\nH=\"a\\\"b\\n\"\n";
        let pairs = parse(text).unwrap();
        let have: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let want = [("A", "1"), ("B", "two words"), ("C", "x # y"), ("D", "$HOME\""), ("E", "a#b"), ("F", "v"), ("G", ""), ("H", "a\"b\n")];
        assert_eq!(have, want);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number() {
        assert_eq!(parse("A=1\nnonsense\n"), Err(2));
        assert_eq!(parse("A=\"open\n"), Err(1));
        assert_eq!(parse("A='open\n"), Err(1));
    }
}
