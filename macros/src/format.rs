//! Format strings of `std::fmt`: where their placeholders are and what each one asks for.
//!
//! The grammar is that of the module documentation of `std::fmt`. None means that the string is invalid, or unusual enough to
//! be left to the compiler.

/// Widths and precisions beyond this are not deferred.
pub(crate) const COUNT_MAX: u16 = 1024;

/// What a placeholder, a width or a precision takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    /// `{}`, or the precision `*`: the next one.
    Next,
    /// `{0}`.
    Index(usize),
    /// `{name}`.
    Name(String),
}

/// Width or precision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Count {
    None,
    Literal(u16),
    Argument(Argument),
}

/// One placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    /// Byte offsets in the format string: of the opening brace, and after the closing one.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) argument: Argument,
    pub(crate) fill: char,
    /// 0 none, 1 left, 2 centre, 3 right.
    pub(crate) align: u8,
    pub(crate) plus: bool,
    pub(crate) alternate: bool,
    pub(crate) zero: bool,
    pub(crate) width: Count,
    pub(crate) precision: Count,
    /// The type as written: empty, `?`, `x?`, `X?`, `x`, `X`, `o`, `b`, `e`, `E`, `p`.
    pub(crate) kind: &'static str,
}

/// The placeholders of `text`, in order.
pub(crate) fn parse(text: &str) -> Option<Vec<Placeholder>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let here = &rest[at..];
        if here.starts_with("{{") || here.starts_with("}}") {
            rest = &here[2..];
            continue;
        }
        let inner = here.strip_prefix('{')?;
        let close = inner.find('}').filter(|close| !inner[..*close].contains('{'))?;
        // `{:}>5}` fills with a closing brace; left to the compiler, as is `{:{>5}`.
        let start = text.len() - here.len();
        found.push(placeholder(&inner[..close], start, start + close + 2)?);
        rest = &inner[close + 1..];
    }
    Some(found)
}

fn placeholder(inner: &str, start: usize, end: usize) -> Option<Placeholder> {
    let (name, spec) = inner.split_once(':').unwrap_or((inner, ""));
    let name = name.trim();
    let argument = if name.is_empty() { Argument::Next } else { argument(name)? };
    let mut rest = spec.trim_end();
    let (fill, align) = fill_and_align(&mut rest);
    let plus = take(&mut rest, '+');
    // `-` is accepted and has no effect.
    if !plus {
        take(&mut rest, '-');
    }
    let alternate = take(&mut rest, '#');
    // `{:0$}` is a width from argument 0, not a zero flag.
    let zero = rest.starts_with('0') && !rest.starts_with("0$") && take(&mut rest, '0');
    let width = count(&mut rest)?;
    let precision = match rest.strip_prefix('.') {
        None => Count::None,
        Some(after) => {
            rest = after;
            if take(&mut rest, '*') { Count::Argument(Argument::Next) } else { precision(&mut rest)? }
        }
    };
    let kinds = ["", "?", "x?", "X?", "x", "X", "o", "b", "e", "E", "p"];
    let kind = kinds.into_iter().find(|kind| *kind == rest)?;
    Some(Placeholder { start, end, argument, fill, align, plus, alternate, zero, width, precision, kind })
}

fn argument(text: &str) -> Option<Argument> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Argument::Index);
    }
    syn::parse_str::<syn::Ident>(text).ok().map(|_| Argument::Name(text.to_owned()))
}

fn take(rest: &mut &str, wanted: char) -> bool {
    rest.strip_prefix(wanted).map(|after| *rest = after).is_some()
}

fn fill_and_align(rest: &mut &str) -> (char, u8) {
    let align = |character: Option<char>| match character {
        Some('<') => 1,
        Some('^') => 2,
        Some('>') => 3,
        _ => 0,
    };
    let mut characters = rest.chars();
    let (first, second) = (characters.next(), characters.next());
    if let Some(fill) = first
        && align(second) > 0
    {
        *rest = characters.as_str();
        return (fill, align(second));
    }
    if align(first) > 0 {
        *rest = &rest[1..];
    }
    (' ', align(first))
}

/// A width: nothing, `5`, `0$` or `name$`.
fn count(rest: &mut &str) -> Option<Count> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && !rest[digits..].starts_with('$') {
        let literal = rest[..digits].parse().ok().filter(|count| *count <= COUNT_MAX)?;
        *rest = &rest[digits..];
        return Some(Count::Literal(literal));
    }
    // A `$` further on may be the precision's.
    let before_point = rest.find('.').map_or(*rest, |point| &rest[..point]);
    let Some(dollar) = before_point.find('$') else { return Some(Count::None) };
    let found = argument(&rest[..dollar])?;
    *rest = &rest[dollar + 1..];
    Some(Count::Argument(found))
}

fn precision(rest: &mut &str) -> Option<Count> {
    match count(rest)? {
        Count::None => None,
        found => Some(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Placeholder {
        let found = parse(text).unwrap_or_else(|| panic!("{text} is valid"));
        let [placeholder] = found.as_slice() else { panic!("{text} has one placeholder") };
        placeholder.clone()
    }

    #[test]
    fn every_part_of_a_placeholder_is_found() {
        let found = only("a{{b}} {camera:*^+#08.3e} c");
        assert_eq!((found.start, found.end), (7, 25));
        assert_eq!(found.argument, Argument::Name("camera".into()));
        assert_eq!((found.fill, found.align, found.plus, found.alternate, found.zero), ('*', 2, true, true, true));
        assert_eq!((found.width, found.precision, found.kind), (Count::Literal(8), Count::Literal(3), "e"));
        let found = only("{:width$.*x?}");
        assert_eq!(found.width, Count::Argument(Argument::Name("width".into())));
        assert_eq!((found.precision, found.kind), (Count::Argument(Argument::Next), "x?"));
        let found = only("{0:1$.prec$}");
        assert_eq!((found.argument, found.width), (Argument::Index(0), Count::Argument(Argument::Index(1))));
        assert_eq!(found.precision, Count::Argument(Argument::Name("prec".into())));
        assert_eq!(only("{:0$}").width, Count::Argument(Argument::Index(0)));
        assert_eq!((only("{:é>5}").fill, only("{:<}").align), ('é', 1));
        assert_eq!(only("{ }").argument, Argument::Next);
    }

    #[test]
    fn what_is_not_valid_is_left_to_the_compiler() {
        for text in ["{", "}", "{:", "{a b}", "{:y}", "{:2000}", "{:.}", "{fn}", "{:}>5}"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("no placeholder, {{braces}}"), Some(Vec::new()));
    }
}
