//! All measurements, interleaved: in each round every row has its turn in each workload, so that a machine that gets
//! slower or faster does so for all of them.

use crate::kill::Kill;
use crate::latency::Latency;
use crate::probe;
use crate::row::Rows;
use std::collections::BTreeMap;
use std::io::Result;
use std::time::{SystemTime, UNIX_EPOCH};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) rounds: u64,
    pub(crate) bursts: u64,
    pub(crate) lines: u64,
    pub(crate) kills: u64,
}

/// What a row's rounds resulted in.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) latencies: Vec<[Latency; 2]>,
    /// Lines a second from one thread, and from four.
    pub(crate) one: Vec<f64>,
    pub(crate) four: Vec<f64>,
    pub(crate) kills: Vec<Kill>,
    /// By workload, why it could not be measured.
    pub(crate) failures: BTreeMap<&'static str, String>,
}

impl Results {
    /// Adds a measurement of a workload, or why there is none; then the workload is not tried again.
    fn note<T>(&mut self, name: &str, workload: &'static str, measured: Result<T>, add: impl FnOnce(&mut Results, T)) {
        match measured {
            Ok(value) => add(self, value),
            Err(error) => {
                eprintln!("{name}, {workload}: {error}");
                self.failures.insert(workload, error.to_string());
            }
        }
    }

    fn wants(&self, workload: &str) -> bool {
        !self.failures.contains_key(workload)
    }
}

/// Measures these rows, the probe first.
pub(crate) fn measure(rows: &Rows, names: &[&'static str], amount: Amount) -> Vec<(&'static str, Results)> {
    let all = std::iter::once(probe::NAME).chain(names.iter().copied());
    let mut table: Vec<(&'static str, Results)> = all.map(|name| (name, Results::default())).collect();
    let measurable = |name: &str| rows.left_out(name).is_none();
    for round in 1..=amount.rounds {
        for (name, results) in table.iter_mut().filter(|(name, _)| measurable(name)) {
            eprintln!("round {round} of {}: {name}", amount.rounds);
            latency(rows, name, results, amount.bursts);
            if *name != probe::NAME {
                throughput(rows, name, results, amount.lines);
            }
        }
    }
    let mut random = Random::new();
    for kill in 1..=amount.kills {
        eprintln!("kill {kill} of {}", amount.kills);
        for (name, results) in table.iter_mut().filter(|(name, _)| *name != probe::NAME && measurable(name)) {
            if results.wants("kill") {
                results.note(name, "kill", rows.kill(name, random.draw()), |results, kill| results.kills.push(kill));
            }
        }
    }
    table
}

fn latency(rows: &Rows, name: &str, results: &mut Results, bursts: u64) {
    if results.wants("latency") {
        results.note(name, "latency", rows.latency(name, bursts), |results, both| results.latencies.push(both));
    }
}

fn throughput(rows: &Rows, name: &str, results: &mut Results, lines: u64) {
    let rate = |seconds: f64| lines as f64 / seconds;
    if results.wants("1 thread") {
        let measured = rows.throughput(name, 1, lines).map(rate);
        results.note(name, "1 thread", measured, |results, rate| results.one.push(rate));
    }
    if results.wants("4 threads") {
        let measured = rows.throughput(name, 4, lines).map(rate);
        results.note(name, "4 threads", measured, |results, rate| results.four.push(rate));
    }
}

/// Random numbers (SplitMix64), another sequence in each run.
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
