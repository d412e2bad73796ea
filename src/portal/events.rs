//! News for all pages that are open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

use super::labels::Region;

/// As many events wait at most for a page that is slow to take them; of more it is told to read everything again.
const MOST_WAITING: usize = 256;

/// Something that pages want to know.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// Entries were added to the journal.
    Journal {
        /// The number of the last one.
        seq: u64,
        /// The tab that they came from.
        tab: String,
        /// Where labels have changed.
        changed: Vec<Region>,
    },
    /// The name, the classes or the images of the project are others.
    Project {},
    /// How training goes: an object with the fields that `GET /api/training` has, without the curve and with the newest `point`.
    Training(Value),
    /// A part of an image was computed anew.
    Result {
        /// The version of the network.
        version: u64,
        /// Which part.
        #[serde(flatten)]
        region: Region,
    },
    /// How a job goes: an object as in `GET /api/jobs`.
    Job(Value),
}

/// Where news are told; clones tell them to the same pages.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<String>,
    /// The tabs that listen, and how many times each does.
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// A tab that listens, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenTab {
    events: Events,
    tab: String,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(MOST_WAITING), open: Arc::default() }
    }
}

impl Drop for OpenTab {
    fn drop(&mut self) {
        let mut open = self.events.tabs();
        if let Some(count) = open.get_mut(&self.tab) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tab);
            }
        }
    }
}

impl Events {
    /// Tells all pages that are open.
    pub fn send(&self, event: &Event) {
        match serde_json::to_string(event) {
            // Where no page is open, nobody wants to know.
            Ok(text) => drop(self.sender.send(text)),
            Err(error) => log::warn!("an event cannot be told: {error}"),
        }
    }

    fn tabs(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tab `tab` listens from now on.
    pub(super) fn open(&self, tab: String) -> OpenTab {
        *self.tabs().entry(tab.clone()).or_default() += 1;
        OpenTab { events: self.clone(), tab }
    }

    /// Whether the tab `tab` listens.
    pub(super) fn is_open(&self, tab: &str) -> bool {
        self.tabs().contains_key(tab)
    }

    /// What is told from now on, as JSON.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<String> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_is_open_as_long_as_it_listens() {
        let events = Events::default();
        let (one, two) = (events.open("a".into()), events.clone().open("a".into()));
        drop(one);
        assert!(events.is_open("a") && !events.is_open("b"));
        drop(two);
        assert!(!events.is_open("a"));
    }

    #[test]
    fn events_are_told_as_the_page_reads_them() {
        let events = Events::default();
        let mut page = events.subscribe();
        let region = Region { image: "i1".into(), slice: 2, x: 3, y: 4, width: 5, height: 6 };
        events.send(&Event::Result { version: 7, region: region.clone() });
        events.send(&Event::Journal { seq: 9, tab: "a".into(), changed: vec![region] });
        events.send(&Event::Project {});
        events.send(&Event::Training(serde_json::json!({ "state": "idle" })));
        let part = r#""image":"i1","slice":2,"x":3,"y":4,"width":5,"height":6}"#;
        assert_eq!(page.try_recv().unwrap(), format!(r#"{{"type":"result","version":7,{part}"#));
        let journal = format!(r#"{{"type":"journal","seq":9,"tab":"a","changed":[{{{part}]}}"#);
        assert_eq!(page.try_recv().unwrap(), journal);
        assert_eq!(page.try_recv().unwrap(), r#"{"type":"project"}"#);
        assert_eq!(page.try_recv().unwrap(), r#"{"type":"training","state":"idle"}"#);
    }
}
