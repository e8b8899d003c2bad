//! All that a capture tells: the cause in words, and the frames of each thread.

use crate::crash::cause::cause;
use crate::crash::elf::{Elf, Source};
use crate::crash::frame::{End, Frame, Symbol};
use crate::crash::loaded::{Module, VDSO};
use crate::crash::modules::Modules;
use crate::crash::symbols::{self, Depth, Question};
use crate::crash::unwind;
use crate::crash::worker::Worker;
use lastwords_ring::format::capture::{Capture, CapturedThread, Others, REGISTERS, SignalInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Most bytes of the names in one module: a function with many that are inlined into it may be there again and again.
const NAMES_MAX: usize = 1 << 20;
/// How long frames are looked for, of all threads. Of one they take a tenth of a millisecond.
const UNWIND_MAX: Duration = Duration::from_secs(2);
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
    pub note: Option<String>,
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

    /// Leaves out what only the panic brought there, if its frames have names.
    fn begin_at_panic(&mut self) {
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

/// How the files of the process may be used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading<'a> {
    /// They may be opened: whoever flushes is the user of the process.
    pub may_open: bool,
    /// Who reads debug information, if anybody does.
    pub worker: Option<&'a Worker>,
}

impl Report {
    /// What the capture of the process with this pid tells.
    #[must_use]
    pub fn of(capture: &Capture, pid: u32, reading: Reading<'_>) -> Report {
        let mut report = Report {
            cause: cause(capture, pid),
            signal: capture.signal,
            stacks: capture.threads.iter().map(Stack::new).collect(),
            modules: Vec::new(),
            is_complete: capture.is_complete,
            time_us: capture.time_us,
            others: capture.others,
            note: None,
        };
        let modules = Modules::of(capture, reading.may_open);
        let deadline = Instant::now() + UNWIND_MAX;
        let known = |(_, thread): &(_, &CapturedThread)| thread.has_registers || thread.has_position;
        for (stack, thread) in report.stacks.iter_mut().zip(&capture.threads).filter(known) {
            let walk = unwind::walk(capture, &modules, thread, deadline);
            (stack.frames, stack.end) = (walk.frames, walk.end);
            if walk.end == End::NotCaptured {
                stack.outermost = unwind::walk_outermost(capture, &modules, thread, deadline);
            }
        }
        report.modules = modules.into_list();
        report.name_vdso(&capture.vdso.1);
        if reading.may_open {
            report.add_names(reading.worker);
        }
        if capture.is_panic() {
            report.stacks.iter_mut().for_each(Stack::begin_at_panic);
        }
        report
    }

    /// Names the functions of the frames that have none: by the worker, and what it does not answer by the tables of symbols.
    pub fn add_names(&mut self, worker: Option<&Worker>) {
        let questions = self.questions(Module::is_file);
        let mut answers = vec![None; questions.len()];
        if let Some(worker) = worker {
            self.note = worker.ask(&questions, &mut answers).err();
        }
        for (question, answer) in questions.iter().zip(answers) {
            let Question { module, offsets } = question;
            let symbols = answer.unwrap_or_else(|| symbols::look_up_in(module, offsets, Depth::Names));
            self.name(question, &symbols);
        }
    }

    /// The vDSO has no file, but the capture has its bytes.
    fn name_vdso(&mut self, bytes: &[u8]) {
        for question in self.questions(|module| module.path == VDSO) {
            let Some(elf) = Elf::parse(Source::Bytes(bytes.to_vec())) else { return };
            let symbols = symbols::look_up(&question.module, &elf, &question.offsets, Depth::Names);
            self.name(&question, &symbols);
        }
    }

    /// Looks for the names of all functions again. Those that are not found stay as they are.
    pub fn name_again(&mut self, worker: &Worker) {
        let unusable: Vec<Option<String>> = self.modules.iter_mut().map(|module| module.unusable.take()).collect();
        let known: Vec<Option<Symbol>> = self.frames_mut().map(|frame| frame.symbol.take()).collect();
        self.add_names(Some(worker));
        let named: BTreeSet<usize> =
            self.frames().filter(|frame| frame.symbol.is_some()).filter_map(|frame| frame.module).collect();
        for (number, (module, why)) in self.modules.iter_mut().zip(unusable).enumerate() {
            module.unusable = why.filter(|_| !named.contains(&number));
        }
        for (frame, known) in self.frames_mut().zip(known) {
            frame.symbol = frame.symbol.take().or(known);
        }
    }

    /// For each of these modules of which functions are not named, their distances from its first address.
    fn questions(&self, wanted: impl Fn(&Module) -> bool) -> Vec<Question> {
        let offsets = |number: usize| {
            let unnamed = |frame: &&Frame| frame.module == Some(number) && frame.symbol.is_none();
            let base = self.modules[number].base;
            let frames = self.frames().filter(unnamed).map(|frame| frame.inside().wrapping_sub(base));
            frames.collect::<BTreeSet<u64>>().into_iter().collect::<Vec<u64>>()
        };
        let usable = self.modules.iter().enumerate().filter(|(_, module)| module.unusable.is_none() && wanted(module));
        let questions = usable.map(|(number, module)| Question { module: module.clone(), offsets: offsets(number) });
        questions.filter(|question| !question.offsets.is_empty()).collect()
    }

    fn name(&mut self, question: &Question, symbols: &[Option<Symbol>]) {
        let Some(number) = self.modules.iter().position(|module| *module == question.module) else { return };
        let base = question.module.base;
        let found: BTreeMap<u64, &Symbol> = question
            .offsets
            .iter()
            .zip(symbols)
            .filter_map(|(offset, symbol)| Some((*offset, symbol.as_ref()?)))
            .collect();
        let mut room = NAMES_MAX;
        for frame in self.frames_mut().filter(|frame| frame.module == Some(number)) {
            let inside = frame.inside();
            let Some(symbol) = found.get(&inside.wrapping_sub(base)) else { continue };
            let Some(left) = room.checked_sub(symbol.size()) else { return };
            room = left;
            // The distance is that of the program counter, which may be behind the address that was looked up.
            let behind = frame.pc.wrapping_sub(inside);
            let offset = symbol.offset.map(|offset| offset.wrapping_add(behind));
            frame.symbol = Some(Symbol { offset, ..(*symbol).clone() });
        }
    }

    /// All frames, of all threads.
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.stacks.iter().flat_map(|stack| stack.frames.iter().chain(&stack.outermost))
    }

    fn frames_mut(&mut self) -> impl Iterator<Item = &mut Frame> {
        self.stacks.iter_mut().flat_map(|stack| stack.frames.iter_mut().chain(&mut stack.outermost))
    }
}
