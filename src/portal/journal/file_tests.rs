//! Journals that were cut, damaged, and are whole.

use super::*;
use crate::portal::journal::entry::{Of, Polygon, Stroke};

fn stroke(number: u32) -> Entry {
    Entry::Stroke(Stroke {
        image: "i1".into(),
        slice: 0,
        class: Some(1),
        size: 9.1,
        points: vec![[f64::from(number), 0.1], [1.0 / 3.0, 12.3]],
        depth: 0,
        range: Some([0.1, 1e-7]),
    })
}

fn filled(path: &Path) -> Vec<Line> {
    let (mut journal, lines) = JournalFile::open(path).unwrap();
    assert!(lines.is_empty() && journal.hash().is_empty());
    let mut lines = journal.append("a", vec![stroke(1), stroke(2)]).unwrap();
    lines.extend(journal.append("b-1", vec![Entry::Undo(Of { of: 2 })]).unwrap());
    let points = vec![[0.5, 0.5]; 3];
    let polygon = Polygon { image: "\"ä\\".into(), slice: 1, class: None, points };
    lines.extend(journal.append("a", vec![Entry::Polygon(polygon)]).unwrap());
    assert_eq!(journal.seq(), 4);
    lines
}

#[test]
fn lines_come_back_and_the_chain_can_be_followed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let lines = filled(&path);
    let (journal, read) = JournalFile::open(&path).unwrap();
    assert_eq!(read, lines);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut hash = String::new();
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let found = value["hash"].as_str().unwrap();
        let without = line.replace(&format!(",\"hash\":\"{found}\""), "");
        hash = format!("{:x}", Sha256::digest(format!("{hash}{without}")));
        assert_eq!(found, hash);
    }
    assert_eq!(journal.hash(), hash);
    assert_eq!(journal.text_from(0).unwrap(), text.as_bytes());
    assert_eq!(journal.text_from(1).unwrap(), text.as_bytes());
    let last = text.lines().next_back().unwrap();
    assert_eq!(journal.text_from(4).unwrap(), format!("{last}\n").as_bytes());
    let found = journal.hashes(&[0, 4, 7].into()).unwrap();
    assert_eq!(found, [(4, hash)].into());
    assert!(journal.text_from(5).unwrap().is_empty() && journal.text_from(99).unwrap().is_empty());
}

#[test]
fn a_journal_that_was_cut_at_any_byte_has_all_whole_lines_and_takes_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let lines = filled(&path);
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        let ends = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
        // A line that has lost its line feed alone is a whole one.
        let whole = ends + usize::from(bytes[length] == b'\n');
        // What the disk had not written yet may be zeros.
        for tail in [&b""[..], b"\0\0\0\0", b"\0\n"] {
            std::fs::write(&path, [&bytes[..length], tail].concat()).unwrap();
            let (mut journal, read) = JournalFile::open(&path).unwrap();
            assert_eq!(read, lines[..whole], "cut at {length}");
            // Else thousands of names would be looked through.
            std::fs::remove_file(folder.path().join("journal.cut-1")).ok();
            if length % 41 == 0 {
                journal.append("c", vec![stroke(7)]).unwrap();
                drop(journal);
                let (journal, read) = JournalFile::open(&path).unwrap();
                assert_eq!((read.len(), journal.seq()), (whole + 1, whole as u64 + 1));
            }
        }
    }
}

