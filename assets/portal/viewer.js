// The middle of the page: one picture or two side by side, cuts through stacks, and what is drawn on them.

import { sendJson } from "./api.js";
import { onEvent } from "./events.js";
import { afterCalm, find } from "./dom.js";
import { LabelStore } from "./labels.js";
import { classTable } from "./lookup.js";
import { report } from "./messages.js";
import { ResultStore } from "./network.js";
import { OrthogonalViews } from "./orthogonal.js";
import { Pane } from "./pane.js";
import { pictureStore } from "./picture.js";
import { change, classes, denoises, listen, showImage, state } from "./state.js";
import { View } from "./view.js";

export const view = new View();
export const stores = {};
let mainPane = null;
let sidePane = null;
let cuts = null;
let colours = classTable([]);
let seen = null;
let flash = null;
let tabName = "";

/** What tools draw over the picture: called with the context, in pixels of the screen. */
export const marks = new Set();

/** Sets the viewer up. `tab` is this page's name. */
export function startViewer(tab) {
    tabName = tab;
    const soon = (layer) => (tile) => tile.image === state.image?.id && redraw(layer);
    const failed = (error) => error.status !== 0 && report(error);
    stores.pictures = pictureStore(soon("image"), failed);
    stores.results = new ResultStore({ onLoaded: soon("overlay"), onFailed: failed });
    stores.labels = new LabelStore({
        pictures: stores.pictures, onLoaded: soon("labels"), onFailed: failed,
        onPainted: (rectangle) => panes().forEach((pane) => pane.redrawPainted(rectangle)),
    });
    mainPane = pane("picture", () => sourceOf(state.source), true);
    sidePane = pane("picture-beside", () => sourceOf(state.beside), false);
    cuts = new OrthogonalViews({
        across: find("cut-xz"), down: find("cut-yz"), view, stores, source: () => sourceOf(state.source), colours: () => colours, failed,
    });

    new ResizeObserver(fitScreen).observe(find("pictures"));
    listen(["image"], newImage);
    listen(["slice", "contrast"], () => redraw());
    listen(["overlay", "source", "beside"], () => redraw("overlay"));
    listen(["class"], () => state.overlay === "probability" && redraw("overlay"));
    let had = false;
    listen(["training"], () => {
        // With a first network there is something to ask for.
        if (had !== Boolean(state.training?.model)) redraw("overlay");
        had = Boolean(state.training?.model);
    });
    listen(["labelsShown"], () => redraw("labels"));
    listen(["labelOpacity", "overlayOpacity", "blend", "wipe"], () => redraw("screen"));
    listen(["project"], () => { colours = classTable(classes()); redraw("labels", "overlay"); });
    listen(["beside", "orthogonal"], arrange);
    listen(["beside", "source", "overlay", "project"], () => {
        find("caption").textContent = nameOf(state.source);
        find("caption-beside").textContent = nameOf(state.beside);
    });
    listen(["cut", "slice", "orthogonal", "contrast", "image"], () => { cuts.redraw(); redraw("marks"); });
    listen(["slice", "image"], () => tellServer());
    onEvent("result", (event) => {
        stores.results.computed(event);
        if (event.image === state.image?.id && event.slice === state.slice) redraw("overlay");
    });
}

/** Draws these layers ("image", "overlay", "labels", "marks"), or all. */
export function redraw(...layers) {
    panes().forEach((pane) => pane.redraw(...layers));
    if (["overlay", "labels", "screen"].some((layer) => layers.includes(layer))) cuts?.redraw();
}

/** The pointer or the keys have moved the brush to a place of the image, or away (null). */
export function brushMoved(place) {
    const paints = ["brush", "eraser"].includes(state.tool);
    cuts.moveBrush(paints ? place : null, state.size);
}

/** The view has moved. */
export function viewMoved() {
    redraw();
    cuts.redraw();
    find("zoom-now").textContent = `${view.scale >= 0.1 ? Math.round(view.scale * 100) : (view.scale * 100).toFixed(1)} %`;
    tellServer();
}

/** Shows a place, with a frame around it for a moment. */
export function showPlace({ image, slice, x, y, width, height }) {
    showImage(image, slice);
    queueMicrotask(() => {
        const [middleX, middleY, size] = [x + width / 2, y + height / 2, Math.max(width, height)];
        // With what is around it, so that one sees what it is.
        view.goTo(middleX, middleY, 4 * size);
        flash = { x: middleX, y: middleY, size };
        change({ cut: [middleX, middleY] });
        viewMoved();
        setTimeout(() => { flash = null; redraw("marks"); }, 4000);
    });
}

/** Shows the whole image. */
export function fitImage() {
    if (!state.image) return;
    view.fit(state.image.width, state.image.height);
    viewMoved();
}

/** Shows another slice; out of range stays at the end. */
export function showSlice(slice) {
    if (state.image) change({ slice: Math.min(state.image.slices - 1, Math.max(0, slice)) });
}

