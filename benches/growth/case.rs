//! One measurement: what is done, by how many, with a ring of which sizes. It travels to the processes that do it as
//! words of their command line.

use super::burst::WARM_UP;

/// What a ring is made with where a question is about something else: `src/config/defaults.rs`.
pub(crate) const RECORD: u32 = 128;
pub(crate) const SLOTS: u32 = 4096;
pub(crate) const LANES: u32 = 15;
/// The last lanes, which threads without a lane of their own share.
pub(crate) const OVERFLOW_LANES: u32 = 2;

/// What the processes of a case do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// Timed bursts, after each of which the flusher catches up.
    Append,
    /// Lines flat out, until the last one is in its file.
    Drain,
    /// A few lines a thread and no flusher, to see what memory a writer takes.
    Memory,
    /// More lines than a lane holds and no flusher, to see how many fit.
    Fits,
}

const WORKS: [(&str, Work); 4] =
    [("append", Work::Append), ("drain", Work::Drain), ("memory", Work::Memory), ("fits", Work::Fits)];

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Case {
    pub(crate) work: Work,
    pub(crate) processes: u32,
    /// Threads of each process.
    pub(crate) threads: u32,
    pub(crate) lanes: u32,
    pub(crate) record: u32,
    pub(crate) slots: u32,
    /// Bytes of a message; 0 is the formatted line with a number, a float and a text.
    pub(crate) message: u32,
    /// Calls of a burst; 0 is no bursts, flat out.
    pub(crate) burst: u32,
    /// Timed bursts of each thread, or lines of all processes together.
    pub(crate) count: u32,
}

impl Case {
    /// One thread of one process with a ring of the default sizes.
    pub(crate) fn new(work: Work, burst: u32, count: u32) -> Case {
        Case { work, processes: 1, threads: 1, lanes: LANES, record: RECORD, slots: SLOTS, message: 0, burst, count }
    }

    /// The words that [`Case::from_words`] reads.
    pub(crate) fn words(&self) -> Vec<String> {
        let name = WORKS.iter().find(|(_, work)| *work == self.work).map_or("", |(name, _)| name);
        let numbers =
            [self.processes, self.threads, self.lanes, self.record, self.slots, self.message, self.burst, self.count];
        std::iter::once(name.to_owned()).chain(numbers.iter().map(u32::to_string)).collect()
    }

    /// The case of a row's command line, which only this program writes.
    pub(crate) fn from_words(words: &[String]) -> Case {
        let (name, numbers) = words.split_first().expect("a row names its work");
        let work = WORKS.iter().find(|(known, _)| known == name).expect("a known work").1;
        let numbers: Vec<u32> = numbers.iter().map(|word| word.parse().expect("a number")).collect();
        let [processes, threads, lanes, record, slots, message, burst, count] = numbers[..] else {
            panic!("{} numbers found in a row, expected 8", numbers.len());
        };
        Case { work, processes, threads, lanes, record, slots, message, burst, count }
    }

    /// Sizes of files and memory do not vary from round to round.
    pub(crate) fn is_settled_by_one_round(&self) -> bool {
        matches!(self.work, Work::Memory | Work::Fits)
    }

    /// Whether the lines are drained, so that they can be counted in the files.
    pub(crate) fn is_drained(&self) -> bool {
        matches!(self.work, Work::Append | Work::Drain)
    }

    /// Lines that each thread logs.
    pub(crate) fn lines_per_thread(&self) -> u64 {
        match self.work {
            Work::Append => u64::from(self.count + WARM_UP) * u64::from(self.burst),
            Work::Drain => u64::from(self.count / (self.processes * self.threads)),
            Work::Memory | Work::Fits => u64::from(self.count),
        }
    }

    /// Lines of all threads of all processes.
    pub(crate) fn lines(&self) -> u64 {
        self.lines_per_thread() * u64::from(self.processes * self.threads)
    }
}
