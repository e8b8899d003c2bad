//! Reports for programs, with the names that rust-minidump's `minidump-stackwalk` gives to the same things.

use crate::crash::frame::{Frame, Inline, SourceLine, Symbol};
use crate::crash::loaded::Module;
use crate::crash::report::{Report, Stack};
use crate::crash::text::LOG_FRAMES_MAX;
use crate::render::signal::signal_name;
use lastwords_ring::format::text::hex;
use serde_json::{Map, Value, json};

/// The frames of the crashed thread, as many as a death line has.
#[must_use]
pub fn crashed(report: &Report) -> Value {
    report.stacks.first().map_or(Value::Array(Vec::new()), |stack| frames(stack, &report.modules, LOG_FRAMES_MAX))
}

/// The frames of a stack, and below them those of its outermost bytes.
fn frames(stack: &Stack, modules: &[Module], max: usize) -> Value {
    let all = stack.frames.iter().chain(&stack.outermost).take(max);
    Value::Array(all.enumerate().map(|(number, found)| frame(number, found, modules)).collect())
}

fn frame(number: usize, frame: &Frame, modules: &[Module]) -> Value {
    let module = frame.module.and_then(|number| modules.get(number));
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("frame", json!(number));
    put("trust", json!(frame.trust.name()));
    put("offset", address(frame.pc));
    put("module", json!(module.map(Module::name)));
    put("module_offset", module.map_or(Value::Null, |module| address(frame.pc.wrapping_sub(module.base))));
    put("missing_symbols", json!(frame.symbol.is_none()));
    match &frame.symbol {
        Some(found) => object.extend(symbol(found)),
        None => {
            let code_id = module.map(|module| hex(&module.build_id)).filter(|id| !id.is_empty());
            object.extend(code_id.map(|id| ("code_id".to_owned(), json!(id))));
        }
    }
    Value::Object(object)
}

/// The members of a frame that are about its function.
pub(crate) fn symbol(symbol: &Symbol) -> Map<String, Value> {
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
pub(crate) fn symbol_from(members: &Value) -> Option<Symbol> {
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
fn address(address: u64) -> Value {
    json!(format!("{address:#018x}"))
}

fn address_from(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// A whole report.
#[must_use]
pub fn report(report: &Report) -> Value {
    let signal = &report.signal;
    let crashed = report.stacks.first();
    json!({
        "crash_info": {
            "type": signal_name(signal.number.unsigned_abs()),
            "cause": report.cause,
            "address": signal.address.map(address),
            "crashing_thread": crashed.map(|stack| stack.thread),
        },
        "signal": {
            "number": signal.number,
            "code": signal.code,
            "errno": signal.errno,
            "pid": signal.pid,
            "uid": signal.uid,
        },
        "threads": report.stacks.iter().map(|stack| thread(stack, &report.modules)).collect::<Vec<Value>>(),
        "modules": report.modules.iter().map(module).collect::<Vec<Value>>(),
        "complete": report.is_complete,
        "capture_us": report.time_us,
    })
}

fn thread(stack: &Stack, modules: &[Module]) -> Value {
    let count = stack.frames.len() + stack.outermost.len();
    json!({
        "thread_id": stack.thread,
        "thread_name": stack.name,
        "frame_count": count,
        "frames": frames(stack, modules, count),
        "end": stack.end.to_string(),
    })
}

fn module(module: &Module) -> Value {
    json!({
        "base_addr": address(module.base),
        "end_addr": address(module.end),
        "filename": String::from_utf8_lossy(&module.path),
        "code_id": hex(&module.build_id),
        "unusable": module.unusable,
    })
}
