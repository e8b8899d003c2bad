//! Why a process died, in words: what the kernel said about its signal.

use crate::crash::registers::{RIP, RSP};
use crate::render::signal::signal_name;
use lastwords_ring::format::capture::{Access, Capture, CapturedThread, Mapping, SignalInfo};

/// Addresses below this are those of a null pointer with the distance of a field.
const NEAR_NULL: u64 = 64 << 10;
/// How far below the stack pointer a function with large variables can touch the stack first.
const STACK_STEP: u64 = 1 << 20;
/// How far above it an overflow can be: a call stores at the stack pointer itself, which may have left the page already.
const STACK_ABOVE: u64 = 4096;
const SEGV_ACCERR: i32 = 2;
const SEGV_BNDERR: i32 = 3;
const SEGV_PKUERR: i32 = 4;
const SI_KERNEL: i32 = 128;

/// The signal of a capture, in words. `pid` is the process's own, which tells an `abort` from a signal that others sent.
#[must_use]
pub fn cause(capture: &Capture, pid: u32) -> String {
    if capture.is_panic() {
        return "panic of the main thread".to_owned();
    }
    let signal = &capture.signal;
    let name = signal_name(signal.number.unsigned_abs());
    let cause = format!("{name}: {}", if signal.is_fault { fault(capture) } else { sent(signal, pid) });
    if capture.is_unsure { cause + &or(capture) } else { cause }
}

/// The signals of other threads that may have ended the process instead.
fn or(capture: &Capture) -> String {
    let others = capture.threads.iter().skip(1).filter_map(|thread| Some((thread.tid, thread.signal?)));
    others.map(|(tid, signal)| format!("; or {} of thread {tid}", signal_name(signal.number.unsigned_abs()))).collect()
}

fn sent(signal: &SignalInfo, pid: u32) -> String {
    match signal {
        SignalInfo { number: libc::SIGABRT, pid: sender, .. } if *sender == pid => "abort".to_owned(),
        SignalInfo { pid: sender, .. } if *sender == pid => "sent by the process itself".to_owned(),
        SignalInfo { code: SI_KERNEL, .. } => "sent by the kernel".to_owned(),
        // A sender in another pid namespace has no pid here.
        SignalInfo { pid: 0, uid, .. } => format!("sent from outside, by user {uid}"),
        SignalInfo { pid, uid, .. } => format!("sent by pid {pid}, user {uid}"),
    }
}

fn fault(capture: &Capture) -> String {
    let SignalInfo { number, code, .. } = capture.signal;
    match (number, code) {
        (libc::SIGSEGV, _) => segmentation_fault(capture),
        (libc::SIGBUS, _) => bus_error(capture),
        (libc::SIGFPE, _) => arithmetic(code).to_owned(),
        (libc::SIGILL, _) => format!("illegal instruction{}", at(capture)),
        (libc::SIGTRAP, 1 | SI_KERNEL) => format!("breakpoint{}", at(capture)),
        (libc::SIGTRAP, _) => format!("trap{}", at(capture)),
        (libc::SIGSYS, _) => "a system call that a seccomp filter forbids".to_owned(),
        _ => format!("code {code}"),
    }
}

fn segmentation_fault(capture: &Capture) -> String {
    let signal = &capture.signal;
    let Some(address) = signal.address else {
        return "access to an address that is not canonical, or an instruction that only the kernel may use".to_owned();
    };
    let access = access(capture, address);
    if is_overflow(capture, address) {
        return format!("stack overflow: {access} address {address:#x}, just below the stack");
    }
    let mapping = mapping_at(capture, address);
    match (signal.code, mapping) {
        (SEGV_BNDERR, _) => format!("{access} address {address:#x}, outside of its bounds"),
        (SEGV_PKUERR, _) => format!("{access} address {address:#x}, which a protection key forbids"),
        (SEGV_ACCERR, Some(mapping)) => format!("{access} {} {address:#x}{}", kind(mapping), file(mapping)),
        (SEGV_ACCERR, None) => format!("{access} address {address:#x}, which its protection forbids"),
        _ if address < NEAR_NULL => format!("{access} address {address:#x}, not mapped, near null"),
        _ => format!("{access} address {address:#x}, not mapped"),
    }
}

/// What was done with an address, as far as it is known.
fn access(capture: &Capture, address: u64) -> &'static str {
    let runs_there = crashed(capture).is_some_and(|thread| thread.registers[RIP] == address);
    match capture.signal.access {
        _ if runs_there => "jump to",
        Some(Access::Execute) => "jump to",
        Some(Access::Write) => "write to",
        Some(Access::Read) => "read of",
        None => "access to",
    }
}

