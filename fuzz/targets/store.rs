//! Two segments of a store, with whatever bytes in them: the first two bytes say where the first ends.
//! Whatever they hold, readers and destinations get the same of them, the store can be used, and
//! what is appended is there when it is opened again.

#![no_main]

use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use strata::store::{Limits, Message, Store, StoreError, read};
use strata_fuzz::seeds;

const LIMITS: Limits = Limits {
    bytes: 1 << 30,
    age: Duration::MAX,
};
const HEADER_BYTES: usize = 80;
/// The third message that a seed has may be in the second segment.
const SECOND_SEGMENT: u64 = 3;
/// Sequence and bytes of a message.
type Found = Vec<(u64, Vec<u8>)>;

/// In memory: nothing here is about disks.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let name = format!("strata-fuzz-store-{}", std::process::id());
    Path::new("/dev/shm").join(name)
});

fuzz_target!(init: seeds::write(seeds), |input: &[u8]| {
    let Some((split, bytes)) = input.split_first_chunk() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    let split = usize::from(u16::from_le_bytes(*split)).min(bytes.len());
    let (first, second) = bytes.split_at_mut(split);
    repair(first);
    repair(second);
    // The first gives the folder its marker.
    drop(Store::open(&FOLDER, LIMITS).unwrap());
    write(1, first);
    write(SECOND_SEGMENT, second);
    let found = messages();
    let store = Store::open(&FOLDER, LIMITS).unwrap();
    assert_eq!(messages(), found);
    let status = store.status();
    assert!(status.messages >= found.len() as u64);

    store.register("new").unwrap();
    let message = Message {
        start: 1,
        end: 2,
        samples: 3,
        bytes: b"appended".to_vec(),
    };
    match store.append(&[message]) {
        // The bytes may say that all sequences are used up.
        Err(StoreError::NotKept { .. }) => {}
        result => {
            result.unwrap();
            let stored = store.next("new").unwrap().unwrap();
            assert_eq!(stored.message.bytes, b"appended");
            assert!(found.last().is_none_or(|last| last.0 < stored.sequence));
            assert_eq!(messages().len(), found.len() + 1);
        }
    }
    let next = store.next("new").unwrap().map(|stored| stored.sequence);
    drop(store);
    let store = Store::open(&FOLDER, LIMITS).unwrap();
    // Nothing is half written any more.
    assert_eq!(store.status().dropped.get("half_written"), None);
    store.register("new").unwrap();
    assert_eq!(store.next("new").unwrap().map(|stored| stored.sequence), next);
    drop(store);
    fs::remove_dir_all(&*FOLDER).unwrap();
    planted(&found);
});

/// A checksum is not to be guessed: those of headers, and of what they say is theirs, are made right
/// if the byte behind the version says so.
fn repair(mut bytes: &mut [u8]) {
    while let Some((header, rest)) = bytes.split_at_mut_checked(HEADER_BYTES) {
        let length = u32::from_le_bytes([header[64], header[65], header[66], header[67]]) as usize;
        let length = length.min(rest.len());
        let (content, behind) = rest.split_at_mut(length);
        if header[6] == 0 {
            header[72..76].copy_from_slice(&crc32fast::hash(content).to_le_bytes());
            let checksum = crc32fast::hash(&header[..76]);
            header[76..].copy_from_slice(&checksum.to_le_bytes());
        }
        bytes = behind;
    }
}

fn write(first: u64, bytes: &[u8]) {
    let path = FOLDER.join(format!("{first:020}.segment"));
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

fn messages() -> Found {
    let mut found = Found::new();
    let all = read(&FOLDER, 0..u64::MAX, |stored| {
        found.push((stored.sequence, stored.message.bytes));
        ControlFlow::Continue(())
    });
    assert_eq!(all.unwrap().messages, found.len() as u64);
    found
}

/// The bug put in on purpose: a message whose sequence is far from the one's before it.
fn planted(found: &Found) {
    let far = |pair: &[(u64, Vec<u8>)]| pair[1].0 - pair[0].0 > 3;
    let reached = found.windows(2).any(far);
    let sequences: Vec<u64> = found.iter().map(|(sequence, _)| *sequence).collect();
    assert!(
        !(cfg!(feature = "planted") && reached),
        "planted: {sequences:?}"
    );
}

/// What a store writes, in one segment and in two, and cut off.
fn seeds() -> Vec<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("strata-seeds-{}", std::process::id()));
    let store = Store::open(&folder, LIMITS).unwrap();
    let path = folder.join(format!("{:020}.segment", 1));
    let mut segment = Vec::new();
    let mut seeds = Vec::new();
    for number in 0..3 {
        let message = Message {
            start: number,
            end: number + 1,
            samples: number,
            bytes: vec![number as u8; 20 * number as usize],
        };
        store.append(&[message]).unwrap();
        let before = segment.len() as u16;
        segment = fs::read(&path).unwrap();
        for split in [before, u16::MAX] {
            seeds.push([&split.to_le_bytes(), &segment[..]].concat());
        }
    }
    seeds.push([&[255, 255], &segment[..segment.len() - 9]].concat());
    drop(store);
    fs::remove_dir_all(&folder).unwrap();
    seeds
}
