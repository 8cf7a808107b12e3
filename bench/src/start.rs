//! From nothing to the first answer, and what an idle server holds.

use std::time::Duration;

use anyhow::Result;

use crate::Bench;
use crate::report::{Report, Row};
use crate::stats::{median, ms};

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let rounds = if bench.quick { 3 } else { 9 };
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let (running, took) = bench.emcrm.serve(&bench.folder.join(format!("start{round}")), &[])?;
        times.push(ms(took));
        running.stop()?;
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(&mut times);
    let how = format!("median of {rounds} starts, each in an empty folder; the slowest took {slowest:.0} ms");
    report.add(Row::new("start, empty data folder, to first 200 on /health", "< 200 ms", middle < 200.0, format!("{middle:.0} ms"), &how));

    let (running, _) = bench.emcrm.serve(&bench.folder.join("idle"), &[])?;
    std::thread::sleep(Duration::from_secs(if bench.quick { 3 } else { 15 }));
    let memory = running.memory()?;
    let measured = format!("{:.0} MB (peak {:.0} MB)", memory.now, memory.peak);
    report.add(Row::new("resident memory, idle", "< 40 MB", memory.now < 40.0, measured, "VmRSS and VmHWM some seconds after the start"));
    running.stop()
}
