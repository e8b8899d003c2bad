//! Frames of the Python interpreter, of which a text shows the first and the last of a run.
//!
//! For each call in Python the interpreter calls itself a few times, and what it does between is the same in every program.
//! Which function in Python it ran is in none of these frames, but in the interpreter's own traceback.
//!
//! What belongs to it is told by the file alone. Most of its functions are static, so a stripped interpreter has no names for
//! them; and names that begin with `Py` are those of extensions too. Of a run the innermost frame stays, which crashed or
//! called something native (`os_abort`, `time_sleep`), and the outermost, which something native called: an extension that calls
//! back, or the C library at the start of the program (`main`).

use crate::crash::frame::Frame;
use crate::crash::loaded::Module;
use crate::crash::report::Stack;
use std::ops::Range;

/// Fewer frames are as short as the line that stands for them.
const FOLDED_MIN: usize = 2;

/// Which frames of a stack to fold, by their numbers; those of the outermost bytes go on counting.
pub(crate) fn folds(stack: &Stack, modules: &[Module]) -> Vec<Range<usize>> {
    let is_its = |frame: &Frame| frame.module.and_then(|number| modules.get(number)).is_some_and(is_interpreter);
    let (mut folds, mut start) = (Vec::new(), 0);
    // Between the two parts are frames that nobody has seen.
    for part in [&stack.frames, &stack.outermost] {
        // A frame that a signal interrupted did not call the one before it.
        for run in part.chunk_by(|frame, next| is_its(frame) == is_its(next) && !next.is_exact) {
            let inside = start + 1..start + run.len() - 1;
            start += run.len();
            if inside.len() >= FOLDED_MIN && run.iter().all(is_its) {
                folds.push(inside);
            }
        }
    }
    folds
}

/// `python3`, `python3.14t`, `libpython3.11.so.1.0`: the program, and the library that has nearly all of it in many builds. A
/// program that has the interpreter linked into itself is no such file: its own functions would be folded as well.
fn is_interpreter(module: &Module) -> bool {
    let name = module.name();
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    let version = match name.strip_prefix("libpython") {
        Some(library) => library.split_once(".so").map(|(version, _)| version),
        None => name.strip_prefix("python").map(|version| version.strip_suffix("-dbg").unwrap_or(version)),
    };
    // With the letters of builds without a lock, for debugging, and with another allocator.
    version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || ".tdm".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::frame::{End, Trust};

    const PATHS: [&str; 4] =
        ["/lib/libc.so.6", "/usr/bin/python3.11", "/usr/lib/libpython3.11.so.1.0", "/x/_ctypes.so"];

    /// A stack with these modules, by the first letter of their names without `lib`; `-` for none.
    fn stack(frames: &str, outermost: &str) -> Stack {
        let module = |letter| ['c', 'p', 'l', '_'].iter().position(|known| *known == letter);
        let frame = |letter| Frame { pc: 1, is_exact: false, trust: Trust::Cfi, module: module(letter), symbol: None };
        let frames_of = |letters: &str| letters.chars().map(frame).collect();
        let (end, name) = (End::Outermost, String::new());
        let (frames, outermost) = (frames_of(frames), frames_of(outermost));
        Stack { thread: 1, name, frames, end, outermost, registers: None, python: Vec::new() }
    }

    fn folded(stack: &Stack) -> Vec<Range<usize>> {
        let module = |path: &&str| Module { path: path.as_bytes().to_vec(), ..Module::default() };
        folds(stack, &PATHS.iter().map(module).collect::<Vec<Module>>())
    }

    #[test]
    fn a_run_of_the_interpreter_is_folded_between_the_frames_that_call_and_are_called_by_others() {
        assert_eq!(folded(&stack("c__lllllpccp", "")), vec![4..8]);
        assert_eq!(folded(&stack("cllll_lllllc", "")), [2..4, 7..10]);
        // It crashed itself.
        assert_eq!(folded(&stack("llllc", "")), vec![1..3]);
        assert_eq!(folded(&stack("pppp", "")), vec![1..3]);
    }

    #[test]
    fn what_is_no_shorter_or_not_the_interpreters_stays() {
        for frames in ["", "l", "ll", "lll", "clllc", "cccccc", "-----", "ll-ll_ll"] {
            assert_eq!(folded(&stack(frames, "")), [], "{frames}");
        }
    }

    #[test]
    fn a_run_ends_where_the_stack_was_not_captured_and_where_a_signal_interrupted_it() {
        assert_eq!(folded(&stack("clll", "lllc")), []);
        assert_eq!(folded(&stack("cllll", "lllll")), [2..4, 6..9]);
        let mut interrupted = stack("llllllll", "");
        interrupted.frames[4].is_exact = true;
        assert_eq!(folded(&interrupted), [1..3, 5..7]);
    }

    #[test]
    fn the_interpreter_is_told_by_the_name_of_its_file() {
        let is = |path: &str| is_interpreter(&Module { path: path.as_bytes().to_vec(), ..Module::default() });
        for path in [
            "/usr/bin/python3",
            "/usr/bin/python",
            "/opt/python3.14t",
            "/usr/bin/python3.11-dbg",
            "/usr/bin/python3.11 (deleted)",
            "/usr/lib/libpython3.11.so.1.0",
            "/usr/lib/libpython3.13t.so",
        ] {
            assert!(is(path), "{path}");
        }
        for path in [
            "/usr/bin/pythonista",
            "/opt/python-worker",
            "/usr/lib/libpython-helper.so",
            "/usr/lib/libpython3.11",
            "/opt/python3.11/app",
            "/lib/_ctypes.cpython-311-x86_64-linux-gnu.so",
            "[vdso]",
            "",
        ] {
            assert!(!is(path), "{path}");
        }
    }
}
