//! Files that say what cannot be, or stand for far more than they should: each with words for what is wrong.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::readers::pack;

pub type Files = Vec<(String, Vec<u8>)>;

fn named(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Files {
    files.into_iter().map(|(what, bytes)| (what.to_owned(), bytes)).collect()
}

/// A file of the tests.
fn stored(path: &str) -> Vec<u8> {
    kept(&format!("tests/{path}"))
}

/// A file of this project.
fn kept(path: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Many zeros, packed by deflate.
fn zlib_bomb(bytes: usize) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    write_zeros(&mut packed, bytes);
    packed.finish().unwrap()
}

fn write_zeros(to: &mut impl Write, bytes: usize) {
    let zeros = vec![0; 1 << 20];
    for start in (0..bytes).step_by(zeros.len()) {
        to.write_all(&zeros[..zeros.len().min(bytes - start)]).unwrap();
    }
}

/// `start` and many zeros behind it, packed by gzip.
fn gzip(start: &[u8], zeros: usize) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(start).unwrap();
    write_zeros(&mut packed, zeros);
    packed.finish().unwrap()
}

/// A frame of zstd whose `blocks` stand for 128 KiB each.
fn zstd_bomb(blocks: usize, window: u8) -> Vec<u8> {
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window];
    for number in 0..blocks {
        let head = u32::from(number + 1 == blocks) | 1 << 1 | (128 << 10) << 3;
        packed.extend(&head.to_le_bytes()[..3]);
        packed.push(0);
    }
    packed
}

/// Zeros as LZW codes of ever longer texts, `codes` of them.
fn lzw_bomb(codes: u32) -> Vec<u8> {
    let (mut packed, mut bits, mut count) = (Vec::new(), 0_u64, 0);
    let mut add = |code: u32, width: u32| {
        bits = bits << width | u64::from(code);
        count += width;
        while count >= 8 {
            count -= 8;
            packed.push((bits >> count) as u8);
        }
    };
    add(256, 9);
    add(0, 9);
    for code in 258..258 + codes {
        // The width grows one code early, as TIFF has it.
        add(code.min(4095), (32 - (code + 1).leading_zeros()).clamp(9, 12));
    }
    packed
}

const SHORT: u16 = 3;
const LONG: u16 = 4;
/// Where the data of [`page`] begin where it has so many tags.
fn data_place(tags: usize) -> u32 {
    (8 + 2 + 12 * tags + 4) as u32
}

