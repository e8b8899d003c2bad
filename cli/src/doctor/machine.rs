//! The machine as a process sees it: shared memory, clock, namespaces, core dumps.

use super::finding::Report;
use lastwords::__private::Requested;
use lastwords_flusher::render::amount::memory;
use lastwords_ring::format::layout::clock_kind;
use lastwords_ring::place::clock;
use lastwords_ring::place::environment::variable;
use lastwords_ring::place::folder::SHM_FOLDER;
use lastwords_ring::place::process;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Inode of the first pid namespace, `PROC_PID_INIT_INO` of the kernel.
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;
/// Clock sources whose reading is a system call.
const SLOW_CLOCKS: [&str; 5] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"];

pub(super) fn examine(requested: Option<&Requested>, report: &mut Report) {
    shared_memory(requested, report);
    clock(report);
    namespaces(report);
    cores(report);
}

fn shared_memory(requested: Option<&Requested>, report: &mut Report) {
    const CHECK: &str = "shared memory";
    let (is_used, ring) = requested.map_or((false, 0), |requested| (requested.is_shared, requested.ring_bytes));
    let remedy = "mount a larger one (--shm-size, mount -o remount,size=…), or set memory to file";
    let Some(found) = rustix::fs::statvfs(SHM_FOLDER).ok().filter(|_| Path::new(SHM_FOLDER).is_dir()) else {
        let what = format!("there is no {SHM_FOLDER}");
        return if is_used {
            report.problem(CHECK, what, remedy)
        } else {
            report.fine(CHECK, format_args!("{what}; only memory = shared needs it"))
        };
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let what =
        format!("{} free of {} in {SHM_FOLDER}", memory(free), memory(found.f_blocks.saturating_mul(found.f_frsize)));
    match is_used {
        true if free < ring => {
            report.warning(CHECK, format_args!("{what}; a ring takes {}, and is made smaller", memory(ring)), remedy)
        }
        _ => report.fine(CHECK, what),
    }
}

/// The kernel's clock source; None if it does not say.
pub(super) fn clock_source() -> Option<String> {
    let text = process::read("/sys/devices/system/clocksource/clocksource0/current_clocksource").ok()?;
    Some(text.trim().to_owned())
}

fn clock(report: &mut Report) {
    const CHECK: &str = "clock";
    if clock::kind() == clock_kind::TSC {
        return report.fine(CHECK, "the processor's time-stamp counter, by which the kernel keeps time too");
    }
    let source = clock_source();
    let source = source.as_deref().unwrap_or("unknown");
    if SLOW_CLOCKS.contains(&source) {
        let what =
            format!("boot time, because the kernel's clock source is {source}: each log call makes a system call");
        return report.warning(
            CHECK,
            what,
            "see why the kernel left the counter (dmesg), or boot with tsc=reliable where it is one",
        );
    }
    match variable("LASTWORDS_CLOCK") {
        Some(_) => report.fine(CHECK, "boot time, because of LASTWORDS_CLOCK"),
        None => report.fine(CHECK, format_args!("boot time, because the kernel's clock source is {source}")),
    }
}

fn namespaces(report: &mut Report) {
    const CHECK: &str = "namespaces";
    match fs::metadata("/proc/self/ns/pid").map(|found| found.ino()) {
        Ok(FIRST_PID_NAMESPACE) => report.fine(CHECK, "the pid namespace of the machine"),
        Ok(_) => report.fine(CHECK, "a pid namespace of its own, as in a container; locks tell who lives in others"),
        Err(error) => report.warning(
            CHECK,
            format_args!(
                "/proc cannot be read ({error}): a process whose lock is free is taken for dead after a second"
            ),
            "mount /proc",
        ),
    }
}

fn cores(report: &mut Report) {
    let Ok(pattern) = process::read("/proc/sys/kernel/core_pattern") else { return };
    let pattern = pattern.trim();
    let what = match pattern.strip_prefix('|') {
        Some(handler) => format!("go to the program {handler}"),
        None if pattern.is_empty() => "have no name".to_owned(),
        None => format!("are files named {pattern}"),
    };
    report.fine("core dumps", format_args!("{what}, as ulimit -c allows; crash files need none and take none away"));
}
