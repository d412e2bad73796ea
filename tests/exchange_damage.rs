//! Damaged files of other tools: each a sentence, whatever byte is missing or wrong, and no more memory than the file
//! deserves. A test program of its own, as it watches every allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use msd_gpu::exchange::{ImportOptions, import_bytes};

static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Watch;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises that `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static WATCH: Watch = Watch;

/// Far more than the small files need, far less than any of their damaged numbers asks for.
const MAX_BYTES: usize = 4 << 20;

#[test]
fn no_missing_or_wrong_byte_panics_or_takes_much_memory() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchange/files");
    let read = |bytes: Vec<u8>| import_bytes(bytes, Path::new("damaged"), &ImportOptions::default());
    let names = [
        "regression.torch",
        "segmentation.pt",
        "regression.safetensors",
        "regression.h5",
        "volumes_regression.torch",
    ];
    for name in names {
        let whole = std::fs::read(files.join(name)).unwrap();
        assert!(read(whole.clone()).is_ok(), "{name}");
        for length in 0..whole.len() {
            let error = read(whole[..length].to_vec()).expect_err(name).to_string();
            assert!(error.starts_with("damaged: "), "{name}, {length} bytes: {error}");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                // A wrong bit in a weight goes unseen; all else must be an error and no panic.
                if let Err(error) = read(bytes) {
                    let text = error.to_string();
                    assert!(!error.is_failure() && !text.contains('\n'), "{name}, byte {at}: {text}");
                }
            }
        }
        let largest = LARGEST.load(Ordering::Relaxed);
        assert!(largest < MAX_BYTES, "{name}: {largest} bytes were asked for at once");
    }
}
