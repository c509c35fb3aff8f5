//! How quickly unwind tables are made: `cargo run --release --example rows FILE…`. A line of JSON for each file.

use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result};

/// The quickest of so many counts: a table is made once a file, so what else runs does not belong to it.
const TIMES: usize = 9;

fn main() -> Result<()> {
    for path in env::args_os().skip(1) {
        let name = path.display();
        let file = fs::read(&path).with_context(|| format!("{name} can't be read"))?;
        let mut times = Vec::new();
        let mut rows = 0;
        for _ in 0..TIMES {
            let begin = Instant::now();
            let table = strata::unwind::build(&file).with_context(|| name.to_string())?;
            times.push(begin.elapsed().as_secs_f64());
            rows = table.rows.len();
        }
        times.sort_by(f64::total_cmp);
        let line = serde_json::json!({
            "file": name.to_string(),
            "rows": rows,
            "best_seconds": times[0],
            "median_seconds": times[TIMES / 2],
        });
        println!("{line}");
    }
    Ok(())
}
