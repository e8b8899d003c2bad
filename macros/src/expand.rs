//! The code of a log call.
//!
//! ```text
//! {
//!     let site = { static SITE: Site = Site::new(CallPlace { level, target, …, placeholders, fields }); &SITE };
//!     if let Some(enabled) = site.enabled() {
//!         match (&argument_0, &argument_1, …) {
//!             (a0, a1, …) => site.record(enabled, &(value, (value, …)), format_args!(…), format_args!(fields)),
//!         }
//!     }
//! }
//! ```
//!
//! Each placeholder gets a value of its own, in order, preceded by its width or precision if that is an argument; then each
//! field. `format_args!` stands for the message where the caller must format it after all, and yields the compiler's own
//! errors. Method resolution (autoref specialisation, D. Tolnay) tells raw types from others: the trait for raw ones is found
//! first.

use crate::call::{Argument, Call, Field, Message};
use crate::format::{self, Argument as Taken, Count, Placeholder};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::LitStr;
use syn::spanned::Spanned;

/// Values that a record's tags have room for; the caller formats the rest.
const VALUES_MAX: usize = 32;

pub(crate) fn expand(call: &Call) -> TokenStream {
    // One value is left for a message that its caller formats.
    if let Some(Field { value, .. }) = call.fields.get(VALUES_MAX - 1) {
        let text = format!("a log call has at most {} fields", VALUES_MAX - 1);
        return syn::Error::new(value.span(), text).into_compile_error();
    }
    match &call.message {
        Message::Literal { format, arguments } => match deferred(call, format, arguments) {
            Some(code) => code,
            None => eager(call, &quote!(#format #(, #arguments)*)),
        },
        Message::Other(tokens) => eager(call, tokens),
    }
}

impl quote::ToTokens for Argument {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Argument { name, value } = self;
        tokens.extend(match name {
            Some(name) => quote!(#name = #value),
            None => quote!(#value),
        });
    }
}

/// The call with its message formatted by the caller, and its fields, if there are any, stored as values.
fn eager(call: &Call, message: &TokenStream) -> TokenStream {
    let library = &call.library;
    let mut bindings = Bindings::default();
    let whole = bindings.bind(quote!(::core::format_args!(#message)), None, Span::call_site());
    let FieldCode { names, values, text } = FieldCode::new(call, &mut bindings);
    // The whole message is one value, shown by one placeholder.
    let one = quote!(#library::__private::Placeholder::new(0, 2, 0, ' ', 0, 0, 0xffff, 0xffff));
    let record = Record {
        format: quote!("{}"),
        placeholders: vec![one],
        names,
        values: std::iter::once(quote!(#library::__private::Text::of(*#whole))).chain(values).collect(),
        message: quote!(*#whole),
        fields: text,
    };
    site(call, &bindings, &record)
}

/// The call with raw arguments; None where the format string is left to the compiler.
fn deferred(call: &Call, format: &LitStr, arguments: &[Argument]) -> Option<TokenStream> {
    let text = format.value();
    let placeholders = format::parse(&text).filter(|_| text.len() <= usize::from(u16::MAX))?;
    let mut bindings = Bindings::new(arguments);
    let mut next = 0;
    let (mut codes, mut values) = (Vec::new(), Vec::new());
    for placeholder in &placeholders {
        // `.*` takes its precision from the arguments before the value.
        let precision = bindings.count(&placeholder.precision, &mut next, format)?;
        let argument = bindings.find(&placeholder.argument, &mut next, format)?;
        let width = bindings.count(&placeholder.width, &mut next, format)?;
        codes.push(placeholder_code(&call.library, placeholder));
        values.extend(width.iter().chain(&precision).map(|binding| width_code(&call.library, binding)));
        values.push(value_code(&call.library, placeholder, &argument, width.as_ref(), precision.as_ref()));
    }
    let explicit = bindings.format_arguments();
    let message = quote!(::core::format_args!(#format #explicit));
    let FieldCode { names, values: more, text } = FieldCode::new(call, &mut bindings);
    values.extend(more);
    let placeholders = codes;
    let record = Record { format: quote!(#format), placeholders, names, values, message, fields: text };
    (record.values.len() <= VALUES_MAX).then(|| site(call, &bindings, &record))
}

/// Parts of the code of one call.
struct Record {
    format: TokenStream,
    placeholders: Vec<TokenStream>,
    names: Vec<String>,
    values: Vec<TokenStream>,
    message: TokenStream,
    fields: TokenStream,
}

fn site(call: &Call, bindings: &Bindings, record: &Record) -> TokenStream {
    let Call { library, logger, target, level, .. } = call;
    let Record { format, placeholders, names, values, message, fields } = record;
    let (expressions, variables) = (&bindings.expressions, &bindings.variables);
    let values = values.iter().rev().fold(quote!(()), |rest, value| quote!((#value, #rest)));
    let enabled = if logger.is_empty() { quote!(enabled()) } else { quote!(enabled_in(#logger)) };
    // The user's expressions are outside the block with the static, which, unlike a variable, would shadow one of theirs.
    quote! {{
        let site = {
            static LASTWORDS_SITE: #library::__private::Site = #library::__private::Site::new(#library::__private::CallPlace {
                level: #level,
                target: #target,
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
                format: #format,
                placeholders: &[#(#placeholders),*],
                fields: &[#(#names),*],
            });
            &LASTWORDS_SITE
        };
        if let ::core::option::Option::Some(enabled) = site.#enabled {
            #[allow(unused_imports)]
            use #library::__private::{ViaRaw as _, ViaText as _};
            #[allow(unused_parens)]
            match (#(&(#expressions),)*) {
                (#(#variables,)*) => site.record(enabled, &#values, |text| text.write(#message, #fields)),
            }
        }
    }}
}

/// The arguments, each evaluated once and bound to a reference.
#[derive(Default)]
struct Bindings {
    expressions: Vec<TokenStream>,
    variables: Vec<Ident>,
    names: Vec<Option<Ident>>,
}

impl Bindings {
    fn new(arguments: &[Argument]) -> Bindings {
        let mut bindings = Bindings::default();
        for Argument { name, value } in arguments {
            bindings.bind(quote!(#value), name.clone(), value.span());
        }
        bindings
    }

    /// Binds an expression to a variable at `span`, where the compiler reports errors about it.
    fn bind(&mut self, expression: TokenStream, name: Option<Ident>, span: Span) -> Ident {
        let span = Span::mixed_site().located_at(span);
        let variable = format_ident!("argument_{}", self.variables.len(), span = span);
        self.expressions.push(expression);
        self.variables.push(variable.clone());
        self.names.push(name);
        variable
    }

    /// The variable of an argument; one that the format string captures is bound now.
    fn find(&mut self, taken: &Taken, next: &mut usize, format: &LitStr) -> Option<Ident> {
        match taken {
            Taken::Next => {
                *next += 1;
                self.variables.get(*next - 1).cloned()
            }
            Taken::Index(index) => self.variables.get(*index).cloned(),
            Taken::Name(name) => {
                let known = self.names.iter().position(|known| known.as_ref().is_some_and(|known| known == name));
                Some(match known {
                    Some(index) => self.variables[index].clone(),
                    None => {
                        let captured = Ident::new(name, format.span());
                        self.bind(quote!(#captured), Some(captured.clone()), format.span())
                    }
                })
            }
        }
    }

    fn count(&mut self, count: &Count, next: &mut usize, format: &LitStr) -> Option<Option<Ident>> {
        match count {
            Count::Argument(taken) => self.find(taken, next, format).map(Some),
            _ => Some(None),
        }
    }

    /// The arguments for `format_args!`, as places, so that it sees the same types as the call.
    fn format_arguments(&self) -> TokenStream {
        let arguments = self.variables.iter().zip(&self.names).map(|(variable, name)| {
            let place = place(variable);
            match name {
                Some(name) => quote!(, #name = #place),
                None => quote!(, #place),
            }
        });
        arguments.collect()
    }
}

/// What a variable refers to, at the place of the argument.
fn place(variable: &Ident) -> TokenStream {
    quote_spanned!(variable.span()=> *#variable)
}

fn kind_number(kind: &str) -> u8 {
    let kinds = ["", "?", "x?", "X?", "x", "X", "o", "b", "e", "E", "p"];
    kinds.iter().position(|known| *known == kind).unwrap_or_default() as u8
}

fn placeholder_code(library: &TokenStream, placeholder: &Placeholder) -> TokenStream {
    let Placeholder { start, end, fill, align, plus, alternate, zero, .. } = placeholder;
    let count = |count: &Count| match count {
        Count::None => 0xffff,
        Count::Argument(_) => 0xfffe,
        Count::Literal(literal) => *literal,
    };
    let flags = u8::from(*plus) | u8::from(*alternate) << 1 | u8::from(*zero) << 2;
    let (start, end, kind) = (*start as u16, *end as u16, kind_number(placeholder.kind));
    let (width, precision) = (count(&placeholder.width), count(&placeholder.precision));
    quote!(#library::__private::Placeholder::new(#start, #end, #kind, #fill, #align, #flags, #width, #precision))
}

fn width_code(library: &TokenStream, variable: &Ident) -> TokenStream {
    let place = place(variable);
    quote!(#library::__private::Count(#place))
}

/// A placeholder's value: raw if its type is, else formatted as the placeholder says.
fn value_code(
    library: &TokenStream,
    placeholder: &Placeholder,
    variable: &Ident,
    width: Option<&Ident>,
    precision: Option<&Ident>,
) -> TokenStream {
    let Placeholder { fill, align, plus, alternate, zero, kind, .. } = placeholder;
    let align_text = ["", "<", "^", ">"][usize::from(*align)];
    let mut spec = String::new();
    if *align > 0 {
        spec.push(*fill);
        spec.push_str(align_text);
    }
    let flags = [(*plus, "+"), (*alternate, "#"), (*zero, "0")];
    flags.iter().filter(|(set, _)| *set).for_each(|(_, text)| spec.push_str(text));
    match (&placeholder.width, width) {
        (Count::Literal(literal), _) => spec += &literal.to_string(),
        (_, Some(_)) => spec += "width$",
        _ => {}
    }
    match (&placeholder.precision, precision) {
        (Count::Literal(literal), _) => spec += &format!(".{literal}"),
        (_, Some(_)) => spec += ".precision$",
        _ => {}
    }
    // Byte slices apply options to each element; the decoder handles only no options and `#`.
    let plain = spec.is_empty() || spec == "#";
    spec += kind;
    let [width, precision] = [width, precision].map(|count| count.map(place));
    let counts = [width.map(|width| quote!(, width = #width)), precision.map(|digits| quote!(, precision = #digits))];
    let (text, value) = (format!("{{:{spec}}}"), place(variable));
    let formatted = quote!(::core::format_args!(#text, #value #(#counts)*));
    let raw = *kind != "p";
    if raw {
        quote!((&#library::__private::Given::<_, #plain>(#variable)).value(#formatted))
    } else {
        quote!(#library::__private::Text::of(#formatted))
    }
}

/// The code of a call's fields.
struct FieldCode {
    names: Vec<String>,
    values: Vec<TokenStream>,
    /// `format_args!` for ` key=value …`.
    text: TokenStream,
}

impl FieldCode {
    fn new(call: &Call, bindings: &mut Bindings) -> FieldCode {
        let library = &call.library;
        let (mut names, mut values, mut format, mut shown) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        for Field { name, kind, value } in &call.fields {
            let variable = bindings.bind(quote!(#value), None, value.span());
            let text = format!("{{:{kind}}}");
            let formatted = quote_spanned!(variable.span()=> ::core::format_args!(#text, *#variable));
            let given = if kind.is_empty() {
                quote!((&#library::__private::Given::<_, false>(#variable)).value(#formatted))
            } else {
                quote!(#library::__private::Text::of(#formatted))
            };
            values.push(given);
            format += &format!(" {}={{}}", name.replace('{', "{{").replace('}', "}}"));
            shown.push(quote!(#library::__private::Quoted(#formatted)));
            names.push(name.clone());
        }
        FieldCode { names, values, text: quote!(::core::format_args!(#format #(, #shown)*)) }
    }
}
