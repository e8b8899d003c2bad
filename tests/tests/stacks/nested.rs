//! Faults in a function that is inlined into another one, behind closures and a trait object.

trait Work {
    fn run(&self, n: usize) -> usize;
}

struct Reader(Vec<usize>);

#[inline(always)]
fn leaf(n: usize) -> usize {
    let at = std::hint::black_box(std::ptr::null_mut::<usize>()).wrapping_add(n & 7);
    // SAFETY: there is none: the write is to end the process.
    unsafe { at.write_volatile(n) };
    n
}

#[inline(always)]
fn between(n: usize) -> usize {
    leaf(n + 1) + 1
}

impl Work for Reader {
    #[inline(never)]
    fn run(&self, n: usize) -> usize {
        self.0.iter().map(|more| between(n + more)).sum::<usize>() + 1
    }
}

#[inline(never)]
fn outer(work: &dyn Work) -> usize {
    work.run(2) + 1
}

fn main() {
    let reader = Reader(vec![std::env::args().count(); 3]);
    println!("{}", outer(std::hint::black_box(&reader)));
}
