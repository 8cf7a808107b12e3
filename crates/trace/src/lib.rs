//! Spans of traces, for whoever makes them: the store (a task remembers its trace), the application (tasks, pages, batches, mails), the server (requests).
//! Where spans go is the server's affair; without a layer that takes them none is ever made, and asking costs one load of an atomic.
//!
//! A span exists only where its trace is sampled: whether it is, is decided once, where the trace begins ([`begins`]). Whatever has no span above it has
//! none itself.
//!
//! What a span is not made for: persons and texts. Attributes are ids, numbers and words of this program.

mod parent;

use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
pub use parent::TraceParent;
pub use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Spans of traces have this target and nothing else has it.
pub const TARGET: &str = "emcrm::trace";
/// The span of a task, which may run for hours: what is called below it has no spans unless a page or a batch stands between.
pub const TASK: &str = "task";
/// Pages and batches that are always traced, at the beginning of a run.
const FIRST: u64 = 16;

/// A span below another one; none where that one is none.
#[macro_export]
macro_rules! child {
    ($parent:expr, $name:expr $(, $($fields:tt)*)?) => {{
        let parent: &$crate::Span = $parent;
        if parent.is_disabled() {
            $crate::Span::none()
        } else {
            $crate::hidden::info_span!(target: $crate::TARGET, parent: parent, $name $(, $($fields)*)?)
        }
    }};
}

/// A span without one above it, for [`child!`]'s callers to start from.
#[macro_export]
macro_rules! root {
    ($name:expr $(, $($fields:tt)*)?) => {
        $crate::hidden::info_span!(target: $crate::TARGET, parent: None, $name $(, $($fields)*)?)
    };
}

#[doc(hidden)]
pub mod hidden {
    pub use tracing::info_span;
}

/// Whether somebody takes spans at all.
pub fn is_on() -> bool {
    tracing::span_enabled!(target: TARGET, tracing::Level::INFO)
}

/// Whether a trace that begins here is sampled. A caller that says no is heard; one that says yes gets no more than its share, whatever trace id it chose.
pub fn begins(ratio: f64, caller: Option<&TraceParent>) -> bool {
    is_on() && caller.is_none_or(|caller| caller.sampled) && (ratio >= 1.0 || rand::random::<f64>() < ratio)
}

/// Puts a span that was not entered yet below a place of another process, or of an earlier time.
pub fn follow(span: &Span, place: &TraceParent) {
    let context = SpanContext::new(place.trace, place.span, TraceFlags::SAMPLED, true, TraceState::NONE);
    // It fails where the span is none, and then there is nothing to do.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(context));
}

/// The span that a call of a part belongs to: storage, search. None below a task itself, and where there is no trace.
pub fn call(part: &'static str, engine: &'static str, operation: &'static str) -> Span {
    if !is_on() {
        return Span::none();
    }
    let current = Span::current();
    if current.metadata().is_none_or(|metadata| metadata.target() != TARGET || metadata.name() == TASK) {
        return Span::none();
    }
    child!(&current, "call", otel.name = format_args!("{part} {operation}"), otel.kind = "client", db.system.name = engine, db.operation.name = operation)
}

/// Gives a span the name that is known only at its end. The field `otel.name` does so only before anything stands below it.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Marks a span as failed.
pub fn failed(span: &Span) {
    span.set_status(opentelemetry::trace::Status::error(""));
}

/// Which pages or batches of a long run are traced: the first sixteen, then those whose number is a power of two. So a run of any length adds a bounded number
/// of spans, and its middle and end are seen too.
pub fn is_shown(number: u64) -> bool {
    number <= FIRST || number.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_any_length_shows_few_of_its_batches() {
        assert_eq!((1..=1_000_000).filter(|number| is_shown(*number)).count(), 16 + 15);
        assert!(is_shown(1) && is_shown(16) && !is_shown(17) && is_shown(32) && is_shown(524_288));
    }

    #[test]
    fn without_a_layer_there_is_no_span_and_no_trace_begins() {
        assert!(!begins(1.0, None));
        let root = root!("request", otel.kind = "server");
        assert!(root.is_disabled() && child!(&root, "below").is_disabled() && call("storage", "sqlite", "get").is_disabled());
        assert_eq!(TraceParent::of(&root), None);
    }
}
