// The three tabs on the right: Label, Train, Results.

import { find } from "./dom.js";

const TABS = ["label", "train", "results"];
const listeners = new Map();

/** Connects the tabs; arrow keys move between them. */
export function startTabs() {
    for (const name of TABS) {
        find(`tab-${name}`).addEventListener("click", () => showTab(name));
        find(`tab-${name}`).addEventListener("keydown", (event) => {
            const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
            if (!step) return;
            event.preventDefault();
            event.stopPropagation();
            const next = TABS[(TABS.indexOf(name) + step + TABS.length) % TABS.length];
            showTab(next);
            find(`tab-${next}`).focus();
        });
    }
    showTab(TABS[0]);
}

/** Shows a tab: "label", "train" or "results". */
export function showTab(name) {
    for (const one of TABS) {
        find(`tab-${one}`).setAttribute("aria-selected", one === name);
        find(`tab-${one}`).tabIndex = one === name ? 0 : -1;
        find(`panel-${one}`).hidden = one !== name;
    }
    listeners.get(name)?.();
}

/** Calls `action` whenever a tab is shown. */
export function onTab(name, action) {
    listeners.set(name, action);
}
