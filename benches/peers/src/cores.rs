//! Which processor cores a row runs on.
//!
//! Latency: the process starts the logger on the second core, so that the logger's threads inherit that one, and then
//! the calling thread moves to the first. Everything else runs on both. Where only one core may be used, all share it.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The first two cores that this process may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    first: usize,
    second: usize,
}

impl Cores {
    pub(crate) fn find() -> Cores {
        let allowed = sched_getaffinity(None).expect("this process's affinity");
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let first = cores.next().expect("a core to run on");
        Cores { first, second: cores.next().unwrap_or(first) }
    }

    /// Binds the calling thread, and threads that it will start, to the first core.
    pub(crate) fn take_first(self) {
        bind(&[self.first]);
    }

    /// Runs on the second core.
    pub(crate) fn take_second(self) {
        bind(&[self.second]);
    }

    /// Runs on both cores.
    pub(crate) fn take_both(self) {
        bind(&[self.first, self.second]);
    }
}

fn bind(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).expect("a core that the affinity named");
}
