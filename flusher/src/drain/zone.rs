//! The zone of the folder's times, while it is drained.

use super::Drain;
use crate::files::notices;
use crate::render::timestamp::Stamp;

impl Drain {
    /// Takes the folder's current zone.
    pub(super) fn refresh_zone(&mut self) {
        if !self.zone.refresh(&self.folder) {
            return;
        }
        let zone = self.zone.zone();
        self.outputs.iter_mut().for_each(|output| output.change_zone(zone));
        self.roles.iter_mut().for_each(|role| role.stamp = Stamp::new(zone.clone()));
        self.tell_unknown_zone();
    }

    /// Logs a line if the zone's rules are not known here.
    pub(super) fn tell_unknown_zone(&mut self) {
        if !self.zone.zone().is_known() {
            self.note(notices::zone_unknown(self.zone.zone()));
        }
    }

    /// After a batch: which offsets the last lines of the files have, for the next flusher. If that cannot be written, the next
    /// flusher logs a change once more.
    pub(super) fn note_offsets(&mut self) {
        for output in &self.outputs {
            if let Some(offset) = output.last_offset() {
                self.zone.note(&output.log, offset);
            }
        }
        let _ = self.zone.write(&self.folder);
    }
}
