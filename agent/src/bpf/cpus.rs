//! Which CPUs there are: possible ones size the maps, online ones are sampled.

use std::fs;

/// CPUs that may ever be there: one more than the highest number.
pub fn possible() -> u32 {
    list("/sys/devices/system/cpu/possible")
        .last()
        .map_or(1, |last| last + 1)
}

/// CPUs that are running now.
pub fn online() -> Vec<u32> {
    let online = list("/sys/devices/system/cpu/online");
    if online.is_empty() { vec![0] } else { online }
}

fn list(path: &str) -> Vec<u32> {
    fs::read_to_string(path)
        .map(|text| parse(&text))
        .unwrap_or_default()
}

/// A list as the kernel writes it: `0-3,5`.
fn parse(text: &str) -> Vec<u32> {
    const MOST: u32 = 8192;
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            cpus.extend(first..=last.min(MOST));
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse("0-3,5\n"), [0, 1, 2, 3, 5]);
        assert_eq!(parse("0\n"), [0]);
        assert_eq!(parse("\n"), [0u32; 0]);
        assert_eq!(parse("x,1-"), [0u32; 0]);
    }
}