#[test]
fn a_last_line_that_has_lost_its_line_feed_alone_is_kept_and_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let lines = filled(&path);
    let text = std::fs::read_to_string(&path).unwrap();
    let without = text.strip_suffix('\n').unwrap();
    for tail in ["", "\0\0\0", "\0\n"] {
        std::fs::write(&path, format!("{without}{tail}")).unwrap();
        assert_eq!(JournalFile::as_of(&path, "").unwrap().1, lines);
        let (journal, read) = JournalFile::open(&path).unwrap();
        assert_eq!((read, journal.text_from(0).unwrap()), (lines.clone(), text.clone().into_bytes()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        // Nothing was lost that would have to be kept.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    // What is behind such a line is kept.
    std::fs::write(&path, format!("{without}\0{{\"seq\":6")).unwrap();
    assert_eq!(JournalFile::open(&path).unwrap().1, lines);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let kept = std::fs::read_to_string(folder.path().join("journal.cut-1")).unwrap();
    assert_eq!(kept, "\0{\"seq\":6");
    // A text that was changed is no whole line.
    std::fs::write(&path, without.replace("\"slice\":1", "\"slice\":2")).unwrap();
    assert_eq!(JournalFile::open(&path).unwrap().1, lines[..3]);
}

#[test]
fn lines_may_end_as_on_windows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let lines = filled(&path);
    let text = std::fs::read_to_string(&path).unwrap().replace('\n', "\r\n");
    std::fs::write(&path, &text).unwrap();
    let (mut journal, read) = JournalFile::open(&path).unwrap();
    assert_eq!(read, lines);
    let past = JournalFile::as_of(&path, journal.hash()).unwrap();
    assert_eq!(past.1, lines);
    let more = journal.append("a", vec![stroke(9)]).unwrap();
    assert_eq!(JournalFile::open(&path).unwrap().1, [lines, more].concat());
    assert!(std::fs::read_to_string(&path).unwrap().starts_with(&text));
}

#[test]
fn what_is_cut_off_is_kept_under_a_free_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    filled(&path);
    let text = std::fs::read_to_string(&path).unwrap();
    for (number, torn) in ["{\"seq\":5,\"tab", "\0\0\0\n\0"].into_iter().enumerate() {
        std::fs::write(&path, format!("{text}{torn}")).unwrap();
        assert_eq!(JournalFile::open(&path).unwrap().1.len(), 4);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let kept = folder.path().join(format!("journal.cut-{}", number + 1));
        assert_eq!(std::fs::read_to_string(kept).unwrap(), torn);
    }
}

#[test]
fn a_journal_can_be_read_as_it_was_while_another_program_writes_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let lines = filled(&path);
    let whole = std::fs::read_to_string(&path).unwrap();
    let hash = |line: &str| parted(line).unwrap().1.to_owned();
    let hashes: Vec<String> = whole.lines().map(hash).collect();
    std::fs::write(&path, format!("{whole}{{\"seq\":5,\"tab")).unwrap();
    for (count, hash) in hashes.iter().enumerate() {
        for given in [hash.as_str(), &hash[..12]] {
            let (mut journal, read) = JournalFile::as_of(&path, given).unwrap();
            assert_eq!((&read[..], journal.hash()), (&lines[..=count], hash.as_str()));
            assert!(journal.append("a", vec![stroke(3)]).is_err());
        }
    }
    assert_eq!(JournalFile::as_of(&path, "").unwrap().1, lines);
    for unknown in ["0123456789abcdef", "\"", "x"] {
        let error = JournalFile::as_of(&path, unknown).unwrap_err().to_string();
        assert!(error.contains("hash that begins with"), "{error}");
    }
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("\"tab"));
}

#[test]
fn damage_of_a_whole_line_is_told_and_nothing_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    filled(&path);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let swapped = [lines[1], lines[0], lines[2], lines[3], ""].join("\n");
    let dropped = [lines[0], lines[2], lines[3], ""].join("\n");
    let hash = parted(lines[3]).unwrap().1;
    for damaged in [
        text.replacen("12.3", "12.4", 1),
        swapped,
        dropped,
        format!("\n{text}"),
        // The last line, by its text and by its hash.
        text.replace("\"slice\":1", "\"slice\":2"),
        text.replace(hash, &hash.chars().rev().collect::<String>()),
        format!("{text}nonsense\n"),
    ] {
        assert_ne!(damaged, text);
        std::fs::write(&path, &damaged).unwrap();
        let error = JournalFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("line ") && error.contains("put back a copy"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
