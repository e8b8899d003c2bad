//! All that a capture tells: the cause in words, and the frames of each thread.

use crate::crash::budget::Budget;
use crate::crash::cause::cause;
use crate::crash::elf::{Elf, Source};
use crate::crash::frame::{End, Frame, Symbol, Trust};
use crate::crash::loaded::{Module, VDSO};
use crate::crash::modules::{Files, Modules};
use crate::crash::symbols::{self, Depth};
use crate::crash::unwind;
use lastwords_ring::format::capture::{Capture, CapturedThread, Others, REGISTERS, SignalInfo};
use std::collections::{BTreeMap, BTreeSet};

/// Functions in which a process that ends itself is last.
const ENDING: [&str; 12] = [
    "__pthread_kill_implementation",
    "__pthread_kill_internal",
    "pthread_kill",
    "__GI___pthread_kill",
    "raise",
    "gsignal",
    "__GI_raise",
    "abort",
    "__GI_abort",
    "std::sys::pal::unix::abort_internal",
    "std::process::abort",
    "__abort",
];

/// What calls a panic's hook, and is called by the function that panics, or by the library's that does on its behalf. It is a
/// mark that std uses for its own backtraces.
const PANIC_MARK: &str = "__rust_end_short_backtrace";
/// Functions of the library between that mark and the program.
const PANICKING: [&str; 4] = ["rust_begin_unwind", "rustc::rust_begin_unwind", "core::panicking::", "std::panicking::"];

/// What a capture tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The cause in words.
    pub cause: String,
    /// What the kernel said about the signal.
    pub signal: SignalInfo,
    /// The stacks of the threads, that of the crashed one first.
    pub stacks: Vec<Stack>,
    /// The files that were mapped as code.
    pub modules: Vec<Module>,
    /// The handler has written all that it had.
    pub is_complete: bool,
    /// How long it took, in microseconds.
    pub time_us: u32,
    /// What became of the threads that did not crash, if they were asked.
    pub others: Option<Others>,
    /// What went wrong on the way.
    pub notes: Vec<String>,
}

/// The stack of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The thread's id.
    pub thread: u32,
    /// Its name.
    pub name: String,
    /// Its frames, the innermost first. None if its registers are not known.
    pub frames: Vec<Frame>,
    /// Why they end there.
    pub end: End,
    /// Frames of the outermost bytes, where those in between were not captured.
    pub outermost: Vec<Frame>,
    /// The general registers, in the numbering of DWARF, and the flags.
    pub registers: Option<([u64; REGISTERS], u64)>,
    /// What Python's own handler wrote of the same thread, the innermost call first.
    pub python: Vec<String>,
}

impl Stack {
    fn new(thread: &CapturedThread) -> Stack {
        Stack {
            thread: thread.tid,
            name: String::from_utf8_lossy(&thread.name).into_owned(),
            frames: Vec::new(),
            end: if thread.has_registers || thread.has_position { End::Lost } else { End::Silent },
            outermost: Vec::new(),
            registers: thread.has_registers.then_some((thread.registers, thread.eflags)),
            python: Vec::new(),
        }
    }

    /// Leaves out what only the panic brought there, if its frames have names; once, for what is left may have had one before.
    fn begin_at_panic(&mut self) {
        if self.frames.first().is_none_or(|frame| frame.trust != Trust::Context) {
            return;
        }
        let named =
            |frame: &Frame, is: &dyn Fn(&str) -> bool| frame.symbol.as_ref().is_some_and(|found| is(&found.function));
        let mark = self.frames.iter().position(|frame| named(frame, &|name| name.contains(PANIC_MARK)));
        let Some(mark) = mark else { return };
        let of_library = |name: &str| PANICKING.iter().any(|begin| name.trim_start_matches("__").starts_with(begin));
        let program = self.frames[mark + 1..].iter().position(|frame| !named(frame, &of_library));
        self.frames.drain(..mark + 1 + program.unwrap_or(0));
    }

    /// The frame to name first: that of the fault, or the caller of `abort`.
    #[must_use]
    pub fn top(&self) -> Option<&Frame> {
        let is_ending =
            |frame: &&Frame| frame.symbol.as_ref().is_some_and(|symbol| ENDING.contains(&symbol.function.as_str()));
        self.frames.iter().find(|frame| !is_ending(frame)).or(self.frames.first())
    }
}

/// How the files of the process are read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Whether they are.
    pub files: Files,
    /// What that may take.
    pub budget: Budget,
}

