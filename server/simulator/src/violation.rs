//! What a simulation found to be broken.

/// A promise that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {detail}")]
pub struct Violation {
    /// Which promise, as a short sentence.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
}

/// Fine, or what is broken.
pub type Checked<T = ()> = Result<T, Violation>;

/// Ends the function with a [`Violation`] unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $invariant:expr, $($detail:tt)+) => {
        if !$holds {
            return Err($crate::violation::Violation {
                invariant: $invariant,
                detail: format!($($detail)+),
            });
        }
    };
}

/// Ends the function with a [`Violation`].
macro_rules! violated {
    ($invariant:expr, $($detail:tt)+) => {
        return Err($crate::violation::Violation {
            invariant: $invariant,
            detail: format!($($detail)+),
        })
    };
}

pub(crate) use {ensure, violated};
