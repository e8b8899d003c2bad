//! An ELF file, read piece by piece: nothing is mapped, so a file that is truncated meanwhile gives an error and no SIGBUS, and
//! no more is read at once than was asked for, whatever the file says about itself, nor in all than the budget allows.

use crate::crash::budget::Budget;
use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, NoteHeader64, ProgramHeader64, SectionHeader64, Sym64};
use object::pod::{from_bytes, slice_from_bytes};
use object::read::{CompressedData, CompressionFormat};
use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Most segments and sections. Programs have a few dozen; one with a section for each function is no program.
const HEADERS_MAX: usize = 4096;
/// Most bytes of the names of sections.
const NAMES_MAX: u64 = 1 << 20;
/// Most bytes of notes, among which the build id is looked for.
const NOTES_MAX: u64 = 64 << 10;
/// Bytes of the longest build id that is one.
const BUILD_ID_MAX: usize = 64;
/// Symbols that are read at once.
const SYMBOLS_CHUNK: u64 = 16 << 10;
/// Symbols after which it is checked whether there is time left.
const SYMBOLS_STEP: usize = 256;
/// Most symbols of a file that are looked at: four times those of the largest program that we know.
const SYMBOLS_MAX: u64 = 16 << 20;
/// Bytes of the longest symbol that is read. Names of C++ templates are that long.
const SYMBOL_NAME_MAX: u64 = 16 << 10;

/// Where the bytes of a file are.
#[derive(Debug)]
pub(crate) enum Source {
    /// In an open file.
    File(File),
    /// In memory: the kernel's vDSO, from the capture.
    Bytes(Vec<u8>),
}

impl Source {
    /// Bytes from this offset; None if not all of them are there.
    fn read(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        let wanted = usize::try_from(length).ok()?;
        match self {
            Source::Bytes(bytes) => {
                let start = usize::try_from(offset).ok()?;
                Some(bytes.get(start..start.checked_add(wanted)?)?.to_vec())
            }
            Source::File(file) => {
                // Asked first, so that a length out of a header reserves no memory for bytes that are not there.
                if offset.checked_add(length)? > file.metadata().ok()?.len() {
                    return None;
                }
                let mut bytes = vec![0; wanted];
                file.read_exact_at(&mut bytes, offset).ok()?;
                Some(bytes)
            }
        }
    }
}

/// What the loader maps.
#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: u64,
    address: u64,
    file_size: u64,
    is_code: bool,
}

#[derive(Debug)]
struct Section {
    name: Vec<u8>,
    kind: elf::SectionType,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    compressed: bool,
}

/// A section's bytes, and where they are once the file is loaded.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) address: u64,
    pub(crate) bytes: Vec<u8>,
}

/// A function, according to a table of symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: Vec<u8>,
    pub(crate) address: u64,
}

/// An x86-64 ELF file. Addresses are those that it is linked for.
#[derive(Debug)]
pub(crate) struct Elf {
    source: Source,
    budget: Budget,
    entry: u64,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    build_id: Option<Vec<u8>>,
}

impl Elf {
    /// None if it is no ELF file for this architecture, or a damaged one.
    pub(crate) fn parse(source: Source, budget: Budget) -> Option<Elf> {
        let mut elf = Elf { entry: 0, segments: Vec::new(), sections: Vec::new(), build_id: None, source, budget };
        let bytes = elf.read(0, size_of::<FileHeader64<LE>>() as u64)?;
        let (header, _) = from_bytes::<FileHeader64<LE>>(&bytes).ok()?;
        let ident = &header.e_ident;
        let is_ours = ident.magic == elf::ELFMAG
            && ident.class == elf::ELFCLASS64
            && ident.data == elf::ELFDATA2LSB
            && header.e_machine.get(LE) == elf::EM_X86_64;
        if !is_ours {
            return None;
        }
        elf.entry = header.e_entry.get(LE);
        let notes = elf.read_segments(header)?;
        // A program can be without sections.
        elf.sections = elf.read_sections(header).unwrap_or_default();
        let of_sections =
            elf.sections.iter().filter(|section| section.kind == elf::SHT_NOTE).map(|note| (note.offset, note.size));
        let notes: Vec<(u64, u64)> = notes.into_iter().chain(of_sections).collect();
        elf.build_id = notes.into_iter().find_map(|(offset, size)| elf.build_id_in(offset, size));
        Some(elf)
    }

