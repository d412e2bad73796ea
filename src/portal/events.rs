//! News for all pages that are open.

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
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(MOST_WAITING) }
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

    /// What is told from now on, as JSON.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<String> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
