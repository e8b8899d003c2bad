//! What the kernel says about a signal, as a capture has it.

use lastwords_ring::format::capture_record::{SIGNAL_SIZE, bit};

/// A code of the kernel's that says nothing more; the address is 0 then, whatever was accessed.
const FROM_KERNEL: libc::c_int = 0x80;

/// The payload of a signal's record, and the address of its fault. `access` is the bit that says what was done there, or 0.
pub(super) fn encode(info: &libc::siginfo_t, access: u32) -> ([u8; SIGNAL_SIZE], Option<u64>) {
    // Signals sent by a process have a code of 0 or less.
    let is_fault = info.si_code > 0;
    let is_sent = matches!(info.si_code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL | libc::SI_MESGQ);
    let has_address = is_fault
        && info.si_code != FROM_KERNEL
        && [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP].contains(&info.si_signo);
    let address = has_address.then(|| {
        // SAFETY: the kernel fills the member that belongs to signal and code.
        unsafe { info.si_addr() as u64 }
    });
    let (pid, uid) = if is_sent {
        // SAFETY: as above.
        unsafe { (info.si_pid(), info.si_uid()) }
    } else {
        (0, 0)
    };
    let bits = if has_address { bit::HAS_ADDRESS | access } else { 0 } | if is_fault { bit::IS_FAULT } else { 0 };
    let halves = [info.si_signo, info.si_code, info.si_errno, pid, uid.cast_signed(), bits.cast_signed()];
    let mut payload = [0; SIGNAL_SIZE];
    for (place, half) in payload.chunks_exact_mut(4).zip(halves) {
        place.copy_from_slice(&half.to_le_bytes());
    }
    payload[24..].copy_from_slice(&address.unwrap_or(0).to_le_bytes());
    (payload, address)
}
