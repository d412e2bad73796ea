// Moving about in the picture, and handing the pointer to the tool.

import { find } from "./dom.js";
import { change, listen, state } from "./state.js";
import { currentTool } from "./tools.js";
import { brushMoved, greyAt, marks, moveMarks, redraw, twice, view, viewMoved } from "./viewer.js";

const WHEEL = 1.0015;
const KEY_STEP = 60;

const boxes = new Map();
let spaceHeld = false;
let dragged = null;
let drawing = false;
let pointer = null;
/** The brush that is moved by keys: its place in the image, or null. */
let keyed = null;
let keyedDown = false;
/** Where the last stroke was made, and with which tool. */
let where = "";
let tool = null;
let shownPlace = null;
let positionTimer = null;

/** Listens to the pictures. */
export function startNavigation() {
    for (const id of ["picture", "picture-beside"]) {
        const element = find(id);
        element.addEventListener("pointerdown", (event) => pressed(element, event));
        element.addEventListener("pointermove", (event) => moved(element, event));
        element.addEventListener("pointerup", (event) => released(element, event));
        element.addEventListener("pointercancel", stop);
        element.addEventListener("pointerleave", left);
        element.addEventListener("dblclick", (event) => currentTool().finish?.(at(element, event)));
        element.addEventListener("wheel", (event) => wheel(element, event), { passive: false });
        element.addEventListener("contextmenu", (event) => event.preventDefault());
    }
    // A stroke belongs to one slice of one image, one tool and one class.
    listen(["slice", "image", "tool", "class"], stopWhenElsewhere);
    listen(["tool"], () => { find("pictures").dataset.tool = state.tool; });
    marks.add((context, isMain) => currentTool().mark?.(context, spot(), isMain));
    marks.add((context) => keyed && drawKeyed(context));
    listen(["size", "tool", "class"], () => redraw("marks"));
    window.addEventListener("blur", () => holdSpace(false));
}

/** Space is down: the pointer moves the picture. */
export function holdSpace(held) {
    spaceHeld = held;
    find("pictures").classList.toggle("panning", held);
}

/** Moves the picture by keys: -1, 0 or 1 in each direction. */
export function panByKeys(dx, dy) {
    view.pan(-dx * KEY_STEP, -dy * KEY_STEP);
    viewMoved();
}

/** Moves the brush by keys, a quarter of its size but at least one pixel of the screen. */
export function moveByKeys(dx, dy) {
    if (!state.image) return;
    keyed ??= [view.x, view.y];
    const step = Math.max(state.size / 4, 4 / view.scale);
    keyed = [
        Math.min(state.image.width, Math.max(0, keyed[0] + dx * step)),
        Math.min(state.image.height, Math.max(0, keyed[1] + dy * step)),
    ];
    const [sx, sy] = view.toScreen(...keyed);
    if (sx < 0 || sy < 0 || sx > view.width || sy > view.height) {
        [view.x, view.y] = keyed;
        viewMoved();
    }
    if (keyedDown) currentTool().move?.([keyed]);
    brushMoved(keyed);
    showPosition(keyed);
    redraw("marks");
}

/** Whether the brush is where keys have moved it. */
export function movedByKeys() {
    return keyed !== null;
}

/** Puts the brush down at the place that keys have moved it to, or lifts it. */
export function pressByKey() {
    if (!state.image) return;
    keyed ??= [view.x, view.y];
    if (keyedDown) {
        currentTool().up?.(keyed);
        keyedDown = false;
    } else {
        keyedDown = currentTool().down?.(keyed) === true;
    }
    redraw("marks");
}

/** What a stroke depends on; the image's record comes anew whenever the project is read. */
function stopWhenElsewhere() {
    const now = `${state.image?.id} ${state.slice} ${state.tool} ${state.class}`;
    if (now !== where) stop();
    if (where.split(" ")[0] !== now.split(" ")[0]) keyed = null;
    where = now;
}

function stop() {
    if (drawing || keyedDown) tool.up?.(null);
    tool?.cancel?.();
    tool = currentTool();
    drawing = false;
    keyedDown = false;
    dragged = null;
}

