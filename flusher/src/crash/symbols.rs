//! Names of functions, files and lines for addresses of a file.
//!
//! By the tables of symbols in any process that flushes: they are read in order, once, and nothing in them leads anywhere. By
//! debug information only in a process of its own, see [`crate::crash::answer`]: that is a language, of which a reader cannot
//! know beforehand how long it will take or how much memory.

use crate::crash::budget::Budget;
use crate::crash::elf::{Elf, Loaded};
use crate::crash::frame::{Inline, SourceLine, Symbol};
use crate::crash::loaded::Module;
use crate::crash::modules::{self, Unusable};
use addr2line::Context;
use cpp_demangle::DemangleOptions;
use gimli::{Dwarf, DwarfSections, EndianSlice, LittleEndian, SectionId};
use lastwords_ring::format::text::hex;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Most bytes of one section of debug information.
const SECTION_MAX: u64 = 512 << 20;
/// Most bytes of a name. Those of templates and closures are cut.
const NAME_MAX: usize = 512;
/// Most functions that are shown as inlined in one place.
const INLINES_MAX: usize = 32;
/// Where distributions put separate debug information.
const DEBUG_FOLDER: &str = "/usr/lib/debug";

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names of functions, by the tables of symbols.
    Names,
    /// Inlined functions, files and lines too, by the debug information, also where that is in a file of its own.
    Lines,
}

/// What is at these distances from the first address of a module.
pub(crate) fn look_up(
    module: &Module,
    elf: &Elf,
    offsets: &[u64],
    depth: Depth,
    budget: &Budget,
) -> Vec<Option<Symbol>> {
    let addresses: Vec<u64> = offsets.iter().map(|offset| offset.wrapping_add(elf.lowest())).collect();
    let debug = if depth == Depth::Lines { debug_file(module, elf, budget) } else { None };
    let mut found = named(elf, &addresses);
    if let Some(debug) = &debug {
        let better = named(debug, &addresses);
        found.iter_mut().zip(better).filter(|(found, _)| found.is_none()).for_each(|(found, better)| *found = better);
    }
    if depth == Depth::Lines {
        add_lines(debug.as_ref().unwrap_or(elf), &addresses, &mut found);
    }
    found
}

/// Opens a module and looks there.
///
/// # Errors
/// Why its file is not used.
pub(crate) fn look_up_in(
    module: &Module,
    offsets: &[u64],
    depth: Depth,
    budget: &Budget,
) -> Result<Vec<Option<Symbol>>, Unusable> {
    let elf = modules::open(module, budget)?;
    Ok(look_up(module, &elf, offsets, depth, budget))
}

fn named(elf: &Elf, addresses: &[u64]) -> Vec<Option<Symbol>> {
    let functions = elf.functions(addresses).into_iter().zip(addresses);
    functions
        .map(|(function, address)| {
            let function = function?;
            let offset = Some(address.wrapping_sub(function.address));
            Some(Symbol { function: readable(&function.name), offset, ..Symbol::default() })
        })
        .collect()
}

/// The file with the debug information of another one, if it has a file of its own. It must have the same build id: a name
/// alone says nothing about what is in it.
fn debug_file(module: &Module, elf: &Elf, budget: &Budget) -> Option<Elf> {
    let build_id = elf.build_id()?;
    if elf.has_section(".debug_info") {
        return None;
    }
    let (first, rest) = build_id.split_at_checked(1)?;
    let by_id = Path::new(DEBUG_FOLDER).join(".build-id").join(hex(first)).join(format!("{}.debug", hex(rest)));
    let mut paths = vec![by_id];
    let folder = Path::new(OsStr::from_bytes(&module.path)).parent();
    if let (Some(folder), Some(link)) = (folder, elf.debug_link()) {
        let link = PathBuf::from(OsStr::from_bytes(&link));
        let below = Path::new(DEBUG_FOLDER).join(folder.strip_prefix("/").unwrap_or(folder));
        paths.extend([folder.join(&link), folder.join(".debug").join(&link), below.join(&link)]);
    }
    paths.into_iter().find_map(|path| {
        let path = path.into_os_string().into_encoded_bytes();
        modules::open(&Module { path, build_id: build_id.to_vec(), ..Module::default() }, budget).ok()
    })
}

