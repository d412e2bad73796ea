// Looking for images in the folders of the machine that the server runs on.

import { getJson } from "./api.js";
import { fill, find, icon, make } from "./dom.js";
import { perform, report } from "./messages.js";
import { seriesOf } from "./series.js";

let folder = "";
let above = null;
let add = null;
const ticked = new Set();

/** Opens the dialog at a folder; `onAdd(paths)` gets what is chosen. */
export function openBrowser(start, onAdd) {
    add = onAdd;
    ticked.clear();
    find("browse-dialog").showModal();
    open(start).catch(() => open("").catch(report));
}

/** Connects the dialog's buttons. */
export function startBrowser() {
    find("browse-up").addEventListener("click", () => perform(find("browse-up"), () => open(above)));
    find("browse-close").addEventListener("click", () => find("browse-dialog").close());
    find("browse-add").addEventListener("click", () => perform(find("browse-add"), async () => {
        // All slices of a folder are named by it, so that they can be one stack.
        const all = [...find("browse-images").querySelectorAll("input")].map((box) => box.value);
        const whole = ticked.size === all.length && seriesOf(all.map(last)) !== null;
        await add(ticked.size > 0 && !whole ? [...ticked] : [folder]);
        find("browse-dialog").close();
    }));
    find("browse-all").addEventListener("change", (event) => {
        for (const box of find("browse-images").querySelectorAll("input")) {
            box.checked = event.target.checked;
            tick(box);
        }
    });
}

async function open(path) {
    const answer = await getJson(`/api/browse?path=${encodeURIComponent(path)}`);
    folder = answer.path;
    ticked.clear();
    above = answer.parent === undefined ? parent(folder) : answer.parent;
    find("browse-path").textContent = folder;
    find("browse-up").disabled = above === null;
    const roots = (answer.roots ?? []).filter((root) => root !== folder);
    fill(find("browse-roots"), roots.map((root) => make("button", {
        type: "button", class: "small", on: { click: (event) => perform(event.currentTarget, () => open(root)) },
    }, root)));
    find("browse-all").checked = false;
    fill(find("browse-folders"), answer.folders.map((name) => make("li", {}, make("button", {
        type: "button", class: "browse-folder", on: { click: (event) => perform(event.currentTarget, () => open(inside(name))) },
    }, icon("folder"), last(name)))));
    fill(find("browse-images"), answer.images.map((name) => {
        const box = make("input", { type: "checkbox", value: inside(name) });
        box.addEventListener("change", () => tick(box));
        return make("li", {}, make("label", {}, box, last(name)));
    }));
    find("browse-none").hidden = answer.images.length > 0;
    find("browse-all-line").hidden = answer.images.length === 0;
    showCount();
}

function tick(box) {
    if (box.checked) ticked.add(box.value);
    else ticked.delete(box.value);
    showCount();
}

function showCount() {
    const none = find("browse-images").children.length === 0;
    find("browse-add").textContent = ticked.size > 0 ? `Add ${ticked.size}` : "Add all of this folder";
    find("browse-add").disabled = none && ticked.size === 0;
}

/** A name in the present folder as a path; names that are whole paths stay. */
function inside(name) {
    if (/^([/\\]|[A-Za-z]:[/\\])/.test(name)) return name;
    const separator = folder.includes("\\") && !folder.includes("/") ? "\\" : "/";
    return folder.endsWith(separator) || folder === "" ? folder + name : folder + separator + name;
}

function parent(path) {
    const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
    if (cut < 0) return "";
    return path.slice(0, cut) || path.slice(0, 1);
}

function last(name) {
    return name.split(/[/\\]/).filter(Boolean).at(-1) ?? name;
}
