//! Which records are wanted.

use super::arguments::Show;
use super::field_test::FieldTest;
use super::json_record::{Json, message};
use super::levels::Levels;
use super::role_log::Record;
use lastwords_flusher::render::json::readable;
use lastwords_ring::format::level::Level;
use regex::bytes::{Regex, RegexBuilder};
use std::borrow::Cow;

/// What is wanted.
#[derive(Debug, Default)]
pub(crate) struct Select {
    /// The times between which records are, nanoseconds since 1970.
    pub(crate) between: (Option<u64>, Option<u64>),
    pids: Vec<u32>,
    threads: Vec<String>,
    levels: Option<Levels>,
    pub(crate) grep: Option<Regex>,
    targets: Vec<String>,
    fields: Vec<FieldTest>,
}

impl Select {
    /// What the arguments ask for.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(crate) fn new(
        show: &Show,
        between: (Option<u64>, Option<u64>),
        known: &[(String, Level)],
    ) -> Result<Select, String> {
        let mut levels = show.levels.clone();
        levels.as_mut().map_or(Ok(()), |levels| levels.resolve(known))?;
        Ok(Select {
            between,
            pids: show.pids.clone(),
            threads: show.threads.clone(),
            levels,
            grep: show.grep.as_deref().map(expression).transpose()?,
            targets: show.targets.clone(),
            fields: show.fields.clone(),
        })
    }

    /// Whether every record is wanted.
    pub(crate) fn is_everything(&self) -> bool {
        !self.is_scoped() && !self.is_choosy()
    }

    fn is_scoped(&self) -> bool {
        self.between != (None, None) || !self.pids.is_empty() || !self.threads.is_empty()
    }

    fn is_choosy(&self) -> bool {
        self.levels.is_some() || self.grep.is_some() || !self.targets.is_empty() || !self.fields.is_empty()
    }

    /// The expression, if whole buffers can be searched for it: what it says does not depend on where a message begins or ends.
    pub(crate) fn searchable(&self) -> Option<&Regex> {
        self.grep.as_ref().filter(|grep| {
            let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(grep.as_str());
            hir.is_ok_and(|hir| hir.properties().look_set().is_empty() && hir.properties().minimum_len() > Some(0))
        })
    }

    /// Whether the record is among those that are looked at.
    #[inline]
    pub(crate) fn is_in_scope(&self, record: &Record<'_>) -> bool {
        if !self.is_scoped() {
            return true;
        }
        let (since, until) = self.between;
        since.is_none_or(|since| since <= record.head.ns)
            && until.is_none_or(|until| record.head.ns <= until)
            && (self.pids.is_empty() || self.pids.contains(&record.head.pid))
            && (self.threads.is_empty() || self.has_thread(record))
    }

    fn has_thread(&self, record: &Record<'_>) -> bool {
        let Some(json) = record.json.and_then(Json::parse) else {
            let columns = record.text.and_then(|text| record.head.columns(text)).unwrap_or_default();
            let id = if columns.thread > 0 { columns.thread.to_string() } else { String::new() };
            let is_it =
                |thread: &String| !thread.is_empty() && (*thread == id || *thread == readable(&columns.thread_name));
            return self.threads.iter().any(is_it);
        };
        let names = ["thread", "thread_name"].map(|name| json.get(name).map(Json::plain));
        names.iter().flatten().any(|name| self.threads.contains(name))
    }

    /// Whether it is one of those that were asked for.
    #[inline]
    pub(crate) fn is_wanted(&self, record: &Record<'_>) -> bool {
        if !self.is_choosy() {
            return true;
        }
        if self.levels.as_ref().is_some_and(|levels| !levels.has(record.head.level)) {
            return false;
        }
        if self.grep.as_ref().is_some_and(|grep| !grep.is_match(&message_of(record))) {
            return false;
        }
        (self.targets.is_empty() && self.fields.is_empty()) || self.has_parts(record)
    }

    fn has_parts(&self, record: &Record<'_>) -> bool {
        let has_target = |target: &str| self.targets.iter().any(|prefix| target.starts_with(prefix.as_str()));
        let Some(json) = record.json.and_then(Json::parse) else {
            let columns = record.text.and_then(|text| record.head.columns(text));
            return self.fields.is_empty() && columns.is_some_and(|columns| has_target(&readable(&columns.target)));
        };
        let target = json.get("target").and_then(Json::text).unwrap_or_default();
        (self.targets.is_empty() || has_target(target)) && self.fields.iter().all(|field| field.agrees(&json))
    }
}

