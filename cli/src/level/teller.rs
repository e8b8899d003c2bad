//! Logs a change in the log of the role, as a record of this process.

use lastwords::event::Event;
use lastwords::{Builder, Flusher, Format, Level, Memory, Result};
use lastwords_flusher::files::line_layout::layout_of;
use lastwords_ring::format::layout::file_flag;
use lastwords_ring::format::text::escaped;
use lastwords_ring::format::text_layout::TextLayout;
use lastwords_ring::place::folder::{Folder, JSON_ENDING, ROTATE_KEEP_MAX};
use lastwords_ring::read::reader::RingReader;
use std::time::Duration;

/// More than any log file has, so that this process, which does not know the role's settings, never rotates its files.
const NEVER_ROTATED: u64 = 1 << 50;

/// Logs it for the role of this ring, in the files that its process uses.
pub(super) fn tell(folder: &Folder, ring: &RingReader, text: &str) -> Result<()> {
    let (header, files) = (ring.header(), ring.file_settings()?);
    let mut builder = quiet(folder, ring.role())
        .app(ring.app())
        .time_zone(folder.zone().name())
        .format(Format::of_flags(header.flags))
        .rotate_size(header.rotate_size.max(4096))
        .rotate_keep(header.rotate_keep.clamp(1, ROTATE_KEEP_MAX))
        .keep_total(files.keep_total)
        .keep_for(Duration::from_secs(files.keep_for_s))
        .crash_total(files.crash_total)
        .rotate_every(files.rotate_every)
        .compress(files.compress)
        .durable(Duration::from_millis(header.sync_ms.into()));
    builder = in_layout(builder, files.layout);
    // The files keep the mode and group that the process requested.
    if header.file_mode != 0 {
        builder = builder.file_mode(header.file_mode.into());
    }
    if header.file_flags & file_flag::GROUP != 0 {
        builder = builder.file_group(header.file_group.to_string());
    }
    record(builder, text)
}

/// Logs it for a role without a running process, if it has a log: in the existing files, as they are.
pub(super) fn tell_ended(folder: &Folder, role: &str, text: &str) -> Result<()> {
    let there = |name: &str| folder.log_file(name).exists();
    let format = match (there(role), there(&format!("{role}{JSON_ENDING}"))) {
        (false, false) => return Ok(()),
        (true, false) => Format::Text,
        (false, true) => Format::Json,
        (true, true) => Format::Both,
    };
    let builder = quiet(folder, role).format(format).rotate_size(NEVER_ROTATED).rotate_keep(ROTATE_KEEP_MAX);
    record(in_layout(builder, layout_of(folder, role)), text)
}

/// With lines of this layout: of another one they would begin a new file.
fn in_layout(builder: Builder, layout: TextLayout) -> Builder {
    builder.columns(layout.columns).time_digits(layout.digits).time_offset(layout.offset)
}

/// A logger of this process with fixed settings that takes little room.
fn quiet(folder: &Folder, role: &str) -> Builder {
    lastwords::builder(role)
        .unkept()
        .dir(folder.path())
        .rings(folder.rings())
        .flusher(Flusher::Never)
        .log("info")
        .ring_level(Level::OFF)
        .console(false)
        .console_all_levels(false)
        .memory(Memory::File)
        .slots_per_lane(8)
        .lanes(3)
}

fn record(builder: Builder, text: &str) -> Result<()> {
    builder.open()?.record(&Event::new(Level::INFO, "lastwords", escaped(text).as_bytes()));
    Ok(())
}
