//! Appending a message to a lane of a logger's ring, with the full-ring policy if there is no room.

use crate::logger::drained_ring::{DrainedRing, look_for_thread};
use crate::logger::lane_pool::OwnedLane;
use crate::logger::own_thread;
use crate::logger::truncated::TruncatedMessage;
use lastwords_ring::arming;
use lastwords_ring::atomics::Ordering;
use lastwords_ring::format::anchor::ANCHOR_TICKS;
use lastwords_ring::format::full_policy::FullPolicy;
use lastwords_ring::format::layout::{ARMED_ANY, Control, encoding};
use lastwords_ring::format::level::Level;
use lastwords_ring::mutant::{self, Mutant};
use lastwords_ring::place::clock;
use lastwords_ring::place::spill::{LaneProgress, MESSAGE_MAX, SpillWriter};
use lastwords_ring::sys::held::without_handlers;
use lastwords_ring::write::anchors::AnchorWriter;
use lastwords_ring::write::backlog::Backlog;
use lastwords_ring::write::full_lane;
use lastwords_ring::write::lane::{Message, OpenMessage, Origin, count_drop};

/// The state for writing to the lanes of a ring.
#[derive(Debug)]
pub(crate) struct Appender {
    pub(super) drained: DrainedRing,
    policy: FullPolicy,
    anchors: AnchorWriter,
    spill: SpillWriter,
    pub(super) backlog: Backlog,
}

impl Appender {
    pub(super) fn new(drained: DrainedRing, policy: FullPolicy, backlog: Backlog) -> Appender {
        let spill = SpillWriter::new(drained.ring.entry());
        Appender { drained, policy, anchors: AnchorWriter::default(), spill, backlog }
    }

    /// Whether `slots` more slots can be written at once: they fit, or the policy permits overwriting.
    #[inline(always)]
    pub(crate) fn takes_at_once(&self, owned: &mut OwnedLane, slots: u64) -> bool {
        owned.is_ring_only() || owned.lane.has_room(slots) || self.policy == FullPolicy::Overwrite
    }

    /// Writes a message into a lane.
    #[inline]
    pub(crate) fn write(&self, owned: &mut OwnedLane, message: &Message<'_>) {
        if message.body.len() > owned.lane.message_size_max() {
            return self.write_long(owned, message);
        }
        self.write_fitting(owned, message);
    }

    #[inline]
    fn write_fitting(&self, owned: &mut OwnedLane, message: &Message<'_>) {
        let slots = owned.lane.slots_for(message.body.len());
        if self.ensure_room(owned, slots) {
            let now = owned.lane.append(clock::now, message);
            self.after_append(owned, message.origin.level, now);
        }
    }

    /// Like [`Self::takes_at_once`] for one slot, as far as the lane knows without a look.
    #[inline(always)]
    pub(crate) fn seems_to_take(&self, owned: &OwnedLane) -> bool {
        owned.lane.seems_to_have_room() || owned.is_ring_only() || self.policy == FullPolicy::Overwrite
    }

    /// Whether [`Self::after_append`] has anything to do.
    #[inline(always)]
    pub(crate) fn asks_after(&self, owned: &OwnedLane, level: u16, now: u64) -> bool {
        let control = self.drained.control;
        let armed = arming::asked_after_append(&control.armed);
        armed != 0
            && !owned.is_ring_only()
            && (armed == ARMED_ANY || level >= Level::ERROR.number() || owned.lane.seems_filling())
            || is_anchor_due(control, now)
    }

    /// Writes a message that may take several slots, for which there is room: `write` hands over its bytes. `size` is their
    /// number, and that of the slots that they take.
    #[inline]
    pub(crate) fn append_long(
        &self,
        owned: &mut OwnedLane,
        origin: &Origin,
        size: (usize, u64),
        write: impl FnOnce(&mut OpenMessage<'_, 'static>),
    ) {
        let now = owned.lane.append_long(clock::now, origin, size, write);
        self.after_append(owned, origin.level, now);
    }

    pub(crate) fn after_append(&self, owned: &mut OwnedLane, level: u16, now: u64) {
        if !self.asks_after(owned, level, now) {
            return;
        }
        let control = self.drained.control;
        let armed = arming::asked_after_append(&control.armed);
        if armed != 0 && !owned.is_ring_only() {
            self.wake_flusher(armed, owned, level);
        }
        if is_anchor_due(control, now) {
            self.anchors.write(now, &control.anchors, &control.newest_anchor);
            look_for_thread();
        }
    }