/// Whether it is a line of a flusher's own.
pub(crate) fn is_own(record: &Record<'_>) -> bool {
    message_of(record).starts_with(b"lastwords: ")
}

/// The message as `-o cat` shows it, without the newline at its end.
pub(crate) fn message_of<'a>(record: &Record<'a>) -> Cow<'a, [u8]> {
    match (record.text, record.json) {
        (Some(text), _) => {
            let message = &text[record.head.message_at as usize..];
            Cow::Borrowed(message.strip_suffix(b"\n").unwrap_or(message))
        }
        (None, Some(line)) => match Json::parse(line) {
            Some(json @ Json::Object(_)) => {
                let mut out = Vec::new();
                message(&mut out, &json);
                Cow::Owned(out)
            }
            _ => Cow::Borrowed(line.strip_suffix(b"\n").unwrap_or(line)),
        },
        (None, None) => Cow::Borrowed(&[]),
    }
}

/// Smart case: only an expression with a capital letter is particular about case. `^` and `$` are those of each line.
fn expression(text: &str) -> Result<Regex, String> {
    let parsed = regex_syntax::ast::parse::Parser::new().parse(text).map_err(|error| error.to_string())?;
    let insensitive = !has_capital(&parsed);
    RegexBuilder::new(text).case_insensitive(insensitive).multi_line(true).build().map_err(|error| error.to_string())
}

/// Whether a letter that is meant as such is a capital one; `\S` has none.
fn has_capital(ast: &regex_syntax::ast::Ast) -> bool {
    use regex_syntax::ast::{Ast, ClassSet, ClassSetItem};
    fn item(set: &ClassSetItem) -> bool {
        match set {
            ClassSetItem::Literal(literal) => literal.c.is_uppercase(),
            ClassSetItem::Range(range) => range.start.c.is_uppercase() || range.end.c.is_uppercase(),
            ClassSetItem::Bracketed(class) => set_has(&class.kind),
            ClassSetItem::Union(union) => union.items.iter().any(item),
            _ => false,
        }
    }
    fn set_has(set: &ClassSet) -> bool {
        match set {
            ClassSet::Item(found) => item(found),
            ClassSet::BinaryOp(both) => set_has(&both.lhs) || set_has(&both.rhs),
        }
    }
    match ast {
        Ast::Literal(literal) => literal.c.is_uppercase(),
        Ast::ClassBracketed(class) => set_has(&class.kind),
        Ast::Repetition(repetition) => has_capital(&repetition.ast),
        Ast::Group(group) => has_capital(&group.ast),
        Ast::Alternation(any) => any.asts.iter().any(has_capital),
        Ast::Concat(all) => all.asts.iter().any(has_capital),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_counts_where_a_letter_of_the_expression_is_a_capital_one() {
        for (pattern, text, expected) in [
            ("error", "An ERROR", true),
            ("Error", "An ERROR", false),
            (r"err\S+", "ERRORS", true),
            (r"\w+[A-Z]x", "aBx", true),
            (r"\w+[A-Z]x", "abx", false),
            ("(?:a|B)c", "bc", false),
            ("^two$", "one\nTwo\nthree", true),
        ] {
            assert_eq!(expression(pattern).expect(pattern).is_match(text.as_bytes()), expected, "{pattern} in {text}");
        }
        assert!(expression("(").is_err());
    }
}