    /// Bytes of it; None if not all of them are there, or they are more than the budget allows.
    fn read(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        if self.budget.read(length) { self.source.read(offset, length) } else { None }
    }

    /// Returns where its notes are.
    fn read_segments(&mut self, header: &FileHeader64<LE>) -> Option<Vec<(u64, u64)>> {
        let count = usize::from(header.e_phnum.get(LE)).min(HEADERS_MAX);
        let size = size_of::<ProgramHeader64<LE>>();
        let bytes = self.read(header.e_phoff.get(LE), (count * size) as u64)?;
        let (headers, _) = slice_from_bytes::<ProgramHeader64<LE>>(&bytes, count).ok()?;
        let mut notes = Vec::new();
        for header in headers {
            let (offset, file_size) = (header.p_offset.get(LE), header.p_filesz.get(LE));
            match header.p_type.get(LE) {
                elf::PT_LOAD => {
                    let is_code = header.p_flags.get(LE).contains(elf::PF_X);
                    self.segments.push(Segment { offset, address: header.p_vaddr.get(LE), file_size, is_code });
                }
                elf::PT_NOTE => notes.push((offset, file_size)),
                _ => {}
            }
        }
        Some(notes)
    }

    fn read_sections(&self, header: &FileHeader64<LE>) -> Option<Vec<Section>> {
        let count = usize::from(header.e_shnum.get(LE)).min(HEADERS_MAX);
        let size = size_of::<SectionHeader64<LE>>();
        let bytes = self.read(header.e_shoff.get(LE), (count * size) as u64)?;
        let (headers, _) = slice_from_bytes::<SectionHeader64<LE>>(&bytes, count).ok()?;
        let names = headers.get(usize::from(header.e_shstrndx.get(LE).0))?;
        let names = self.read(names.sh_offset.get(LE), names.sh_size.get(LE).min(NAMES_MAX))?;
        let section = |header: &SectionHeader64<LE>| {
            let name = names.get(header.sh_name.get(LE) as usize..).unwrap_or_default();
            let kind = header.sh_type.get(LE);
            Section {
                name: until_zero(name).to_vec(),
                kind,
                address: header.sh_addr.get(LE),
                offset: header.sh_offset.get(LE),
                // A separate debug file lists sections whose bytes the program has.
                size: if kind == elf::SHT_NOBITS { 0 } else { header.sh_size.get(LE) },
                link: header.sh_link.get(LE),
                compressed: header.sh_flags.get(LE).contains(elf::SHF_COMPRESSED),
            }
        };
        Some(headers.iter().map(section).collect())
    }

    fn build_id_in(&self, offset: u64, size: u64) -> Option<Vec<u8>> {
        let bytes = self.read(offset, size.min(NOTES_MAX))?;
        let mut rest = &bytes[..];
        loop {
            let (header, data) = from_bytes::<NoteHeader64<LE>>(rest).ok()?;
            let name_size = header.n_namesz.get(LE) as usize;
            let size = header.n_descsz.get(LE) as usize;
            let name = data.get(..name_size)?;
            let data = data.get(name_size.next_multiple_of(4)..)?;
            if name == b"GNU\0" && header.n_type.get(LE) == elf::NT_GNU_BUILD_ID && (1..=BUILD_ID_MAX).contains(&size) {
                return Some(data.get(..size)?.to_vec());
            }
            rest = data.get(size.next_multiple_of(4)..)?;
        }
    }

