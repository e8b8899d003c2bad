//! Medians of a few rounds.

use crate::kill::Kill;
use crate::latency::Latency;

/// The median; of an even number of values the greater of the two in the middle.
pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The median of each number of these latencies, but the greatest maximum.
pub(crate) fn of_latencies(latencies: &[Latency]) -> Option<Latency> {
    let column = |index: usize| latencies.iter().map(move |latency| latency.numbers()[index]);
    let mut numbers = [0.0; Latency::NUMBERS];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = of(column(index))?;
    }
    numbers[Latency::NUMBERS - 1] = column(Latency::NUMBERS - 1).fold(0.0, f64::max);
    Some(Latency::from_numbers(numbers))
}

/// Lines lost in the median kill.
pub(crate) fn of_lost(kills: &[Kill]) -> Option<u64> {
    of(kills.iter().map(|kill| kill.lost as f64)).map(|lost| lost as u64)
}
