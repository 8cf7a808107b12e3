//! Figures out of the `/metrics` of a running server, for `emcrm doctor`. Reads what this program writes: labels without escapes.

/// One line: what it is about, and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure<'a> {
    labels: &'a str,
    pub value: f64,
}

impl<'a> Figure<'a> {
    /// The value of a label; empty where there is none.
    pub fn label(&self, name: &str) -> &'a str {
        self.labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"')).unwrap_or_default()
    }
}

/// All lines of one metric.
pub fn figures<'a>(text: &'a str, metric: &str) -> Vec<Figure<'a>> {
    let figure = |line: &'a str| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some(Figure { labels, value: value.trim().parse().ok()? })
    };
    text.lines().filter_map(figure).collect()
}

/// The sum over the lines whose label has this value.
pub fn sum(text: &str, metric: &str, label: &str, value: &str) -> f64 {
    figures(text, metric).iter().filter(|figure| figure.label(label) == value).fold(0.0, |total, figure| total + figure.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP emcrm_campaigns Campaigns by state
# TYPE emcrm_campaigns gauge
emcrm_campaigns{state=\"sending\"} 1
emcrm_campaigns{state=\"sent\"} 12
emcrm_campaigns_held 2
emcrm_mail_handovers_total{transport=\"smtp\",outcome=\"accepted\"} 40
emcrm_mail_handovers_total{transport=\"outbox\",outcome=\"accepted\"} 2
emcrm_mail_handovers_total{transport=\"smtp\",outcome=\"permanent\"} not a number
";

    #[test]
    fn lines_of_one_metric_are_found_and_those_of_a_longer_name_are_not() {
        let found: Vec<_> = figures(TEXT, "emcrm_campaigns").iter().map(|figure| (figure.label("state"), figure.value)).collect();
        assert_eq!(found, [("sending", 1.0), ("sent", 12.0)]);
        let held: Vec<_> = figures(TEXT, "emcrm_campaigns_held").iter().map(|figure| (figure.label("state"), figure.value)).collect();
        assert_eq!(held, [("", 2.0)]);
    }

    #[test]
    fn what_is_no_number_is_passed_over() {
        assert_eq!(figures(TEXT, "emcrm_mail_handovers_total").len(), 2);
        assert!((sum(TEXT, "emcrm_mail_handovers_total", "outcome", "accepted") - 42.0).abs() < 0.1);
        assert!(sum(TEXT, "emcrm_mail_handovers_total", "outcome", "permanent").abs() < 0.1);
    }
}
