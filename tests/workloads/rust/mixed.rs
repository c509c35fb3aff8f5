//! Exercises: Rust at -C opt-level=3 with DWARF: generics, closures, trait objects, iterators that are inlined, threads.
//!
//! ```text
//! (thread) work_in_thread > run > apply::<{closure in run}> > {closure, inlined} > leaf
//!                               > Square::area, Circle::area > leaf
//!                               > inlined_sum (inlined)
//! ```
//!
//! Like the C programs it prints `ready`, goes on for the seconds given (default 60) or until SIGTERM, and then prints the
//! legal orders of its own functions, crate name and hashes left out.

use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn alarm(seconds: u32) -> u32;
}

extern "C" fn on_stop(_number: i32) {
    STOP.store(true, Ordering::Relaxed);
}

#[inline(never)]
fn leaf(turns: u64) -> u64 {
    let mut x = 88172645463325252_u64;
    for _ in 0..turns {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x = black_box(x);
    }
    x
}

/// Inlined into whatever calls it; only DWARF knows of it.
#[inline(always)]
fn inlined_sum(values: &[u64]) -> u64 {
    values.iter().map(|value| value.wrapping_mul(31)).fold(0, |sum, value| sum ^ black_box(value))
}

#[inline(never)]
fn apply<F: Fn(u64) -> u64>(call: F, times: u64) -> u64 {
    let mut sum = 0;
    for number in 0..times {
        sum ^= black_box(&call)(number);
    }
    black_box(sum)
}

trait Shape {
    fn area(&self) -> u64;
}

struct Square(u64);
struct Circle(u64, [u64; 9]);

impl Shape for Square {
    #[inline(never)]
    fn area(&self) -> u64 {
        black_box(leaf(self.0)) + 1
    }
}

impl Shape for Circle {
    #[inline(never)]
    fn area(&self) -> u64 {
        black_box(leaf(self.0)) ^ inlined_sum(&self.1)
    }
}

#[inline(never)]
fn run(values: &[u64]) -> u64 {
    let shapes: [Box<dyn Shape>; 2] = [Box::new(Square(40000)), Box::new(Circle(20000, [7; 9]))];
    let mut sum = apply(|number| black_box(leaf(30000 + number)) + 1, 3);
    for shape in &shapes {
        sum ^= black_box(shape).area();
    }
    for _ in 0..20 {
        sum ^= inlined_sum(values);
    }
    black_box(sum)
}

#[inline(never)]
fn work_in_thread(values: Vec<u64>) -> u64 {
    let mut sum = 0;
    while !STOP.load(Ordering::Relaxed) {
        sum ^= run(&values);
    }
    black_box(sum)
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(60);
    // SAFETY: both functions are the C library's; the handler only stores to an atomic.
    unsafe {
        signal(15, on_stop);
        signal(14, on_stop);
        alarm(seconds);
    }
    let values: Vec<u64> = (0..2000).collect();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let values = values.clone();
            std::thread::spawn(move || work_in_thread(values))
        })
        .collect();
    println!("ready {}", std::process::id());
    std::io::stdout().flush().expect("standard output is open");
    let mut sum = 0;
    for thread in threads {
        sum ^= thread.join().expect("the thread does not panic");
    }
    println!(
        concat!(
            "{{\"own\": [\"work_in_thread\", \"run\", \"apply\", \"run::{{{{closure}}}}\", \"Square::area\", \"Circle::area\",",
            " \"inlined_sum\", \"leaf\"],",
            " \"seen\": [\"work_in_thread run apply run::{{{{closure}}}} leaf\", \"work_in_thread run Square::area leaf\",",
            " \"work_in_thread run Circle::area leaf\", \"work_in_thread run inlined_sum\"],",
            " \"legal\": [\"work_in_thread run apply run::{{{{closure}}}} leaf\", \"work_in_thread run Square::area leaf\",",
            " \"work_in_thread run Circle::area leaf\", \"work_in_thread run Circle::area inlined_sum\",",
            " \"work_in_thread run inlined_sum\", \"work_in_thread run\"],",
            " \"sum\": {}}}"
        ),
        sum
    );
}
