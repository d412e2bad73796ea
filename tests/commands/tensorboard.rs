//! The event files of `train --tensorboard`, read without anything that wrote them.

use std::collections::BTreeMap;

use super::support::Bench;
use super::train::{bench, segment};

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// The records of a file; fails where lengths or checksums are not right.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let check = |bytes: &[u8], found: &[u8]| {
        let masked = crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked, u32::from_le_bytes(found.try_into().unwrap()));
    };
    let (mut at, mut records) = (0, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        check(&bytes[at..at + 8], &bytes[at + 8..at + 12]);
        let record = &bytes[at + 12..at + 12 + length];
        check(record, &bytes[at + 12 + length..at + 16 + length]);
        records.push(record);
        at += 16 + length;
    }
    records
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
}

impl Field {
    fn number(&self) -> u64 {
        match self {
            Field::Number(value) => *value,
            other => panic!("{other:?} is no number"),
        }
    }

    fn float(&self) -> f32 {
        match self {
            Field::Fixed(bytes) => f32::from_le_bytes(bytes[..].try_into().unwrap()),
            other => panic!("{other:?} is no float"),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Field::Bytes(bytes) => bytes,
            other => panic!("{other:?} are no bytes"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

/// The fields of a protocol buffer, with their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    }
    fn take(bytes: &mut &[u8], count: usize) -> Vec<u8> {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken.to_vec()
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Fixed(take(&mut bytes, 8)),
            2 => {
                let count = varint(&mut bytes) as usize;
                Field::Bytes(take(&mut bytes, count))
            }
            5 => Field::Fixed(take(&mut bytes, 4)),
            kind => panic!("fields of kind {kind} are not written"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn field(message: &[(u64, Field)], number: u64) -> &Field {
    &message
        .iter()
        .find(|(found, _)| *found == number)
        .unwrap_or_else(|| panic!("no {number} in {message:?}"))
        .1
}

/// What the event files of a run say, in the order of their names.
#[derive(Default)]
struct Events {
    versions: usize,
    starts: Vec<u64>,
    /// By name: steps and values.
    scalars: BTreeMap<String, Vec<(u64, f32)>>,
    /// Steps, heights, widths and files.
    images: Vec<(u64, usize, usize, Vec<u8>)>,
}

fn events(bench: &Bench, run: &str) -> Events {
    let mut events = Events::default();
    for name in bench.names(run).iter().filter(|name| name.contains("tfevents")) {
        let bytes = std::fs::read(bench.path(&format!("{run}/{name}"))).unwrap();
        for record in records(&bytes) {
            let event = fields(record);
            let Field::Fixed(time) = field(&event, 1) else { panic!("no time") };
            let time = f64::from_le_bytes(time[..].try_into().unwrap());
            assert!((1.7e9..1e10).contains(&time), "{time} seconds since 1970");
            let step = field(&event, 2).number();
            match &event[2] {
                (3, version) => {
                    assert_eq!(version.text(), "brain.Event:2");
                    events.versions += 1;
                }
                (7, session) => {
                    assert_eq!(fields(session.bytes()), [(1, Field::Number(1))]);
                    events.starts.push(step);
                }
                (5, summary) => {
                    for (number, value) in fields(summary.bytes()) {
                        assert_eq!(number, 1);
                        let value = fields(value.bytes());
                        let name = field(&value, 1).text();
                        if let Some((_, image)) = value.iter().find(|(number, _)| *number == 4) {
                            assert_eq!(name, "preview");
                            let image = fields(image.bytes());
                            let side = |number| field(&image, number).number() as usize;
                            assert_eq!(side(3), 3, "RGB");
                            events.images.push((step, side(1), side(2), field(&image, 4).bytes().to_vec()));
                        } else {
                            events.scalars.entry(name).or_default().push((step, field(&value, 2).float()));
                        }
                    }
                }
                other => panic!("an event of another kind: {other:?}"),
            }
        }
    }
    events
}

const RUN: &str = "--val-images val --val-targets val_labels --validate-every 1 --depth 3 --device cpu --crop 16 --tensorboard";

#[test]
fn event_files_hold_the_history_and_the_preview() {
    let bench = bench();
    bench.succeeds(&segment(&format!("{RUN} --max-epochs 3 --out run")));
    let first = events(&bench, "run");
    assert_eq!((first.versions, &first.starts[..]), (1, &[1][..]));
    bench.succeeds("train --resume run --max-epochs 5");
    let events = events(&bench, "run");

    let history = std::fs::read_to_string(bench.path("run/history.csv")).unwrap();
    let rows: Vec<Vec<&str>> = history.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 6);
    let names = [
        ("loss/training", "training_loss"),
        ("loss/validation", "validation_loss"),
        ("learning_rate", "learning_rate"),
        ("validation/mean_iou", "mean_iou"),
        ("validation/mean_dice", "mean_dice"),
        ("validation/class_accuracy", "class_accuracy"),
        ("validation/global_accuracy", "global_accuracy"),
    ];
    assert_eq!(events.scalars.len(), names.len());
    for (name, column) in names {
        let column = rows[0].iter().position(|found| *found == column).unwrap();
        let wanted: Vec<(u64, f32)> =
            rows[1..].iter().map(|row| (row[1].parse().unwrap(), row[column].parse().unwrap())).collect();
        assert_eq!(events.scalars[name], wanted, "{name}");
    }

    // The second file starts where the first one ended.
    let end = rows[3][1].parse::<u64>().unwrap();
    assert_eq!((events.versions, &events.starts[..]), (2, &[1, end + 1][..]));

    let (_, height, width, png) = events.images.last().unwrap();
    assert_eq!(png, &std::fs::read(bench.path("run/preview.png")).unwrap());
    assert_eq!(bench.read("run/preview.png").dim(), (3, *height, *width));
}

#[test]
fn a_run_shows_only_what_it_is_asked_to() {
    let bench = bench();
    let plain = RUN.replace("--tensorboard", "--max-steps 3 --out run");
    bench.succeeds(&segment(&plain));
    assert!(!bench.names("run").iter().any(|name| name.contains("tfevents")));
    // Looking on does not change the run.
    bench.succeeds("train --resume run --max-steps 8 --tensorboard");
    assert!(bench.names("run").iter().any(|name| name.contains("tfevents")));
}
