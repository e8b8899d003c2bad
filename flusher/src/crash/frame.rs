//! A frame of a stack, and what is known of it.

use std::fmt;

/// How a frame was found, by the names that minidump tools use, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The registers of the signal.
    Context,
    /// By the unwind tables of the program, or by what the kernel or an instruction is known to leave on the stack.
    Cfi,
    /// By the chain of frame pointers, where there is no table: a function between the two may be missing.
    FramePointer,
    /// A word on the stack looks like a return address: a guess, as is all that this leads to.
    Scan,
}

impl Trust {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Trust::Context => "context",
            Trust::Cfi => "cfi",
            Trust::FramePointer => "frame_pointer",
            Trust::Scan => "scan",
        }
    }

    /// The trust with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Trust> {
        [Trust::Context, Trust::Cfi, Trust::FramePointer, Trust::Scan].into_iter().find(|trust| trust.name() == name)
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The program counter: of the innermost frame, and of one that a signal interrupted, that of the instruction; of all others
    /// where it goes on once the call returns.
    pub pc: u64,
    /// The program counter is that of the instruction.
    pub is_exact: bool,
    /// How it was found.
    pub trust: Trust,
    /// The number of its module.
    pub module: Option<usize>,
    /// Its function, where the module names it.
    pub symbol: Option<Symbol>,
}

impl Frame {
    /// The address that belongs to the function: after a call that never returns, what follows may belong to the next one.
    #[must_use]
    pub fn inside(&self) -> u64 {
        if self.is_exact { self.pc } else { self.pc.wrapping_sub(1) }
    }
}

/// The function of a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbol {
    /// Its name as in the source.
    pub function: String,
    /// Where the program counter is in it.
    pub offset: Option<u64>,
    /// File and line.
    pub at: Option<SourceLine>,
    /// Functions that were inlined there, the innermost first.
    pub inlines: Vec<Inline>,
}

impl Symbol {
    /// The names of all functions that are there, the innermost first.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &str> {
        self.inlines.iter().map(|inline| inline.function.as_str()).chain([self.function.as_str()])
    }

    /// Bytes of its names.
    pub(crate) fn size(&self) -> usize {
        let of = |function: &str, at: Option<&SourceLine>| function.len() + at.map_or(0, |at| at.file.len());
        let inlines = self.inlines.iter().map(|inline| of(&inline.function, inline.at.as_ref()));
        of(&self.function, self.at.as_ref()) + inlines.sum::<usize>()
    }
}

/// A function that was inlined into another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inline {
    /// Its name.
    pub function: String,
    /// File and line.
    pub at: Option<SourceLine>,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// Its file.
    pub file: String,
    /// Its line; 0 if only the file is known.
    pub line: u32,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// Why a stack ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing called the last function: it is where the thread or the program began.
    Outermost,
    /// The rest of the stack was not captured.
    NotCaptured,
    /// It is not known what called the last function.
    Lost,
    /// There are more frames than are shown.
    Limit,
    /// Finding them took too long.
    OutOfTime,
    /// The thread did not say where it was.
    Silent,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Outermost => "the outermost frame",
            End::NotCaptured => "what was captured of the stack ends here",
            End::Lost => "what called this is unknown",
            End::Limit => "there are more frames",
            End::OutOfTime => "finding more takes too long",
            End::Silent => "it is not known where this thread was",
        })
    }
}
