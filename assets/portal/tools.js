// The tools: which there are, the bar they are chosen from, and what can be set of each.

import { brushTool } from "./brush.js";
import { fill, find, icon, make } from "./dom.js";
import { perform, say } from "./messages.js";
import { recordAndWait } from "./session.js";
import { fillTool, lassoTool, polygonTool } from "./shapes.js";
import { activeClass, change, listen, state } from "./state.js";

const TOOLS = [
    {
        name: "move", label: "Move", key: "H", tool: {},
        help: "Drag to move the picture. With the cuts shown, a click sets where they cut.",
    },
    {
        name: "brush", label: "Brush", key: "B", tool: brushTool(false),
        help: "Paint a few strokes; not every pixel is needed. Shift + wheel changes the size.",
    },
    {
        name: "eraser", label: "Eraser", key: "E", tool: brushTool(true),
        help: "Takes labels away, except those of locked classes.",
    },
    {
        name: "polygon", label: "Polygon", key: "P", tool: polygonTool(),
        help: "Click corners. Enter, a double click or the first corner closes it; Backspace takes one back.",
    },
    {
        name: "lasso", label: "Lasso", key: "L", tool: lassoTool(),
        help: "Draw around an area; it is filled when you lift.",
    },
    {
        name: "fill", label: "Fill", key: "F", tool: fillTool(),
        help: "Click: neighbouring pixels of about the same brightness are filled.",
    },
];

const LARGEST_SLIDER = 400;

/** Keys of the tools, for the list of keys: [[key, name, label], ...]. */
export const TOOL_KEYS = TOOLS.map(({ key, name, label }) => [key, name, label]);

/** What the pointer does now. */
export function currentTool() {
    return TOOLS.find(({ name }) => name === state.tool).tool;
}

/** Builds the bar and the settings below it. */
export function startTools() {
    const buttons = TOOLS.map(({ name, label, key }) => make("button", {
        type: "button", class: "tool", role: "radio", "data-tool": name, title: `${label} (${key})`, "aria-keyshortcuts": key,
        on: { click: () => change({ tool: name }) },
    }, icon(name), make("span", {}, label)));
    find("tools").append(...buttons);
    find("tools").addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        const next = (TOOLS.findIndex(({ name }) => name === state.tool) + step + TOOLS.length) % TOOLS.length;
        change({ tool: TOOLS[next].name });
        buttons[next].focus();
    });
    listen(["tool"], () => {
        for (const button of buttons) {
            const chosen = button.dataset.tool === state.tool;
            button.setAttribute("aria-checked", chosen);
            button.tabIndex = chosen ? 0 : -1;
        }
        find("tool-help").textContent = TOOLS.find(({ name }) => name === state.tool).help;
    });
    fill(find("tool-settings"), sizeRow(), toleranceRow(), depthRow(), rangeRow());
    fill(find("between"), betweenRow());
}

/** A row that is there for some tools, and for stacks only where `stacks`. */
function row(tools, stacks, ...children) {
    const element = make("div", { class: "row" }, ...children);
    listen(["tool", "image"], () => {
        element.hidden = !tools.includes(state.tool) || (stacks && (state.image?.slices ?? 1) < 2);
    });
    return element;
}

function number(label, { min, max, step = 1 }, onChange) {
    const input = make("input", { type: "number", min, max, step, "aria-label": label });
    input.addEventListener("change", () => {
        const value = Number(input.value);
        if (input.value === "" || !Number.isFinite(value)) return;
        onChange(Math.min(max ?? value, Math.max(min ?? value, value)));
    });
    return input;
}

function sizeRow() {
    // Small sizes need fine steps, large ones do not: the slider goes by the square.
    const slider = make("input", { type: "range", min: 0, max: 1000, id: "size-slider", "aria-label": "Size of the brush" });
    slider.addEventListener("input", () => change({ size: Math.max(1, Math.round((slider.value / 1000) ** 2 * LARGEST_SLIDER)) }));
    const exact = number("Size of the brush in pixels", { min: 1, max: 2000 }, (size) => change({ size }));
    listen(["size"], () => {
        slider.value = Math.sqrt(Math.min(1, state.size / LARGEST_SLIDER)) * 1000;
        exact.value = state.size;
    });
    return row(["brush", "eraser"], false, make("label", { htmlFor: "size-slider" }, "Size"), slider, exact, make("span", { class: "unit" }, "px"));
}

function toleranceRow() {
    const slider = make("input", { type: "range", min: 0, max: 500, id: "tolerance" });
    slider.addEventListener("input", () => change({ tolerance: slider.value / 1000 }));
    const shown = make("output", { for: "tolerance" });
    listen(["tolerance"], () => {
        slider.value = state.tolerance * 1000;
        shown.textContent = `${(state.tolerance * 100).toFixed(1)} %`;
    });
    return row(["fill"], false, make("label", { htmlFor: "tolerance" }, "May differ by"), slider, shown);
}

function depthRow() {
    const exact = number("Slices above and below that are painted too", { min: 0, max: 500 }, (depth) => change({ depth: Math.round(depth) }));
    exact.id = "depth";
    listen(["depth"], () => { exact.value = state.depth; });
    return row(["brush", "eraser"], true, make("label", { htmlFor: "depth" }, "Slices above and below"), exact);
}

function rangeRow() {
    const on = make("input", { type: "checkbox", id: "range-on" });
    const update = () => change({ range: on.checked ? [Number(low.value), Number(high.value)] : null });
    const low = number("Darkest value that is painted", { step: "any" }, update);
    const high = number("Brightest value that is painted", { step: "any" }, update);
    on.addEventListener("change", () => {
        if (on.checked && state.image && low.value === "") [low.value, high.value] = [short(state.image.low), short(state.image.high)];
        update();
    });
    const values = make("span", { class: "range-values" }, low, "to", high);
    listen(["range", "image"], () => {
        on.checked = Boolean(state.range);
        values.hidden = !state.range;
        if (!state.range) low.value = high.value = "";
    });
    return row(["brush"], false, on, make("label", { htmlFor: "range-on" }, "Only this brightness"), values);
}

function betweenRow() {
    const from = number("First slice", { min: 1 }, () => {});
    const to = number("Last slice", { min: 1 }, () => {});
    const here = (input) => make("button", { type: "button", class: "small", on: { click: () => { input.value = state.slice + 1; } } }, "this slice");
    const go = make("button", { type: "button", on: { click: () => perform(go, between) } }, "Fill in between");
    async function between() {
        const [first, last] = [Number(from.value) - 1, Number(to.value) - 1];
        const { slices } = state.image;
        if (!activeClass() || !(first >= 0 && last >= 0 && first < slices && last < slices) || Math.abs(first - last) < 2) {
            return say("Give two slices at least two apart, on both of which the chosen class is painted.", "error");
        }
        await recordAndWait({ op: "between", image: state.image.id, class: state.class, from: Math.min(first, last), to: Math.max(first, last) });
    }
    const element = make("details", {},
        make("summary", {}, "Between two slices"),
        make("p", { class: "hint" }, "Paint the chosen class as areas on two slices; the slices between are filled with shapes in between."),
        make("div", { class: "row" }, make("span", {}, "From"), from, here(from)),
        make("div", { class: "row" }, make("span", {}, "to"), to, here(to)),
        go);
    listen(["image"], () => { element.hidden = (state.image?.slices ?? 1) < 3; });
    return element;
}

/** A number short enough for a field. */
export function short(value) {
    return String(Number(Number(value).toPrecision(5)));
}
