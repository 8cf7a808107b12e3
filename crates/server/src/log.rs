//! Log lines: formatted where they arise, written by a thread of their own. A slow terminal or disk never holds up a request: when the
//! buffer is full, lines are dropped and counted.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use emcrm_model::Clock;
use parking_lot::{Condvar, Mutex};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt};

use crate::config::LogFormat;
use crate::traces::Traces;

/// Most bytes that wait to be written.
const BUFFER_MAX: usize = 4 * 1024 * 1024;
/// Lines are collected for so long before they are written together.
const COLLECT: Duration = Duration::from_millis(5);
/// A longer value is cut.
const VALUE_MAX: usize = 4096;

struct Queue {
    buffer: Mutex<Vec<u8>>,
    filled: Condvar,
    dropped: AtomicU64,
    stop: AtomicBool,
}

/// Ends the writing thread when dropped, after everything was written.
pub struct LogWriter {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.queue.stop.store(true, Ordering::Relaxed);
        self.queue.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes a log that writes to `to`, and lets spans go to `traces`. The subscriber is to be made the global one; the writer is to be kept until the end.
pub fn start(
    format: LogFormat,
    filter: &str,
    clock: Arc<dyn Clock>,
    to: impl Write + Send + 'static,
    traces: Option<&Traces>,
) -> (Box<dyn Subscriber + Send + Sync>, LogWriter) {
    let queue = Arc::new(Queue { buffer: Mutex::new(Vec::new()), filled: Condvar::new(), dropped: AtomicU64::new(0), stop: AtomicBool::new(false) });
    let for_thread = queue.clone();
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&for_thread, to)).ok();
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = Lines { queue: queue.clone(), format, clock };
    // Spans of traces are for traces alone; what nobody takes is never made.
    let filter = match format!("{}=off", emcrm_trace::TARGET).parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let lines = Registry::default().with(lines.with_filter(filter));
    // Beside a layer that is None, a span that nobody takes swallows the next line.
    let subscriber: Box<dyn Subscriber + Send + Sync> = match traces {
        Some(traces) => Box::new(lines.with(traces.layer())),
        None => Box::new(lines),
    };
    (subscriber, LogWriter { queue, thread })
}

fn write_all(queue: &Queue, mut to: impl Write) {
    let mut lines = Vec::new();
    loop {
        let stopping = {
            let mut buffer = queue.buffer.lock();
            while buffer.is_empty() && !queue.stop.load(Ordering::Relaxed) {
                queue.filled.wait_for(&mut buffer, Duration::from_millis(500));
            }
            queue.stop.load(Ordering::Relaxed)
        };
        if !stopping {
            std::thread::sleep(COLLECT);
        }
        std::mem::swap(&mut lines, &mut *queue.buffer.lock());
        let dropped = queue.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            metrics::counter!("emcrm_log_lines_dropped_total").increment(dropped);
            let _ = writeln!(lines, "{dropped} log lines were dropped");
        }
        // Nobody can be told that the log cannot be written.
        let _ = to.write_all(&lines).and_then(|()| to.flush());
        lines.clear();
        lines.shrink_to(BUFFER_MAX / 8);
        if stopping && queue.buffer.lock().is_empty() {
            return;
        }
    }
}

struct Lines {
    queue: Arc<Queue>,
    format: LogFormat,
    clock: Arc<dyn Clock>,
}

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.format(event, line);
            line.push('\n');
            let mut buffer = self.queue.buffer.lock();
            if buffer.len() + line.len() > BUFFER_MAX {
                drop(buffer);
                self.queue.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let was_empty = buffer.is_empty();
            buffer.extend_from_slice(line.as_bytes());
            drop(buffer);
            if was_empty {
                self.queue.filled.notify_one();
            }
        });
    }
}

impl Lines {
    fn format(&self, event: &Event<'_>, line: &mut String) {
        let metadata = event.metadata();
        let now = self.clock.now();
        // Writing into a String cannot fail.
        match self.format {
            LogFormat::Json => {
                let _ = write!(line, "{{\"time\":\"{now:.6}\",\"level\":\"{}\",\"target\":\"{}\"", metadata.level(), metadata.target());
                event.record(&mut JsonFields(line));
                line.push('}');
            }
            LogFormat::Text => {
                let _ = write!(line, "{now:.3} {:5} {}", metadata.level(), metadata.target());
                let mut message = String::new();
                event.record(&mut Message(&mut message));
                let _ = write!(line, ": {message}");
                event.record(&mut TextFields(line));
            }
        }
    }
}

