//! A capture of a process that is stopped at its fatal signal, made from outside by ptrace(2): what unwinding is tested with,
//! whatever a handler writes.

use crate::sys::Traced;
use lastwords_ring::format::capture::{Capture, CapturedThread, Mapping, SignalInfo};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of the stack.
const STACK: usize = 64 << 10;
/// Bytes of its other end.
const OUTERMOST: u64 = 16 << 10;
/// Bytes below the stack pointer.
const RED_ZONE: u64 = 128;

/// The capture of a traced process that has just got this signal.
///
/// # Errors
/// As ptrace(2), and those of its files in `/proc`.
pub fn capture(traced: &Traced, signal: i32) -> io::Result<Capture> {
    let memory = File::open(format!("/proc/{}/mem", traced.pid()))?;
    let maps = fs::read_to_string(format!("/proc/{}/maps", traced.pid()))?;
    let mappings: Vec<Mapping> = maps.lines().filter_map(mapping).collect();
    let (registers, eflags) = traced.general_registers()?;
    let (sp, pc) = (registers[7].wrapping_sub(RED_ZONE), registers[16]);
    // The stack pointer of an overflow is in the page that stops the stack.
    let start =
        mappings.iter().filter(|mapping| mapping.end > sp && mapping.writable).map(|found| found.start.max(sp)).min();
    let stack_start = start.unwrap_or(sp);
    let stack = read(&memory, stack_start, STACK);
    let whole = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&stack_start));
    let end = whole.map_or(0, |mapping| mapping.end);
    let outer = end.saturating_sub(OUTERMOST).max(stack_start + stack.len() as u64);
    let outermost = if outer < end { (outer, read(&memory, outer, (end - outer) as usize)) } else { (0, Vec::new()) };
    let vdso = mappings.iter().find(|mapping| mapping.path == b"[vdso]");
    let vdso = vdso.map(|vdso| (vdso.start, read(&memory, vdso.start, (vdso.end - vdso.start) as usize)));
    let thread = CapturedThread {
        tid: traced.pid(),
        name: b"main".to_vec(),
        signal: Some(SignalInfo { number: signal, ..SignalInfo::default() }),
        registers,
        eflags,
        stack_start,
        stack,
        outermost,
        has_registers: true,
        has_position: false,
    };
    let signal = SignalInfo { number: signal, ..SignalInfo::default() };
    Ok(Capture {
        signal,
        threads: vec![thread],
        mappings: mappings.into_iter().filter(|mapping| mapping.executable).collect(),
        code: (pc, read(&memory, pc, 64)),
        vdso: vdso.unwrap_or_default(),
        is_complete: true,
        ..Capture::default()
    })
}

/// As many bytes as there are, up to `length`.
fn read(memory: &File, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut done = 0;
    // A read ends with an error at the first page that is not mapped.
    while let Ok(more @ 1..) = memory.read_at(&mut bytes[done..(done + 4096).min(length)], address + done as u64) {
        done += more;
    }
    bytes.truncate(done);
    bytes
}

fn mapping(line: &str) -> Option<Mapping> {
    let mut parts = line.splitn(6, ' ');
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = parts.next()?.split_once('-')?;
    let (rights, offset) = (parts.next()?, hexadecimal(parts.next()?)?);
    let (major, minor) = parts.next()?.split_once(':')?;
    let inode = parts.next()?.parse().ok()?;
    Some(Mapping {
        start: hexadecimal(start)?,
        end: hexadecimal(end)?,
        offset,
        readable: rights.contains('r'),
        writable: rights.contains('w'),
        executable: rights.contains('x'),
        device: rustix::fs::makedev(hexadecimal(major)? as u32, hexadecimal(minor)? as u32),
        inode,
        path: parts.next().unwrap_or_default().trim_start().as_bytes().to_vec(),
    })
}
