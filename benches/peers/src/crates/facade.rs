//! The two messages through the `log` facade, for all peers that are called through it.

use crate::message::{DEVICE, ms};

#[inline(always)]
pub(super) fn text() {
    log::info!("Host process starting up, all is in line");
}

#[inline(always)]
pub(super) fn frame(frame: u64) {
    log::info!("frame {} took {} ms on {}", frame, ms(frame), DEVICE);
}
