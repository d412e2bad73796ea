//! What people are told of how a file is taken: once, however often the file is looked at.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Warns of something that is not refused, unless the same has been said before.
pub(super) fn warn_once(message: String) {
    warn_first(&message, &message);
}

/// Warns of something that is not refused, unless something of the same `kind` has been said before.
pub(super) fn warn_first(kind: &str, message: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.to_owned()) {
        log::warn!("{message}");
    }
}
