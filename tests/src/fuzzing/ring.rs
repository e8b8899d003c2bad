//! A ring file of any bytes: opened, read in every way that a reader can be asked for, and its records shown.

use super::image::Image;
use super::line;
use lastwords_flusher::render::call_sites::Sites;
use lastwords_flusher::render::level_names::LevelNames;
use lastwords_ring::format::layout::ANCHORS;
use lastwords_ring::format::record::Record;
use lastwords_ring::read::reader::{Extent, LaneBatch, LaneSnapshot, RingReader};
use std::path::Path;

/// Larger lanes only cost the fuzzer time; `hostile_rings.rs` reads the largest ones.
const LANE_MAX: u64 = 64 << 10;
/// Lanes that are read.
const LANES_MAX: usize = 4;
/// A place without spill files.
const PATH: &str = "no such folder/host-4157-00.ring";

/// Reads the ring that `input` describes.
pub fn run(input: &[u8]) {
    let image = Image::of(input);
    let slots_max = image.slots_max;
    let reader = match RingReader::new(image, Path::new(PATH)) {
        Ok(reader) => reader,
        Err(error) => return assert!(error.to_string().contains(PATH), "an error names the file: {error}"),
    };
    if reader.geometry().lane_size() > LANE_MAX {
        return;
    }
    let control = reader.control().expect("bytes in memory");
    assert!(control.anchors.len() <= ANCHORS);
    let _ = (reader.role(), reader.app(), reader.process(), control.closed);
    let (mut buffer, mut lanes, mut known) = (Vec::new(), Vec::new(), Known::default());
    known.names.refresh(&reader).expect("bytes in memory");
    reader.lanes(&mut buffer, &mut lanes).expect("bytes in memory");
    assert_eq!(lanes.len(), reader.geometry().lanes());
    for (lane, snapshot) in lanes.iter().enumerate().take(LANES_MAX) {
        let last = reader.last_sequence(lane, &mut buffer).expect("bytes in memory");
        for extent in [Extent::Live(snapshot.reserved), Extent::Final(last)] {
            for position in [0, snapshot.position.released] {
                read_lane(&reader, (lane, snapshot), position, extent, slots_max, &mut known);
            }
        }
    }
}

/// What the table says.
#[derive(Default)]
struct Known {
    sites: Sites,
    names: LevelNames,
}

/// Reads a lane until there is no more, and shows each record.
fn read_lane(
    reader: &RingReader<Image>,
    (lane, snapshot): (usize, &LaneSnapshot),
    mut position: u64,
    extent: Extent,
    slots_max: u64,
    known: &mut Known,
) {
    let (geometry, mut batch) = (reader.geometry(), LaneBatch::default());
    // One read of the slots, one more for what lies beyond, and each slot again with as many as its message claims.
    let most = geometry.lane_size() * (4 + geometry.message_slots_max()) + 4096;
    for _ in 0..=geometry.slots() {
        let before = reader.source().bytes_read.get();
        reader.read_lane(lane, position, extent, slots_max, &mut batch).expect("bytes in memory");
        let read = reader.source().bytes_read.get() - before;
        assert!(read <= 2 * most, "{read} bytes read for a lane of {}", geometry.lane_size());
        assert!(batch.damaged <= geometry.slots(), "more damage than slots");
        for record in batch.iter() {
            assert!(record.first > position && record.last >= record.first, "a record from before the position");
            assert!(record.body.len() <= geometry.message_size_max(), "longer than any message");
            let _ = snapshot.thread_name(&record);
            show(reader, &record, known);
        }
        if !batch.more {
            return;
        }
        assert!(batch.end > position, "a read that does not move would be repeated for ever");
        position = batch.end;
    }
    panic!("a lane of {} slots took more reads than that", geometry.slots());
}

fn show(reader: &RingReader<Image>, record: &Record<'_>, Known { sites, names }: &mut Known) {
    let name = names.get(record.level);
    let site = sites.get(reader, record.call_site).expect("bytes in memory");
    let ns = reader.timeline().expect("bytes in memory").realtime_ns(record.clock);
    match reader.unspill(record) {
        Ok(spilled) => {
            assert!(spilled.is_none(), "there are no spill files");
            line::show(record, site, name, ns);
        }
        Err(lost) => line::show(&Record { body: lost.to_string().as_bytes(), encoding: 0, ..*record }, None, name, ns),
    }
}