fn kind(mapping: &Mapping) -> &'static str {
    match mapping {
        Mapping { readable: false, writable: false, executable: false, .. } => "inaccessible memory",
        Mapping { writable: false, readable: true, executable: false, .. } => "read-only memory",
        Mapping { executable: true, writable: false, .. } => "code",
        _ => "memory that is no code",
    }
}

fn file(mapping: &Mapping) -> String {
    if mapping.path.is_empty() { String::new() } else { format!(" ({})", String::from_utf8_lossy(&mapping.path)) }
}

fn bus_error(capture: &Capture) -> String {
    let Some(address) = capture.signal.address else { return format!("code {}", capture.signal.code) };
    let file = mapping_at(capture, address).map(file).unwrap_or_default();
    match capture.signal.code {
        1 => format!("access to address {address:#x}, which is not aligned"),
        2 => format!("no memory behind address {address:#x}{file}: its file was truncated, or its disk is full"),
        3 => format!("error of the hardware at address {address:#x}{file}"),
        4 | 5 => format!("memory failure at address {address:#x}{file}"),
        code => format!("code {code}, address {address:#x}{file}"),
    }
}

fn arithmetic(code: i32) -> &'static str {
    match code {
        1 => "integer division by zero, or its result is out of range",
        2 => "integer overflow",
        3 => "floating-point division by zero",
        4 => "floating-point overflow",
        5 => "floating-point underflow",
        6 => "inexact floating-point result",
        7 => "invalid floating-point operation",
        8 => "subscript out of range",
        _ => "arithmetic error",
    }
}

/// Where the thread runs.
fn at(capture: &Capture) -> String {
    crashed(capture).map(|thread| format!(" at {:#x}", thread.registers[RIP])).unwrap_or_default()
}

fn crashed(capture: &Capture) -> Option<&CapturedThread> {
    capture.threads.first().filter(|thread| thread.has_registers)
}

fn mapping_at(capture: &Capture, address: u64) -> Option<&Mapping> {
    capture.mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address))
}

