//! What people are told of how a file is taken: once, however often the file is looked at.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Warns of something that is not refused, unless the same has been said before.
pub(super) fn warn_once(message: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(message.clone()) {
        log::warn!("{message}");
    }
}
