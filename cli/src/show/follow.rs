//! Going on with what is logged from now on.
//!
//! Each round shows what came since the last one, from the same snapshots as everything else: so it goes across rotations, files
//! that are cut or replaced, and folders that appear later. While a flusher lives, records come from the files, some tenths of a
//! second after they were logged. What nobody has drained for a second comes from the rings; when it is drained after all, a JSON
//! line of it is known by its identity, a text line by its bytes, and neither is shown again.

use super::cursor::Mark;
use super::record_id;
use super::role_log::Record;
use super::sources::{Sources, Wanted};
use super::timeline::Timeline;
use lastwords::Result;
use lastwords_ring::place::folder::Folder;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Time between two rounds.
pub(crate) const ROUND: Duration = Duration::from_millis(100);
/// Where the time of a JSON line ends.
const JSON_TIME_END: usize = "{\"time\":\"2025-10-19T05:55:47.606123456+02:00".len();
/// How long a record is left to the flusher.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// How far a folder has been followed.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) mark: Mark,
    /// Lines that were shown and are in no file yet, by their sums, with their number.
    early: HashMap<u64, u32>,
    /// Epoch of the journal, since when, and whether what it holds was shown.
    epoch: (u64, Option<Instant>, bool),
}

impl Followed {
    /// Goes on behind this.
    pub(crate) fn behind(mark: Mark) -> Followed {
        Followed { mark, ..Followed::default() }
    }

    /// What came since the last round.
    ///
    /// # Errors
    /// As [`Sources::of`].
    pub(crate) fn round(&mut self, folder: &Folder, roles: &[String]) -> Result<Sources> {
        let waited = self.epoch.1.is_some_and(|since| since.elapsed() >= LEFT_ALONE);
        let journaled = waited && !self.epoch.2;
        let wanted =
            Wanted { roles, behind: Some(&self.mark), undrained_for: Some(LEFT_ALONE), without_journaled: !journaled };
        let sources = Sources::of(folder, &wanted)?;
        if sources.epoch != self.epoch.0 || self.epoch.1.is_none() {
            // What the journal holds now may be written in a moment.
            self.epoch = (sources.epoch, Some(Instant::now()), journaled && sources.epoch == self.epoch.0);
        } else {
            self.epoch.2 |= journaled;
        }
        Ok(sources)
    }

    /// Everything of the round was shown.
    pub(crate) fn shown(&mut self, end: Mark) {
        if end.lanes.0.is_empty() && !self.epoch.2 {
            self.early.clear();
        }
        self.mark = end;
    }

    /// Whether the record at hand was shown before it was in a file.
    pub(crate) fn is_known(&mut self, timeline: &Timeline) -> bool {
        let record = timeline.record();
        if !timeline.is_in_file() {
            sums(&record).for_each(|sum| *self.early.entry(sum).or_default() += 1);
            return false;
        }
        if self.early.is_empty() && self.mark.lanes.0.is_empty() {
            return false;
        }
        let (id, mut known) = (record.json.and_then(record_id::of_line), false);
        for sum in sums(&record) {
            if let Some(count) = self.early.get_mut(&sum) {
                known = true;
                *count -= 1;
                if *count == 0 {
                    self.early.remove(&sum);
                }
            }
        }
        id.map_or(known, |id| self.mark.lanes.has(&id))
    }
}

/// Sums of a record's forms, as far as these have no identity, without columns and its time, which is known better the more a process has
/// logged since.
fn sums(record: &Record<'_>) -> impl Iterator<Item = u64> {
    // From the ring a text line has the default layout, whatever that of the files is.
    let (level, pid) = (record.head.level_at.0 as usize, record.head.pid.into());
    let text = record.text.map(|text| xxh3_64_with_seed(text.get(level..).unwrap_or(text), pid));
    let json = record
        .json
        .filter(|json| record_id::of_line(json).is_none())
        .map(|json| xxh3_64(json.get(JSON_TIME_END..).unwrap_or(json)));
    [text, json].into_iter().flatten()
}
