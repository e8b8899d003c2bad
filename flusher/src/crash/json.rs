//! Reports for programs, with the names that rust-minidump's `minidump-stackwalk` gives to the same things.

use crate::crash::fold::folds;
use crate::crash::frame::{Frame, SourceLine, Symbol};
use crate::crash::loaded::Module;
use crate::crash::report::{Report, Stack};
use crate::crash::text::LOG_FRAMES_MAX;
use crate::render::signal::signal_name;
use lastwords_ring::format::text::hex;
use serde_json::{Map, Value, json};

/// The members of a death line, each with a comma before it: the cause, and of the crashed thread as many frames as such a line
/// has.
#[must_use]
pub fn of_death_line(report: &Report) -> String {
    let crashed = report.stacks.first();
    let found = crashed.map_or(json!([]), |stack| frames(stack, &report.modules, LOG_FRAMES_MAX));
    let python: Vec<&String> = crashed.iter().flat_map(|stack| &stack.python).take(LOG_FRAMES_MAX).collect();
    let mut members = format!(",\"cause\":{},\"frames\":{found}", json!(report.cause));
    if !python.is_empty() {
        members += &format!(",\"python\":{}", json!(python));
    }
    members
}

/// The frames of a stack, and below them those of its outermost bytes. Those that a text folds are marked.
fn frames(stack: &Stack, modules: &[Module], max: usize) -> Value {
    let folds = folds(stack, modules);
    let all = stack.frames.iter().chain(&stack.outermost).take(max).enumerate();
    let mut shown: Vec<Value> = all.map(|(number, found)| frame(number, found, modules)).collect();
    for number in folds.into_iter().flatten() {
        if let Some(frame) = shown.get_mut(number) {
            frame["folded"] = json!(true);
        }
    }
    Value::Array(shown)
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
        Some(found) => object.extend(members(found)),
        None => {
            let code_id = module.map(|module| hex(&module.build_id)).filter(|id| !id.is_empty());
            object.extend(code_id.map(|id| ("code_id".to_owned(), json!(id))));
            let why = module.and_then(Module::why_unusable);
            object.extend(why.map(|why| ("unusable".to_owned(), json!(why))));
        }
    }
    Value::Object(object)
}

/// The members of a frame that are about its function.
fn members(symbol: &Symbol) -> Map<String, Value> {
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

/// Numbers of 64 bits are hexadecimal, in a string, because JavaScript has none.
fn address(address: u64) -> Value {
    json!(format!("{address:#018x}"))
}

/// A whole report.
#[must_use]
pub fn report(report: &Report) -> Value {
    let signal = &report.signal;
    let crashed = report.stacks.first();
    let others = report.others.map(|others| {
        json!({
            "there": others.there,
            "captured": others.captured,
            "complete": others.is_complete,
            "capture_us": others.time_us,
        })
    });
    json!({
        "crash_info": {
            "type": if signal.number == 0 { "panic".into() } else { signal_name(signal.number.unsigned_abs()) },
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
        "other_threads": others,
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
        "python": stack.python,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::frame::{End, SourceLine, Symbol, Trust};

    /// Names that come from a process and its files.
    const NAME: &str = "a\"b\\c\n\u{1b}[31m\u{0}\u{202e}";

    #[test]
    fn names_of_any_bytes_make_valid_json_and_come_back() {
        let at = Some(SourceLine { file: NAME.to_owned(), line: 7 });
        let symbol = Some(Symbol { function: NAME.to_owned(), offset: Some(1), at, inlines: Vec::new() });
        let frame = Frame { pc: 0x1010, is_exact: true, trust: Trust::Context, module: Some(0), symbol };
        let stack = Stack {
            thread: 41,
            name: NAME.to_owned(),
            frames: vec![frame],
            end: End::Outermost,
            outermost: Vec::new(),
            registers: None,
            python: vec![NAME.to_owned()],
        };
        let path = format!("/{NAME}").into_bytes();
        let modules = vec![Module { path, base: 0x1000, end: 0x2000, ..Module::default() }];
        let report = Report { cause: NAME.to_owned(), stacks: vec![stack], modules, ..Report::default() };
        let line: Value = serde_json::from_str(&format!("{{\"role\":\"x\"{}}}", of_death_line(&report))).expect("JSON");
        let frame = &line["frames"][0];
        let found = [&line["cause"], &frame["function"], &frame["file"], &frame["module"], &line["python"][0]];
        assert!(found.iter().all(|value| **value == NAME), "{found:?}");
        let whole = super::report(&report);
        assert_eq!((&whole["threads"][0]["thread_name"], &whole["crash_info"]["cause"]), (&NAME.into(), &NAME.into()));
    }
}
