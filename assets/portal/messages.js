// Sentences to the user: short notices that pass, and the banner while the server is gone.

import { find, iconButton, make } from "./dom.js";
import { denoises, listen, state } from "./state.js";

const SHOWN_FOR = 8000;

/** Says something for a few seconds. `kind` is "info", "good" or "error"; errors stay until they are closed. */
export function say(text, kind = "info") {
    const shown = find("notices");
    for (const same of shown.children) {
        if (same.dataset.text === text) same.remove();
    }
    const notice = make("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, make("span", {}, text));
    notice.dataset.text = text;
    notice.append(iconButton("close", "Close this message", () => notice.remove()));
    shown.append(notice);
    while (shown.children.length > 4) shown.firstChild.remove();
    if (kind !== "error") setTimeout(() => notice.remove(), SHOWN_FOR);
}

/** Says what went wrong; that the server is gone is said by the banner already. */
export function report(error) {
    if (error.name === "AbortError") return;
    if (error.status === 0 && !state.connected) return;
    if (!("status" in error)) console.error(error);
    say(error.message, "error");
}

/** Runs an action of a button; while it runs the button cannot be pressed again, and failures are said. */
export async function perform(button, action) {
    if (button) button.disabled = true;
    try {
        return await action();
    } catch (error) {
        report(error);
        return undefined;
    } finally {
        if (button) button.disabled = false;
    }
}

/** Shows the banner while there is no connection, and what is saved. */
export function startMessages() {
    listen(["connected", "saving", "project"], () => {
        const gone = !state.connected || state.saving === "lost";
        find("banner").hidden = !gone;
        find("banner-text").textContent = "The server does not answer. What you paint is kept in this browser and sent as soon as it is back. "
            + "If it was closed, start `msd-gpu serve` again with the same project.";
        const words = {
            saved: denoises() ? "" : "All strokes saved", saving: "Saving…", lost: "Not saved: the server does not answer",
            unkept: "Not saved: the browser's storage is full",
        };
        const saving = gone && state.saving !== "saved" ? "lost" : state.saving;
        find("saving").textContent = words[saving];
        find("saving").dataset.state = saving;
    });
}
