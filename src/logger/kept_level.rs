//! The initial level of a logger's ring, if `lastwords level --keep` has stored one for its role.

use lastwords_ring::format::level::Level;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::place::kept_level;
use lastwords_ring::place::stderr::complain;
use lastwords_ring::write::ring::{Ring, RingSpec};

/// Applies the kept level to a new ring. Returns the line for the log, if any. If the level cannot be read, or written, the
/// process logs as configured.
pub(crate) fn begin_as_kept(ring: &Ring, folder: &Folder, spec: &RingSpec) -> Option<(Level, String)> {
    let (role, pid) = (&spec.role, ring.header().pid);
    let begun = kept_level::at_start(folder, role).and_then(|found| {
        // The lock is held until the ring has the level.
        let Some((kept, _lock)) = found else { return Ok(None) };
        let filter = kept.over(&spec.filter);
        let changes = spec.filter.changes_to(&filter);
        if changes.is_empty() {
            return Ok(None);
        }
        ring.set_filter(&filter)?;
        let user = kept.user;
        Ok(Some(format!(
            "lastwords: level of pid {pid} is what user {user} chose (lastwords level {role} --keep): {changes}"
        )))
    });
    match begun {
        Ok(text) => Some((Level::INFO, text?)),
        Err(error) => {
            let text = format!("the level kept by `lastwords level {role} --keep` does not apply: {error}");
            complain(format_args!("{text}"));
            Some((Level::WARNING, format!("lastwords: {text}")))
        }
    }
}
