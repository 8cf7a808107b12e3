//! A line at the terminal that tells how far long work is. Nothing where nobody looks: in a pipe, in a log, with `--json`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub struct Line {
    bar: ProgressBar,
}

impl Line {
    /// `total`: how many things there will be, if that is known.
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        // indicatif itself hides the bar when stderr is no terminal.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template =
            if total.is_some() { "{bar:30} {human_pos} of {human_len} {msg}, {per_sec}, {eta} left" } else { "{spinner} {human_pos} {msg}, {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    pub fn set(&self, what: &str, n: u64) {
        if self.bar.message() != what {
            self.bar.set_message(what.to_owned());
        }
        self.bar.set_position(n);
    }

    pub fn length(&self, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.bar.reset_eta();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
