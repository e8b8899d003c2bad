//! Writing an archive: from the bytes of a log file to frames of whole records, and their tables. See `archive.rs` for the
//! format.

use crate::files::archive::{BEGINS, SEEK_END, SEEK_MAGIC, TIMES_MAGIC, TIMES_NAME, Times};
use crate::files::notices::FROM_HERE;
use crate::render::escape;
use crate::render::timestamp::{TIME, second_of};
use jiff::Timestamp;
use std::fmt;
use std::io::{self, Write};
use xxhash_rust::xxh3::xxh3_64;
use zstd::stream::write::Encoder;

/// Bytes of text after which the next record begins another frame.
pub(crate) const FRAME: u64 = 1 << 20;
/// zstd's own default: smaller levels save little time, larger ones little space.
const LEVEL: i32 = 3;
/// So many bytes of a line show whether it is a record, when it is from, and whether it says what the times behind it mean.
const HEAD: usize = 160;
/// A text line shows its time in milliseconds; a record may be so many nanoseconds younger.
const SHOWN_NS: u64 = 999_999;

/// A frame that is complete.
struct Done {
    compressed: u64,
    length: u64,
    least: u64,
    greatest: u64,
    names_offset: bool,
}

/// An archive that is being made.
pub struct ArchiveWriter {
    kind: Times,
    /// Device and inode of the log file.
    was: (u64, u64),
    /// Bytes of text after which the next record begins another frame.
    frame: u64,
    /// Its first bytes.
    begins: Vec<u8>,
    frames: Vec<Done>,
    encoder: Option<Encoder<'static, Vec<u8>>>,
    /// What the current frame has so far.
    current: Done,
    /// Compressed bytes that were not taken yet.
    output: Vec<u8>,
    /// The beginning of a line of which too little is there to tell what it is.
    carry: Vec<u8>,
    /// The next byte begins a line.
    at_start: bool,
    /// The last second that a line showed.
    second: Option<([u8; TIME - 4], u64)>,
}

impl fmt::Debug for ArchiveWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveWriter")
            .field("kind", &self.kind)
            .field("frames", &self.frames.len())
            .finish_non_exhaustive()
    }
}

const EMPTY: Done = Done { compressed: 0, length: 0, least: u64::MAX, greatest: 0, names_offset: false };

impl ArchiveWriter {
    /// Begins the archive of the log file with this device and inode, with frames of about so many bytes of text.
    #[must_use]
    pub fn new(kind: Times, was: (u64, u64), frame: u64) -> ArchiveWriter {
        ArchiveWriter {
            kind,
            was,
            frame,
            begins: Vec::new(),
            frames: Vec::new(),
            encoder: None,
            current: EMPTY,
            output: Vec::new(),
            carry: Vec::new(),
            at_start: true,
            second: None,
        }
    }

