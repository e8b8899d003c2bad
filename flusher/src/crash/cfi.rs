//! One step up the stack by the rules that compilers write for exceptions and debuggers, "call frame information".

use crate::crash::budget::Budget;
use crate::crash::elf::{Elf, Loaded};
use crate::crash::registers::{RIP, RSP, Registers};
use gimli::{
    BaseAddresses, CfaRule, CommonInformationEntry, DebugFrame, EhFrame, EhFrameHdr, Encoding, EndianSlice,
    EvaluationResult, Format, FrameDescriptionEntry, LittleEndian, Location, Register, RegisterRule, UnwindContext,
    UnwindExpression, UnwindOffset, UnwindSection, UnwindTableRow, Value,
};
use lastwords_ring::format::capture::REGISTERS;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Most bytes of a table that are read: four times those of the largest programs.
const TABLE_MAX: u64 = 64 << 20;
/// Most steps of an expression; those of compilers have about ten.
const STEPS_MAX: u32 = 1000;
/// Entries of a table after which it is checked whether there is time left.
const ENTRIES_STEP: usize = 256;
const ENCODING: Encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The tables of one file.
#[derive(Debug)]
pub(crate) struct Tables {
    eh_frame: Loaded,
    /// Finds an entry of `eh_frame` by bisection.
    index: Loaded,
    debug_frame: Loaded,
    bases: BaseAddresses,
}

/// Where a step has led.
#[derive(Debug)]
pub(crate) enum Unwound {
    /// To the caller.
    Caller {
        /// Its registers.
        registers: Registers,
        /// The frame was that of a signal: the caller did not call, but was interrupted.
        is_signal: bool,
    },
    /// Nowhere: the rules say that nothing called this function.
    Outermost,
    /// To a return address in memory that is not known.
    Unreadable,
}

/// A value is in memory that is not known.
struct Unreadable;

/// What the rules are about: the frame's registers, its thread's memory, and how far the file is from where it was linked for.
pub(crate) struct Of<'a> {
    pub(crate) registers: &'a Registers,
    pub(crate) memory: &'a dyn Fn(u64) -> Option<u64>,
    pub(crate) bias: u64,
    pub(crate) budget: &'a Budget,
}

impl Tables {
    /// Reads those of a file. What it lacks, or what is damaged, is empty.
    pub(crate) fn read(elf: &Elf) -> Tables {
        let section = |name| elf.section(name, TABLE_MAX).unwrap_or_default();
        let (eh_frame, index) = (section(".eh_frame"), section(".eh_frame_hdr"));
        let bases = BaseAddresses::default()
            .set_eh_frame(eh_frame.address)
            .set_eh_frame_hdr(index.address)
            .set_text(elf.section_address(".text"))
            .set_got(elf.section_address(".got"));
        Tables { eh_frame, index, debug_frame: section(".debug_frame"), bases }
    }

    /// The step from a frame at this address of the file; None if the tables do not say how.
    pub(crate) fn step(&self, address: u64, of: &Of<'_>) -> Option<Unwound> {
        let mut eh_frame = EhFrame::new(&self.eh_frame.bytes, LittleEndian);
        eh_frame.set_address_size(8);
        let entry = self.indexed(&eh_frame, address).or_else(|| {
            let is_indexed = !self.index.bytes.is_empty();
            // What the index lacks is not there, and reading all of it for each frame would take its time.
            if is_indexed {
                None
            } else {
                eh_frame.fde_for_address(&self.bases, address, common(EhFrame::cie_from_offset, of.budget)).ok()
            }
        });
        if let Some(entry) = entry.filter(|entry| entry.contains(address)) {
            return self.by(&eh_frame, &entry, address, of);
        }
        let mut debug_frame = DebugFrame::new(&self.debug_frame.bytes, LittleEndian);
        debug_frame.set_address_size(8);
        let common = common(DebugFrame::cie_from_offset, of.budget);
        let entry = debug_frame.fde_for_address(&self.bases, address, common).ok()?;
        self.by(&debug_frame, &entry, address, of)
    }

    fn indexed<'a>(&'a self, eh_frame: &EhFrame<Slice<'a>>, address: u64) -> Option<FrameDescriptionEntry<Slice<'a>>> {
        let index = EhFrameHdr::new(&self.index.bytes, LittleEndian).parse(&self.bases, 8).ok()?;
        index.table()?.fde_for_address(eh_frame, &self.bases, address, EhFrame::cie_from_offset).ok()
    }

    fn by<'a, S: UnwindSection<Slice<'a>>>(
        &self,
        section: &S,
        entry: &FrameDescriptionEntry<Slice<'a>>,
        address: u64,
        of: &Of<'_>,
    ) -> Option<Unwound> {
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(section, &self.bases, &mut context, address).ok()?;
        let return_address = entry.cie().return_address_register();
        caller(section, row, return_address, of, entry.is_signal_trampoline())
    }
}

/// Reads what entries have in common once, not for each of them: it may be as long as its table. Fails when there is no time left,
/// which ends the search for an entry.
fn common<'a, S: UnwindSection<Slice<'a>>>(
    read: impl Fn(&S, &BaseAddresses, S::Offset) -> gimli::Result<CommonInformationEntry<Slice<'a>>>,
    budget: &Budget,
) -> impl FnMut(&S, &BaseAddresses, S::Offset) -> gimli::Result<CommonInformationEntry<Slice<'a>>> {
    let (mut known, mut asked): (BTreeMap<usize, _>, usize) = (BTreeMap::new(), 0);
    move |section, bases, offset| {
        asked += 1;
        if asked.is_multiple_of(ENTRIES_STEP) && budget.is_over() {
            return Err(gimli::Error::NoUnwindInfoForAddress);
        }
        match known.entry(UnwindOffset::into(offset)) {
            Entry::Occupied(found) => Ok(CommonInformationEntry::clone(found.get())),
            Entry::Vacant(place) => Ok(place.insert(read(section, bases, offset)?).clone()),
        }
    }
}

