//! What is said of a panic.
//!
//! One that the store turns into an error is told by that error; any other
//! is printed with its backtrace, as ever.

/// Silences panics that the store contains. Called once, at start.
pub(crate) fn silence_contained() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if hongyan_store::is_contained() {
            tracing::debug!(%panic, "a panic became an error");
        } else {
            usual(panic);
        }
    }));
}