/// A TIFF file of one page with these tags (number, type, count, value) and `data` behind them.
fn page(tags: &[(u16, u16, u32, u32)], next: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in tags {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(next.to_le_bytes());
    bytes.extend(data);
    bytes
}

/// A grey page of `side` x `side` pixels of 8 bits in one strip.
fn grey(side: u32, compression: u32, data: &[u8]) -> Vec<u8> {
    grey_with(side, compression, data, &[])
}

/// As [`grey`], with more tags or others of the same numbers.
fn grey_with(side: u32, compression: u32, data: &[u8], others: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let plain = [
        (256, LONG, 1, side),
        (257, LONG, 1, side),
        (258, SHORT, 1, if matches!(compression, 3 | 4) { 1 } else { 8 }),
        (259, SHORT, 1, compression),
        (262, SHORT, 1, 1),
        (273, LONG, 1, 0),
        (277, SHORT, 1, 1),
        (278, LONG, 1, side),
        (279, LONG, 1, data.len() as u32),
    ];
    let mut tags = plain.to_vec();
    tags.retain(|tag| others.iter().all(|other| other.0 != tag.0));
    tags.extend(others);
    tags.sort();
    let place = data_place(tags.len());
    for tag in tags.iter_mut().filter(|tag| tag.0 == 273 && tag.2 == 1 && tag.3 == 0) {
        tag.3 = place;
    }
    page(&tags, 0, data)
}

/// A page whose description is `text`.
fn described(text: &str) -> Vec<u8> {
    let mut data = vec![7; 64];
    data.extend(text.bytes());
    // One tag more than a plain page has.
    let place = data_place(10);
    grey_with(8, 1, &data, &[(270, 2, text.len() as u32, place + 64), (279, LONG, 1, 64)])
}

pub fn tiff() -> Files {
    let zeros = [0; 64];
    let mut files = named([
        ("a chain of directories that comes back", {
            let second = data_place(1);
            let mut bytes = page(&[(256, LONG, 1, 8)], second, &[]);
            bytes.extend([0, 0]);
            bytes.extend(8_u32.to_le_bytes());
            bytes.extend(zeros);
            bytes
        }),
        ("smaller versions that are the page itself", grey_with(8, 1, &zeros, &[(330, 13, 1, 8)])),
        ("smaller versions without number", grey_with(8, 1, &zeros, &[(330, 13, u32::MAX, 8)])),
        ("strips that lie behind the end", grey_with(8, 1, &zeros, &[(273, LONG, 1, 1 << 30)])),
        ("a strip that is longer than the file", grey_with(8, 1, &zeros, &[(279, LONG, 1, u32::MAX)])),
        ("a strip that begins in the header", grey_with(8, 1, &zeros, &[(273, LONG, 1, 4)])),
        ("2^31 x 2^31 pixels", grey(1 << 31, 1, &zeros)),
        ("2^31 x 2^31 pixels in zstd", grey(1 << 31, 50000, &zeros)),
        ("60000 x 60000 pixels in a few bytes", grey(60000, 1, &zeros)),
        ("tiles of 2^31 pixels", {
            grey_with(8, 8, &zeros, &[(322, LONG, 1, 1 << 31), (323, LONG, 1, 1 << 31), (324, LONG, 1, 200)])
        }),
        ("65535 channels", grey_with(8, 1, &zeros, &[(277, SHORT, 1, 65535)])),
        ("rows without number in a strip", grey_with(8, 1, &zeros, &[(278, LONG, 1, u32::MAX)])),
        ("a strip for each row, all in one place", {
            let side = 4000;
            let mut data: Vec<u8> = zlib_bomb(1 << 22);
            let length = data.len() as u32;
            let place = data_place(9);
            let lists = place + length;
            (0..side).for_each(|_| data.extend(place.to_le_bytes()));
            (0..side).for_each(|_| data.extend(length.to_le_bytes()));
            let strips = [(273, LONG, side, lists), (279, LONG, side, lists + 4 * side), (278, LONG, 1, 1)];
            grey_with(side, 8, &data, &strips)
        }),
        ("deflate that stands for more", grey(8, 8, &zlib_bomb(16 << 20))),
        ("LZW that stands for more", grey(8, 5, &lzw_bomb(20_000))),
        ("zstd that stands for more", grey(8, 50000, &zstd_bomb(2000, 0x50))),
        ("zstd with a window of terabytes", grey(8, 50000, &zstd_bomb(1, 0xff))),
        ("zstd with a window of 100 MB", grey(8, 50000, &zstd_bomb(1, 0x80))),
        ("PackBits that stand for more", grey(8, 32773, &[129, 0].repeat(5000))),
        ("20000 x 20000 pixels in zstd that end early", grey(20000, 50000, &zstd_bomb(2000, 0x50))),
        ("20000 x 20000 pixels in LZW that end early", grey(20000, 5, &lzw_bomb(5000))),
        ("60000 x 60000 pixels in facsimile of two dimensions", grey(60000, 4, &[0x55; 6000])),
        ("60000 x 60000 pixels in facsimile of one dimension", grey(60000, 3, &[0x55; 6000])),
        ("60000 x 60000 pixels in JPEG", grey(60000, 7, &jpeg(60000, 60000, 0xc0))),
        ("a size that another strip of JPEG has", grey(8, 7, &jpeg(60000, 60000, 0xc0))),
        ("ImageJ with very many images", described("ImageJ=1.5\nimages=4000000000\nslices=4000000000\n")),
        ("tifffile with very many pages", {
            described(r#"{"shape": [9999999, 9999999, 8, 8], "axes": "TZYX", "truncated": true}"#)
        }),
        ("JSON inside JSON", described(&"{\"shape\":[".repeat(20_000))),
    ]);
    for tag in [256, 257, 258, 259, 270, 273, 277, 278, 279, 325, 330, 338, 339, 347] {
        for kind in [1, 2, SHORT, LONG, 5, 16] {
            let what = format!("2^32 values of type {kind} in tag {tag}");
            files.push((what, grey_with(8, 1, &zeros, &[(tag, kind, u32::MAX, 8)])));
        }
    }
    let ome = |inside: &str| described(&format!("<?xml version=\"1.0\"?><OME>{inside}</OME>"));
    let pixels = |sizes: &str, inside: &str| {
        ome(&format!(
            "<Image><Pixels DimensionOrder=\"XYZCT\" Type=\"uint8\" {sizes}>{inside}</Pixels></Image>"
        ))
    };
    let sizes = |z: u64| format!("SizeX=\"8\" SizeY=\"8\" SizeZ=\"{z}\" SizeC=\"1\" SizeT=\"1\"");
    files.extend(named([
        ("OME-XML of very many planes", pixels(&sizes(1_000_000), "<TiffData/>")),
        ("OME-XML of more planes than can be counted", pixels(&sizes(u64::MAX), "<TiffData/>")),
        ("OME-XML that counts pages without end", {
            pixels(&sizes(900_000), &"<TiffData IFD=\"0\" PlaneCount=\"900000\"/>".repeat(1000))
        }),
        ("OME-XML of very many series", {
            let series = format!("<Image><Pixels DimensionOrder=\"XYZCT\" {}/></Image>", sizes(100_000));
            ome(&series.repeat(2000))
        }),
        ("OME-XML with very many attributes", {
            let attributes: Vec<String> = (0..50_000).map(|n| format!("a{n}=\"1\"")).collect();
            pixels(&format!("{} {}", attributes.join(" "), sizes(1)), "<TiffData/>")
        }),
        ("OME-XML with very many elements with attributes", {
            pixels(&sizes(2), &format!("<TiffData {}/>", "b=\"2\" ".repeat(20)).repeat(5000))
        }),
        ("OME-XML whose elements do not end", ome(&"<Image><Pixels ".repeat(20_000))),
        ("OME-XML whose quotes do not end", ome(&"<Image ID=\"".repeat(20_000))),
    ]));
    files
}

/// A JPEG stream of this size with tables and a scan of a few bytes; `frame` is the marker of its kind.
fn jpeg(width: u16, height: u16, frame: u8) -> Vec<u8> {
    jpeg_of(width, height, frame, &[(1, 0x11)], &jpeg_scan(&[1], frame, &[0; 500]))
}

/// A JPEG stream of this size, of channels of these names and samplings, with tables in which a bit that is 0 is the only code: for no
/// difference to the block before, and for nothing else in the block.
fn jpeg_of(width: u16, height: u16, frame: u8, channels: &[(u8, u8)], scans: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    bytes.extend([1; 64]);
    bytes.extend([0xff, frame, 0, 8 + 3 * channels.len() as u8, 8]);
    bytes.extend(height.to_be_bytes());
    bytes.extend(width.to_be_bytes());
    bytes.push(channels.len() as u8);
    channels.iter().for_each(|(name, sampling)| bytes.extend([*name, *sampling, 0]));
    for class in [0x00, 0x10] {
        bytes.extend([0xff, 0xc4, 0, 20, class, 1]);
        bytes.extend([0; 16]);
    }
    bytes.extend(scans);
    bytes.extend([0xff, 0xd9]);
    bytes
}

/// A scan of channels of these names; a progressive one is of the first numbers of their blocks.
fn jpeg_scan(channels: &[u8], frame: u8, codes: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xda, 0, 6 + 2 * channels.len() as u8, channels.len() as u8];
    channels.iter().for_each(|name| bytes.extend([*name, 0]));
    bytes.extend([0, if frame == 0xc2 { 0 } else { 63 }, 0]);
    bytes.extend(codes);
    bytes
}

/// A marker that says after how many units of a scan decoding begins anew, and the scan of these codes that is divided so.
fn jpeg_with_restarts(interval: u16, codes: &[u8], count: usize) -> Vec<u8> {
    let mut scan = vec![0xff, 0xdd, 0, 4];
    scan.extend(interval.to_be_bytes());
    let parts = (0..count).flat_map(|part| [codes, &[0xff, 0xd0 + (part % 8) as u8]].concat());
    scan.extend(jpeg_scan(&[1], 0xc0, &parts.collect::<Vec<u8>>()));
    scan
}

fn png_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(content);
    let mut chunk = (content.len() as u32).to_be_bytes().to_vec();
    chunk.extend(kind);
    chunk.extend(content);
    chunk.extend(sum.sum().to_be_bytes());
    chunk
}