impl Report {
    /// What the capture of the process with this pid tells, with names by the tables of symbols.
    #[must_use]
    pub fn of(capture: &Capture, pid: u32, reading: &Reading) -> Report {
        let Reading { files, budget } = reading;
        let mut report = Report {
            cause: cause(capture, pid),
            signal: capture.signal,
            stacks: capture.threads.iter().map(Stack::new).collect(),
            modules: Vec::new(),
            is_complete: capture.is_complete,
            time_us: capture.time_us,
            others: capture.others,
            notes: Vec::new(),
        };
        let modules = Modules::of(capture, *files, budget);
        let known = |(_, thread): &(_, &CapturedThread)| thread.has_registers || thread.has_position;
        for (stack, thread) in report.stacks.iter_mut().zip(&capture.threads).filter(known) {
            let walk = unwind::walk(capture, &modules, thread, budget);
            (stack.frames, stack.end) = (walk.frames, walk.end);
            if walk.end == End::NotCaptured {
                stack.outermost = unwind::walk_outermost(capture, &modules, thread, budget);
            }
        }
        report.modules = modules.into_list();
        report.name_vdso(&capture.vdso.1, budget);
        if *files == Files::Opened {
            report.look_up(Depth::Names, budget);
        }
        if capture.is_panic() {
            report.begin_at_panic();
        }
        report.notes.extend(budget.spent().map(|spent| format!("the report is not complete: {spent}")));
        report
    }

    /// Leaves out what only a panic brought into the stacks.
    pub(crate) fn begin_at_panic(&mut self) {
        self.stacks.iter_mut().for_each(Stack::begin_at_panic);
    }

    /// Looks in the files that are there now for the functions of all frames. Those that are not found stay as they are.
    pub fn look_up(&mut self, depth: Depth, budget: &Budget) {
        for number in 0..self.modules.len() {
            let offsets = self.offsets_in(number);
            if !self.modules[number].is_file() || offsets.is_empty() {
                continue;
            }
            match symbols::look_up_in(&self.modules[number], &offsets, depth, budget) {
                Ok(symbols) => {
                    self.modules[number].unusable = None;
                    self.name(number, &offsets, &symbols, budget);
                }
                Err(why) => self.modules[number].unusable = Some(why.to_string()),
            }
        }
    }

    /// Adds what debug information says. To be called in a process that is ended when that takes too long.
    pub fn add_lines(&mut self) {
        let budget = Budget::of_process();
        self.look_up(Depth::Lines, &budget);
        self.notes.extend(budget.spent().map(|spent| format!("debug information is not complete: {spent}")));
    }

    /// The vDSO has no file, but the capture has its bytes.
    fn name_vdso(&mut self, bytes: &[u8], budget: &Budget) {
        let Some(number) = self.modules.iter().position(|module| module.path == VDSO) else { return };
        let offsets = self.offsets_in(number);
        if offsets.is_empty() {
            return;
        }
        if let Some(elf) = Elf::parse(Source::Bytes(bytes.to_vec()), budget.clone()) {
            let symbols = symbols::look_up(&self.modules[number], &elf, &offsets, Depth::Names, budget);
            self.name(number, &offsets, &symbols, budget);
        }
    }

    /// The distances of the frames in a module from its first address.
    fn offsets_in(&self, number: usize) -> Vec<u64> {
        let base = self.modules[number].base;
        let frames = self.frames().filter(|frame| frame.module == Some(number));
        let offsets = frames.map(|frame| frame.inside().wrapping_sub(base));
        offsets.collect::<BTreeSet<u64>>().into_iter().collect()
    }

    /// Names the frames in a module by what is at these distances.
    fn name(&mut self, number: usize, offsets: &[u64], symbols: &[Option<Symbol>], budget: &Budget) {
        let base = self.modules[number].base;
        let found: BTreeMap<u64, &Symbol> =
            offsets.iter().zip(symbols).filter_map(|(offset, symbol)| Some((*offset, symbol.as_ref()?))).collect();
        for frame in self.frames_mut().filter(|frame| frame.module == Some(number)) {
            let inside = frame.inside();
            let Some(symbol) = found.get(&inside.wrapping_sub(base)) else { continue };
            if !budget.name(symbol.size()) {
                return;
            }
            // The distance is that of the program counter, which may be behind the address that was looked up.
            let behind = frame.pc.wrapping_sub(inside);
            let offset = symbol.offset.map(|offset| offset.wrapping_add(behind));
            frame.symbol = Some(Symbol { offset, ..(*symbol).clone() });
        }
    }

    /// Whether it names a function, a file or a line that an earlier report of the same frames does not.
    #[must_use]
    pub fn knows_more_than(&self, earlier: &Report) -> bool {
        self.frames().zip(earlier.frames()).any(|(frame, before)| frame.symbol != before.symbol)
    }

    /// The modules of frames without a file and line, and why they have none.
    #[must_use]
    pub fn lacking(&self) -> Vec<(String, String)> {
        let has_line = |frame: &&Frame| frame.symbol.as_ref().is_some_and(|symbol| symbol.at.is_some());
        let numbers: BTreeSet<usize> =
            self.frames().filter(|frame| !has_line(frame)).filter_map(|frame| frame.module).collect();
        let modules =
            numbers.into_iter().filter_map(|number| self.modules.get(number)).filter(|module| module.is_file());
        let why = |module: &Module| module.unusable.clone().unwrap_or_else(|| "no debug information for it".to_owned());
        modules.map(|module| (module.name(), why(module))).collect()
    }

    /// All frames, of all threads.
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.stacks.iter().flat_map(|stack| stack.frames.iter().chain(&stack.outermost))
    }

    fn frames_mut(&mut self) -> impl Iterator<Item = &mut Frame> {
        self.stacks.iter_mut().flat_map(|stack| stack.frames.iter_mut().chain(&mut stack.outermost))
    }
}
