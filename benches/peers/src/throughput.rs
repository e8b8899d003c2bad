//! How fast lines get from the calls to the last line in the file: logged flat out, until the logger says it is done.

use crate::cores::Cores;
use crate::peer::{Job, Peer};
use std::path::Path;
use std::time::Instant;

/// The measurement of a peer, in seconds. The messages are numbered from 0 without gaps over all threads.
pub(crate) struct Measure<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) threads: u64,
    pub(crate) lines: u64,
}

impl Job for Measure<'_> {
    type Output = f64;

    fn run<P: Peer>(self) -> f64 {
        Cores::find().take_both();
        let peer = P::start(self.folder);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..self.threads {
                let part = self.lines * thread / self.threads..self.lines * (thread + 1) / self.threads;
                let peer = &peer;
                scope.spawn(move || {
                    peer.warm_up();
                    part.for_each(|n| peer.frame(n));
                });
            }
        });
        peer.finish();
        start.elapsed().as_secs_f64()
    }
}
