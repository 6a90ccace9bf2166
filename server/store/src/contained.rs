//! Calls into sled whose panics stop here.
//!
//! sled panics on damaged files and when the fsync of its drop fails. Such a panic is an error that
//! the caller gets, so a panic hook may ask [`is_contained`] and stay silent.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is in a call whose panic becomes an error of this crate.
#[must_use]
pub fn is_contained() -> bool {
    DEPTH.get() > 0
}

/// Runs `call`; a panic is an error, with what it said.
pub(crate) fn contained<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(call));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("no message").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_thread_knows_when_it_is_in_such_a_call() {
        assert_eq!(contained(is_contained), Ok(true));
        let nested = contained(|| contained(|| std::panic::panic_any("inner".to_owned())));
        assert_eq!(nested, Ok(Err::<(), _>("inner".to_owned())));
        assert!(!is_contained());
    }
}
