//! A seccomp filter as sandboxes have: a system call that is not in the list ends the process.
#![allow(unsafe_code)]

/// The system calls of the handler of a fatal signal that captures one thread, as docs/operations.md lists them.
pub const CALLS_OF_HANDLER: &[i64] = &[
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_rt_sigaction,
    libc::SYS_tgkill,
    libc::SYS_prlimit64,
    libc::SYS_prctl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pread64,
    libc::SYS_process_vm_readv,
    libc::SYS_rt_sigreturn,
];

/// What a log call may do where `flusher = "never"`, as docs/operations.md lists it.
const LOG_CALL: [i64; 9] = [
    libc::SYS_futex,
    libc::SYS_write,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_pread64,
    libc::SYS_flock,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_getpid,
];

/// What a log call does besides where this process may flush, and finds its lane full.
const EMBEDDED: [i64; 7] = [
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_prlimit64,
    libc::SYS_statx,
    libc::SYS_kill,
    libc::SYS_lseek,
];

/// What it does besides where it keeps what is not drained, as docs/operations.md and docs/design.md list it.
const KEEPING: [i64; 10] = [
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_prlimit64,
    libc::SYS_pwrite64,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_unlinkat,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
];

/// What the program itself does: memory, the clock where there is no vDSO, its end.
const PROGRAM: [i64; 13] = [
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_poll,
    libc::SYS_read,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn statement(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// The bit of close_range(2) that asks for a table of one's own.
const UNSHARE: u32 = 1 << 1;

/// Has a table of descriptors of its own refused to every thread, as by a kernel that has no such call. For the calling thread,
/// and those that it starts.
///
/// # Panics
/// If the kernel has no such filters.
pub fn refuse_own_table() {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let (equal, has_bit) = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K);
    // The third argument comes after the number, the architecture, the address and two arguments.
    install(&mut [
        statement(load, 0),
        libc::sock_filter { code: equal as u16, jt: 0, jf: 3, k: libc::SYS_close_range as u32 },
        statement(load, 32),
        libc::sock_filter { code: has_bit as u16, jt: 0, jf: 1, k: UNSHARE },
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ]);
}

/// Has pidfd_getfd(2) end the process, as a service manager's filter of usual calls does.
///
/// # Panics
/// If the kernel has no such filters.
pub fn kill_for_getfd() {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    install(&mut [
        statement(load, 0),
        libc::sock_filter { code: equal, jt: 0, jf: 1, k: libc::SYS_pidfd_getfd as u32 },
        statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ]);
}

/// Has every system call that is not in the lists end this process; with `errors` it fails. With `embedded` or `keeping` the list is longer, and with
/// `nothing` it is the end of the process alone. For the calling thread, and
/// those that it starts.
///
/// # Panics
/// If the kernel has no such filters.
pub fn enter(how: &str) {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    // The number of the call is the first word of what a filter sees.
    let mut filter = vec![statement(load, 0)];
    let more = match how {
        "embedded" => &EMBEDDED[..],
        "keeping" => &KEEPING[..],
        _ => &[],
    };
    let other =
        if how == "errors" { libc::SECCOMP_RET_ERRNO | libc::EPERM as u32 } else { libc::SECCOMP_RET_KILL_PROCESS };
    let list: Vec<&i64> = if how == "nothing" {
        vec![&libc::SYS_exit_group]
    } else {
        LOG_CALL.iter().chain(&PROGRAM).chain(more).collect()
    };
    for call in list {
        filter.push(libc::sock_filter { code: equal, jt: 0, jf: 1, k: *call as u32 });
        filter.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
    }
    filter.push(statement(RETURN, other));
    install(&mut filter);
}

fn install(filter: &mut [libc::sock_filter]) {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: prctl with this request takes no address; seccomp reads the program and its statements, which outlive the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }
}
