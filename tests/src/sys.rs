//! What the standard library lacks and the crash tests need: a page that outlives its process, and ptrace(2). The only
//! unsafe code of the suite.
//!
//! All calls about one [`Traced`] process must come from the thread that started it, because the kernel ties a tracer
//! to its thread.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;
use std::sync::atomic::AtomicU64;

/// Maps `words` 64-bit words of the file at `path`, made of zeros, for as long as this process lives. What is stored
/// there stays in the page cache, and so in the file, however the process ends.
///
/// # Errors
/// As open(2) and mmap(2).
pub fn map_words(path: &Path, words: usize) -> io::Result<&'static [AtomicU64]> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let size = words * size_of::<AtomicU64>();
    file.set_len(size as u64)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
    let address = unsafe { libc::mmap(ptr::null_mut(), size, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is page-aligned, `size` bytes long, zeroed, never unmapped, and reached only through these atomics;
    // the file, which belongs to the test, is never truncated.
    Ok(unsafe { std::slice::from_raw_parts(address.cast::<AtomicU64>(), words) })
}

/// Whether a traced process's system calls can be changed: only this processor's registers are known here.
pub const CALLS_CAN_BE_CHANGED: bool = cfg!(target_arch = "x86_64");

/// The registers of a traced process at a system call. [`CALLS_CAN_BE_CHANGED`] is to be asked before.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
struct Registers(libc::user_regs_struct);

#[cfg(target_arch = "x86_64")]
impl Registers {
    fn number(&self) -> i64 {
        self.0.orig_rax as i64
    }

    fn set_number(&mut self, number: i64) {
        self.0.orig_rax = number as u64;
    }

    fn length(&self) -> u64 {
        self.0.rdx
    }

    fn set_length(&mut self, length: u64) {
        self.0.rdx = length;
    }

    fn set_result(&mut self, result: i64) {
        self.0.rax = result as u64;
    }
}

/// Elsewhere every call looks like none that could be changed.
#[cfg(not(target_arch = "x86_64"))]
impl Registers {
    fn number(&self) -> i64 {
        -1
    }

    fn set_number(&mut self, _: i64) {}

    fn length(&self) -> u64 {
        0
    }

    fn set_length(&mut self, _: u64) {}

    fn set_result(&mut self, _: i64) {}
}

/// Stops the ext4 on which `folder` is as a power loss does: its journal is not written back, and no write succeeds.
///
/// # Errors
/// As ioctl(2).
pub fn shut_down_ext4(folder: &File) -> io::Result<()> {
    const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
    let without_journal: u32 = 2;
    // SAFETY: the request reads one u32 from the address, a local that outlives the call.
    let done = unsafe { libc::ioctl(folder.as_raw_fd(), EXT4_IOC_SHUTDOWN as _, &raw const without_journal) };
    check(done.into())
}

/// Why a traced process stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It is about to do the system call of this number.
    Entry(u64),
    /// It has done one.
    Exit,
    /// It got this signal, which is not delivered; SIGTRAP after a single step.
    Signal(i32),
    /// It ended with this exit code.
    Ended(i32),
    /// This signal ended it.
    Killed(i32),
}

/// A process under ptrace, killed when dropped.
#[derive(Debug)]
pub struct Traced {
    pid: libc::pid_t,
    gone: bool,
}

