//! Rings as an earlier boot, another clock or an attacker would have left them: copies of real ones, with other numbers in the
//! header and other anchors.

use lastwords::FullPolicy;
use lastwords_ring::format::anchor::Anchor;
use lastwords_ring::format::call_site::CallSiteRef;
use lastwords_ring::format::checksum::checksum;
use lastwords_ring::format::file_settings::FileSettings;
use lastwords_ring::format::geometry::Geometry;
use lastwords_ring::format::layout::{Control, LaneBlock, RingHeader, encoding, lane_kind};
use lastwords_ring::format::level::Level;
use lastwords_ring::format::placeholder::Placeholder;
use lastwords_ring::format::record::Record;
use lastwords_ring::place::folder::Folder;
use lastwords_ring::write::lane::{Message, Origin};
use lastwords_ring::write::ring::{Ring, RingSpec};
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
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
    ring_with(FileSettings::default(), role, lanes, prepare)
}

/// Like [`ring`], with these settings of files.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn ring_with(files: FileSettings, role: &str, lanes: u32, prepare: impl FnOnce(&Ring) -> Vec<Forged>) -> Vec<u8> {
    let scratch = Scratch::new("forge");
    let folder = Folder::create(scratch.path()).expect("a log folder");
    let geometry = Geometry::new(128, 1024, lanes, 1, 64 << 10).expect("sizes within the limits");
    let spec = RingSpec { full: FullPolicy::Overwrite, files, ..RingSpec::new(role, geometry) };
    let ring = Ring::create(&folder, &spec).expect("a ring");
    let records = prepare(&ring);
    let mut writers: Vec<_> = (0..lanes as usize).map(|lane| ring.lane(lane)).collect();
    for Forged { lane, ticks, body, call_site, encoding } in records {
        let origin = Origin { level: 20, call_site, thread: 7, encoding };
        writers[lane].append(|| ticks, &Message { origin, body: &body });
    }
    std::fs::read(ring.path()).expect("its bytes")
}

/// A record with this body, as a reader has it.
#[must_use]
pub fn record_of(encoding: u8, call_site: u32, body: &[u8]) -> Record<'_> {
    let level = Level::INFO;
    Record { first: 1, last: 1, clock: 0, message: 1, thread: 0, call_site, level, encoding, body }
}

/// A ring each of whose records is shown as twelve thousand bytes.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn wide_ring() -> Vec<u8> {
    ring("worker", 3, |ring| {
        let format = format!("{}{}", "{:>1024}".repeat(8), "x".repeat(3500));
        let placeholder = |n: u16| Placeholder::new(n * 8, n * 8 + 8, 0, ' ', 3, 0, 1024, u16::MAX);
        let placeholders: Vec<Placeholder> = (0..8).map(placeholder).collect();
        let site = CallSiteRef {
            level: 20,
            line: 1,
            target: "t",
            module: "m",
            file: "f",
            format: &format,
            placeholders: &placeholders,
            types: &[],
            fields: &[],
        };
        let call_site = ring.table().register(&site).expect("room");
        let mut body = vec![0x0b; 8];
        body.extend_from_slice(&[1; 64]);
        let record = |lane| Forged { lane, ticks: 1, body: body.clone(), call_site, encoding: encoding::VALUES };
        (0..3 * 1024).map(|n| record(n % 3)).collect()
    })
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

/// Makes the ring belong to another boot, created before this one, and possibly a copy.
pub fn set_boot(bytes: &mut [u8], boot: u8) {
    set_header(bytes, offset_of!(RingHeader, created_ns), &1u64.to_le_bytes());
    set_header(bytes, offset_of!(RingHeader, inode), &[0; 8]);
    set_header(bytes, offset_of!(RingHeader, boot_id), &[boot; 16]);
}

/// A ring of this process as large as the format allows, sparse, whose lanes hold nothing but what `slots` says of each: commit
/// words, each at its sequence. All of its slots are said to be begun. It lives as long as the file is open.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn largest(folder: &Path, name: &str, slots: &[(u64, u64)]) -> File {
    let large = Geometry::new(512, 65536, 31, 1, 64 << 10).expect("sizes within the limits");
    let mut bytes = ring("heavy", 3, |_| Vec::new());
    set_header(&mut bytes, offset_of!(RingHeader, record_size), &512u32.to_le_bytes());
    set_header(&mut bytes, offset_of!(RingHeader, slots_per_lane), &65536u32.to_le_bytes());
    set_header(&mut bytes, offset_of!(RingHeader, lanes), &31u32.to_le_bytes());
    bytes.truncate(8192);
    std::fs::create_dir_all(folder.join("rings")).expect("made");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(folder.join("rings").join(name));
    let file = file.expect("made");
    file.lock().expect("locked");
    file.set_len(large.file_size()).expect("sparse");
    for lane in 0..large.lanes() {
        let block = large.block_offset(lane);
        file.write_all_at(&large.slots().to_le_bytes(), block + offset_of!(LaneBlock, reserved) as u64)
            .expect("written");
        file.write_all_at(&lane_kind::WRITE.to_le_bytes(), block + offset_of!(LaneBlock, kind) as u64)
            .expect("written");
        for (sequence, commit) in slots {
            let slot = large.lane_offset(lane) + large.slot_index(*sequence) * 512;
            file.write_all_at(&commit.to_le_bytes(), slot).expect("written");
        }
    }
    // Only now is it a ring.
    file.write_all_at(&bytes, 0).expect("written");
    file
}

/// All ring files of a log folder, none where there is no folder yet.
#[must_use]
pub fn ring_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("rings")).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "ring")).collect()
}

/// Makes the process of a ring another one with its pid, which is not alive.
///
/// # Panics
/// If the file cannot be written.
pub fn die(ring: &File) {
    let mut header = vec![0; size_of::<RingHeader>()];
    let readable = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(ring))).expect("opened");
    readable.read_exact_at(&mut header, 0).expect("read");
    set_header(&mut header, offset_of!(RingHeader, start_time), &[1; 8]);
    ring.write_all_at(&header, 0).expect("written");
}
