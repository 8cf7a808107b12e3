//! Parts of a whole as one bar: widths in per cent for the rectangles of an `<svg class="progress-stack">`.

use serde::Serialize;

/// Per mille that a part gets at least, so that one in a million can be seen.
const LEAST: u64 = 6;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Class that colours it.
    pub fill: &'static str,
    /// Such as `64.5%`.
    pub x: String,
    pub width: String,
}

/// Parts that are not zero, side by side; what the small ones are given more than they have is taken from the largest.
pub fn bars(parts: &[(&'static str, u64)]) -> Vec<Bar> {
    let total: u64 = parts.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return Vec::new();
    }
    let share = |count: u64| (u128::from(count) * 1_000 / u128::from(total)) as u64;
    let mut widths: Vec<u64> = parts.iter().map(|(_, count)| if *count == 0 { 0 } else { share(*count).max(LEAST) }).collect();
    let sum: u64 = widths.iter().sum();
    let largest = (0..parts.len()).max_by_key(|at| parts.get(*at).map(|(_, count)| *count));
    if let Some(width) = largest.and_then(|at| widths.get_mut(at)) {
        *width = (*width + 1_000).saturating_sub(sum);
    }
    let per_cent = |mille: u64| format!("{}.{}%", mille / 10, mille % 10);
    let mut x = 0;
    let mut bars = Vec::new();
    for ((fill, _), width) in parts.iter().zip(widths).filter(|(_, width)| *width > 0) {
        bars.push(Bar { fill, x: per_cent(x), width: per_cent(width) });
        x += width;
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_can_be_seen_and_all_fill_the_bar() {
        let widths = |counts: &[u64]| {
            let parts: Vec<_> = counts.iter().map(|count| ("f", *count)).collect();
            bars(&parts).into_iter().map(|bar| bar.width).collect::<Vec<_>>()
        };
        assert_eq!(widths(&[1, 0, 999_999]), ["0.6%", "99.4%"]);
        assert_eq!(widths(&[1, 1, 1]), ["33.3%", "33.3%", "33.4%"]);
        assert_eq!(widths(&[0, 0]), [""; 0]);
        assert_eq!(bars(&[("a", 1), ("b", 3)])[1], Bar { fill: "b", x: "25.0%".to_owned(), width: "75.0%".to_owned() });
    }
}
