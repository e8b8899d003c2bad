//! A log call's tokens, taken apart.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Ident, LitStr, Result, Token, parenthesized};

/// A log call.
pub(crate) struct Call {
    /// Path of the library, as `$crate` gives it.
    pub(crate) library: TokenStream,
    /// Expression for the logger if it is a value; empty for the process's own.
    pub(crate) logger: TokenStream,
    pub(crate) target: TokenStream,
    pub(crate) level: TokenStream,
    pub(crate) message: Message,
    pub(crate) fields: Vec<Field>,
}

/// The message of a call.
pub(crate) enum Message {
    /// A literal and its arguments.
    Literal { format: LitStr, arguments: Vec<Argument> },
    /// Anything else that `format_args!` may accept, such as `concat!(…)`.
    Other(TokenStream),
}

/// An argument of the format string.
pub(crate) struct Argument {
    pub(crate) name: Option<Ident>,
    pub(crate) value: Expr,
}

/// A field after the message: `key = value`, `key = ?value`, `key = %value`, or `key` alone.
pub(crate) struct Field {
    pub(crate) name: String,
    /// `""` or `"?"`, the placeholder's type.
    pub(crate) kind: &'static str,
    pub(crate) value: Expr,
}

impl Parse for Call {
    fn parse(input: ParseStream<'_>) -> Result<Call> {
        let (library, logger, target, level) = (part(input)?, part(input)?, part(input)?, part(input)?);
        let message = message(input)?;
        let fields = if input.parse::<Option<Token![;]>>()?.is_some() { fields(input)? } else { Vec::new() };
        if !input.is_empty() {
            return Err(input.error("expected `,` and a further argument, or `;` and fields as `key = value`"));
        }
        Ok(Call { library, logger, target, level, message, fields })
    }
}

fn part(input: ParseStream<'_>) -> Result<TokenStream> {
    let inner;
    parenthesized!(inner in input);
    inner.parse()
}

fn message(input: ParseStream<'_>) -> Result<Message> {
    if !input.peek(LitStr) {
        return other(input).map(Message::Other);
    }
    let format = input.parse()?;
    let mut arguments = Vec::new();
    while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() && !input.peek(Token![;]) {
        let named = input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]);
        let name = if named {
            let name = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            Some(name)
        } else {
            None
        };
        arguments.push(Argument { name, value: input.parse()? });
    }
    Ok(Message::Literal { format, arguments })
}

/// All tokens up to the fields.
fn other(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![;]) {
        tokens.extend([input.parse::<proc_macro2::TokenTree>()?]);
    }
    if tokens.is_empty() {
        Err(input.error("expected a message: a format string and its arguments"))
    } else {
        Ok(tokens)
    }
}

fn fields(input: ParseStream<'_>) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    while !input.is_empty() {
        fields.push(field(input)?);
        if input.parse::<Option<Token![,]>>()?.is_none() {
            break;
        }
    }
    Ok(fields)
}

fn field(input: ParseStream<'_>) -> Result<Field> {
    let start = input.span();
    let (name, own_value) = if input.peek(LitStr) {
        (input.parse::<LitStr>()?.value(), None)
    } else {
        let first = input.call(Ident::parse_any)?;
        let mut name = first.unraw().to_string();
        let mut dotted = false;
        while input.parse::<Option<Token![.]>>()?.is_some() {
            dotted = true;
            name = format!("{name}.{}", input.call(Ident::parse_any)?.unraw());
        }
        (name, (!dotted).then_some(first))
    };
    if input.parse::<Option<Token![=]>>()?.is_none() {
        let first = own_value.ok_or_else(|| Error::new(start, "expected `= value` after this field's name"))?;
        let value = syn::parse2(quote::quote!(#first))?;
        return Ok(Field { name, kind: "", value });
    }
    let kind = if input.parse::<Option<Token![?]>>()?.is_some() { "?" } else { "" };
    if kind.is_empty() {
        input.parse::<Option<Token![%]>>()?;
    }
    Ok(Field { name, kind, value: input.parse()? })
}
