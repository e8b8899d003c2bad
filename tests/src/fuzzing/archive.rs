//! An archive of any bytes. Readers unpack what its tables promise, and whoever may write to a folder may promise anything.
//!
//! ```text
//! 0   flags, see `flag`
//! 1   the file; with `flag::REPAIR` the number of frames, for each frame its compressed and its decompressed size (2 bytes each), and
//!     the frames, behind which tables are made that agree
//! ```

use super::{number, take};
use lastwords_flusher::files::archive::{Archive, BEGINS};
use lastwords_ring::format::checksum::checksum;
use std::path::Path;

/// Bits of an input's first byte.
pub mod flag {
    /// The tables are made for what follows, with their checksum.
    pub const REPAIR: u8 = 1;
}

/// Longest text that is unpacked here.
const TEXT_MAX: u64 = 1 << 20;

/// Reads the archive that `input` describes.
///
/// # Panics
/// Where a frame is not what the tables say, and if no file can be written.
pub fn run(input: &[u8]) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let path = folder.join(format!("lastwords-fuzz-{}-{:?}.zst", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, file_of(input)).expect("written");
    let opened = Archive::open(&path);
    std::fs::remove_file(&path).expect("removed");
    let Ok(archive) = opened else { return };
    let mut start = 0;
    for (number, frame) in archive.frames().iter().enumerate() {
        assert_eq!(frame.start, start, "texts follow each other");
        start += frame.length;
        assert!(frame.length == 0 || archive.frame_at(frame.start) == Some(number));
        if frame.length > TEXT_MAX {
            continue;
        }
        let Ok(text) = archive.read(frame) else { continue };
        assert_eq!(text.len() as u64, frame.length, "not more than the table says");
        let mut again = vec![0; text.len().min(64)];
        assert!(archive.read_exact_at(&mut again, frame.start).is_ok() && text.starts_with(&again));
    }
    assert_eq!((archive.length(), archive.frame_at(start)), (start, None));
    assert!(archive.begins().len() <= BEGINS);
}

fn file_of(mut input: &[u8]) -> Vec<u8> {
    let flags = take(&mut input, 1).first().copied().unwrap_or_default();
    if flags & flag::REPAIR == 0 {
        return input.to_vec();
    }
    let count = take(&mut input, 1).first().copied().unwrap_or_default();
    let sizes: Vec<[u32; 2]> = (0..count).map(|_| [number(&mut input) as u32, number(&mut input) as u32]).collect();
    let mut file = input.to_vec();
    let text: u64 = sizes.iter().map(|[_, length]| u64::from(*length)).sum();
    let mut times = b"LWTIMES1".to_vec();
    [u32::from(count), 1].iter().for_each(|number| times.extend_from_slice(&number.to_le_bytes()));
    [7, 8, text.min(BEGINS as u64)].iter().for_each(|number: &u64| times.extend_from_slice(&number.to_le_bytes()));
    times.resize(times.len() + BEGINS + 24 * usize::from(count), 0);
    times.extend_from_slice(&checksum(&times).to_le_bytes());
    let own = [times.len() as u32 + 8, 0];
    let mut seek: Vec<u8> = sizes.iter().chain([&own]).flatten().flat_map(|size| size.to_le_bytes()).collect();
    seek.extend_from_slice(&(u32::from(count) + 1).to_le_bytes());
    seek.extend_from_slice(&[0, 0xb1, 0xea, 0x92, 0x8f]);
    for (magic, content) in [(0x184d_2a50u32, times), (0x184d_2a5e, seek)] {
        file.extend_from_slice(&magic.to_le_bytes());
        file.extend_from_slice(&(content.len() as u32).to_le_bytes());
        file.extend_from_slice(&content);
    }
    file
}

/// A frame with this text as it is, so that it is the same whatever the version of zstd. It has to be short.
fn frame(text: &[u8]) -> Vec<u8> {
    let (length, block) = (text.len() as u8, (text.len() as u32) << 3 | 1);
    [&0xfd2f_b528u32.to_le_bytes()[..], &[0x20, length], &block.to_le_bytes()[..3], text].concat()
}

/// Two frames with tables: as a file, with tables that are made for them, and with ones that say
/// more than there is; and no frame.
#[must_use]
pub fn inputs() -> Vec<(String, Vec<u8>)> {
    let texts: [&[u8]; 2] = [b"2025-10-19 05:55:47.606 [1] [INFO] a line\n", b"2025-10-19 05:55:48.606 [1] [INFO] b\n"];
    let repaired = |more: u16| {
        let mut input = vec![flag::REPAIR, texts.len() as u8];
        for text in texts {
            let sizes = [frame(text).len() as u16, text.len() as u16 + more];
            input.extend(sizes.into_iter().flat_map(u16::to_le_bytes));
        }
        input.extend(texts.iter().flat_map(|text| frame(text)));
        input
    };
    let whole = [&[0][..], &file_of(&repaired(0))].concat();
    [("whole", whole), ("repaired", repaired(0)), ("longer", repaired(9)), ("empty", vec![flag::REPAIR, 0])]
        .map(|(name, input)| (name.to_owned(), input))
        .into()
}

/// How many frames of the archive that `input` describes can be read.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn readable(input: &[u8], path: &Path) -> usize {
    std::fs::write(path, file_of(input)).expect("written");
    let archive = Archive::open(path).expect("an archive");
    archive.frames().iter().filter(|frame| archive.read(frame).is_ok()).count()
}
