//! ELF files to names: symbol tables, PLT, compressed symbols, debug information.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use strata::symbols::{ExecutableFile, Options, Source, Symbol, Symbolizer};
use strata_fuzz::seeds;

fuzz_target!(init: seeds::write(seeds::elf_files), |input: &[u8]| {
    let file = ExecutableFile {
        id: 1,
        path: String::new(),
        source: Source::Bytes(input.into()),
    };
    let mut symbolizer = Symbolizer::new(Options {
        debug_information_bytes: 1 << 20,
        debug_information_time: Duration::from_secs(2),
        debug_directories: Vec::new(),
        ..Options::default()
    });
    let step = input.len().div_ceil(100).max(1);
    let offsets = (0..input.len() as u64).step_by(step);
    let svmas: Vec<u64> = offsets
        .filter_map(|offset| symbolizer.svma(&file, offset))
        .collect();
    let found = symbolizer.native_batch(&file, &svmas);
    assert_eq!(found.len(), svmas.len());
    for (svma, symbols) in svmas.iter().zip(&found) {
        check(*svma, symbols);
    }
});

fn check(svma: u64, symbols: &[Symbol]) {
    for symbol in symbols {
        assert!(!symbol.system_name.is_empty());
        assert!(symbol.start.is_none_or(|start| start <= svma));
        // The bug put in on purpose: lines beyond those of the seeds' sources, of something inlined.
        let far = symbol.inlined && symbol.line.is_some_and(|line| line > 60);
        assert!(!(cfg!(feature = "planted") && far), "planted: {symbol:?}");
    }
}