    /// The build id.
    pub(crate) fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// Where the program begins to run.
    pub(crate) fn entry(&self) -> u64 {
        self.entry
    }

    /// The address of the code at this offset of the file, which is mapped by pages of 4 KiB: the first of them may hold the
    /// end of another segment too.
    pub(crate) fn code_address(&self, offset: u64) -> Option<u64> {
        const PAGE: u64 = 4096;
        let holds = |segment: &&Segment| {
            let start = segment.offset / PAGE * PAGE;
            segment.is_code && (start..segment.offset.saturating_add(segment.file_size)).contains(&offset)
        };
        let segment = self.segments.iter().find(holds)?;
        Some(segment.address.wrapping_sub(segment.offset).wrapping_add(offset))
    }

    /// The lowest address that is mapped.
    pub(crate) fn lowest(&self) -> u64 {
        const PAGE: u64 = 4096;
        self.segments.iter().map(|segment| segment.address / PAGE * PAGE).min().unwrap_or(0)
    }

    /// Bytes at an address.
    pub(crate) fn at(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        let end = address.checked_add(length)?;
        let holds =
            |segment: &&Segment| address >= segment.address && end <= segment.address.saturating_add(segment.file_size);
        let segment = self.segments.iter().find(holds)?;
        self.read(segment.offset.checked_add(address - segment.address)?, length)
    }

    fn section_named(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name.as_bytes() && section.size > 0)
    }

    /// Whether it has such a section, with bytes in it.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        self.section_named(name).is_some()
    }

    /// The section's address, 0 without it.
    pub(crate) fn section_address(&self, name: &str) -> u64 {
        self.section_named(name).map_or(0, |section| section.address)
    }

    /// Where a section is in the file.
    #[cfg(test)]
    pub(crate) fn file_range(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let section = self.section_named(name)?;
        Some(section.offset as usize..(section.offset + section.size) as usize)
    }

    /// A section, uncompressed; None if it is missing, longer than `max` or damaged.
    pub(crate) fn section(&self, name: &str, max: u64) -> Option<Loaded> {
        let section = self.section_named(name).filter(|section| section.size <= max)?;
        let bytes = self.read(section.offset, section.size)?;
        let bytes = if section.compressed { uncompressed(&bytes, max, &self.budget)? } else { bytes };
        Some(Loaded { address: section.address, bytes })
    }

    /// The name of the file that holds the debug information, according to this one.
    pub(crate) fn debug_link(&self) -> Option<Vec<u8>> {
        let link = self.section(".gnu_debuglink", 4096)?;
        Some(until_zero(&link.bytes).to_vec()).filter(|name| !name.is_empty() && !name.contains(&b'/') && name != b"..")
    }

    /// The functions that these addresses are in, by the tables of symbols.
    pub(crate) fn functions(&self, addresses: &[u64]) -> Vec<Option<Function>> {
        let mut best: Vec<Option<Candidate>> = vec![None; addresses.len()];
        for table in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            let mut missing: Vec<usize> = (0..addresses.len()).filter(|n| best[*n].is_none()).collect();
            missing.sort_by_key(|n| addresses[*n]);
            if missing.is_empty() {
                break;
            }
            if let Some(table) = self.sections.iter().find(|section| section.kind == table && section.size > 0) {
                self.look_up(table, addresses, &missing, &mut best);
            }
        }
        let name = |found: &Candidate| {
            let (strings, at) = (self.sections.get(found.strings as usize)?, u64::from(found.name));
            let length = strings.size.checked_sub(at)?.min(SYMBOL_NAME_MAX);
            let name = self.read(strings.offset.checked_add(at)?, length)?;
            Some(Function { name: until_zero(&name).to_vec(), address: found.address })
        };
        best.iter().map(|found| found.as_ref().and_then(name)).collect()
    }

    /// Looks for the addresses of these numbers, which are sorted by address. Each symbol is noted where it is found to matter: one
    /// without a size, as hand-written assembly has them, reaches to the next one, so of those only the last before each address
    /// counts; noting it at all behind it would take the number of both.
    fn look_up(&self, table: &Section, addresses: &[u64], sorted: &[usize], best: &mut [Option<Candidate>]) {
        let one = size_of::<Sym64<LE>>() as u64;
        let count = (table.size / one).min(SYMBOLS_MAX);
        let mut before: Vec<Option<Candidate>> = vec![None; sorted.len()];
        'all: for first in (0..count).step_by(SYMBOLS_CHUNK as usize) {
            let some = SYMBOLS_CHUNK.min(count - first);
            let Some(bytes) = self.read(table.offset.saturating_add(first * one), some * one) else { break };
            let Ok((symbols, _)) = slice_from_bytes::<Sym64<LE>>(&bytes, some as usize) else { break };
            for symbols in symbols.chunks(SYMBOLS_STEP) {
                if self.budget.is_over() {
                    break 'all;
                }
                for symbol in symbols.iter().filter(|symbol| is_code(symbol)) {
                    let found = Candidate::new(symbol, table.link);
                    let begin = sorted.partition_point(|n| addresses[*n] < found.address);
                    if found.size == 0 {
                        before.get_mut(begin).into_iter().for_each(|best| found.improve(best));
                    }
                    let inside = sorted[begin..].iter().take_while(|n| addresses[**n] < found.end());
                    inside.for_each(|n| found.improve(&mut best[*n]));
                }
            }
        }
        let mut last: Option<Candidate> = None;
        for (n, found) in sorted.iter().zip(before) {
            found.into_iter().for_each(|found| found.improve(&mut last));
            last.into_iter().for_each(|last| last.improve(&mut best[*n]));
        }
    }
}