    #[cold]
    fn wake_flusher(&self, armed: u32, owned: &mut OwnedLane, level: u16) {
        let urgent = level >= Level::ERROR.number();
        if armed == ARMED_ANY || urgent || owned.lane.is_filling() {
            self.drained.ring_if_armed();
        }
    }

    /// False if the message must be dropped.
    #[inline]
    fn ensure_room(&self, owned: &mut OwnedLane, slots: u64) -> bool {
        owned.is_ring_only() || owned.lane.has_room(slots) || self.make_room(owned, slots)
    }

    #[cold]
    #[inline(never)]
    fn make_room(&self, owned: &mut OwnedLane, slots: u64) -> bool {
        let DrainedRing { ring, control, doorbell, holder, .. } = &self.drained;
        if self.drained.is_closed() {
            return false;
        }
        // No flusher makes room in a truncated ring, and copies of it would be garbage.
        if self.policy == FullPolicy::Overwrite || ring.is_hit() {
            return true;
        }
        let blocks = self.policy == FullPolicy::Block;
        if blocks && !own_thread::is_own() {
            look_for_thread();
            let OwnedLane { number, lane, stalled, .. } = &mut *owned;
            let enough = self.backlog.enough(*number);
            full_lane::wait_for_room(lane, slots, enough, stalled, control, holder, || doorbell.ring());
        }
        while !owned.lane.has_room(slots) {
            if self.drained.is_closed() {
                return false;
            }
            if without_handlers(|| self.keep(owned)) {
                continue;
            }
            if let Some(stalled) = &mut owned.stalled {
                stalled.note_overwritten();
            }
            if !blocks {
                count_drop(ring.block(owned.number), clock::now());
                self.drained.ring_if_armed();
            }
            return blocks;
        }
        true
    }

    /// Keeps slots of a full lane in a backlog segment. False on failure.
    fn keep(&self, owned: &mut OwnedLane) -> bool {
        let reusable = owned.lane.reusable();
        let Some(first) = self.backlog.keep(owned.number, &mut owned.lane) else { return false };
        if first > reusable + 1 {
            // Overwritten before, when nothing could be kept.
            self.spill.forget_overwritten(owned.number, reusable + 1..first);
        }
        true
    }

    /// A message that does not fit the ring goes to a spill file; if that fails, and beyond the longest message, it is
    /// truncated and marked.
    #[cold]
    fn write_long(&self, owned: &mut OwnedLane, message: &Message<'_>) {
        if self.drained.is_closed() {
            return;
        }
        let longest = (message.body.len() > MESSAGE_MAX).then(|| TruncatedMessage::new(message, MESSAGE_MAX));
        let spilled = longest.as_ref().map_or(*message, TruncatedMessage::message);
        if !self.ensure_room(owned, 1) {
            return;
        }
        let place = (owned.number, owned.lane.committed() + 1);
        let reference = self.spill.write(spilled.body, spilled.origin.encoding, place, |lane| self.progress(lane));
        if longest.is_some() || reference.is_none() {
            self.drained.control.cut.fetch_add(1, Ordering::Relaxed);
        }
        let Some(reference) = reference else {
            let truncated = TruncatedMessage::new(message, owned.lane.message_size_max());
            return self.write_fitting(owned, &truncated.message());
        };
        let body = reference.to_bytes();
        let origin = Origin { encoding: encoding::SPILLED, ..message.origin };
        self.write_fitting(owned, &Message { origin, body: &body });
        #[cfg(lastwords_mutants)]
        if mutant::is(Mutant::SpillLate) {
            self.spill.write_late(reference.number, spilled.body);
        }
    }

    fn progress(&self, lane: usize) -> LaneProgress {
        let ring = &self.drained.ring;
        let block = ring.block(lane);
        let released = block.consumer.released.load(Ordering::Acquire);
        let agrees = block.consumer.released_inverted.load(Ordering::Acquire) == !released;
        // In this order: a slot visibly reserved for the next lap implies that the previous one is visibly kept.
        let reserved = block.reserved.load(Ordering::Acquire);
        let kept = if mutant::is(Mutant::KeptSpillRemoved) { 0 } else { self.backlog.kept(lane) };
        LaneProgress {
            released: if agrees { released } else { 0 },
            kept,
            overwritten: reserved.saturating_sub(ring.geometry().slots()),
        }
    }
}

/// Whether the newest anchor is too far from the clock. Unsigned: one that is ahead, because the clock went back, counts as far
/// away too.
#[inline(always)]
fn is_anchor_due(control: &Control, now: u64) -> bool {
    now.wrapping_sub(control.newest_anchor.load(Ordering::Relaxed)) > ANCHOR_TICKS
}