function pressed(element, event) {
    if (!state.image) return;
    element.focus({ preventScroll: true });
    keyed = null;
    const moves = event.button === 1 || (event.button === 0 && (spaceHeld || state.tool === "move"));
    if (moves) {
        dragged = { x: event.clientX, y: event.clientY, still: true };
    } else if (event.button === 0) {
        drawing = currentTool().down?.(at(element, event), event) === true;
    } else {
        return;
    }
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
}

function moved(element, event) {
    if (!state.image) return;
    const place = at(element, event);
    pointer = place;
    if (keyed && !keyedDown && (event.movementX || event.movementY)) {
        keyed = null;
        redraw("marks");
    }
    if (dragged) {
        const [dx, dy] = [event.clientX - dragged.x, event.clientY - dragged.y];
        if (dragged.still && Math.hypot(dx, dy) < 3) return;
        dragged = { x: event.clientX, y: event.clientY, still: false };
        view.pan(dx, dy);
        viewMoved();
        return;
    }
    if (drawing) {
        const all = event.getCoalescedEvents?.() ?? [];
        currentTool().move?.((all.length > 0 ? all : [event]).map((one) => at(element, one)));
    }
    showPosition(place);
    brushMoved(spot());
    moveMarks(reachOf(place));
}

/** Where on the screen the tool draws around a place; null for anywhere. */
function reachOf(place) {
    const reach = keyed ? null : currentTool().reach?.() ?? null;
    if (reach === null) return null;
    const [x, y] = view.toScreen(...place);
    return { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach };
}

function released(element, event) {
    if (dragged?.still && state.orthogonal) change({ cut: at(element, event) });
    dragged = null;
    if (drawing) {
        drawing = false;
        currentTool().up?.(at(element, event));
    }
    redraw("marks");
}

function left() {
    pointer = null;
    shownPlace = null;
    brushMoved(null);
    find("position").textContent = "";
    redraw("marks");
}

function wheel(element, event) {
    if (!state.image) return;
    event.preventDefault();
    // With Shift, browsers turn the wheel to the side.
    const turned = event.deltaY || event.deltaX;
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey) return change({ size: nextSize(turned < 0 ? 1 : -1) });
    const box = boxOf(element);
    view.zoom(WHEEL ** (-turned * lines), event.clientX - box.left, event.clientY - box.top);
    viewMoved();
}

/** The next larger or smaller brush: by a tenth, at least by one. */
export function nextSize(way) {
    const step = Math.max(1, Math.round(state.size / 10));
    return Math.min(2000, Math.max(1, Math.round(state.size + way * step)));
}

/** Asking for the place of an element costs a layout, so it is kept from one frame to the next. */
function boxOf(element) {
    if (!boxes.has(element)) {
        boxes.set(element, element.getBoundingClientRect());
        if (boxes.size === 1) requestAnimationFrame(() => setTimeout(() => boxes.clear(), 250));
    }
    return boxes.get(element);
}

function at(element, event) {
    const box = boxOf(element);
    return view.toImage(event.clientX - box.left, event.clientY - box.top);
}

function spot() {
    return spaceHeld || dragged ? null : keyed ?? pointer;
}

/** A few times a second: text that changes in every frame costs the frame a layout. */
function showPosition(place) {
    shownPlace = place;
    positionTimer ??= setTimeout(() => {
        positionTimer = null;
        if (!shownPlace || !state.image) return;
        const [x, y] = shownPlace;
        const grey = greyAt(x, y);
        const value = grey === null ? "" : ` · value ${Number(grey.toPrecision(4))}`;
        find("position").textContent = `x ${Math.floor(x)}, y ${Math.floor(y)}${value}`;
    }, 80);
}

function drawKeyed(context) {
    const [x, y] = view.toScreen(...keyed);
    twice(context, () => {
        context.beginPath();
        context.moveTo(x - 8, y);
        context.lineTo(x + 8, y);
        context.moveTo(x, y - 8);
        context.lineTo(x, y + 8);
        context.stroke();
    });
}