    /// Takes the next bytes of the log file.
    ///
    /// # Errors
    /// If there is no memory for the encoder.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.carry.is_empty() {
            return self.add_lines(bytes, false);
        }
        let mut joined = std::mem::take(&mut self.carry);
        joined.extend_from_slice(bytes);
        self.add_lines(&joined, false)
    }

    fn add_lines(&mut self, bytes: &[u8], last: bool) -> io::Result<()> {
        let (mut fed, mut at) = (0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            if self.at_start {
                if end.is_none() && rest.len() < HEAD && !last {
                    self.carry = rest.to_vec();
                    break;
                }
                let line = &rest[..end.unwrap_or(rest.len())];
                if let Some((least, greatest)) = self.time_of(line) {
                    if self.current.length + (at - fed) as u64 >= self.frame {
                        self.feed(&bytes[fed..at])?;
                        self.end_frame()?;
                        fed = at;
                    }
                    self.current.least = self.current.least.min(least);
                    self.current.greatest = self.current.greatest.max(greatest);
                    self.current.names_offset |= names_offset(line);
                }
            }
            self.at_start = end.is_some();
            at = end.map_or(bytes.len(), |end| at + end + 1);
        }
        self.feed(&bytes[fed..at])
    }

    /// Least and greatest time of the record that begins so; None if none does.
    fn time_of(&mut self, line: &[u8]) -> Option<(u64, u64)> {
        match self.kind {
            Times::Utc => {
                let time = line.strip_prefix(b"{\"time\":\"")?.split(|byte| *byte == b'"').next()?;
                let time: Timestamp = std::str::from_utf8(time).ok()?.parse().ok()?;
                let ns = u64::try_from(time.as_nanosecond()).ok()?;
                Some((ns, ns))
            }
            Times::AsShown => {
                let time = line.first_chunk::<TIME>().filter(|_| escape::starts_like_a_record(line))?;
                let second = *time.first_chunk()?;
                let known = self.second.filter(|(known, _)| *known == second).map(|(_, ns)| ns);
                let ns = known.or_else(|| u64::try_from(second_of(time)?).ok()?.checked_mul(1_000_000_000))?;
                self.second = Some((second, ns));
                let milliseconds = time[TIME - 3..].iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
                let ns = ns.checked_add(milliseconds * 1_000_000)?;
                Some((ns, ns + SHOWN_NS))
            }
        }
    }

    fn feed(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.encoder.is_none() {
            let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
            encoder.include_checksum(true)?;
            self.encoder = Some(encoder);
        }
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        encoder.write_all(text)?;
        self.begins.extend_from_slice(&text[..text.len().min(BEGINS - self.begins.len())]);
        self.current.length += text.len() as u64;
        let compressed = std::mem::take(encoder.get_mut());
        self.put(&compressed);
        Ok(())
    }

    fn put(&mut self, compressed: &[u8]) {
        self.current.compressed += compressed.len() as u64;
        self.output.extend_from_slice(compressed);
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        let rest = encoder.finish()?;
        self.put(&rest);
        self.frames.push(std::mem::replace(&mut self.current, EMPTY));
        Ok(())
    }

    /// All bytes of the log file were added: the tables follow.
    ///
    /// # Errors
    /// As [`ArchiveWriter::add`], and for a frame of more than 4 GiB.
    pub fn finish(&mut self) -> io::Result<()> {
        let carry = std::mem::take(&mut self.carry);
        self.add_lines(&carry, true)?;
        self.end_frame()?;
        let mut times = TIMES_NAME.to_vec();
        times.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        times.extend_from_slice(&(self.kind as u32).to_le_bytes());
        times.extend_from_slice(&self.was.0.to_le_bytes());
        times.extend_from_slice(&self.was.1.to_le_bytes());
        times.extend_from_slice(&(self.begins.len() as u64).to_le_bytes());
        self.begins.resize(BEGINS, 0);
        times.extend_from_slice(&self.begins);
        for frame in &self.frames {
            for number in [frame.least, frame.greatest, u64::from(frame.names_offset)] {
                times.extend_from_slice(&number.to_le_bytes());
            }
        }
        times.extend_from_slice(&xxh3_64(&times).to_le_bytes());
        let before = self.output.len();
        skippable(&mut self.output, TIMES_MAGIC, &times);
        let own = (self.output.len() - before) as u64;
        let sizes = self.frames.iter().map(|frame| (frame.compressed, frame.length)).chain([(own, 0)]);
        let mut seek = Vec::new();
        for (compressed, length) in sizes {
            for size in [compressed, length] {
                seek.extend_from_slice(&u32::try_from(size).map_err(io::Error::other)?.to_le_bytes());
            }
        }
        seek.extend_from_slice(&(self.frames.len() as u32 + 1).to_le_bytes());
        seek.push(0);
        seek.extend_from_slice(&SEEK_END.to_le_bytes());
        skippable(&mut self.output, SEEK_MAGIC, &seek);
        Ok(())
    }

    /// What was compressed since the last call.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }
}

