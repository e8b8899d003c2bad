//! What a process uses, as `/proc/PID/stat` shows it.

use std::time::Duration;

/// What a process used at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes of its memory that were resident.
    pub(super) resident: u64,
    pub(super) threads: u64,
    /// Processor time, that of threads which have ended too.
    pub(super) cpu: Duration,
}

impl Usage {
    /// From the text of the file, if it is about the process that started at this time, which runs. One that is on its way out
    /// has given its memory back already, and would be shown as one that needed none.
    pub(super) fn of(stat: &str, start_time: u64) -> Option<Usage> {
        // The name of the program may contain anything, so fields are counted from its last parenthesis. The first is field 3.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let runs = !matches!(*fields.first()?, "Z" | "X" | "x") && field(23)? > 0;
        let is_the_same = start_time != 0 && field(22)? == start_time;
        if !runs || !is_the_same {
            return None;
        }
        let ticks = field(14)?.saturating_add(field(15)?);
        let ticks_a_second = rustix::param::clock_ticks_per_second().max(1);
        Some(Usage {
            resident: field(24)?.saturating_mul(rustix::param::page_size() as u64),
            threads: field(20)?,
            cpu: Duration::from_millis(ticks.saturating_mul(1000) / ticks_a_second),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The file of a process with so many pages, threads and ticks of processor time.
    pub(in crate::evidence) fn stat(state: &str, start_time: u64, (pages, threads, ticks): (u64, u64, u64)) -> String {
        let vsize = if pages == 0 { 0 } else { 1 << 30 };
        format!(
            "41 (a) b (c) {state} 1 41 41 0 -1 4194304 900 0 0 0 {ticks} 0 7 7 20 0 {threads} 0 {start_time} {vsize} {pages} \
             18446744073709551615 1 1 0\n"
        )
    }

    #[test]
    fn the_file_of_a_running_process_is_taken_apart() {
        let page = rustix::param::page_size() as u64;
        let ticks = rustix::param::clock_ticks_per_second();
        let expected = Usage { resident: 300 * page, threads: 12, cpu: Duration::from_secs(3) };
        assert_eq!(Usage::of(&stat("S", 5, (300, 12, 3 * ticks)), 5), Some(expected));
    }

    #[test]
    fn nothing_is_known_from_another_process_or_one_that_ends_or_a_file_that_is_none() {
        for (text, start_time) in [
            (stat("S", 5, (300, 12, 3)), 6),
            (stat("S", 0, (300, 12, 3)), 0),
            (stat("Z", 5, (300, 12, 3)), 5),
            (stat("X", 5, (300, 12, 3)), 5),
            (stat("R", 5, (0, 12, 3)), 5),
            (stat("S", 5, (300, 12, 3))[..60].to_owned(), 5),
            (String::new(), 5),
            ("41 (x) ".to_owned(), 5),
            ("garbage".repeat(1000), 5),
        ] {
            assert_eq!(Usage::of(&text, start_time), None, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_all_measure_do_no_harm() {
        let most = u64::MAX;
        let found = Usage::of(&stat("S", 5, (most, most, most)), 5).expect("a usage");
        assert_eq!((found.resident, found.threads), (most, most));
    }
}
