// The images of the project: the list with small pictures, adding, uploading, taking out.

import { getJson, getTile, path, sendJson } from "./api.js";
import { openBrowser } from "./browse.js";
import { addClass } from "./classes.js";
import { roleOfNew, roles } from "./denoising.js";
import { fill, find, iconButton, make } from "./dom.js";
import { applyContrast, contrastTable } from "./lookup.js";
import { perform, report, say } from "./messages.js";
import { decode, versionOf } from "./picture.js";
import { seriesOf } from "./series.js";
import { readProject, tab } from "./session.js";
import { change, classes, denoises, listen, showImage, state } from "./state.js";
import { askStack, droppedGroups, uploadGroups } from "./uploads.js";
import { levelsOf } from "./view.js";

const SIDE = 48;
const thumbnails = new Map();
let observer = null;
let removing = null;
let shownOut = "";

/** Connects the list and everything that adds to it. */
export function startImages() {
    observer = new IntersectionObserver((entries) => {
        for (const { isIntersecting, target } of entries) if (isIntersecting) drawThumbnail(target);
    }, { root: find("image-list") });
    find("add-path").addEventListener("submit", (event) => {
        event.preventDefault();
        const value = find("path").value.trim();
        if (value) perform(find("add"), () => addPaths([value]));
    });
    find("browse").addEventListener("click", () => openBrowser(find("path").value.trim(), addPaths));
    find("upload").addEventListener("change", () => {
        upload([{ name: "", files: [...find("upload").files] }]);
        find("upload").value = "";
    });
    find("remove-dialog").addEventListener("close", () => find("remove-dialog").returnValue === "yes" && remove());
    startDropping();
    listen(["project"], show);
    listen(["image"], markShown);
}

/** Adds images by paths on the server; shows the first. */
async function addPaths(paths) {
    const added = [];
    const role = roleOfNew() ?? undefined;
    for (const one of paths) {
        const stack = await isStack(one);
        if (stack === null) continue;
        added.push(...(await sendJson("POST", "/api/images", { path: one, copy: find("copy").checked, stack, role })).images);
    }
    if (added.length === 0) return;
    find("path").value = "";
    await showAdded(added);
}

/** Whether a path on the server is a folder whose files the person takes for the slices of one stack; null where nothing is wanted. */
async function isStack(one) {
    if (denoises()) return false;
    let folder;
    try {
        folder = await getJson(`/api/browse?path=${encodeURIComponent(one)}`);
    } catch (error) {
        if (error.status === 0) throw error;
        // A file, or a pattern.
        return false;
    }
    const series = seriesOf(folder.images);
    const name = folder.path.split(/[/\\]/).filter(Boolean).at(-1);
    return series ? askStack({ ...series, name: name ?? series.name }) : false;
}

/** Makes the sample project: what the server adds is shown, with two classes to paint. */
export async function openSample() {
    const { images } = await sendJson("POST", "/api/sample");
    await readProject();
    if (classes().length === 0 && !denoises()) {
        for (const name of ["background", "shape"]) await addClass(name);
        change({ class: classes()[0].class });
    }
    await showAdded(images);
}

/** Shows the next or the previous image. */
export function stepImage(way) {
    const { images } = state.project ?? { images: [] };
    const now = images.findIndex((one) => one.id === state.image?.id);
    const next = images[Math.min(images.length - 1, Math.max(0, now + way))];
    if (next) showImage(next.id);
}

async function showAdded(added) {
    await readProject();
    if (added.length > 0) showImage(added[0]);
    say(added.length === 1 ? "1 image was added." : `${added.length} images were added.`, "good");
}

/** Sends groups of files for images of this role, and shows what came of them. */
async function upload(groups, role = roleOfNew()) {
    try {
        const all = await groups;
        if (all.length === 0) return say("There are no PNG, TIFF or JPEG files in that folder; add it by its path on the server.", "error");
        const added = await uploadGroups(all, { role, asks: !denoises() });
        if (added.length > 0) await showAdded(added);
    } catch (error) {
        report(error);
    }
}

function startDropping() {
    let depth = 0;
    const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const show = (shown) => { find("drop").hidden = !shown; };
    document.addEventListener("dragenter", (event) => {
        if (!holdsFiles(event)) return;
        depth++;
        show(true);
    });
    document.addEventListener("dragleave", (event) => {
        if (holdsFiles(event) && --depth <= 0) show(false);
    });
    document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
        depth = 0;
        show(false);
        if (!holdsFiles(event)) return;
        event.preventDefault();
        upload(droppedGroups(event.dataTransfer), event.target.closest?.("[data-role]")?.dataset.role ?? roleOfNew());
    });
}

