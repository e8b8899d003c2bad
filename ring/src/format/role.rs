//! Role names, which become file names.

use crate::format::layout::ROLE_MAX;

/// The rule for role names.
pub const ROLE_RULE: &str = "a lower-case letter followed by up to 31 of a-z, 0-9, _ and -";

/// Whether `role` may become a file name.
#[must_use]
pub fn is_role(role: &str) -> bool {
    let first = role.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = role.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
    first && rest && role.len() <= ROLE_MAX
}
