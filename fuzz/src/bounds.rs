//! Bounds the memory of a reader by a multiple of its input, so that hostile lengths and counts have no effect.

/// Runs `work`. It must never have more than `fixed` bytes plus `multiple` times the input's length allocated.
pub(crate) fn bounded<T>(what: &str, input: usize, (fixed, multiple): (u64, u64), work: impl FnOnce() -> T) -> T {
    let mut made = None;
    let taken = allocation_counter::measure(|| made = Some(work())).bytes_max;
    let input = u64::try_from(input).unwrap_or(u64::MAX);
    let most = fixed.saturating_add(multiple.saturating_mul(input));
    assert!(
        taken <= most,
        "{what} took {taken} bytes for an input of {input}: more than {fixed} and {multiple} a byte"
    );
    made.expect("measuring runs it")
}
