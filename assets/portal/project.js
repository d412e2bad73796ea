// The line at the top: the project's name, undo and redo; and which place of it the page's address stands for.

import { sendJson } from "./api.js";
import { find } from "./dom.js";
import { perform } from "./messages.js";
import { readProject, redo, undo } from "./session.js";
import { listen, showImage, state } from "./state.js";

/** Connects the top line. */
export function startProject() {
    find("undo").addEventListener("click", undo);
    find("redo").addEventListener("click", redo);
    const name = find("project-name");
    name.addEventListener("change", () => perform(null, async () => {
        if (name.value.trim()) await sendJson("PATCH", "/api/project", { name: name.value.trim() });
        await readProject();
    }));
    name.addEventListener("keydown", (event) => ["Enter", "Escape"].includes(event.key) && name.blur());
    listen(["project"], () => {
        if (document.activeElement !== name) name.value = state.project?.name ?? "";
        document.title = state.project ? `${state.project.name} · msd-gpu` : "msd-gpu";
    });
    startAddress();
}

/** After a reload the same slice of the same image is shown. */
function startAddress() {
    const [, wanted, slice] = /^#(i\d+)\/(\d+)$/.exec(location.hash) ?? [];
    let pending = Boolean(wanted);
    listen(["image", "slice"], () => {
        if (!state.image) return;
        if (pending) {
            pending = false;
            if (state.project.images.some((one) => one.id === wanted)) return showImage(wanted, Number(slice) - 1);
        }
        history.replaceState(null, "", `#${state.image.id}/${state.slice + 1}`);
    });
}
