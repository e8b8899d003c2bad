//! The files that were mapped as code, by the mappings and notes of a capture.

use lastwords_ring::format::capture::{Capture, Mapping};

/// A file that was mapped as code. What it says about itself is from the crashed process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// Its path, or a name in brackets: of the vDSO.
    pub path: Vec<u8>,
    /// Its first address.
    pub base: u64,
    /// The address behind its code.
    pub end: u64,
    /// Its build id when it was mapped, if it has one.
    pub build_id: Vec<u8>,
    /// Device and inode.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Why the file is not used, if it cannot be.
    pub unusable: Option<String>,
}

/// The name of the code that the kernel maps into every process.
pub(crate) const VDSO: &[u8] = b"[vdso]";

impl Module {
    /// It has a file, by which it can be found again.
    pub(crate) fn is_file(&self) -> bool {
        self.path.starts_with(b"/")
    }

    /// In a word or two why its file is not used, if it is not.
    pub(crate) fn why_unusable(&self) -> Option<&str> {
        self.unusable.as_deref()?.split(':').next()
    }

    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }
}

/// All of them, and which addresses they have.
#[derive(Debug, Default)]
pub(crate) struct LoadedModules {
    pub(crate) modules: Vec<Module>,
    /// Sorted by address.
    pub(crate) code: Vec<Code>,
}

/// A mapping with code.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where it begins in its file.
    pub(crate) offset: u64,
    /// The number of its module; None if it has no file: code that a program made as it ran.
    pub(crate) module: Option<usize>,
}

impl LoadedModules {
    pub(crate) fn of(capture: &Capture) -> LoadedModules {
        let mut all = LoadedModules::default();
        for mapping in capture.mappings.iter().filter(|mapping| mapping.executable && mapping.start < mapping.end) {
            let module = all.module_of(mapping, capture);
            let Mapping { start, end, offset, .. } = *mapping;
            all.code.push(Code { start, end, offset, module });
        }
        all.code.sort_by_key(|code| code.start);
        all
    }

    fn module_of(&mut self, mapping: &Mapping, capture: &Capture) -> Option<usize> {
        if !mapping.path.starts_with(b"/") && mapping.path != VDSO {
            return None;
        }
        let is_same = |module: &Module| {
            (module.device, module.inode) == (mapping.device, mapping.inode) && module.path == mapping.path
        };
        if let Some(known) = self.modules.iter().position(is_same) {
            let module = &mut self.modules[known];
            (module.base, module.end) = (module.base.min(mapping.start), module.end.max(mapping.end));
            return Some(known);
        }
        let (base, build_id) = noted(mapping, capture);
        let (path, end) = (mapping.path.clone(), mapping.end);
        let Mapping { device, inode, .. } = *mapping;
        self.modules.push(Module { path, base, end, build_id, device, inode, unusable: None });
        Some(self.modules.len() - 1)
    }

    /// The mapping with code that has this address.
    pub(crate) fn code_at(&self, address: u64) -> Option<&Code> {
        let after = self.code.partition_point(|code| code.start <= address);
        self.code[..after].last().filter(|code| address < code.end)
    }
}

/// First address and build id of the file of a mapping: as noted for it, where nothing else is mapped in between. Else the file
/// is taken to be mapped as a whole, as most are.
fn noted(mapping: &Mapping, capture: &Capture) -> (u64, Vec<u8>) {
    let before = capture.modules.iter().filter(|note| note.base <= mapping.start).max_by_key(|note| note.base);
    let is_another = |other: &Mapping| other.path != mapping.path || other.inode != mapping.inode;
    let is_its = |base: u64| {
        !capture.mappings.iter().any(|other| (base..mapping.start).contains(&other.start) && is_another(other))
    };
    match before.filter(|note| is_its(note.base)) {
        Some(note) => (note.base, note.build_id.clone()),
        None => (mapping.start.saturating_sub(mapping.offset), Vec::new()),
    }
}
