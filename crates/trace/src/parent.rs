//! A place in a trace as it travels: the header `traceparent` of W3C Trace Context, level 1 (<https://www.w3.org/TR/trace-context-1/>).

use std::fmt;

use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// Whether whoever gave it keeps the trace.
    pub sampled: bool,
}

impl TraceParent {
    /// None for what is not one; a later version is read as far as this one goes, as the standard wants.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?, hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// Where a span stands; none where there is no span.
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context();
        let context = context.span().span_context().clone();
        context.is_valid().then_some(Self { trace: context.trace_id(), span: context.span_id(), sampled: context.is_sampled() })
    }

    /// Where the code that asks stands.
    pub fn current() -> Option<Self> {
        if super::is_on() { Self::of(&Span::current()).filter(|place| place.sampled) } else { None }
    }

    /// Thirty-two hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.trace.to_string()
    }
}

/// Lower case, as the standard says; upper case is not one.
fn hex(text: &str, digits: usize) -> Option<&str> {
    (text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).then_some(text)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_place_is_read_and_written() {
        let place = TraceParent::parse(GOOD).unwrap();
        assert!(place.sampled);
        assert_eq!((place.to_string().as_str(), place.trace_id().as_str()), (GOOD, "0af7651916cd43dd8448eb211c80319c"));
        assert!(!TraceParent::parse(&GOOD.replace("-01", "-00")).unwrap().sampled);
        // A later version may say more.
        assert_eq!(TraceParent::parse(&format!("{}-more", GOOD.replacen("00", "01", 1))), Some(place));
    }

    #[test]
    fn what_is_not_a_place_is_none() {
        let zeros = ("0af7651916cd43dd8448eb211c80319c", "0".repeat(32));
        let faulty = [
            String::new(),
            "00".to_owned(),
            GOOD.to_uppercase(),
            format!("{GOOD}-more"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replace(zeros.0, &zeros.1),
            GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            GOOD.replace("-01", "-0g"),
            GOOD.replace("-01", "-1"),
            GOOD.replace('b', "é"),
            "-".repeat(10_000),
        ];
        for text in faulty {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }
}
