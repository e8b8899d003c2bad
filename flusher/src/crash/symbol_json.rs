//! The function of a frame as JSON, for reports and between the flusher and who reads debug information for it.

use crate::crash::frame::{Inline, SourceLine, Symbol};
use serde_json::{Map, Value, json};

/// The members of a frame that are about its function.
pub(crate) fn members(symbol: &Symbol) -> Map<String, Value> {
    let mut members = place(&symbol.function, symbol.at.as_ref());
    members.insert("function_offset".to_owned(), symbol.offset.map_or(Value::Null, address));
    let inlines: Vec<Value> =
        symbol.inlines.iter().map(|inline| Value::Object(place(&inline.function, inline.at.as_ref()))).collect();
    members.insert("inlines".to_owned(), if inlines.is_empty() { Value::Null } else { Value::Array(inlines) });
    members
}

fn place(function: &str, at: Option<&SourceLine>) -> Map<String, Value> {
    let line = at.map(|at| at.line).filter(|line| *line > 0);
    let members =
        [("function", json!(function)), ("file", json!(at.map(|at| at.file.as_str()))), ("line", json!(line))];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The function of a frame, from its members.
pub(crate) fn symbol(members: &Value) -> Option<Symbol> {
    let (function, at) = place_from(members)?;
    let inlines = members["inlines"].as_array().into_iter().flatten();
    let inlines =
        inlines.filter_map(|inline| place_from(inline).map(|(function, at)| Inline { function, at })).collect();
    Some(Symbol { function, offset: address_from(&members["function_offset"]), at, inlines })
}

fn place_from(members: &Value) -> Option<(String, Option<SourceLine>)> {
    let line = members["line"].as_u64().and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
    let at = members["file"].as_str().map(|file| SourceLine { file: file.to_owned(), line });
    Some((members["function"].as_str()?.to_owned(), at))
}

/// Numbers of 64 bits are hexadecimal, in a string, because JavaScript has none.
pub(crate) fn address(address: u64) -> Value {
    json!(format!("{address:#018x}"))
}

fn address_from(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
