//! A role, and the outputs that its records go to: text, JSON, or both.

use crate::files::offsets::FolderZone;
use crate::files::output::{Output, RecordSource};
use crate::files::retention::{Left, Limits};
use crate::render::message::Template;
use crate::render::timestamp::Stamp;
use lastwords_ring::format::compress::Compress;
use lastwords_ring::format::file_settings::FileSettings;
use lastwords_ring::format::layout::RingHeader;
use lastwords_ring::format::log_format::Format;
use lastwords_ring::format::record::Record;
use lastwords_ring::place::folder::{JSON_ENDING, ROTATE_KEEP_MAX};
use lastwords_ring::place::spill::SpillLost;
use std::time::Instant;

/// What a ring requests for the files of its role.
#[derive(Debug)]
pub(crate) struct Requested<'a> {
    pub(crate) header: &'a RingHeader,
    pub(crate) files: &'a FileSettings,
}

/// A role whose rings are drained.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: String,
    /// Place of its output among all. One that only an older setting requested is no longer its output.
    first: usize,
    /// Index of the JSON output, if the first one is text and both are requested.
    second: Option<usize>,
    /// For times in the flusher's own lines.
    pub(crate) stamp: Stamp,
    /// Order key of the youngest line of this run.
    pub(crate) youngest: u64,
    settings_from: u64,
    /// It is logged in the files that the machine stopped.
    pub(crate) told_of_stop: bool,
    /// What is kept of its files.
    pub(crate) limits: Limits,
    /// What becomes of its rotated files.
    pub(crate) compress: Compress,
    /// Its processes request syncs. That counts for what is on the disk from before, also once their rings are gone.
    pub(crate) durable: bool,
    /// Its rotated files, if all that exceeded the limits were removed.
    pub(crate) left: Option<Left>,
    /// When the removal of one is tried again.
    pub(crate) remove_again: Option<Instant>,
}

impl Role {
    /// The role of a ring, with its file settings. `outputs` are those of all roles.
    pub(crate) fn new(name: &str, requested: &Requested<'_>, outputs: &mut Vec<Output>, zone: &FolderZone) -> Role {
        let mut role = Role {
            name: name.to_owned(),
            first: 0,
            second: None,
            stamp: Stamp::new(zone.zone().clone()),
            youngest: 0,
            settings_from: 0,
            told_of_stop: false,
            limits: Limits { files: ROTATE_KEEP_MAX, bytes: 0, age_s: 0 },
            compress: Compress::Never,
            durable: false,
            left: None,
            remove_again: None,
        };
        role.adopt(requested, outputs, zone);
        role
    }

    /// Takes the file settings of a ring, if it is the newest of the role so far.
    pub(crate) fn adopt(&mut self, requested: &Requested<'_>, outputs: &mut Vec<Output>, zone: &FolderZone) {
        let Requested { header, files } = requested;
        if header.created_ns < self.settings_from {
            return;
        }
        self.settings_from = header.created_ns;
        self.limits = Limits {
            files: header.rotate_keep.clamp(1, ROTATE_KEEP_MAX),
            bytes: files.keep_total,
            age_s: files.keep_for_s,
        };
        self.compress = files.compress;
        self.durable = header.sync_ms > 0;
        let json = format!("{}{JSON_ENDING}", self.name);
        let mut place = |log: &str| {
            let known = outputs.iter().position(|output| output.log == log);
            let place = known.unwrap_or(outputs.len());
            if known.is_none() {
                outputs.push(Output::new(log, zone.zone(), zone.last(log)));
            }
            outputs[place].adopt(header, files);
            place
        };
        (self.first, self.second) = match Format::of_flags(header.flags) {
            Format::Text => (place(&self.name), None),
            Format::Json => (place(&json), None),
            _ => (place(&self.name), Some(place(&json))),
        };
    }

    /// Places of its outputs.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = usize> + use<> {
        std::iter::once(self.first).chain(self.second)
    }

    /// Renders a record for its files.
    #[inline(always)]
    pub(crate) fn record(
        &self,
        outputs: &mut [Output],
        record: &Record<'_>,
        site: Option<&Template>,
        from: &RecordSource<'_>,
    ) {
        outputs[self.first].record(record, site, from);
        if let Some(second) = self.second {
            outputs[second].record(record, site, from);
        }
    }

    /// Like [`Role::record`], for a record whose message may have been spilled. If it is lost, that is logged in its place.
    #[inline]
    pub(crate) fn record_unspilled(
        &self,
        outputs: &mut [Output],
        record: &Record<'_>,
        unspilled: &Result<Option<(Vec<u8>, u8)>, SpillLost>,
        site: Option<&Template>,
        from: &RecordSource<'_>,
    ) {
        match unspilled {
            Ok(None) => self.record(outputs, record, site, from),
            Ok(Some((body, encoding))) => {
                self.record(outputs, &Record { body, encoding: *encoding, ..*record }, site, from);
            }
            Err(lost) => {
                let text = lost.to_string();
                self.record(outputs, &Record { body: text.as_bytes(), encoding: 0, ..*record }, None, from);
            }
        }
    }

    /// How many bytes the lines are that are being made.
    pub(crate) fn made(&self, outputs: &[Output]) -> usize {
        self.outputs().map(|output| outputs[output].made()).sum()
    }

    /// See [`Output::fits`], for all of its files.
    #[inline]
    pub(crate) fn fits(&self, outputs: &[Output]) -> bool {
        outputs[self.first].fits() && self.second.is_none_or(|second| outputs[second].fits())
    }

    /// Begins lines that belong together and are drained as a whole.
    #[inline]
    pub(crate) fn begin(&self, outputs: &mut [Output]) {
        outputs[self.first].begin();
        if let Some(second) = self.second {
            outputs[second].begin();
        }
    }
}
