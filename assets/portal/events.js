// The stream of what happens on the server, and whether it is there at all.

import { change } from "./state.js";

const listeners = new Map();
const RETRY_AFTER = 2000;
let source = null;
let ownTab = "";
let opened = false;

/** Calls `action(event)` for each event of this type; "open" comes whenever the server is there again. */
export function onEvent(type, action) {
    if (!listeners.has(type)) listeners.set(type, []);
    listeners.get(type).push(action);
}

/** Opens the stream of this page, called `tab`; it is opened again whenever it ends. */
export function openEvents(tab = ownTab) {
    ownTab = tab;
    source = new EventSource(`/api/events?tab=${encodeURIComponent(tab)}`);
    source.onopen = () => {
        change({ connected: true });
        if (opened) tell("open", {});
        opened = true;
    };
    source.onmessage = ({ data }) => {
        let event;
        try {
            event = JSON.parse(data);
        } catch {
            return;
        }
        tell(event.type, event);
    };
    source.onerror = () => {
        opened = true;
        change({ connected: false });
        // A browser gives up where the answer was an error; then it is tried from the start.
        if (source.readyState === EventSource.CLOSED) setTimeout(() => openEvents(), RETRY_AFTER);
    };
}

function tell(type, event) {
    for (const action of listeners.get(type) ?? []) action(event);
}
