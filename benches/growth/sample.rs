//! What all rounds of a case found, and what is made of it.

use super::case::Case;
use super::crew::Found;
use std::collections::HashMap;

/// The samples of all cases.
#[derive(Debug, Default)]
pub(crate) struct Samples(HashMap<Case, Sample>);

impl Samples {
    /// Adds a round's finding.
    pub(crate) fn add(&mut self, case: &Case, found: &Found) {
        let sample = self.0.entry(*case).or_default();
        for (cpu, wall) in &found.bursts {
            sample.cpu.push(*cpu);
            sample.wall.push(*wall);
        }
        // Lines that were lost did not get to their file.
        let arrived = case.lines().saturating_sub(found.lost);
        sample.rates.push(arrived as f64 / found.seconds / 1e6);
        sample.lost += found.lost;
        sample.peaks.push(found.memory.1 as f64);
        (sample.memory_before, sample.ring_size, sample.fits) = (found.memory.0, found.ring.0, found.ring.1);
    }

    /// The sample of a case that was measured.
    pub(crate) fn of(&self, case: &Case) -> &Sample {
        self.0.get(case).unwrap_or_else(|| panic!("{case:?} was not measured"))
    }
}

/// All rounds of one case.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// Nanoseconds a call, each burst's mean, on the thread's CPU clock.
    cpu: Vec<f64>,
    /// Times on the wall clock.
    wall: Vec<f64>,
    /// Million lines a second, each round's.
    rates: Vec<f64>,
    peaks: Vec<f64>,
    /// Lost records of all rounds, as the log reports them.
    pub(crate) lost: u64,
    /// Most resident memory before the ring was made, in bytes.
    pub(crate) memory_before: u64,
    /// Bytes of the ring's file.
    pub(crate) ring_size: u64,
    /// Lines that found room without a flusher.
    pub(crate) fits: u64,
}

impl Sample {
    pub(crate) fn cpu_median(&self) -> f64 {
        quantile(&self.cpu, 0.5)
    }

    pub(crate) fn cpu_p99(&self) -> f64 {
        quantile(&self.cpu, 0.99)
    }

    pub(crate) fn wall_median(&self) -> f64 {
        quantile(&self.wall, 0.5)
    }

    /// Million lines a second.
    pub(crate) fn rate(&self) -> f64 {
        quantile(&self.rates, 0.5)
    }

    /// Most resident memory of the largest process, in bytes.
    pub(crate) fn peak(&self) -> f64 {
        quantile(&self.peaks, 0.5)
    }
}

/// The value below which this part of all values lies.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}
