//! Panics a few functions deep, with a message of two arguments.

#[inline(never)]
fn checked(numbers: &[usize], n: usize) -> usize {
    numbers[n] + 1
}

#[inline(never)]
fn outer(numbers: &[usize]) -> usize {
    checked(numbers, numbers.len()) + 1
}

fn main() {
    println!("{}", outer(&vec![1; std::env::args().count()]));
}