/// A symbol that an address may belong to.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    address: u64,
    size: u64,
    is_global: bool,
    strings: u32,
    name: u32,
}

impl Candidate {
    fn new(symbol: &Sym64<LE>, strings: u32) -> Candidate {
        Candidate {
            address: symbol.st_value.get(LE),
            size: symbol.st_size.get(LE),
            is_global: symbol.st_bind() == elf::STB_GLOBAL,
            strings,
            name: symbol.st_name.get(LE),
        }
    }

    fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }

    /// Takes the place of one that is worse.
    fn improve(self, best: &mut Option<Candidate>) {
        if best.as_ref().is_none_or(|best| self.is_better_than(best)) {
            *best = Some(self);
        }
    }

    /// One with a size is known to hold the address; one without, as hand-written assembly has it, only precedes it.
    fn is_better_than(&self, other: &Candidate) -> bool {
        (self.size > 0, self.address, self.is_global) > (other.size > 0, other.address, other.is_global)
    }
}

fn is_code(symbol: &Sym64<LE>) -> bool {
    let kind = symbol.st_type();
    let is_function = kind == elf::STT_FUNC || kind == elf::STT_GNU_IFUNC;
    // A label of hand-written assembly.
    let is_label = kind == elf::STT_NOTYPE && symbol.st_size.get(LE) == 0 && symbol.st_bind() == elf::STB_GLOBAL;
    (is_function || is_label) && symbol.st_shndx.get(LE) != elf::SHN_UNDEF && symbol.st_name.get(LE) != 0
}

fn uncompressed(bytes: &[u8], max: u64, budget: &Budget) -> Option<Vec<u8>> {
    let (header, data) = from_bytes::<elf::CompressionHeader64<LE>>(bytes).ok()?;
    let format = match header.ch_type.get(LE) {
        elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
        elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
        _ => return None,
    };
    let uncompressed_size = header.ch_size.get(LE);
    if uncompressed_size > max || !budget.read(uncompressed_size) {
        return None;
    }
    CompressedData { format, data, uncompressed_size }.decompress().ok().map(Cow::into_owned)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}
