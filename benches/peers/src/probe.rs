//! The limit probe as a row of the table.
#![allow(unsafe_code)]

#[path = "../../shared/probe.rs"]
mod limit;

use crate::cores::Cores;
use crate::latency::{Latency, Timing, with_warm_up};
use limit::Probe;
use std::hint::black_box;
use std::path::Path;

/// Its name among the rows.
pub(crate) const NAME: &str = "limit probe";

/// Measures it like a peer; it has one message only.
pub(crate) fn measure(folder: &Path, bursts: u64) -> [Latency; 2] {
    Cores::find().take_first();
    let tmpfs = Path::new("/dev/shm");
    let base = if tmpfs.is_dir() { tmpfs } else { folder };
    let mut probe = Probe::new(&base.join(format!("lastwords-peers-probe-{}", std::process::id())));
    let (record, mut timing) = ([7u8; 128], Timing::default());
    for _ in 0..with_warm_up(bursts) {
        timing.burst(|_| probe.call(black_box(&record)), || ());
    }
    let latency = timing.result();
    [latency, latency]
}