/// Whether the message behind time, pid and level says what the times of later lines mean.
fn names_offset(line: &[u8]) -> bool {
    let message = line.splitn(3, |byte| *byte == b']').nth(2).and_then(|rest| rest.strip_prefix(b" "));
    message.is_some_and(|message| message.starts_with(FROM_HERE.as_bytes()))
}

fn skippable(out: &mut Vec<u8>, magic: u32, content: &[u8]) {
    out.extend_from_slice(&magic.to_le_bytes());
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::archive::{Archive, FRAME_MAX};
    use crate::files::notices;
    use crate::scratch::Scratch;
    use lastwords_ring::error::Result;
    use lastwords_ring::place::zone::Zone;
    use std::fs;

    /// Text of about `size` bytes: a record each ten seconds, each third with a line more, and one without an end.
    fn text(size: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for n in 0.. {
            let (hour, minute, second) = (n / 360 % 24, n / 6 % 60, n % 6 * 10);
            text.extend_from_slice(
                format!("2026-11-24 {hour:02}:{minute:02}:{second:02}.606 [7] [INFO] line {n} {}\n", n * 7919 % 10_007)
                    .as_bytes(),
            );
            if n % 3 == 0 {
                text.extend_from_slice(b"a second line\n");
            }
            if text.len() >= size {
                text.extend_from_slice(b"2026-11-25 00:00:00.000 [7] [INFO] no end");
                return text;
            }
        }
        text
    }

    /// The archive of a text that is read in pieces of this size.
    fn archive(text: &[u8], piece: usize, kind: Times) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(kind, (7, 1 << 40), FRAME);
        let mut bytes = Vec::new();
        for piece in text.chunks(piece) {
            writer.add(piece).expect("added");
            bytes.append(&mut writer.take_output());
        }
        writer.finish().expect("finished");
        bytes.append(&mut writer.take_output());
        bytes
    }

    fn opened(scratch: &Scratch, bytes: &[u8]) -> Result<Archive> {
        let path = scratch.path().join("host.log.1.zst");
        fs::write(&path, bytes).expect("written");
        Archive::open(&path)
    }

    #[test]
    fn the_frames_are_the_text_begin_with_records_and_know_their_times() {
        let scratch = Scratch::new("archive-frames");
        fs::create_dir_all(scratch.path()).expect("made");
        let text = text(5 << 20);
        for piece in [64 << 10, 1000, text.len()] {
            let archive = opened(&scratch, &archive(&text, piece, Times::AsShown)).expect("opened");
            let frames: Vec<Vec<u8>> =
                archive.frames().iter().map(|frame| archive.read(frame).expect("read")).collect();
            assert!(frames.concat() == text && (4..=6).contains(&frames.len()), "{} frames", frames.len());
            for frame in &frames {
                assert!(frame.starts_with(b"2026-11-24 "), "no record is split");
                assert!(frame.len() < (1 << 20) + 200, "{} bytes", frame.len());
            }
            let first = archive.frames()[0].times.expect("times");
            assert_eq!(first.0, 1_795_478_400_606_000_000, "2026-11-24 00:00:00.606");
            assert!(archive.frames().iter().all(|frame| frame.times.is_some_and(|(least, greatest)| least < greatest)));
            assert_eq!(archive.times(), Times::AsShown);
            assert_eq!((archive.was(), archive.begins()), ((7, 1 << 40), &text[..256]));
            assert_eq!(archive.length(), text.len() as u64);
            let at = |offset| archive.frame_at(offset).map(|number| archive.frames()[number].start);
            let second = archive.frames()[1].start;
            assert_eq!(
                [at(0), at(second - 1), at(second), at(archive.length())],
                [Some(0), Some(0), Some(second), None]
            );
        }
    }

    #[test]
    fn times_of_json_are_utc_and_text_without_a_record_has_none() {
        let scratch = Scratch::new("archive-json");
        fs::create_dir_all(scratch.path()).expect("made");
        let text = b"{\"time\":\"2026-11-24T02:00:00.000000005+02:00\",\"message\":\"a\"}\n{\"time\":\"2026-11-24T02:00:00.000000005+01:00\"}\n";
        let json = opened(&scratch, &archive(text, 7, Times::Utc)).expect("opened");
        let midnight = 1_795_478_400_000_000_005;
        assert_eq!(json.frames()[0].times, Some((midnight, midnight + 3_600_000_000_000)));
        let none = opened(&scratch, &archive(b"nothing of ours\n", 5, Times::AsShown)).expect("opened");
        assert_eq!(none.frames()[0].times, None);
        let empty = opened(&scratch, &archive(b"", 5, Times::AsShown)).expect("opened");
        assert_eq!((empty.frames(), empty.begins()), (&[][..], &b""[..]));
    }

    #[test]
    fn a_frame_is_marked_in_which_a_line_says_that_times_have_another_offset() {
        let scratch = Scratch::new("archive-offset");
        fs::create_dir_all(scratch.path()).expect("made");
        let mut text = text(3 << 20);
        let notice = notices::offset_changed(3600, 7200, &Zone::fixed(7200));
        text.extend_from_slice(format!("\n2026-11-25 00:00:00.000 [4194304] [WARNING] {notice}\n").as_bytes());
        for piece in [64 << 10, 1000] {
            let archive = opened(&scratch, &archive(&text, piece, Times::AsShown)).expect("opened");
            let (last, others) = archive.frames().split_last().expect("frames");
            assert!(last.names_offset && !others.iter().any(|frame| frame.names_offset));
        }
    }

    #[test]
    fn a_damaged_archive_is_an_error_or_shows_what_was_in_it() {
        let scratch = Scratch::new("archive-damaged");
        fs::create_dir_all(scratch.path()).expect("made");
        let text = text(2 << 20);
        let whole = archive(&text, 64 << 10, Times::AsShown);
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let tables = whole.len() - 200;
        let (mut refused, mut read) = (0, 0);
        for round in 0..400 {
            let mut bytes = whole.clone();
            match round % 4 {
                0 => bytes.truncate(random(whole.len())),
                1 => bytes.drain(..random(whole.len())).for_each(drop),
                _ => {}
            }
            for _ in 0..1 + random(4) {
                let from = if round % 2 == 0 { 0 } else { tables.min(bytes.len()) };
                let at = from + random((bytes.len() - from).max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random(8);
                }
            }
            match opened(&scratch, &bytes) {
                Err(_) => refused += 1,
                Ok(archive) => {
                    for frame in archive.frames() {
                        match archive.read(frame) {
                            Ok(part) => {
                                read += 1;
                                assert!(text.windows(part.len()).any(|window| window == part), "false text");
                            }
                            Err(_) => refused += 1,
                        }
                    }
                }
            }
        }
        assert!(refused > 100 && read > 20, "{refused} refused, {read} read");
    }

    #[test]
    fn what_a_table_says_of_sizes_is_not_believed_blindly() {
        let scratch = Scratch::new("archive-bomb");
        fs::create_dir_all(scratch.path()).expect("made");
        let whole = archive(&vec![b'x'; 64 << 20], 64 << 10, Times::AsShown);
        // The frame's decompressed size in the seek table: two entries and the foot are behind it.
        let at = whole.len() - 9 - 16 + 4;
        for said in [0u32, 1, (64 << 20) - 1, (64 << 20) + 1, FRAME_MAX as u32 + 1, u32::MAX] {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&said.to_le_bytes());
            let outcome = opened(&scratch, &bytes).and_then(|archive| archive.read(&archive.frames()[0]).map(drop));
            assert!(outcome.is_err(), "{said} bytes");
        }
    }
}
