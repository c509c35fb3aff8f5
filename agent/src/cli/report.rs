//! `strata report`: files that were recorded, as files of other kinds.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::args::ReportArgs;
use super::output;
use crate::format::read::{self, Kind, MOST_BYTES, ReadError};
use crate::format::{Options, grouped};
use crate::profile::Profile;

/// Runs `strata report`.
pub fn run(args: &ReportArgs) -> Result<ExitCode> {
    let outputs = output::resolve(&args.outputs, args.format)?;
    output::check(&outputs)?;
    let timed = outputs.iter().any(|output| output.format.has_times());
    let mut profile = if timed {
        Profile::with_times()
    } else {
        Profile::new()
    };
    for file in &args.files {
        add(&mut profile, file).with_context(|| format!("{} can't be read", file.display()))?;
    }
    if timed && !profile.keeps_times() {
        eprintln!("strata: Too many samples to show when each was taken: sums are shown.");
    }
    let options = Options {
        lines: args.lines,
        threads: args.threads,
        inlines: !args.no_inlines,
        addresses: false,
    };
    output::write(&outputs, &profile, &options)?;
    let samples = profile.samples().map(|(_, totals)| totals.weight);
    let samples = samples.fold(0, u64::saturating_add);
    eprintln!("{} samples", grouped(samples));
    Ok(ExitCode::SUCCESS)
}

fn add(profile: &mut Profile, file: &Path) -> Result<()> {
    let (bytes, name) = if file == Path::new("-") {
        (take(io::stdin().lock())?, "stdin".into())
    } else {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        (take(File::open(file)?)?, name)
    };
    let kind = Kind::of(&name, &bytes).ok_or(ReadError::Unknown)?;
    Ok(read::read(profile, kind, &name, &bytes)?)
}

fn take(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        bail!("it has more than {} MiB", MOST_BYTES >> 20);
    }
    Ok(bytes)
}