/// A grey PNG file of `side` x `side` pixels of 8 bits with `others` before its pixels, which are `pixels` packed.
fn png(side: u32, others: &[u8], pixels: &[u8]) -> Vec<u8> {
    let mut header = [side.to_be_bytes(), side.to_be_bytes()].concat();
    header.extend([8, 0, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(png_chunk(b"IHDR", &header));
    bytes.extend(others);
    bytes.extend(png_chunk(b"IDAT", pixels));
    bytes.extend(png_chunk(b"IEND", &[]));
    bytes
}

pub fn pictures() -> Files {
    let pixels = zlib_bomb(72);
    let bomb = zlib_bomb(64 << 20);
    let text = png_chunk(b"zTXt", &[b"Comment\0\0", bomb.as_slice()].concat());
    let profile = png_chunk(b"iCCP", &[b"icc\0\0", bomb.as_slice()].concat());
    let international = png_chunk(b"iTXt", &[b"Comment\0\x01\0\0\0", bomb.as_slice()].concat());
    named([
        ("PNG of 60000 x 60000 pixels in a few bytes", png(60000, &[], &pixels)),
        ("PNG of 2^31 x 2^31 pixels", png(1 << 31, &[], &pixels)),
        ("PNG whose pixels stand for more", png(8, &[], &bomb)),
        ("PNG with a text that stands for more", png(8, &text, &pixels)),
        ("PNG with many texts that stand for more", png(8, &text.repeat(20), &pixels)),
        ("PNG with a text of any language that stands for more", png(8, &international, &pixels)),
        ("PNG with a colour profile that stands for more", png(8, &profile, &pixels)),
        ("PNG with a chunk of 4 GB", {
            let mut bytes = png(8, &[], &pixels);
            bytes[33..37].copy_from_slice(&u32::MAX.to_be_bytes());
            bytes
        }),
        ("JPEG of 60000 x 60000 pixels in a few bytes", jpeg(60000, 60000, 0xc0)),
        ("progressive JPEG of 60000 x 60000 pixels in a few bytes", jpeg(60000, 60000, 0xc2)),
        ("JPEG of 20000 x 20000 pixels in 300 KB", {
            jpeg_of(20_000, 20_000, 0xc0, &[(1, 0x11)], &jpeg_scan(&[1], 0xc0, &[0; 300_000]))
        }),
        ("progressive JPEG with very many scans", {
            let scans = jpeg_scan(&[1], 0xc2, &[0; 8]).repeat(20_000);
            jpeg_of(64, 64, 0xc2, &[(1, 0x11)], &scans)
        }),
        ("JPEG with tables behind tables", {
            let mut bytes = vec![0xff, 0xd8];
            bytes.extend([0xff, 0xc4, 0, 2].repeat(20_000));
            bytes
        }),
    ])
}

/// The header of an NPY file of bytes of this shape.
fn npy(shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

/// A zip file of one entry, `packed` by deflate, which says that it has `bytes` unpacked.
fn zip(name: &str, packed: &[u8], bytes: u32) -> Vec<u8> {
    let mut sizes = 0_u32.to_le_bytes().to_vec();
    sizes.extend((packed.len() as u32).to_le_bytes());
    sizes.extend(bytes.to_le_bytes());
    sizes.extend((name.len() as u16).to_le_bytes());
    sizes.extend([0, 0]);
    let mut file = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    file.extend(&sizes);
    file.extend(name.bytes());
    file.extend(packed);
    let directory = file.len() as u32;
    file.extend(b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0");
    file.extend(&sizes);
    file.extend([0; 14]);
    file.extend(name.bytes());
    let length = file.len() as u32 - directory;
    file.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    file.extend(length.to_le_bytes());
    file.extend(directory.to_le_bytes());
    file.extend([0, 0]);
    file
}

fn deflated(start: &[u8], zeros: usize) -> Vec<u8> {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(start).unwrap();
    write_zeros(&mut packed, zeros);
    packed.finish().unwrap()
}

/// `bytes` with `new` at `place`.
fn with(mut bytes: Vec<u8>, place: usize, new: &[u8]) -> Vec<u8> {
    bytes[place..place + new.len()].copy_from_slice(new);
    bytes
}

pub fn arrays() -> Files {
    let mrc = || stored("corpus/mrc/u2.mrc");
    let nifti = || stored("corpus/nifti/u2.nii");
    let whole = |value: i32| value.to_le_bytes();
    let many_slices = format!("({}, 2, 2)", 1_u64 << 40);
    let entry = npy("(8, 8)");
    let mut files = named([
        ("NPY of 2^40 numbers", npy("(1048576, 1048576)")),
        ("NPY of 2^40 slices", npy(&many_slices)),
        ("NPY of more numbers than can be counted", npy("(9223372036854775807, 9223372036854775807)")),
        ("NPY with a header inside headers", npy(&"(".repeat(60_000))),
        ("NPY with a shape of very many axes", npy(&format!("({})", "1,".repeat(30_000)))),
        ("NPZ with an entry that stands for more", zip("a.npy", &deflated(&entry, 64 << 20), 200)),
        ("NPZ of 2^40 numbers", zip("a.npy", &deflated(&npy("(1048576, 1048576)"), 64 << 20), u32::MAX)),
        ("NPZ with an entry that is no array", zip("a.npy", &deflated(&[], 64 << 20), 200)),
        ("NPZ with an entry that ends early", zip("a.npy", &deflated(&entry, 3), 200)),
        ("MRC of 2^24 x 2^24 pixels", with(mrc(), 0, &[whole(1 << 24), whole(1 << 24)].concat())),
        ("MRC of 2^31 slices", with(mrc(), 8, &whole(i32::MAX))),
        ("MRC with further headers of 2 GB", with(mrc(), 92, &whole(i32::MAX))),
        ("MRC with further headers of a negative length", with(mrc(), 92, &whole(i32::MIN))),
        ("NIfTI of 32767 x 32767 x 32767 numbers", {
            with(nifti(), 42, &[32767_i16.to_le_bytes(); 7].concat())
        }),
        ("NIfTI with numbers that begin at 2^60", with(nifti(), 108, &(2_f32.powi(60)).to_le_bytes())),
        ("NIfTI with an extension of 2 GB", {
            let mut bytes = with(nifti(), 348, &[1, 0, 0, 0]);
            bytes.extend([whole(i32::MAX), whole(4)].concat());
            bytes
        }),
    ]);
    let starts = [
        ("NPY", npy("(8, 8)")),
        ("NPY of 2^40 numbers", npy("(1048576, 1048576)")),
        ("NPY of 2 GB", npy("(8, 16384, 16384)")),
        ("MRC", mrc()),
        ("MRC of 2^24 x 2^24 pixels", with(mrc(), 0, &[whole(1 << 24), whole(1 << 24)].concat())),
        ("MRC with further headers of 2 GB", with(mrc(), 92, &whole(i32::MAX))),
        ("NIfTI", nifti()),
        ("NIfTI with numbers that begin at 2^40", with(nifti(), 108, &(2_f32.powi(40)).to_le_bytes())),
        ("nothing", Vec::new()),
    ];
    for (what, start) in starts {
        files.push((format!("gzip of {what} and zeros"), gzip(&start, 64 << 20)));
        files.push((format!("gzip of {what} inside gzip"), gzip(&gzip(&start, 64 << 20), 1 << 20)));
    }
    files
}

/// The places of all numbers of `width` bytes in `bytes` that are `value`.
fn places_of(bytes: &[u8], value: u64, width: usize) -> Vec<usize> {
    (0..bytes.len().saturating_sub(width))
        .filter(|at| bytes[*at..at + width] == value.to_le_bytes()[..width])
        .collect()
}

/// Each node of a tree of HDF5 as its own child, neighbour and all.
fn circles(name: &str, whole: &[u8]) -> Files {
    let mut files = Vec::new();
    for mark in [b"TREE", b"HEAP", b"SNOD", b"OHDR", b"FRHP", b"BTHD", b"FAHD", b"EAHD"] {
        let found = whole.windows(4).enumerate().filter(|(_, four)| *four == mark).map(|(at, _)| at);
        for node in found {
            for place in (node + 4..(node + 96).min(whole.len() - 8)).step_by(4) {
                let what = format!("{name}: {} at {node} is named at {place}", mark.escape_ascii());
                files.push((what, with(whole.to_vec(), place, &(node as u64).to_le_bytes())));
            }
            let most = with(whole.to_vec(), node + 6, &u16::MAX.to_le_bytes());
            files.push((format!("{name}: the node at {node} has 65535 entries"), most));
        }
    }
    files
}

/// Scans in HDF5: circles, and lengths that are none.
pub fn scans() -> Files {
    let mut files = Vec::new();
    for name in ["als", "dxchange", "dxchange_steps", "nxtomo"] {
        let whole = kept(&format!(
            "fuzz/corpus/scan/{}",
            if name == "nxtomo" { "nxtomo.nxs".into() } else { format!("{name}.h5") }
        ));
        files.extend(circles(name, &whole));
        // Six projections of 2 x 4 pixels.
        for value in [6_u64, 2, 4] {
            for place in places_of(&whole, value, 8).into_iter().filter(|at| at % 4 == 0) {
                for lie in [u64::MAX >> 1, 1 << 40, 1 << 20, 0] {
                    let what = format!("{name}: {lie} instead of {value} at byte {place}");
                    files.push((what, with(whole.clone(), place, &lie.to_le_bytes())));
                }
            }
        }
    }
    assert!(files.len() > 300, "{}", files.len());
    files
}

pub fn hdf5() -> Files {
    let mut files = Vec::new();
    for name in ["plain_earliest", "chunks_earliest", "scan_earliest", "chunks_v114"] {
        files.extend(circles(name, &stored(&format!("corpus/hdf5/{name}.h5"))));
    }
    // A header of an object that goes on in itself: messages of type 16 say where it goes on and how far.
    let whole = stored("corpus/hdf5/chunks_earliest.h5");
    for at in (96..whole.len() - 24).step_by(8) {
        if whole[at..at + 2] == [16, 0] && whole[at + 2..at + 4] == [16, 0] {
            for length in [1_u64 << 40, 4096, 24] {
                let to = [(at as u64).to_le_bytes(), length.to_le_bytes()].concat();
                let what = format!("a header that goes on at its own byte {at} with {length} bytes");
                files.push((what, with(whole.clone(), at + 8, &to)));
            }
        }
    }
    // Chunks and shapes of other lengths: 2, 4 and 3 are the lengths of a chunk, 5, 7 and 4 those of the whole.
    for (width, values) in [(4, [2_u64, 4, 3]), (8, [5, 7, 4])] {
        for value in values {
            for place in places_of(&whole, value, width).into_iter().filter(|at| at % 4 == 0) {
                for lie in [u64::MAX >> 1, 1 << 31, 1 << 20, 0] {
                    let what = format!("{lie} instead of {value} at byte {place}");
                    files.push((what, with(whole.clone(), place, &lie.to_le_bytes()[..width])));
                }
            }
        }
    }
    assert!(files.len() > 300, "{}", files.len());
    files
}

const BLOSC_OF_1_GB: [u8; 28] =
    [2, 1, 0, 2, 0, 0, 0, 64, 0, 0, 0, 64, 28, 0, 0, 0, 20, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255];

/// The metadata of an array of Zarr 3 of numbers of 16 bits.
fn array_json(shape: &str, chunk: &str, codecs: &str) -> String {
    format!(
        r#"{{"zarr_format":3,"node_type":"array","shape":{shape},"data_type":"uint16","chunk_grid":{{"name":"regular","configuration":{{"chunk_shape":{chunk}}}}},"chunk_key_encoding":{{"name":"default"}},"fill_value":0,"codecs":[{{"name":"bytes"}}{codecs}]}}"#
    )
}

/// An array of 8 x 8 numbers in one chunk.
fn array(codecs: &str, chunk: &[u8]) -> Vec<u8> {
    pack(&[("zarr.json", array_json("[8,8]", "[8,8]", codecs).as_bytes()), ("c/0/0", chunk)])
}

/// An array of 8 x 8 numbers in one shard of four chunks, whose list is `list`.
fn shards(list: &[u64], chunks: &[u8]) -> Vec<u8> {
    let json = r#"{"zarr_format":3,"node_type":"array","shape":[8,8],"data_type":"uint16","chunk_grid":{"name":"regular","configuration":{"chunk_shape":[8,8]}},"chunk_key_encoding":{"name":"default"},"fill_value":0,"codecs":[{"name":"sharding_indexed","configuration":{"chunk_shape":[4,4],"codecs":[{"name":"bytes"},{"name":"zstd"}],"index_codecs":[{"name":"bytes"}]}}]}"#;
    let list = list.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    pack(&[("zarr.json", json.as_bytes()), ("c/0/0", &[chunks, &list].concat())])
}

pub fn zarr() -> Files {
    let codec = |name: &str| format!(r#",{{"name":"{name}","configuration":{{}}}}"#);
    let json = |shape: &str, chunk: &str| pack(&[("zarr.json", array_json(shape, chunk, "").as_bytes())]);
    let large = |name: &str, chunk: &[u8]| {
        let json = array_json("[30000,30000]", "[30000,30000]", &codec(name));
        pack(&[("zarr.json", json.as_bytes()), ("c/0/0", chunk)])
    };
    let end = 4 * 16_u64;
    named([
        ("a chunk of zstd that stands for more", array(&codec("zstd"), &zstd_bomb(8000, 0x50))),
        ("a chunk of zstd with a window of terabytes", array(&codec("zstd"), &zstd_bomb(1, 0xff))),
        ("a chunk of zstd with a window of 100 MB", array(&codec("zstd"), &zstd_bomb(1, 0x80))),
        ("a chunk of gzip that stands for more", array(&codec("gzip"), &gzip(&[], 64 << 20))),
        ("a chunk of gzip inside gzip inside gzip", {
            array(&codec("gzip").repeat(3), &gzip(&gzip(&gzip(&[], 64 << 20), 0), 0))
        }),
        ("a chunk of zlib that stands for more", array(&codec("numcodecs.zlib"), &zlib_bomb(64 << 20))),
        ("a chunk of Blosc that says 1 GB", array(&codec("blosc"), &BLOSC_OF_1_GB)),
        ("a chunk of LZ4 that says 4 GB", array(&codec("numcodecs.lz4"), &[255; 64])),
        ("a chunk of 1.8 GB of Blosc in a few bytes", large("blosc", &BLOSC_OF_1_GB)),
        ("a chunk of 1.8 GB of LZ4 in a few bytes", large("numcodecs.lz4", &[0, 0x64, 0x48, 0x6b, 255, 255])),
        ("a chunk of 1.8 GB of zstd that ends early", large("zstd", &zstd_bomb(100, 0x50))),
        ("a chunk of 1.8 GB of gzip that ends early", large("gzip", &gzip(&[], 1 << 20))),
        ("an array of 8 x 8 in a chunk of 1.8 GB", {
            let json = array_json("[8,8]", "[30000,30000]", &codec("zstd"));
            pack(&[("zarr.json", json.as_bytes()), ("c/0/0", &zstd_bomb(13733, 0x50))])
        }),
        (
            "a shard whose chunks lie behind its end",
            shards(&[1 << 40, 64, u64::MAX - 1, 64, 0, u64::MAX - 1, 9, 9], &[0; 64]),
        ),
        ("a shard whose chunk is its own list", shards(&[end, 64, end, 64, 0, 1 << 62, end, 64], &[0; 64])),
        ("a shard whose chunks are one bomb", {
            let bomb = zstd_bomb(8000, 0x50);
            let length = bomb.len() as u64;
            shards(&[0, length, 0, length, 0, length, 0, length], &bomb)
        }),
        ("shards of very many chunks", {
            let json = array_json("[8,8]", "[1048576,1048576]", "").replace(
                r#"{"name":"bytes"}"#,
                r#"{"name":"sharding_indexed","configuration":{"chunk_shape":[1,1],"codecs":[{"name":"bytes"}],"index_codecs":[{"name":"bytes"}]}}"#,
            );
            pack(&[("zarr.json", json.as_bytes()), ("c/0/0", &[0; 64])])
        }),
        ("2^63 x 2^63 numbers", json("[9223372036854775807,9223372036854775807]", "[1,1]")),
        ("very many slices of nothing", json("[1048576,2,2]", "[1,2,2]")),
        ("more slices than can be listed", json("[1099511627776,2,2]", "[1,2,2]")),
        ("very many blocks of nothing", json("[1400,1400]", "[1,1]")),
        (
            "chunks that are larger than can be counted",
            json("[8,8]", "[9223372036854775807,9223372036854775807]"),
        ),
        ("an axis for each letter and more", json(&format!("[{}8]", "8,".repeat(60_000)), "[8]")),
        ("enormous metadata", {
            let attributes = format!(r#"{{"attributes":{{"a":[{}1]}},"#, "1,".repeat(900_000));
            let json = array_json("[8,8]", "[8,8]", "").replacen('{', &attributes, 1);
            pack(&[("zarr.json", json.as_bytes())])
        }),
        ("metadata of more than what is read", pack(&[("zarr.json", &b"[1,".repeat(1 << 20))])),
        ("deeply nested JSON", pack(&[("zarr.json", &b"[".repeat(500_000))])),
        ("deeply nested attributes", {
            let json = format!(r#"{{"node_type":"group","attributes":{{"ome":{}"#, "{\"a\":".repeat(200_000));
            pack(&[("zarr.json", json.as_bytes())])
        }),
        ("very many levels", {
            let level = r#"{"path":"0","coordinateTransformations":[{"type":"scale","scale":[1,1]}]},"#;
            let levels = level.repeat(20_000);
            let json = format!(
                r#"{{"node_type":"group","zarr_format":3,"attributes":{{"ome":{{"version":"0.5","multiscales":[{{"axes":[{{"name":"y"}},{{"name":"x"}}],"datasets":[{}]}}]}}}}}}"#,
                levels.trim_end_matches(',')
            );
            pack(&[
                ("zarr.json", json.as_bytes()),
                ("0/zarr.json", array_json("[8,8]", "[8,8]", "").as_bytes()),
            ])
        }),
        ("an image that is a level of itself", {
            let json = r#"{"node_type":"group","zarr_format":3,"attributes":{"ome":{"version":"0.5","multiscales":[{"axes":[{"name":"y"},{"name":"x"}],"datasets":[{"path":"."},{"path":".."}]}]}}}"#;
            pack(&[("zarr.json", json.as_bytes())])
        }),
        ("very many codecs", array(&codec("zstd").repeat(10_000), &zstd_bomb(1, 0x50))),
    ])
}

/// The bytes of a `.pt` file whose pickle is `pickle`.
fn torch(pickle: &[u8]) -> Vec<u8> {
    let whole = zip("archive/data.pkl", &deflated(pickle, 0), pickle.len() as u32);
    // The checksum of the entry stands twice.
    let mut sum = flate2::Crc::new();
    sum.update(pickle);
    let directory = whole.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    let whole = with(whole, 14, &sum.sum().to_le_bytes());
    with(whole, directory + 16, &sum.sum().to_le_bytes())
}

/// A safetensors file with this header.
fn safetensors(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 64]].concat()
}

pub fn networks() -> Files {
    // Each tuple holds the one before it twice or more: 2^n values where they are counted one by one.
    let mut doubling = b"\x80\x02]q\0".to_vec();
    (0..60).for_each(|_| doubling.extend(b"h\0h\0\x86q\0"));
    doubling.push(b'.');
    let mut memo = b"\x80\x02".to_vec();
    (0..200_000_u32).for_each(|n| {
        memo.extend(b"Nr");
        memo.extend(n.wrapping_mul(65_537).to_le_bytes());
        memo.push(b'0');
    });
    memo.extend(b"N.");
    let deep = |open: &[u8]| [b"\x80\x02", open.repeat(300_000).as_slice(), b"."].concat();
    let tensor = |shape: &str, places: &str| {
        safetensors(&format!(r#"{{"mix":{{"dtype":"F32","shape":{shape},"data_offsets":{places}}}}}"#))
    };
    let mut files = Vec::new();
    for (what, pickle) in [
        ("tuples that hold each other twice", doubling),
        ("very many memos", memo),
        ("marks in marks", deep(b"(")),
        ("lists in lists", deep(b"](")),
        ("tuples in tuples", [b"\x80\x02N".as_slice(), &b"\x85".repeat(300_000), b"."].concat()),
        ("duplicates of the top", [b"\x80\x02N".as_slice(), &b"2".repeat(300_000), b"t."].concat()),
        ("a text of 4 GB", b"\x80\x02X\xff\xff\xff\xff.".to_vec()),
        ("a number of 2 GB", b"\x80\x02\x8b\xff\xff\xff\x7f.".to_vec()),
        ("a list of itself", b"\x80\x02]q\0h\0a.".to_vec()),
        ("nothing but zeros", vec![0; 4 << 20]),
    ] {
        files.push((format!("a pickle of {what}"), torch(&pickle)));
        files.push((format!("a pickle by itself of {what}"), pickle));
    }
    files.extend(named([
        ("a tensor of 2^60 numbers", tensor("[1073741824,1073741824]", "[0,64]")),
        ("a tensor behind the end", tensor("[4,4]", "[0,9223372036854775807]")),
        (
            "a tensor of more axes than there are letters",
            tensor(&format!("[{}1]", "1,".repeat(100_000)), "[0,4]"),
        ),
        ("a header of 2^60 bytes", [(1_u64 << 60).to_le_bytes().as_slice(), b"{}"].concat()),
        ("a header inside headers", safetensors(&"{\"a\":".repeat(200_000))),
        ("an HDF5 file with a tree that is its own child", {
            let whole = stored("exchange/files/regression.h5");
            let node = whole.windows(4).position(|four| four == b"TREE").unwrap();
            with(whole, node + 32, &(node as u64).to_le_bytes())
        }),
    ]));
    files
}

/// A grey page of `side` x `side` pixels in strips of `rows` rows, which all are `strip` but the last, which is `last`.
fn grey_in_strips(side: u32, compression: u32, rows: u32, strip: &[u8], last: &[u8]) -> Vec<u8> {
    let count = side.div_ceil(rows);
    let place = data_place(9);
    let lists = place + (strip.len() + last.len()) as u32;
    let mut data = [strip, last].concat();
    let of = |number: u32| match number + 1 == count {
        true => (place + strip.len() as u32, last.len() as u32),
        false => (place, strip.len() as u32),
    };
    (0..count).for_each(|number| data.extend(of(number).0.to_le_bytes()));
    (0..count).for_each(|number| data.extend(of(number).1.to_le_bytes()));
    let tags = [(273, LONG, count, lists), (279, LONG, count, lists + 4 * count), (278, LONG, 1, rows)];
    grey_with(side, compression, &data, &tags)
}

/// The side of the images of [`ending_early`].
const SIDE: u32 = 11_200;

/// Images of 11200 x 11200 bytes whose packed numbers are 120 MB, five less than that.
pub fn ending_early() -> Files {
    const BYTES: usize = 120_000_000;
    let shape = npy(&format!("({SIDE}, {SIDE})"));
    let in_strips = {
        let rows = 100;
        grey_in_strips(SIDE, 8, rows, &zlib_bomb((SIDE * rows) as usize), &zlib_bomb(1000))
    };
    let mut files = named([
        ("TIFF in deflate", grey(SIDE, 8, &zlib_bomb(BYTES))),
        ("TIFF in strips of deflate", in_strips),
        ("TIFF in LZW", grey(SIDE, 5, &lzw_bomb(33_000))),
        ("TIFF in zstd", grey(SIDE, 50000, &zstd_bomb(BYTES >> 17, 0x50))),
        ("TIFF in PackBits", grey(SIDE, 32773, &[129, 0].repeat(BYTES >> 7))),
        ("TIFF without compression", grey(SIDE, 1, &[0; 1000])),
        ("PNG", png(SIDE, &[], &zlib_bomb(BYTES))),
        ("NPZ", zip("a.npy", &deflated(&shape, BYTES), SIDE * SIDE)),
        ("NPY in gzip", gzip(&shape, BYTES)),
        ("NIfTI in gzip", {
            let sizes = [2, SIDE as i16, SIDE as i16, 1, 1, 1, 1, 1].map(i16::to_le_bytes).concat();
            gzip(&with(stored("corpus/nifti/u2.nii"), 40, &sizes), 2 * BYTES)
        }),
    ]);
    files.extend(ending_early_in_jpeg());
    files
}

/// As [`ending_early`], of JPEG with four fifths of its blocks, or of its channels only one.
fn ending_early_in_jpeg() -> Files {
    const GREY: [(u8, u8); 1] = [(1, 0x11)];
    const COLOURS: [(u8, u8); 3] = [(1, 0x22), (2, 0x11), (3, 0x11)];
    let image = |rows: u32, frame: u8, channels: &[(u8, u8)], scans: &[u8]| {
        jpeg_of(SIDE as u16, rows as u16, frame, channels, scans)
    };
    // Blocks beside each other and below each other.
    let across = SIDE as usize / 8;
    let down = across * 4 / 5;
    // Each block has two bits, or one where a scan has only their first numbers.
    let codes = |bits: usize| vec![0; bits / 8];
    let baseline = |rows: usize| jpeg_scan(&[1], 0xc0, &codes(2 * across * rows));
    let strip = |blocks: usize| image(80, 0xc0, &GREY, &baseline(blocks));
    named([
        ("JPEG", image(SIDE, 0xc0, &GREY, &baseline(down))),
        ("progressive JPEG", image(SIDE, 0xc2, &GREY, &jpeg_scan(&[1], 0xc2, &codes(across * down)))),
        ("JPEG with nothing between restarts", {
            image(SIDE, 0xc0, &GREY, &jpeg_with_restarts(1400, &[], across))
        }),
        ("JPEG with little between restarts", {
            image(SIDE, 0xc0, &GREY, &jpeg_with_restarts(1400, &codes(2 * across * 4 / 5), across))
        }),
        ("JPEG in coarse colours", {
            let units = SIDE as usize / 16;
            let scan = jpeg_scan(&[1, 2, 3], 0xc0, &codes(2 * 6 * units * units * 4 / 5));
            image(SIDE, 0xc0, &COLOURS, &scan)
        }),
        ("JPEG with one channel of three", image(SIDE, 0xc0, &COLOURS, &baseline(across))),
        ("JPEG whose last channel ends early", {
            let halves = across / 2;
            let second = jpeg_scan(&[2], 0xc0, &codes(2 * halves * halves));
            let third = jpeg_scan(&[3], 0xc0, &codes(2 * halves * halves * 4 / 5));
            image(SIDE, 0xc0, &COLOURS, &[baseline(across), second, third].concat())
        }),
        (
            "JPEG with bits that are no code",
            image(SIDE, 0xc0, &GREY, &jpeg_scan(&[1], 0xc0, &[0xfe; 200_000])),
        ),
        ("TIFF in JPEG", grey(SIDE, 7, &image(SIDE, 0xc0, &GREY, &baseline(down)))),
        ("TIFF in strips of JPEG", grey_in_strips(SIDE, 7, 80, &strip(10), &strip(8))),
    ])
}

/// As [`ending_early`], of one chunk in a dataset of HDF5.
pub fn ending_early_in_hdf5() -> Files {
    const BYTES: usize = 120_000_000;
    // A literal, and repetitions of it, of 264 bytes each.
    let lzf = [&[0, b'x'], [7 << 5, 255, 0].repeat(BYTES / 264).as_slice()].concat();
    named([
        ("gzip", hdf5_chunk("gzip", &zlib_bomb(BYTES))),
        ("LZF", hdf5_chunk("lzf", &lzf)),
        ("zstd", hdf5_chunk("zstd", &zstd_bomb(BYTES >> 17, 0x50))),
    ])
}

/// The file of the corpus with one large chunk packed by this filter, with `chunk` in the place of that chunk.
fn hdf5_chunk(filter: &str, chunk: &[u8]) -> Vec<u8> {
    let mut file = stored(&format!("corpus/hdf5/large_{filter}.h5"));
    // A node of the tree of chunks, whose key has the length of the chunk, which filters were left out, and where the chunk stands
    // along the two axes and the bytes of a number; behind it is the place in the file.
    let node = file.windows(5).position(|bytes| bytes == b"TREE\x01").unwrap();
    let (length, place) = (node + 24, node + 24 + 8 + 3 * 8);
    let end = file.len() as u64;
    file.extend(chunk);
    let file = with(file, length, &(chunk.len() as u32).to_le_bytes());
    let file = with(file, place, &end.to_le_bytes());
    // Where the file ends, as its first block says.
    let whole = file.len() as u64;
    with(file, 40, &whole.to_le_bytes())
}

/// As [`ending_early`], of one chunk of 8000 x 8000 numbers of 16 bits.
pub fn ending_early_in_zarr() -> Files {
    const BYTES: usize = 120_000_000;
    const BLOCK: usize = 1 << 20;
    let large = |codec: &str, chunk: &[u8]| {
        let codec = format!(r#",{{"name":"{codec}","configuration":{{}}}}"#);
        let json = array_json("[8000,8000]", "[8000,8000]", &codec);
        pack(&[("zarr.json", json.as_bytes()), ("c/0/0", chunk)])
    };
    let blosc = {
        let blocks = 128_000_000_usize.div_ceil(BLOCK);
        let piece = |frame: Vec<u8>| [&(frame.len() as u32).to_le_bytes(), frame.as_slice()].concat();
        let (full, short) = (piece(zstd_bomb(BLOCK >> 17, 0x50)), piece(zstd_bomb(1, 0x50)));
        let start = 16 + 4 * blocks;
        let length = start + full.len() + short.len();
        // Zstandard, in blocks that are not divided.
        let mut chunk = vec![2, 1, 4 << 5 | 16, 2];
        for number in [128_000_000, BLOCK, length] {
            chunk.extend((number as u32).to_le_bytes());
        }
        for block in 0..blocks {
            let place = if block + 1 == blocks { start + full.len() } else { start };
            chunk.extend((place as u32).to_le_bytes());
        }
        chunk.extend([full, short].concat());
        chunk
    };
    // A literal, which is repeated; 255 bytes more for each byte behind.
    let lz4 = [
        128_000_000_u32.to_le_bytes().as_slice(),
        &[0x1f, 0, 1, 0],
        &[255].repeat(BYTES / 255),
        &[0, 0x10, 0],
    ]
    .concat();
    // Chunks of Blosc that are one block, in one piece or in four.
    let blosc_of = |packing: u8, pieces: &[&[u8]]| {
        let whole = if pieces.len() == 1 { 16 } else { 0 };
        let mut chunk = vec![2, 1, packing << 5 | whole, pieces.len() as u8];
        let length = 20 + pieces.iter().map(|piece| 4 + piece.len()).sum::<usize>();
        for number in [128_000_000, 128_000_000, length, 20] {
            chunk.extend((number as u32).to_le_bytes());
        }
        for piece in pieces {
            chunk.extend((piece.len() as u32).to_le_bytes());
            chunk.extend(*piece);
        }
        large("blosc", &chunk)
    };
    // A literal, and one repetition of it.
    let blosclz = [&[0, b'x', 7 << 5], [255].repeat(BYTES / 255).as_slice(), &[0, 0]].concat();
    // As `lz4` below; 32000 x 1000 bytes are a literal, 19 repetitions, 255 for each byte behind, and one literal at the end.
    let lz4_of = |bytes: usize| {
        let repeated = bytes - 1 - 19 - 1;
        let mut piece = vec![0x1f, 0, 1, 0];
        piece.extend([255].repeat(repeated / 255));
        piece.extend([(repeated % 255) as u8, 0x10, 0]);
        piece
    };
    let (full, short) = (lz4_of(32_000_000), lz4_of(24_000_000));
    named([
        ("Blosc in one piece of BloscLZ", blosc_of(0, &[&blosclz])),
        ("Blosc in one piece of LZ4", blosc_of(1, &[&lz4_of(BYTES)])),
        ("Blosc in one piece of zlib", blosc_of(3, &[&zlib_bomb(BYTES)])),
        ("Blosc in one piece of zstd", blosc_of(4, &[&zstd_bomb(BYTES >> 17, 0x50)])),
        ("Blosc in four pieces", blosc_of(1, &[&full, &full, &full, &short])),
        ("gzip", large("gzip", &gzip(&[], BYTES))),
        ("zlib", large("numcodecs.zlib", &zlib_bomb(BYTES))),
        ("zstd", large("zstd", &zstd_bomb(BYTES >> 17, 0x50))),
        ("Blosc", large("blosc", &blosc)),
        ("LZ4", large("numcodecs.lz4", &lz4)),
    ])
}
