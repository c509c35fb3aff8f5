//! Segments that are cut off or changed.

use super::*;

/// The content of a segment with messages 0, 1, 2 …
fn segment_of(count: u64) -> Vec<u8> {
    let folder = fast_folder();
    let store = open(folder.path());
    store.append(&messages(0..count)).unwrap();
    let files = segments(folder.path());
    assert_eq!(files.len(), 1);
    fs::read(&files[0]).unwrap()
}

fn ends(segment: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = 0;
    while let Some(header) = segment[end..].first_chunk() {
        end += record::Header::parse(header).unwrap().record_bytes() as usize;
        ends.push(end);
    }
    assert_eq!(end, segment.len());
    ends
}

#[test]
fn a_segment_cut_off_anywhere_keeps_what_is_whole() {
    let folder = fast_folder();
    drop(open(folder.path()));
    let whole = segment_of(3);
    let ends = ends(&whole);
    let path = folder.path().join(segment::name(1));
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        private(&path);
        let kept = ends.iter().filter(|&&end| end <= length).count() as u64;
        let cut = u64::from(length > 0 && !ends.contains(&length));
        // Somebody who reads meanwhile takes it for a message that is just being written.
        assert_eq!(numbers(folder.path()), (0..kept).collect::<Vec<_>>());
        let store = open(folder.path());
        let half_written = store.status().dropped.get("half_written").copied();
        assert_eq!(half_written.unwrap_or(0), cut, "at {length}");
        assert_eq!(store.status().messages, kept);
        store.append(&[sized(9, 100)]).unwrap();
        drop(store);
        // Once more: it was cut off for good.
        let store = open(folder.path());
        assert_eq!(dropped(&store), []);
        drop(store);
        let mut expected: Vec<u64> = (0..kept).collect();
        expected.push(9);
        assert_eq!(numbers(folder.path()), expected);
        for file in segments(folder.path()) {
            fs::remove_file(file).unwrap();
        }
    }
}

/// One byte is changed, of a segment that is not the last. What is read is as it was written; if the
/// bytes of a message are damaged, that one is lost; if its header is, those behind it in the
/// segment are lost as well. Readers, destinations and the store agree.
#[test]
fn a_changed_byte_loses_what_it_is_in() {
    let folder = fast_folder();
    let store = open(folder.path());
    store.register("collector").unwrap();
    store.append(&messages(0..3)).unwrap();
    drop(store);
    let store = open(folder.path());
    store.append(&messages(3..4)).unwrap();
    drop(store);
    let path = segments(folder.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let ends = ends(&whole);
    let cursor = folder.path().join(cursor::file_name("collector"));
    let at_first = fs::read(&cursor).unwrap();
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 1 << (position % 8);
        fs::write(&path, changed).unwrap();
        fs::write(&cursor, &at_first).unwrap();
        let hit = ends.iter().filter(|&&end| end <= position).count() as u64;
        let begin = hit.checked_sub(1).map_or(0, |before| ends[before as usize]);
        let lost = match position - begin < record::HEADER_BYTES {
            true => 3 - hit,
            false => 1,
        };
        let expected: Vec<u64> = (0..4)
            .filter(|it| !(hit..hit + lost).contains(it))
            .collect();
        assert_eq!(look(folder.path()), (expected.clone(), lost));
        let store = open(folder.path());
        store.register("collector").unwrap();
        assert_eq!(drain(&store, "collector"), expected);
        assert_eq!(dropped(&store), [("damaged", lost)], "at {position}");
    }
}

/// The same in the last segment, which is read whole at opening.
#[test]
fn damage_in_the_middle_of_the_last_segment_is_no_half_written_end() {
    let folder = fast_folder();
    drop(open(folder.path()));
    let mut segment = segment_of(3);
    let ends = ends(&segment);
    segment[ends[1] - 1] ^= 4;
    let path = folder.path().join(segment::name(1));
    fs::write(&path, &segment).unwrap();
    private(&path);
    let store = open(folder.path());
    assert_eq!(dropped(&store), [("damaged", 1)]);
    assert_eq!(look(folder.path()), (vec![0, 2], 1));
}

/// Damaged while the store is open: found when a destination comes to it, counted once.
#[test]
fn damage_under_an_open_store_is_passed_over() {
    let folder = fast_folder();
    let store = open(folder.path());
    for destination in ["a", "b"] {
        store.register(destination).unwrap();
    }
    store.append(&messages(0..5)).unwrap();
    let path = segments(folder.path()).remove(0);
    let mut segment = fs::read(&path).unwrap();
    let ends = ends(&segment);
    segment[ends[1] - 1] ^= 4;
    segment[ends[2] + 5] ^= 4;
    fs::write(&path, &segment).unwrap();
    for destination in ["a", "b"] {
        assert_eq!(drain(&store, destination), [0, 2]);
        assert_eq!(store.status().destinations[destination].dropped, 3);
    }
    assert_eq!(dropped(&store), [("damaged", 3)]);
    store.append(&messages(5..6)).unwrap();
    assert_eq!(drain(&store, "a"), [5]);
}

#[test]
fn a_segment_that_somebody_took_away_holds_nothing_up() {
    let folder = fast_folder();
    let store = open(folder.path());
    store.register("a").unwrap();
    store.append(&messages(0..2)).unwrap();
    fs::remove_file(segments(folder.path()).remove(0)).unwrap();
    assert_eq!(drain(&store, "a"), [0_u64; 0]);
    assert_eq!(dropped(&store), [("damaged", 2)]);
    store.append(&messages(2..4)).unwrap();
    assert_eq!(numbers(folder.path()), [2, 3]);
    assert_eq!(drain(&store, "a"), [2, 3]);
}

/// A destination whose cursor is damaged gets all that is kept rather than less than it should.
#[test]
fn a_damaged_cursor_loses_no_message() {
    let folder = fast_folder();
    let store = open(folder.path());
    store.register("a").unwrap();
    store.append(&messages(0..3)).unwrap();
    store.acknowledge("a", 2).unwrap();
    drop(store);
    let path = folder.path().join(cursor::file_name("a"));
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 0x10;
        fs::write(&path, &changed[..whole.len() - position % 2]).unwrap();
        let store = open(folder.path());
        store.register("a").unwrap();
        assert_eq!(drain(&store, "a"), [0, 1, 2]);
    }
    fs::write(&path, &whole).unwrap();
    let store = open(folder.path());
    store.register("a").unwrap();
    assert_eq!(drain(&store, "a"), [2]);
}

/// Sequences are not given again after all segments were lost.
#[test]
fn a_destination_takes_what_comes_after_lost_segments() {
    let folder = fast_folder();
    let store = open(folder.path());
    store.register("a").unwrap();
    store.append(&messages(0..3)).unwrap();
    store.acknowledge("a", 3).unwrap();
    drop(store);
    fs::remove_file(segments(folder.path()).remove(0)).unwrap();
    let store = open(folder.path());
    store.append(&messages(3..5)).unwrap();
    store.register("a").unwrap();
    assert_eq!(drain(&store, "a"), [3, 4]);
}

/// As the store makes its own files.
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
