//! The two messages that every logger is given, and how one of them is found again in a log line.
//!
//! The literals are in each peer's macro call as well, because that is where a user writes them and where some crates inspect
//! them at compile time. [`whole`] recognises the second message in any line format and returns whether it is all there.

/// The string argument of the second message: 16 bytes.
pub(crate) const DEVICE: &str = "NVIDIA RTX 4090x";

/// The number with a fraction in the second message.
#[inline(always)]
pub(crate) fn ms(frame: u64) -> f64 {
    frame as f64 * 0.25
}

/// The number of the frame that this line is about, if the message is there from its first byte to its last.
pub(crate) fn whole(line: &[u8]) -> Option<u64> {
    let message = line.get(start(line)?..)?;
    let text = std::str::from_utf8(message).ok()?;
    let (frame, rest) = text.strip_prefix("frame ")?.split_once(" took ")?;
    let (took, rest) = rest.split_once(" ms on ")?;
    let device = rest.trim_end();
    let frame = frame.parse().ok()?;
    // Crates write 1.0 as 1 or 1.0; both are the number.
    (device == DEVICE && took.parse::<f64>().ok()? == ms(frame)).then_some(frame)
}

/// Whether this line was meant to hold the second message.
pub(crate) fn is_about_frame(line: &[u8]) -> bool {
    start(line).is_some()
}

/// Where the message starts. The line's head holds no such word.
fn start(line: &[u8]) -> Option<usize> {
    line.windows(6).position(|word| word == b"frame ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_or_it_is_not() {
        assert_eq!(whole(b"2025-10-19 [INFO] frame 6 took 1.5 ms on NVIDIA RTX 4090x"), Some(6));
        assert_eq!(whole(b"frame 4 took 1 ms on NVIDIA RTX 4090x "), Some(4));
        assert_eq!(whole(b"frame 4 took 1.0 ms on NVIDIA RTX 4090x"), Some(4));
        assert_eq!(whole(b"frame 4 took 1.0 ms on NVIDIA RTX 409"), None);
        assert_eq!(whole(b"frame 14 took 1.0 ms on NVIDIA RTX 4090x"), None);
        assert!(is_about_frame(b"[INFO] frame 4 to"));
        assert!(!is_about_frame(b"CRITICAL the process died"));
    }
}
