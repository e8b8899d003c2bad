//! One record of each kind that the ring format knows.

use lastwords::Level;

/// A value that the caller formats.
#[derive(Debug)]
struct Point {
    x: i32,
    y: i32,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({}, {})", self.x, self.y)
    }
}

/// Logs them to the process's own logger.
pub fn all() {
    let (point, width) = (Point { x: 1, y: -2 }, 8);
    lastwords::info!("static text with {{braces}}");
    lastwords::trace!("unsigned {} {} {} {} {}", u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX);
    lastwords::debug!("signed {} {} {} {} {}", i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN);
    lastwords::warning!("floats {} {} {:.3} {:e} {}", 0.1f32, 2.5f64, 1.0 / 3.0, 1e100, f64::NAN);
    lastwords::error!("text {} {} {:?} {:?}", "é🦀", 'x', "quo\"ted", b"bytes");
    lastwords::critical!(
        "styles {:>width$}|{:*^9}|{:<5}|{:#06x}|{:+}|{:08.2}|{:#b}",
        "right",
        "mid",
        7,
        255,
        1,
        -1.5,
        5
    );
    lastwords::log!(Level::new(35), "formatted by the caller {point} {point:?} {:>10}", format_args!("{}", 1));
    lastwords::info!("fields"; camera = 3, name = "two words", ratio = 0.5, ok = true, point = ?point, http.method = "GET");
    lastwords::info!("further slots {}", "0123456789".repeat(30));
    lastwords::info!("nine {} {} {} {} {} {} {} {} {}", 1, 2, 3, 4, 5, 6, 7, 8, 9);
    lastwords::info!("control \x1b[31m and a\n2025-01-01 00:00:00.000 [1] [INFO] forged line");
    log::info!("by the facade {}", 1);
    log::warn!("by the facade, static");
    lastwords::record_bytes(Level::INFO, "bytes", b"not utf-8: \xff");
}