/** The grey value under a place of the image, from the finest tile that is there; null where there is none. */
export function greyAt(x, y) {
    const { image, slice } = state;
    if (!image || x < 0 || y < 0 || x >= image.width || y >= image.height) return null;
    for (let level = 0; level < 12; level++) {
        const [px, py] = [Math.floor(x / 2 ** level), Math.floor(y / 2 ** level)];
        const tile = stores.pictures.get({ image: image.id, slice, level, ty: py >> 8, tx: px >> 8 });
        if (!tile) continue;
        const value = tile.values[(py & 255) * tile.width + (px & 255)];
        return image.lowest + value / 65535 * (image.highest - image.lowest);
    }
    return null;
}

/** Marks that tools have moved, now in a rectangle of the screen; `null` where they may be anywhere. */
export function moveMarks(rectangle) {
    if (rectangle) panes().forEach((pane) => pane.moveMarks(rectangle));
    else redraw("marks");
}

function pane(id, source, isMain) {
    const made = new Pane(find(id), { stores, view, source, colours: () => colours, drawMarks: (context) => drawMarks(context, isMain) });
    const recolour = () => { made.readColours(); made.redraw("image"); };
    document.addEventListener("themechange", recolour);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    return made;
}

function panes() {
    return state.beside ? [mainPane, sidePane] : [mainPane];
}

/** What a pane's overlay shows: null, or the `source` of result tiles. */
function sourceOf(source) {
    if (state.overlay === "nothing" || !source || source === "bare") return null;
    if (source !== "live") return source;
    if (!state.training?.model) return null;
    if (denoises()) return "live/values";
    return state.overlay === "probability" ? `live/probability/${state.class}` : `live/${state.overlay}`;
}

function nameOf(source) {
    const live = denoises() ? "denoised, as the network learns" : "the network as it learns";
    return { live, bare: denoises() ? "as it was" : "the image alone" }[source] ?? `result ${source}`;
}

function newImage() {
    find("viewer").classList.toggle("empty", !state.image);
    if (!state.image) {
        seen = null;
        return redraw();
    }
    // The same image comes anew whenever the project is read.
    if (seen === state.image.id) return;
    seen = state.image.id;
    fitImage();
}

function arrange() {
    find("caption").hidden = !state.beside;
    find("picture-beside").hidden = !state.beside;
    find("pictures").classList.toggle("two", Boolean(state.beside));
    find("pictures").classList.toggle("with-cuts", state.orthogonal);
    for (const id of ["cut-xz", "cut-yz"]) find(id).hidden = !state.orthogonal;
    fitScreen();
}

function fitScreen() {
    const { clientWidth, clientHeight } = find("picture");
    if (clientWidth === 0) return;
    const whole = state.image && view.scale <= view.smallest() * 2.001;
    view.resize(clientWidth, clientHeight);
    if (whole) view.fit();
    panes().forEach((pane) => pane.resize());
    cuts.resize();
    viewMoved();
}

function drawMarks(context, isMain) {
    if (state.orthogonal && isMain) drawCut(context);
    if (denoises() && state.wipe > 0 && state.wipe < 1 && sourceOf(isMain ? state.source : state.beside)) drawWipe(context);
    if (flash) {
        const [x, y] = view.toScreen(flash.x, flash.y);
        const side = flash.size * view.scale;
        twice(context, () => context.strokeRect(x - side / 2, y - side / 2, side, side));
    }
    for (const mark of marks) mark(context, isMain);
}

/** The line between the image as it was and the denoised one. */
function drawWipe(context) {
    const x = state.wipe * view.width;
    twice(context, () => {
        context.beginPath();
        context.moveTo(x, 0);
        context.lineTo(x, view.height);
        context.stroke();
    });
}

function drawCut(context) {
    const [x, y] = view.toScreen(...state.cut);
    context.lineWidth = 1;
    context.strokeStyle = "#ffd24d";
    context.setLineDash([6, 4]);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(view.width, y);
    context.moveTo(x, 0);
    context.lineTo(x, view.height);
    context.stroke();
    context.setLineDash([]);
}

/** Draws a line in black below and in white above, so that it is seen on any image. */
export function twice(context, draw) {
    for (const [width, colour] of [[3, "rgba(0,0,0,0.65)"], [1.5, "#fff"]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        draw();
    }
}

/** The server computes first what is looked at. */
const tellServer = afterCalm(() => {
    if (!state.image || !state.connected) return;
    const { left, top, right, bottom } = view.visible();
    const [x, y] = [Math.floor(left), Math.floor(top)];
    const where = { x, y, width: Math.max(1, Math.ceil(right) - x), height: Math.max(1, Math.ceil(bottom) - y) };
    sendJson("POST", "/api/view", { tab: tabName, image: state.image.id, slice: state.slice, ...where }).catch(() => {});
}, 200);
