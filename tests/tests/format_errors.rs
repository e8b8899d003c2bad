//! A mistake in a format string is found by the compiler, at its place.
//!
//! Arguments that are stored raw are not formatted where they are logged, so a macro could let a wrong format string
//! through, and the line would be missing after the crash that it was written for. Or the compiler reports code that
//! the user never wrote, and points at the whole call.

#[test]
fn a_wrong_format_string_or_field_is_an_error_at_its_place() {
    trybuild::TestCases::new().compile_fail("tests/format_errors/*.rs");
}
