//! The macro behind `lastwords::info!` and its siblings: it takes a call apart at compile time, so that the call itself
//! copies raw arguments and nothing else.
//!
//! `format` parses format strings, `call` the arguments of a call, `expand` writes the code. Whatever this crate does not
//! understand is left to `format_args!`, which either accepts it, so that the caller formats the message, or reports the error.

mod call;
mod expand;
mod format;

/// Use `lastwords::log!` or one of its siblings.
///
/// Input: `(crate path) (how the logger is found) (target) (level) message…`, where the message is what `format!`
/// accepts, then optionally `; key = value, …`.
#[proc_macro]
pub fn record(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let call = syn::parse_macro_input!(input as call::Call);
    expand::expand(&call).into()
}