fn caller<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    row: &UnwindTableRow<usize>,
    return_address: Register,
    of: &Of<'_>,
    is_signal: bool,
) -> Option<Unwound> {
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            of.registers.get(usize::from(register.0))?.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(expression) => evaluate(section, expression, None, of)?,
    };
    let mut registers = of.registers.kept();
    registers.set(RSP, Some(cfa));
    let numbers = (0..REGISTERS as u16).map(Register).filter(|register| *register != return_address);
    for register in numbers {
        if let Some(rule) = row.register(register) {
            registers.set(usize::from(register.0), value(section, &rule, register, cfa, of).ok().flatten());
        }
    }
    match value(section, &row.register(return_address).unwrap_or(RegisterRule::Undefined), return_address, cfa, of) {
        Ok(Some(pc)) => registers.set(RIP, Some(pc)),
        Ok(None) => return Some(Unwound::Outermost),
        Err(Unreadable) => return Some(Unwound::Unreadable),
    }
    Some(Unwound::Caller { registers, is_signal })
}

/// The caller's value of a register, None if there is none.
fn value<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    rule: &RegisterRule<usize>,
    register: Register,
    cfa: u64,
    of: &Of<'_>,
) -> Result<Option<u64>, Unreadable> {
    let read = |address: u64| (of.memory)(address).map(Some).ok_or(Unreadable);
    match rule {
        RegisterRule::SameValue => Ok(of.registers.get(usize::from(register.0))),
        RegisterRule::Offset(offset) => read(cfa.wrapping_add_signed(*offset)),
        RegisterRule::ValOffset(offset) => Ok(Some(cfa.wrapping_add_signed(*offset))),
        RegisterRule::Register(other) => Ok(of.registers.get(usize::from(other.0))),
        RegisterRule::Expression(expression) => match evaluate(section, expression, Some(cfa), of) {
            Some(address) => read(address),
            None => Err(Unreadable),
        },
        RegisterRule::ValExpression(expression) => {
            evaluate(section, expression, Some(cfa), of).map(Some).ok_or(Unreadable)
        }
        RegisterRule::Constant(value) => Ok(Some(*value)),
        _ => Ok(None),
    }
}

/// The value of an expression; None if it needs what is not known here.
fn evaluate<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    expression: &UnwindExpression<usize>,
    initial: Option<u64>,
    of: &Of<'_>,
) -> Option<u64> {
    let mut evaluation = expression.get(section).ok()?.evaluation(ENCODING);
    evaluation.set_max_iterations(STEPS_MAX);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    let mut result = evaluation.evaluate().ok()?;
    loop {
        result = match result {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = of.registers.get(usize::from(register.0))?;
                evaluation.resume_with_register(Value::Generic(value)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size, .. } => {
                let value = (of.memory)(address)?;
                let value = if size >= 8 { value } else { value & ((1 << (8 * u32::from(size))) - 1) };
                evaluation.resume_with_memory(Value::Generic(value)).ok()?
            }
            EvaluationResult::RequiresRelocatedAddress(address) => {
                evaluation.resume_with_relocated_address(address.wrapping_add(of.bias)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.as_result() {
        [piece] => match piece.location {
            Location::Address { address } => Some(address),
            Location::Value { value } => value.to_u64(u64::MAX).ok(),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::EhFrameOffset;
    use std::cell::Cell;

    /// A table of one common entry with many instructions, and entries for 16 bytes of code each.
    fn table(instructions: usize, entries: u64) -> Vec<u8> {
        let entry = |id: u32, body: &[u8]| {
            let body = [&id.to_le_bytes()[..], body].concat();
            [&(body.len() as u32).to_le_bytes()[..], &body].concat()
        };
        // Version, no augmentation, the two factors, and the register with the return address.
        let head = [&[1, 0, 1, 0x78, RIP as u8][..], &vec![0; instructions]].concat();
        let mut table = entry(0, &head);
        for number in 0..entries {
            let back = table.len() as u32 + 4;
            let range = [number * 16, 16].map(u64::to_le_bytes);
            table.extend(entry(back, range.as_flattened()));
        }
        table.extend([0; 4]);
        table
    }

    fn counted<'a>(
        count: &Cell<u32>,
    ) -> impl Fn(&EhFrame<Slice<'a>>, &BaseAddresses, EhFrameOffset) -> gimli::Result<CommonInformationEntry<Slice<'a>>>
    {
        |section, bases, offset| {
            count.set(count.get() + 1);
            EhFrame::cie_from_offset(section, bases, offset)
        }
    }

    #[test]
    fn what_entries_have_in_common_is_read_once_however_many_there_are() {
        let table = table(1 << 20, 1000);
        let mut section = EhFrame::new(&table, LittleEndian);
        section.set_address_size(8);
        let count = Cell::new(0);
        let bases = BaseAddresses::default().set_eh_frame(0);
        let found = section
            .fde_for_address(&bases, 999 * 16 + 3, common(counted(&count), &Budget::default()))
            .expect("the last one");
        assert_eq!((found.initial_address(), count.get()), (999 * 16, 1));
    }
}
