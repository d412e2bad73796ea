// All keys, in one table: what they do, and the list of them that `?` shows.

import { chooseClass } from "./classes.js";
import { zoom } from "./controls.js";
import { fill, find, make } from "./dom.js";
import { stepImage } from "./images.js";
import { holdSpace, moveByKeys, movedByKeys, nextSize, panByKeys, pressByKey } from "./navigation.js";
import { redo, undo } from "./session.js";
import { change, denoises, state } from "./state.js";
import { showTab } from "./tabs.js";
import { TOOL_KEYS, currentTool } from "./tools.js";
import { leastSure, trainOrPause } from "./training.js";
import { fitImage, showSlice } from "./viewer.js";

/** [keys, what they do, action]; keys are named as `nameOf` names them, `shown` how people read them. */
const KEYS = [
    ["Labelling", [
        [["1"], "1 … 9", "Paint this class", null],
        ...TOOL_KEYS.map(([key, name, label]) => [[key.toLowerCase()], key, label, () => change({ tool: name })]),
        [["["], "[", "Smaller brush", () => change({ size: nextSize(-1) })],
        [["]"], "]", "Larger brush (also Shift + wheel)", () => change({ size: nextSize(1) })],
        [["ctrl+z"], "Ctrl + Z", "Undo", undo],
        [["ctrl+shift+z", "ctrl+y"], "Ctrl + Shift + Z", "Redo", redo],
        [["shift+arrows"], "Shift + arrows", "Move the brush without a mouse", null],
        [["enter"], "Enter", "Put the brush down or lift it; close a polygon", enter],
        [["backspace"], "Backspace", "Take back the last corner of a polygon", () => currentTool().back?.()],
        [["escape"], "Esc", "Give up a polygon or lasso", () => currentTool().cancel?.()],
    ]],
    ["Looking", [
        [["space"], "Space + drag", "Move the picture (also the middle button)", null],
        [["arrows"], "Arrows", "Move the picture", null],
        [["+", "="], "+", "Closer (also the wheel)", () => zoom(1.3)],
        [["-"], "−", "Further away", () => zoom(1 / 1.3)],
        [["0"], "0", "The whole image", fitImage],
        [[",", "pageup"], ", or Page up", "Previous slice", () => showSlice(state.slice - 1)],
        [[".", "pagedown"], ". or Page down", "Next slice", () => showSlice(state.slice + 1)],
        [["home"], "Home, End", "First and last slice", () => showSlice(0)],
        [["end"], null, null, () => showSlice(Infinity)],
        [["j"], "J, K", "Next and previous image", () => stepImage(1)],
        [["k"], null, null, () => stepImage(-1)],
        [["o"], "O", "Cuts through the stack", () => state.image?.slices > 1 && change({ orthogonal: !state.orthogonal })],
        [["v"], "V", "Labels on or off", () => change({ labelsShown: !state.labelsShown })],
        [["r"], "R", "What the network makes of it, on or off", () => toggleOverlay("classes")],
        [["u"], "U", "Uncertainty on or off", () => !denoises() && toggleOverlay("uncertainty")],
    ]],
    ["Training and the page", [
        [["t"], "T", "Train or pause", trainOrPause],
        [["n"], "N", "Where it is least sure", () => !denoises() && state.training?.model && leastSure()],
        [["alt+1"], "Alt + 1, 2, 3", "Label, Train, Results", () => showTab("label")],
        [["alt+2"], null, null, () => showTab("train")],
        [["alt+3"], null, null, () => showTab("results")],
        [["?"], "?", "This list", showKeys],
    ]],
];

const ACTIONS = new Map(KEYS.flatMap(([, keys]) => keys.flatMap(([names, , , action]) => (action ? names.map((name) => [name, action]) : []))));
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Listens to the keyboard. */
export function startKeys() {
    document.addEventListener("keydown", pressed);
    document.addEventListener("keyup", (event) => event.code === "Space" && holdSpace(false));
    find("help").addEventListener("click", showKeys);
    find("keys-close").addEventListener("click", () => find("keys-dialog").close());
    fill(find("keys-list"), KEYS.map(([title, keys]) => make("section", { "data-only": title === "Labelling" ? "segment" : null }, make("h3", {}, title), make("dl", {},
        keys.filter(([, shown]) => shown).flatMap(([, shown, text]) => [make("dt", {}, make("kbd", {}, shown)), make("dd", {}, text)])))));
}

function showKeys() {
    find("keys-dialog").showModal();
}

function pressed(event) {
    if (document.querySelector("dialog[open]")) return;
    const kind = focusKind(event.target);
    if (kind === "text") return;
    const arrow = ARROWS[event.key];
    // Sliders, lists and buttons keep the keys that work them.
    if (kind === "control" && (arrow || [" ", "Enter", "Home", "End", "PageUp", "PageDown", "Backspace"].includes(event.key))) return;
    if (kind === "list" && !event.ctrlKey && !event.metaKey) return;
    if (arrow && !event.ctrlKey && !event.altKey && !event.metaKey) {
        event.preventDefault();
        return event.shiftKey ? moveByKeys(...arrow) : panByKeys(...arrow);
    }
    if (event.code === "Space") {
        event.preventDefault();
        return holdSpace(true);
    }
    const name = nameOf(event);
    const digit = /^[1-9]$/.exec(name);
    if (digit) return chooseClass(Number(name) - 1);
    const action = ACTIONS.get(name);
    if (!action || (event.repeat && ["t", "n"].includes(name))) return;
    event.preventDefault();
    action();
}

/** A key as the table names it: with the modifiers that matter. */
function nameOf(event) {
    const key = event.key.toLowerCase();
    // On some keyboards [ and ] are typed with AltGr, which also counts as Ctrl and Alt.
    if (event.getModifierState("AltGraph")) return key;
    if (event.ctrlKey || event.metaKey) return `ctrl+${event.shiftKey ? "shift+" : ""}${key}`;
    if (event.altKey) return `alt+${/^Digit/.test(event.code) ? event.code.slice(5) : key}`;
    return key;
}

function focusKind(element) {
    const tag = element.tagName;
    if (tag === "TEXTAREA" || element.isContentEditable) return "text";
    if (tag === "SELECT") return "list";
    if (tag === "INPUT") return ["text", "number", "search"].includes(element.type) ? "text" : "control";
    return ["BUTTON", "A", "SUMMARY"].includes(tag) ? "control" : "page";
}

function enter() {
    const tool = currentTool();
    // With a brush moved by keys, Enter sets a corner, and a second one at the same place closes.
    if (tool.finish && tool.active && !movedByKeys()) return tool.finish();
    return pressByKey();
}

function toggleOverlay(what) {
    // In projects that denoise there is but one thing to be shown.
    const isShown = denoises() ? state.overlay !== "nothing" : state.overlay === what;
    change({ overlay: isShown ? "nothing" : what });
}
