//! The part of a capture that needs the list of mappings: which code was where, of which build, and the vDSO.

use crate::sys::capture::list::List;
use crate::sys::capture::maps::{self, Line, TEXT};
use crate::sys::capture::writer::Writer;
use crate::sys::capture::{build_id, memory};
use lastwords_ring::format::capture_record::{bit, kind};
use rustix::fd::BorrowedFd;

/// Bytes of the longest path that is kept.
const PATH_MAX: usize = 4096;
/// Bytes of the vDSO that are kept.
const VDSO_MAX: u64 = 32 << 10;

/// Memory for all that, which a handler's stack need not have.
#[derive(Debug)]
pub(super) struct Buffers {
    text: [u8; TEXT],
    mappings: [u8; 8 << 10],
    modules: [u8; 1 << 10],
    head: [u8; build_id::HEAD],
}

impl Buffers {
    pub(super) const NEW: Buffers =
        Buffers { text: [0; TEXT], mappings: [0; 8 << 10], modules: [0; 1 << 10], head: [0; build_id::HEAD] };
}

/// A file while its mappings follow each other.
#[derive(Debug, Default, PartialEq, Eq)]
struct Module {
    device: u64,
    inode: u64,
    /// Where its beginning is mapped.
    base: Option<u64>,
    is_noted: bool,
}

/// Writes the executable mappings and the one that contains `address`, the build ids of their files, and the vDSO.
pub(super) fn write(writer: &mut Writer<'_>, maps: BorrowedFd<'_>, address: Option<u64>, buffers: &mut Buffers) {
    let Buffers { text, mappings, modules, head } = buffers;
    let mut mappings = List::new(kind::MAPPINGS, mappings);
    let mut modules = List::new(kind::MODULES, modules);
    let mut module = Module::default();
    maps::for_each(maps, text, |line| {
        if line.inode != 0 && (line.offset == 0 || (line.device, line.inode) != (module.device, module.inode)) {
            let base = (line.offset == 0).then_some(line.start);
            module = Module { device: line.device, inode: line.inode, base, is_noted: false };
        }
        let is_executable = line.rights & bit::EXECUTABLE != 0;
        if is_executable && line.inode != 0 && !module.is_noted {
            module.is_noted = true;
            if let Some(base) = module.base
                && let Some(id) = build_id::read(base, head, memory::read)
            {
                let id = &head[id];
                modules.add(writer, &[&base.to_le_bytes(), &(id.len() as u32).to_le_bytes(), id]);
            }
        }
        if is_executable || address.is_some_and(|address| line.contains(address)) {
            add(&mut mappings, writer, line);
        }
        if line.path == b"[vdso]" {
            let length = (line.end - line.start).min(VDSO_MAX);
            writer.memory(kind::VDSO, line.start, length as usize);
        }
    });
    mappings.flush(writer);
    modules.flush(writer);
}

fn add(list: &mut List<'_>, writer: &mut Writer<'_>, line: &Line<'_>) {
    let words = [line.start, line.end, line.offset, line.device, line.inode].map(u64::to_le_bytes);
    let path = &line.path[..line.path.len().min(PATH_MAX)];
    let (rights, length) = (line.rights.to_le_bytes(), (path.len() as u32).to_le_bytes());
    list.add(writer, &[words.as_flattened(), &rights, &length, path]);
}