impl Traced {
    /// Starts `command`; it is stopped before its program's first instruction.
    ///
    /// # Errors
    /// As fork(2), execve(2) and ptrace(2).
    pub fn start(command: &mut Command) -> io::Result<Traced> {
        let trace_me = || {
            // SAFETY: PTRACE_TRACEME takes no address; it only marks the calling process.
            let result = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
            if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
        };
        // SAFETY: between fork and exec the closure does one system call and allocates nothing.
        let child = unsafe { command.pre_exec(trace_me) }.spawn()?;
        let mut traced = Traced { pid: child.id() as libc::pid_t, gone: false };
        match traced.wait()? {
            Stop::Signal(libc::SIGTRAP) => {}
            other => return Err(io::Error::other(format!("{other:?} found, expected the stop after exec"))),
        }
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        // SAFETY: PTRACE_SETOPTIONS takes the options as a value and ignores the address.
        check(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, traced.pid, 0, libc::c_long::from(options)) })?;
        Ok(traced)
    }

    /// Stops a thread of a running process, as a debugger does.
    ///
    /// # Errors
    /// As ptrace(2) and waitpid(2).
    pub fn attach(thread: u32) -> io::Result<Attached> {
        let tid = thread as libc::pid_t;
        // SAFETY: PTRACE_ATTACH ignores address and data.
        check(unsafe { libc::ptrace(libc::PTRACE_ATTACH, tid, 0, 0) })?;
        let mut status = 0;
        // SAFETY: `status` is a local that outlives the call.
        check(unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) }.into())?;
        Ok(Attached { tid })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// Executes one instruction.
    ///
    /// # Errors
    /// As ptrace(2) and waitpid(2); so for the others.
    pub fn step(&mut self) -> io::Result<Stop> {
        self.resume(libc::PTRACE_SINGLESTEP)
    }

    /// Runs to the next entry or exit of a system call.
    ///
    /// # Errors
    /// As [`Traced::step`].
    pub fn to_system_call(&mut self) -> io::Result<Stop> {
        self.resume(libc::PTRACE_SYSCALL)
    }

    /// Starts a program that says by two calls of getppid(2) where it begins and ends what a test looks at, and stops it
    /// between these, at the entry of the first system call for which `here` returns true, given how many there were before
    /// and its number. If there was none, the error is the program at its second mark, or after its death by SIGKILL.
    ///
    /// # Panics
    /// If it cannot be traced, or does anything else.
    pub fn start_to(command: &mut Command, here: impl Fn(usize, i64) -> bool) -> Result<Traced, Traced> {
        let mut traced = Traced::start(command).expect("started");
        let mut calls = None;
        loop {
            match (traced.to_system_call().expect("traced"), calls) {
                (Stop::Entry(number), None) if number == libc::SYS_getppid as u64 => calls = Some(0),
                (Stop::Entry(number), Some(_)) if number == libc::SYS_getppid as u64 => return Err(traced),
                (Stop::Entry(number), Some(before)) if here(before, number as i64) => return Ok(traced),
                (Stop::Entry(_), Some(before)) => calls = Some(before + 1),
                (Stop::Entry(_) | Stop::Exit, _) => {}
                (Stop::Killed(libc::SIGKILL), _) => return Err(traced),
                (other, _) => panic!("{other:?}"),
            }
        }
    }

    /// Runs to the next signal, or the end.
    ///
    /// # Errors
    /// As [`Traced::step`].
    pub fn run(&mut self) -> io::Result<Stop> {
        self.resume(libc::PTRACE_CONT)
    }

    /// Sends SIGKILL and waits for the end. At the entry of a system call that call does not happen any more.
    ///
    /// # Errors
    /// As kill(2) and waitpid(2).
    pub fn kill(&mut self) -> io::Result<()> {
        // SAFETY: kill(2) takes no address; the process is our child and not yet waited for, so the pid is its own.
        check(unsafe { libc::kill(self.pid, libc::SIGKILL) }.into())?;
        while !self.gone {
            self.wait()?;
        }
        Ok(())
    }

    /// Traces it no longer, and leaves it stopped as SIGSTOP stops a process, where it is.
    ///
    /// # Errors
    /// As ptrace(2).
    pub fn leave_stopped(&mut self) -> io::Result<()> {
        let stop = libc::c_long::from(libc::SIGSTOP);
        // SAFETY: PTRACE_DETACH ignores the address and takes the signal to deliver as a value.
        check(unsafe { libc::ptrace(libc::PTRACE_DETACH, self.pid, 0, stop) })
    }

    /// Traces it no longer, and lets it go on from where it is.
    ///
    /// # Errors
    /// As ptrace(2).
    pub fn let_go(&mut self) -> io::Result<()> {
        // SAFETY: PTRACE_DETACH ignores the address and takes the signal to deliver, none, as a value.
        check(unsafe { libc::ptrace(libc::PTRACE_DETACH, self.pid, 0, 0) })
    }

    /// Lets one that was left stopped go on.
    ///
    /// # Errors
    /// As kill(2).
    pub fn go_on(&self) -> io::Result<()> {
        // SAFETY: kill(2) takes no address; the process is our child and not yet waited for, so the pid is its own.
        check(unsafe { libc::kill(self.pid, libc::SIGCONT) }.into())
    }

    /// At the entry of a system call: its arguments.
    ///
    /// # Errors
    /// As ptrace(2); so for the others.
    pub fn arguments(&self) -> io::Result<[u64; 6]> {
        let found = self.system_call_info()?;
        // SAFETY: at an entry the kernel has filled this member of the union.
        Ok(unsafe { found.u.entry.args })
    }

    /// At the entry of a write to a file: shortens it to `shorter(length)` bytes, as a full disk or a signal may do. False
    /// where it is not such a call, or is not longer than that.
    ///
    /// # Errors
    /// As [`Traced::arguments`].
    pub fn shorten_write(&mut self, shorter: impl Fn(u64) -> u64) -> io::Result<bool> {
        let mut registers = self.registers()?;
        let length = shorter(registers.length());
        let is_write = [libc::SYS_write, libc::SYS_pwrite64].contains(&registers.number());
        if !is_write || length == 0 || length >= registers.length() {
            return Ok(false);
        }
        registers.set_length(length);
        self.set_registers(&registers)?;
        Ok(true)
    }

    /// At the entry of a system call: the kernel does nothing, and the process takes `result` for the answer.
    ///
    /// # Errors
    /// As [`Traced::arguments`].
    pub fn answer_instead(&mut self, result: i64) -> io::Result<()> {
        let mut registers = self.registers()?;
        registers.set_number(-1);
        self.set_registers(&registers)?;
        if self.to_system_call()? != Stop::Exit {
            return Err(io::Error::other("a system call that was skipped has no end"));
        }
        let mut registers = self.registers()?;
        registers.set_result(result);
        self.set_registers(&registers)
    }

    /// The general registers in the numbering of DWARF, and the flags.
    ///
    /// # Errors
    /// As ptrace(2).
    #[cfg(target_arch = "x86_64")]
    pub fn general_registers(&self) -> io::Result<([u64; 17], u64)> {
        let Registers(found) = self.registers()?;
        let general = [
            found.rax, found.rdx, found.rcx, found.rbx, found.rsi, found.rdi, found.rbp, found.rsp, found.r8, found.r9,
            found.r10, found.r11, found.r12, found.r13, found.r14, found.r15, found.rip,
        ];
        Ok((general, found.eflags))
    }

    fn registers(&self) -> io::Result<Registers> {
        // SAFETY: the registers are plain numbers, for which zeros are a value.
        let mut registers: Registers = unsafe { std::mem::zeroed() };
        // SAFETY: PTRACE_GETREGS writes one user_regs_struct to the address in its fourth argument.
        check(unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, 0, &raw mut registers) })?;
        Ok(registers)
    }

    fn set_registers(&mut self, registers: &Registers) -> io::Result<()> {
        // SAFETY: PTRACE_SETREGS reads one user_regs_struct from the address in its fourth argument.
        check(unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &raw const *registers) })
    }

    /// Delivers a signal, and runs to the next entry or exit of a system call.
    ///
    /// # Errors
    /// As [`Traced::step`].
    pub fn deliver(&mut self, signal: i32) -> io::Result<Stop> {
        self.resume_with(libc::PTRACE_SYSCALL, signal)
    }

    fn resume(&mut self, how: libc::c_uint) -> io::Result<Stop> {
        self.resume_with(how, 0)
    }

    fn resume_with(&mut self, how: libc::c_uint, signal: i32) -> io::Result<Stop> {
        // SAFETY: these requests ignore the address and take the signal to deliver, 0 for none, as a value.
        check(unsafe { libc::ptrace(how, self.pid, 0, libc::c_long::from(signal)) })?;
        self.wait()
    }

    fn wait(&mut self) -> io::Result<Stop> {
        let mut status = 0;
        // SAFETY: `status` is a local that outlives the call.
        while unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) } == -1 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.gone = libc::WIFEXITED(status) || libc::WIFSIGNALED(status);
        if libc::WIFEXITED(status) {
            Ok(Stop::Ended(libc::WEXITSTATUS(status)))
        } else if libc::WIFSIGNALED(status) {
            Ok(Stop::Killed(libc::WTERMSIG(status)))
        } else if libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80 {
            self.system_call()
        } else {
            Ok(Stop::Signal(libc::WSTOPSIG(status)))
        }
    }

    fn system_call_info(&self) -> io::Result<libc::ptrace_syscall_info> {
        // SAFETY: ptrace_syscall_info is plain numbers, for which zeros are a value.
        let mut found: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::ptrace_syscall_info>();
        // SAFETY: PTRACE_GET_SYSCALL_INFO writes at most `size` bytes to the address in its fourth argument.
        check(unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, self.pid, size, &raw mut found) })?;
        Ok(found)
    }

    fn system_call(&self) -> io::Result<Stop> {
        let found = self.system_call_info()?;
        if found.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return Ok(Stop::Exit);
        }
        // SAFETY: `op` says which member of the union the kernel filled.
        Ok(Stop::Entry(unsafe { found.u.entry.nr }))
    }
}

/// A thread that a debugger holds, until this is dropped.
#[derive(Debug)]
pub struct Attached {
    tid: libc::pid_t,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: PTRACE_DETACH ignores the address and takes the signal to deliver, none, as a value.
        let _ = check(unsafe { libc::ptrace(libc::PTRACE_DETACH, self.tid, 0, 0) });
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if !self.gone {
            let _ = self.kill();
        }
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
