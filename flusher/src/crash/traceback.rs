//! The traceback of the crashed thread as Python's faulthandler writes it, found in what a process attached.
//!
//! ```text
//! Current thread 0x00007f2d0a3e2b80 (most recent call first):
//!   File "worker.py", line 27 in die
//! ```
//!
//! Newer versions put the thread's name before the parenthesis. What is attached is text of any kind, from the process that died.

/// Most lines of it. faulthandler stops after 100, with a line that says so.
const LINES_MAX: usize = 101;
/// Most bytes of a line: faulthandler writes up to 500 characters of a name, each as up to 10 bytes.
const LINE_MAX: usize = 1024;

/// Its lines, the innermost call first; none if there is no such traceback.
pub(crate) fn of_crashed_thread(attached: &[u8]) -> Vec<String> {
    let mut lines = attached.split(|byte| *byte == b'\n');
    let is_head = |line: &[u8]| line.starts_with(b"Current thread 0x") && line.ends_with(b" (most recent call first):");
    if !lines.any(is_head) {
        return Vec::new();
    }
    let calls = lines.map_while(|line| line.strip_prefix(b"  ")).take(LINES_MAX);
    calls.map(|call| String::from_utf8_lossy(&call[..call.len().min(LINE_MAX)]).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_thread_is_found_among_all() {
        for name in ["", " [MainThread]"] {
            let text = format!(
                "Fatal Python error: Segmentation fault\n\n\
                 Thread 0x00007f2d09bff6c0 (most recent call first):\n  File \"t.py\", line 1 in wait\n\n\
                 Current thread 0x00007f2d0a3e2b80{name} (most recent call first):\n  File \"w.py\", line 27 in die\n  \
                 File \"w.py\", line 49 in <module>\n\nExtension modules: numpy (total: 1)\n"
            );
            let expected = ["File \"w.py\", line 27 in die", "File \"w.py\", line 49 in <module>"];
            assert_eq!(of_crashed_thread(text.as_bytes()), expected);
        }
    }

    #[test]
    fn anything_else_is_none_or_bounded() {
        let head = "Current thread 0x1 (most recent call first):\n";
        for text in ["", "\n", "Current thread 0x1", "Thread 0x1 (most recent call first):\n  File", head] {
            assert_eq!(of_crashed_thread(text.as_bytes()), Vec::<String>::new(), "{text}");
        }
        let long = format!("{head}{}", format!("  {}\n", "\u{20ac}".repeat(1000)).repeat(1000));
        let found = of_crashed_thread(long.as_bytes());
        // A character that is cut becomes a mark of three bytes.
        assert!(found.len() == LINES_MAX && found.iter().all(|line| line.len() <= LINE_MAX + 3), "{}", found.len());
        assert_eq!(of_crashed_thread(&[head.as_bytes(), b"  \xff\n"].concat()), ["\u{fffd}"]);
    }
}
