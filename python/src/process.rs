//! Which process uses the library. Its threads and devices do not survive a fork: in the new process, work that waits for
//! them would wait for ever.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The process that used the library first; 0 before.
static USER: AtomicU32 = AtomicU32::new(0);

/// To be called before any work: notes that this process uses the library.
///
/// # Errors
/// A `RuntimeError` in a process that was forked from one that had used it.
pub fn enter() -> PyResult<()> {
    let here = std::process::id();
    match USER.compare_exchange(0, here, Ordering::AcqRel, Ordering::Acquire) {
        Err(user) if user != here => Err(PyRuntimeError::new_err(
            "this process was forked from one that had used msd_gpu, whose threads and devices a fork does not copy; start processes with multiprocessing.get_context(\"spawn\"), or use msd_gpu only after the fork",
        )),
        _ => Ok(()),
    }
}
