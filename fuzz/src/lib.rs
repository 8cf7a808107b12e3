//! What the targets share.

/// The parts of an input, which is cut at NUL bytes so that seeds can be read and written by hand.
pub fn parts<const N: usize>(text: &str) -> [&str; N] {
    let mut rest = text.splitn(N, '\0');
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}
