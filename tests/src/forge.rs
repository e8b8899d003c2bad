//! Rings as an earlier boot, another clock or somebody who means harm would have left them: copies of real ones, with other
//! numbers in the header and other anchors.

use lastwords::FullPolicy;
use lastwords::checksum::checksum;
use lastwords::clock::Anchor;
use lastwords::folder::Folder;
use lastwords::geometry::Geometry;
use lastwords::lane::{Message, Origin};
use lastwords::layout::{Control, RingHeader};
use lastwords::ring::{Ring, RingSpec};
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use crate::scratch::Scratch;

/// A record of a forged ring.
#[derive(Debug, Clone)]
pub struct Forged {
    /// Lane number.
    pub lane: usize,
    /// Raw clock.
    pub ticks: u64,
    /// Body.
    pub body: Vec<u8>,
    /// Call site id.
    pub call_site: u32,
    /// Encoding of the body.
    pub encoding: u8,
}

impl Forged {
    /// A record of text.
    #[must_use]
    pub fn text(lane: usize, ticks: u64, text: &str) -> Forged {
        Forged { lane, ticks, body: text.into(), call_site: 0, encoding: 0 }
    }
}

/// The bytes of a ring of `lanes` lanes with these records; `prepare` is called with the ring before.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn ring(role: &str, lanes: u32, prepare: impl FnOnce(&Ring) -> Vec<Forged>) -> Vec<u8> {
    let scratch = Scratch::new("forge");
    let folder = Folder::create(scratch.path()).expect("a log folder");
    let geometry = Geometry::new(128, 1024, lanes, 1, 64 << 10).expect("sizes within the limits");
    let spec = RingSpec { full: FullPolicy::Overwrite, ..RingSpec::new(role, geometry) };
    let ring = Ring::create(&folder, &spec).expect("a ring");
    let records = prepare(&ring);
    let mut writers: Vec<_> = (0..lanes as usize).map(|lane| ring.lane(lane)).collect();
    for Forged { lane, ticks, body, call_site, encoding } in records {
        let origin = Origin { level: 20, call_site, thread: 7, encoding };
        writers[lane].append(|| ticks, &Message { origin, body: &body });
    }
    std::fs::read(ring.path()).expect("its bytes")
}

/// Puts `anchors` in the place of the ring's own.
pub fn set_anchors(bytes: &mut [u8], anchors: &[Anchor]) {
    let start = 4096 + offset_of!(Control, anchors);
    bytes[start..start + 64 * 32].fill(0);
    for (place, anchor) in bytes[start..].chunks_exact_mut(32).zip(anchors) {
        for (word, value) in place.chunks_exact_mut(8).zip(anchor.words()) {
            word.copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// Writes into the header at `offset` and makes its checksum agree.
pub fn set_header(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
    let end = offset_of!(RingHeader, checksum);
    let sum = checksum(&bytes[..end]).to_le_bytes();
    bytes[end..end + 8].copy_from_slice(&sum);
}

/// Says that the ring is of another boot, was made before this one, and does not know whether it is a copy.
pub fn set_boot(bytes: &mut [u8], boot: u8) {
    set_header(bytes, offset_of!(RingHeader, created_ns), &1u64.to_le_bytes());
    set_header(bytes, offset_of!(RingHeader, inode), &[0; 8]);
    set_header(bytes, offset_of!(RingHeader, boot_id), &[boot; 16]);
}

/// All ring files of a log folder, none where there is no folder yet.
#[must_use]
pub fn ring_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("rings")).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "ring")).collect()
}