/// Escapes what could end a line, a string, or an entry of a terminal.
struct Escaped<'a> {
    to: &'a mut String,
    left: usize,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            match c {
                '"' => self.to.push_str("\\\""),
                '\\' => self.to.push_str("\\\\"),
                '\n' => self.to.push_str("\\n"),
                '\r' => self.to.push_str("\\r"),
                '\t' => self.to.push_str("\\t"),
                c if c.is_control() || is_invisible(c) => write!(self.to, "\\u{:04x}", c as u32)?,
                c => self.to.push(c),
            }
        }
        Ok(())
    }
}

/// Characters that change how a line looks: line separators, and what turns the direction of writing. All are below U+10000.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn escaped(to: &mut String, value: fmt::Arguments<'_>) {
    let _ = Escaped { to, left: VALUE_MAX }.write_fmt(value);
}

struct JsonFields<'a>(&'a mut String);

impl JsonFields<'_> {
    fn name(&mut self, field: &Field) {
        let _ = write!(self.0, ",\"{}\":", field.name());
    }
    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.name(field);
        self.0.push('"');
        escaped(self.0, value);
        self.0.push('"');
    }
}

impl Visit for JsonFields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            escaped(self.0, format_args!("{value:?}"));
        }
    }
}

struct TextFields<'a>(&'a mut String);

impl Visit for TextFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            let _ = write!(self.0, " {}=", field.name());
            escaped(self.0, format_args!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use emcrm_model::FixedClock;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, what: impl FnOnce()) -> String {
        let sink = Sink::default();
        let clock = Arc::new(FixedClock::new("2026-01-02T03:04:05.678Z".parse().unwrap()));
        let (subscriber, writer) = start(format, filter, clock, sink.clone(), None);
        tracing::subscriber::with_default(subscriber, what);
        drop(writer);
        let bytes = sink.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Takes nothing until it is let go.
    struct Slow(Arc<Mutex<()>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _held = self.0.lock();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_can_write_in_time_are_dropped_and_counted() {
        let dropped = || {
            let text = crate::http::metrics::recorder().render();
            text.lines().find_map(|line| line.strip_prefix("emcrm_log_lines_dropped_total ")?.parse::<u64>().ok()).unwrap_or(0)
        };
        let before = dropped();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let clock = Arc::new(FixedClock::new("2026-01-02T03:04:05.678Z".parse().unwrap()));
        let (subscriber, writer) = start(LogFormat::Text, "info", clock, Slow(gate.clone()), None);
        let lines = 40_000;
        let long = "x".repeat(500);
        tracing::subscriber::with_default(subscriber, || (0..lines).for_each(|_| tracing::info!(long, "hello")));
        drop(closed);
        drop(writer);
        // Twice the buffer's size at most could wait: one that is full, and one that is being written.
        let dropped = dropped() - before;
        assert!((lines / 3..lines).contains(&dropped), "{dropped} of {lines} lines were dropped");
    }

    #[test]
    fn user_text_cannot_forge_a_line() {
        let name = "a\n{\"level\":\"ERROR\"}\u{1b}[31m\u{202e}\"";
        let text = logged(LogFormat::Json, "info", || tracing::info!(name, count = 3_u64, "hello"));
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["name"], name);
        assert_eq!(line["count"], 3);
        assert_eq!(line["message"], "hello");
        assert_eq!(line["time"], "2026-01-02T03:04:05.678000Z");
        let text = logged(LogFormat::Text, "info", || tracing::info!(name, "hello"));
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("hello name=a\\n{\\\"level\\\":") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn less_severe_lines_are_left_out() {
        assert_eq!(logged(LogFormat::Text, "warn", || tracing::info!("quiet")), "");
    }

    #[test]
    fn everything_is_written_before_the_end() {
        let text = logged(LogFormat::Text, "info", || (0..1000).for_each(|number| tracing::info!(number, "line")));
        assert_eq!(text.lines().count(), 1000);
    }
}
