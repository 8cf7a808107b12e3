//! An external merge sort: sorted runs in files, merged while they are read. Memory is bounded by one run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// Bytes that are sorted in memory.
const RUN_BYTES: usize = 32 * 1024 * 1024;

/// Table, PK, SK and the line.
type Record = (u8, String, String, String);

/// Takes lines in any order.
pub struct Sorter {
    /// Where runs are kept; the system's folder for such files without one.
    folder: Option<PathBuf>,
    run: Vec<Record>,
    bytes: usize,
    runs: Vec<File>,
}

impl Sorter {
    /// Runs are files without a name: they are gone with the process.
    pub fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_path_buf), run: Vec::new(), bytes: 0, runs: Vec::new() }
    }

    pub fn add(&mut self, table: u8, pk: &str, sk: &str, line: String) -> io::Result<()> {
        self.bytes += pk.len() + sk.len() + line.len() + 100;
        self.run.push((table, pk.to_owned(), sk.to_owned(), line));
        if self.bytes >= RUN_BYTES { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.run.sort_unstable();
        let mut file = match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder)?,
            None => tempfile::tempfile()?,
        };
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

    /// The lines in order.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.runs.is_empty() {
            self.run.sort_unstable();
            return Ok(Sorted { memory: self.run.into_iter(), runs: Vec::new(), heads: BinaryHeap::new() });
        }
        self.spill()?;
        let runs: Vec<_> = self.runs.into_iter().map(|file| BufReader::new(file).lines()).collect();
        let mut sorted = Sorted { memory: Vec::new().into_iter(), heads: BinaryHeap::with_capacity(runs.len()), runs };
        for n in 0..sorted.runs.len() {
            sorted.fill(n)?;
        }
        Ok(sorted)
    }
}

/// Sorted lines, one after the other.
pub struct Sorted {
    memory: std::vec::IntoIter<Record>,
    runs: Vec<io::Lines<BufReader<File>>>,
    /// The first line of each run that is not at its end.
    heads: BinaryHeap<Reverse<(Record, usize)>>,
}

impl Sorted {
    fn fill(&mut self, n: usize) -> io::Result<()> {
        if let Some(line) = self.runs.get_mut(n).and_then(Iterator::next) {
            self.heads.push(Reverse((serde_json::from_str(&line?)?, n)));
        }
        Ok(())
    }

    /// The next line; none at the end.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        if let Some((.., line)) = self.memory.next() {
            return Ok(Some(line));
        }
        let Some(Reverse(((.., line), n))) = self.heads.pop() else { return Ok(None) };
        self.fill(n)?;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_are_merged_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(Some(folder.path()));
        for n in [5, 3, 9, 1, 7, 2, 8, 4, 6, 0] {
            sorter.add(u8::from(n > 7), &format!("pk\n{n}"), "sk", format!("line {n}")).unwrap();
            if n % 3 == 0 {
                sorter.spill().unwrap();
            }
        }
        let mut lines = Vec::new();
        let mut sorted = sorter.finish().unwrap();
        while let Some(line) = sorted.next().unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, (0..10).map(|n| format!("line {n}")).collect::<Vec<_>>());
    }
}
