//! An external merge sort: sorted runs in files, merged while they are read. Memory is bounded by one run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::Path;

/// Bytes that are sorted in memory.
const RUN_BYTES: usize = 32 * 1024 * 1024;

/// Table, PK, SK and the line.
type Record = (u8, String, String, String);

pub struct Sorter<'a> {
    folder: &'a Path,
    run: Vec<Record>,
    bytes: usize,
    runs: Vec<File>,
}

impl<'a> Sorter<'a> {
    /// Runs are files without a name in `folder`: they are gone with the process.
    pub fn new(folder: &'a Path) -> Self {
        Self { folder, run: Vec::new(), bytes: 0, runs: Vec::new() }
    }

    pub fn add(&mut self, table: u8, pk: &str, sk: &str, line: String) -> io::Result<()> {
        self.bytes += pk.len() + sk.len() + line.len() + 100;
        self.run.push((table, pk.to_owned(), sk.to_owned(), line));
        if self.bytes >= RUN_BYTES { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.run.sort_unstable();
        let mut file = tempfile::tempfile_in(self.folder)?;
        let mut out = BufWriter::new(&mut file);
        for (table, pk, sk, line) in self.run.drain(..) {
            // JSON of a text has no line end in it.
            writeln!(out, "{}", serde_json::to_string(&(table, pk, sk, line))?)?;
        }
        out.flush()?;
        drop(out);
        file.rewind()?;
        self.runs.push(file);
        self.bytes = 0;
        Ok(())
    }

    /// Gives every line in order.
    pub fn finish(mut self, mut each: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        if self.runs.is_empty() {
            self.run.sort_unstable();
            return self.run.iter().try_for_each(|(.., line)| each(line));
        }
        self.spill()?;
        let mut runs: Vec<_> = std::mem::take(&mut self.runs).into_iter().map(|file| BufReader::new(file).lines()).collect();
        let count = runs.len();
        let mut heads = BinaryHeap::new();
        let mut next = |n: usize, heads: &mut BinaryHeap<Reverse<(Record, usize)>>| -> io::Result<()> {
            if let Some(line) = runs.get_mut(n).and_then(Iterator::next) {
                heads.push(Reverse((serde_json::from_str(&line?)?, n)));
            }
            Ok(())
        };
        for n in 0..count {
            next(n, &mut heads)?;
        }
        while let Some(Reverse(((.., line), n))) = heads.pop() {
            each(&line)?;
            next(n, &mut heads)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_are_merged_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path());
        for n in [5, 3, 9, 1, 7, 2, 8, 4, 6, 0] {
            sorter.add(u8::from(n > 7), &format!("pk\n{n}"), "sk", format!("line {n}")).unwrap();
            if n % 3 == 0 {
                sorter.spill().unwrap();
            }
        }
        let mut lines = Vec::new();
        sorter.finish(|line| Ok(lines.push(line.to_owned()))).unwrap();
        assert_eq!(lines, (0..10).map(|n| format!("line {n}")).collect::<Vec<_>>());
    }
}