/// Adds what the debug information knows. What it does not know stays as it is.
fn add_lines(elf: &Elf, addresses: &[u64], found: &mut [Option<Symbol>]) {
    let section = |id: SectionId| Ok::<_, Infallible>(elf.section(id.name(), SECTION_MAX).unwrap_or_default());
    let Ok(sections) = DwarfSections::load(section);
    let dwarf: Dwarf<Slice<'_>> = sections.borrow(|loaded: &Loaded| EndianSlice::new(&loaded.bytes, LittleEndian));
    let Ok(context) = Context::from_dwarf(dwarf) else { return };
    for (address, found) in addresses.iter().zip(found) {
        add_line(&context, *address, found);
    }
}

fn add_line(context: &Context<Slice<'_>>, address: u64, found: &mut Option<Symbol>) {
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else { return };
    let mut all: Vec<(Option<String>, Option<SourceLine>)> = Vec::new();
    while let Some(frame) = frames.next().ok().flatten().filter(|_| all.len() <= INLINES_MAX) {
        let function = frame.function.as_ref().map(|function| readable(function.name.slice()));
        let at = frame.location.and_then(|at| {
            Some(SourceLine { file: at.file?.chars().take(NAME_MAX).collect(), line: at.line.unwrap_or(0) })
        });
        all.push((function, at));
    }
    let Some((function, at)) = all.pop() else { return };
    let known = found.take().unwrap_or_default();
    let function = function.filter(|function| !is_said_by(function, &known.function)).unwrap_or(known.function);
    let inlines = all.into_iter().filter_map(|(function, at)| Some(Inline { function: function?, at })).collect();
    if !function.is_empty() {
        *found = Some(Symbol { function, offset: known.offset, at, inlines });
    }
}

/// Whether a name of the debug information is within one of the table of symbols: that one has the path as well.
fn is_said_by(function: &str, symbol: &str) -> bool {
    function.split('<').next().is_some_and(|name| !name.is_empty() && symbol.contains(name))
}

/// A name as in the source, of a bounded length.
fn readable(raw: &[u8]) -> String {
    let raw = String::from_utf8_lossy(raw);
    let mut text = Bounded(String::new());
    // What fails for its length is shown as far as it goes.
    let shown = match rustc_demangle::try_demangle(&raw) {
        Ok(name) => Some(write!(text, "{name:#}")),
        Err(_) if raw.starts_with("_Z") => cpp_demangle::Symbol::new(raw.as_bytes())
            .ok()
            .map(|name| name.structured_demangle(&mut text, &DemangleOptions::new())),
        Err(_) => None,
    };
    match shown {
        Some(Ok(())) => text.0,
        Some(Err(_)) if text.0.len() >= NAME_MAX => text.0 + "...",
        _ => raw.chars().take(NAME_MAX).collect(),
    }
}

/// Text up to [`NAME_MAX`] bytes: a few bytes of a mangled name can stand for gigabytes.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > NAME_MAX {
            let room = NAME_MAX.saturating_sub(self.0.len());
            let end = (0..=room.min(text.len())).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0);
            self.0.push_str(&text[..end]);
            // Full for good, even if the last character had no room.
            self.0.extend(std::iter::repeat_n('.', NAME_MAX.saturating_sub(self.0.len())));
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_in_the_source_and_never_longer_than_they_may_be() {
        let rows: [(&str, &str); 5] = [
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("main", "main"),
            ("_Zbroken", "_Zbroken"),
        ];
        for (raw, expected) in rows {
            assert_eq!(readable(raw.as_bytes()), expected);
        }
        // Each substitution doubles what the one before stands for.
        let mut nested = "1aI1bE".to_owned();
        for _ in 0..20 {
            nested = format!("1cI{nested}S_S0_S1_S2_E");
        }
        for raw in [format!("_Z{nested}v"), "x".repeat(100_000)] {
            assert!(readable(raw.as_bytes()).len() <= NAME_MAX + 3, "{}", raw.len());
        }
    }
}
