//! Tests that need what not every machine has.

/// Ends the test unless this holds; what is asked prints why.
#[macro_export]
macro_rules! skip_unless {
    ($holds:expr) => {
        if !$holds {
            return;
        }
    };
}
