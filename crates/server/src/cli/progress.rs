//! A line at the terminal that tells how far long work is. Nothing where nobody looks: in a pipe, in a log, with `--json`.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

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
            if total.is_some() { "{bar:30} {human_pos} of {human_len} {msg}, {rate}/s, {eta} left" } else { "{spinner} {human_pos} {msg}, {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, line: &mut dyn Write| {
                let _ = write!(line, "{}", HumanCount(state.per_sec() as u64));
            }));
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

    /// The same where there will be so many of them: what is new begins anew, with its speed.
    pub fn set_of(&self, what: &str, n: u64, total: u64) {
        if self.bar.message() != what {
            self.bar.reset();
            self.bar.set_message(what.to_owned());
            self.bar.set_length(total);
        }
        self.bar.set_position(n);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