/// The address is where the stack would grow to, and nothing may be stored there: it is not mapped, or a page that is there to
/// stop the stack.
fn is_overflow(capture: &Capture, address: u64) -> bool {
    let Some(thread) = crashed(capture) else { return false };
    let sp = thread.registers[RSP];
    let is_near = (sp.saturating_sub(STACK_STEP)..sp.saturating_add(STACK_ABOVE)).contains(&address);
    // The captured bytes begin where the stack can be read. Where there is none near its pointer, that is not one of a stack.
    let is_below = !thread.stack.is_empty() && address < thread.stack_start;
    let is_guard = mapping_at(capture, address).is_none_or(|mapping| !mapping.readable && !mapping.writable);
    is_near && is_below && is_guard
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Option<Access> = Some(Access::Read);
    const WRITE: Option<Access> = Some(Access::Write);
    const EXECUTE: Option<Access> = Some(Access::Execute);
    const PC: u64 = 0x40_1000;
    const SP: u64 = 0x7fff_0000_0f00;

    fn told(signal: SignalInfo) -> String {
        let mut registers = [0; 17];
        (registers[RIP], registers[RSP]) = (PC, SP);
        let map = |start, rights: &str, path: &str| Mapping {
            start,
            end: start + 0x1000,
            readable: rights.contains('r'),
            writable: rights.contains('w'),
            executable: rights.contains('x'),
            path: path.as_bytes().to_vec(),
            ..Mapping::default()
        };
        let stack_start = SP & !0xfff;
        let thread =
            CapturedThread { registers, has_registers: true, stack_start, stack: vec![0; 64], ..Default::default() };
        let mappings = vec![
            map(0x40_0000, "r", "/bin/app"),
            map(PC, "rx", "/bin/app"),
            map(0x50_0000, "rw", ""),
            map(0x60_0000, "", ""),
            map(stack_start - 0x1000, "", ""),
        ];
        cause(&Capture { signal, threads: vec![thread], mappings, ..Capture::default() }, 41)
    }

    #[test]
    fn every_signal_is_put_into_words() {
        let fault = |number, code, address, access| SignalInfo {
            number,
            code,
            address,
            access,
            is_fault: true,
            ..SignalInfo::default()
        };
        let sent = |number, code, pid| SignalInfo { number, code, pid, uid: 1000, ..SignalInfo::default() };
        use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP};
        let rows = [
            (fault(SIGSEGV, 1, Some(0), READ), "SIGSEGV: read of address 0x0, not mapped, near null"),
            (fault(SIGSEGV, 1, Some(0x18), WRITE), "SIGSEGV: write to address 0x18, not mapped, near null"),
            (fault(SIGSEGV, 1, Some(0x18), None), "SIGSEGV: access to address 0x18, not mapped, near null"),
            (fault(SIGSEGV, 1, Some(0xdead_0000), READ), "SIGSEGV: read of address 0xdead0000, not mapped"),
            (fault(SIGSEGV, 1, Some(0xdead_0000), EXECUTE), "SIGSEGV: jump to address 0xdead0000, not mapped"),
            (fault(SIGSEGV, 2, Some(0x40_0010), WRITE), "SIGSEGV: write to read-only memory 0x400010 (/bin/app)"),
            (fault(SIGSEGV, 2, Some(PC + 8), WRITE), "SIGSEGV: write to code 0x401008 (/bin/app)"),
            (fault(SIGSEGV, 2, Some(0x50_0010), EXECUTE), "SIGSEGV: jump to memory that is no code 0x500010"),
            (fault(SIGSEGV, 2, Some(0x60_0010), READ), "SIGSEGV: read of inaccessible memory 0x600010"),
            (
                fault(SIGSEGV, 2, Some(0x70_0000), WRITE),
                "SIGSEGV: write to address 0x700000, which its protection forbids",
            ),
            (
                fault(SIGSEGV, 128, None, None),
                "SIGSEGV: access to an address that is not canonical, or an instruction that only the kernel may use",
            ),
            (
                fault(SIGSEGV, 1, Some((SP & !0xfff) - 0x2008), WRITE),
                "SIGSEGV: stack overflow: write to address 0x7ffeffffdff8, just below the stack",
            ),
            (
                fault(SIGSEGV, 2, Some((SP & !0xfff) - 8), WRITE),
                "SIGSEGV: stack overflow: write to address 0x7ffefffffff8, just below the stack",
            ),
            (
                fault(SIGBUS, 2, Some(0x40_0010), READ),
                "SIGBUS: no memory behind address 0x400010 (/bin/app): its file was truncated, or its disk is full",
            ),
            (fault(SIGBUS, 1, Some(0x3), None), "SIGBUS: access to address 0x3, which is not aligned"),
            (fault(SIGFPE, 1, Some(PC), None), "SIGFPE: integer division by zero, or its result is out of range"),
            (fault(SIGFPE, 3, Some(PC), None), "SIGFPE: floating-point division by zero"),
            (fault(SIGILL, 2, Some(PC), None), "SIGILL: illegal instruction at 0x401000"),
            (fault(SIGTRAP, 128, None, None), "SIGTRAP: breakpoint at 0x401000"),
            (fault(SIGSYS, 1, Some(PC), None), "SIGSYS: a system call that a seccomp filter forbids"),
            (sent(SIGABRT, -6, 41), "SIGABRT: abort"),
            (sent(SIGABRT, 0, 7), "SIGABRT: sent by pid 7, user 1000"),
            (sent(SIGSEGV, -6, 41), "SIGSEGV: sent by the process itself"),
            (sent(SIGSEGV, 0, 0), "SIGSEGV: sent from outside, by user 1000"),
            (sent(SIGSEGV, 128, 0), "SIGSEGV: sent by the kernel"),
            (sent(SIGQUIT, 0, 1), "SIGQUIT: sent by pid 1, user 1000"),
        ];
        for (signal, expected) in rows {
            assert_eq!(told(signal), expected, "{signal:?}");
        }
    }

    #[test]
    fn a_signal_that_may_have_been_another_ones_is_told_as_that() {
        let aborted = SignalInfo { number: libc::SIGABRT, pid: 41, ..SignalInfo::default() };
        let of = |tid, signal| CapturedThread { tid, signal, ..CapturedThread::default() };
        let threads = vec![of(41, Some(aborted)), of(43, None), of(42, Some(SignalInfo { number: 11, ..aborted }))];
        let mut capture = Capture { signal: aborted, threads, is_unsure: true, ..Capture::default() };
        assert_eq!(cause(&capture, 41), "SIGABRT: abort; or SIGSEGV of thread 42");
        capture.is_unsure = false;
        assert_eq!(cause(&capture, 41), "SIGABRT: abort");
    }

    #[test]
    fn a_jump_is_told_by_where_the_thread_runs() {
        let mut registers = [0; 17];
        registers[RSP] = SP;
        let thread = CapturedThread { registers, has_registers: true, ..Default::default() };
        let signal = SignalInfo { number: 11, code: 1, address: Some(0), is_fault: true, ..Default::default() };
        let capture = Capture { signal, threads: vec![thread], ..Capture::default() };
        assert_eq!(cause(&capture, 1), "SIGSEGV: jump to address 0x0, not mapped, near null");
    }
}