function show() {
    const images = state.project?.images ?? [];
    find("image-count").textContent = images.length > 0 ? `(${images.length})` : "";
    find("no-images").hidden = images.length > 0;
    const list = find("image-list");
    const there = new Map([...list.children].map((item) => [item.dataset.id, item]));
    const items = images.map((image) => update(there.get(image.id) ?? item(image), image));
    // Only where the list has changed, so that the focus stays.
    if (items.length !== list.children.length || items.some((one, index) => list.children[index] !== one)) fill(list, items);
    markShown();
    showTakenOut();
}

/** What was taken out, folded, each with a button that puts it back with its strokes. */
function showTakenOut() {
    const images = state.project?.taken_out ?? [];
    // Only where the list has changed, so that the focus stays.
    const names = JSON.stringify(images.map(({ id, name }) => [id, name]));
    if (names === shownOut) return;
    shownOut = names;
    find("taken-out").hidden = images.length === 0;
    find("taken-out-count").textContent = `(${images.length})`;
    fill(find("taken-out-list"), images.map((image) => make("li", { class: "taken-out" },
        make("span", { title: image.name }, image.name),
        make("button", {
            type: "button", class: "small", "aria-label": `Put ${image.name} back`,
            on: { click: ({ currentTarget }) => perform(currentTarget, () => putBack(image)) },
        }, "Put back"))));
}

async function putBack({ id, name }) {
    await sendJson("PATCH", path("/api/images", id), { removed: false, tab });
    await readProject();
    showImage(id);
    say(denoises() ? `${name} is back.` : `${name} is back, with its labels.`, "good");
}

function item(image) {
    const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    canvas.dataset.id = image.id;
    observer.observe(canvas);
    const click = () => state.image?.id !== image.id && showImage(image.id);
    const element = make("li", { class: "image", "data-id": image.id },
        make("button", { type: "button", class: "image-button", on: { click } },
            canvas, make("span", { class: "image-text" }, make("span", { class: "image-name" }), make("span", { class: "image-facts" }, make("span"), make("span", { class: "labelled" }, "labelled")))),
        make("select", { class: "role", "aria-label": `What ${image.name} is`, on: { change: (event) => setRole(image.id, event.target.value) } }),
        iconButton("close", `Take ${image.name} out of the project`, () => askRemove(image.id)));
    return element;
}

function update(element, image) {
    const stack = image.slices > 1 ? ` × ${image.slices}` : "";
    element.querySelector(".image-name").textContent = image.name;
    element.querySelector(".image-button").title = image.name;
    element.querySelector(".image-facts").firstChild.textContent = `${image.width} × ${image.height}${stack}`;
    element.querySelector(".labelled").hidden = !(image.labelled > 0);
    const select = element.querySelector(".role");
    const offered = roles();
    select.hidden = offered.length < 2;
    const role = state.project.learns_from === "pairs" && image.role !== "clean" ? "noisy" : image.role;
    // One that counts for nothing here says so.
    const all = offered.some(([one]) => one === role) ? offered : [...offered, [role, "not used"]];
    if (document.activeElement !== select) {
        fill(select, all.map(([one, name]) => make("option", { value: one }, name)));
        select.value = role;
    }
    return element;
}

/** Says what an image is for the network that is learnt. */
function setRole(id, role) {
    return perform(null, async () => {
        await sendJson("PATCH", path("/api/images", id), { role });
        await readProject();
    });
}

function markShown() {
    for (const element of find("image-list").children) {
        const shown = element.dataset.id === state.image?.id;
        element.classList.toggle("chosen", shown);
        element.querySelector(".image-button").setAttribute("aria-current", shown ? "true" : "false");
        if (shown) element.scrollIntoView({ block: "nearest" });
    }
}

async function drawThumbnail(canvas) {
    const image = state.project?.images.find((one) => one.id === canvas.dataset.id);
    if (!image || thumbnails.get(image.id) === canvas) return;
    thumbnails.set(image.id, canvas);
    try {
        const level = levelsOf(image.width, image.height) - 1;
        const tile = decode(await getTile(`/api/images/${image.id}/${Math.floor(image.slices / 2)}/tiles/${level}/0/0${versionOf(image)}`));
        if (!tile) return;
        const whole = make("canvas", { width: tile.width, height: tile.height });
        const picture = new ImageData(tile.width, tile.height);
        applyContrast(tile.values, tile.channels, contrastTable({ ...image, gamma: 1 }), new Uint32Array(picture.data.buffer));
        whole.getContext("2d").putImageData(picture, 0, 0);
        const scale = SIDE / Math.max(tile.width, tile.height);
        const [width, height] = [tile.width * scale, tile.height * scale];
        canvas.getContext("2d").drawImage(whole, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    } catch (error) {
        thumbnails.delete(image.id);
        report(error);
    }
}

function askRemove(id) {
    removing = state.project.images.find((one) => one.id === id);
    find("remove-name").textContent = removing.name;
    find("remove-dialog").returnValue = "";
    find("remove-dialog").showModal();
}

function remove() {
    return perform(null, async () => {
        await sendJson("DELETE", path("/api/images", removing.id));
        await readProject();
    });
}
