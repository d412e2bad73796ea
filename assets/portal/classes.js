// The classes: names, colours, locks; which one is painted.

import { sendJson } from "./api.js";
import { fill, find, iconButton, make } from "./dom.js";
import { perform } from "./messages.js";
import { readProject } from "./session.js";
import { change, classes, listen, state } from "./state.js";
import { redraw, stores } from "./viewer.js";

/** Colours that can be told apart with any colour vision and on grey images, in the order in which classes get them. */
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#9ad03a", "#b07aff", "#ff6f91"];

let renaming = null;
let removing = null;

/** Builds the list, which follows the project. */
export function startClasses() {
    find("add-class").addEventListener("submit", (event) => {
        event.preventDefault();
        const name = find("new-class").value.trim();
        if (name) perform(null, () => addClass(name));
    });
    find("class-dialog").addEventListener("close", () => find("class-dialog").returnValue === "yes" && perform(null, remove));
    listen(["project", "class"], show);
}

/** Paints with the class at this place of the list, from 0. */
export function chooseClass(index) {
    const chosen = classes()[index];
    if (chosen) change({ class: chosen.class, tool: state.tool === "eraser" || state.tool === "move" ? "brush" : state.tool });
}

/** Adds a class in this colour, or one that no other class has, and paints with it. */
export async function addClass(name, wanted = null) {
    const taken = new Set(classes().map(({ colour }) => colour));
    const usable = /^#[0-9a-f]{6}$/i.test(wanted ?? "") && !taken.has(wanted.toLowerCase());
    const colour = usable ? wanted.toLowerCase() : COLOURS.find((one) => !taken.has(one)) ?? COLOURS[classes().length % COLOURS.length];
    const before = new Set(classes().map((one) => one.class));
    await sendJson("POST", "/api/classes", { name, colour });
    find("new-class").value = "";
    await readProject();
    const added = classes().find((one) => !before.has(one.class));
    if (added) change({ class: added.class });
}

async function edit(number, changes) {
    await sendJson("PATCH", `/api/classes/${number}`, changes);
    await readProject();
}

function show() {
    // Not while someone types a name.
    if (renaming !== null && document.activeElement?.classList.contains("rename")) return;
    const focused = document.activeElement?.dataset?.focus;
    fill(find("class-list"), classes().map(line));
    find("no-classes").hidden = classes().length > 0;
    if (focused) find("class-list").querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

function line(one, index) {
    const chosen = one.class === state.class;
    const colour = make("input", { type: "color", value: one.colour, "aria-label": `Colour of ${one.name}`, title: "Change the colour" });
    colour.addEventListener("change", () => perform(colour, () => edit(one.class, { colour: colour.value })));
    const name = renaming === one.class ? nameField(one) : make("button", {
        type: "button", class: "class-name", role: "radio", "aria-checked": chosen, "data-focus": `name-${one.class}`,
        title: index < 9 ? `Paint ${one.name} (${index + 1})` : `Paint ${one.name}`,
        on: { click: () => chooseClass(index), dblclick: () => rename(one.class) },
    }, make("span", { class: "class-text" }, one.name), index < 9 ? make("kbd", {}, index + 1) : null);
    return make("li", { class: chosen ? "class chosen" : "class" },
        colour, name,
        renaming === one.class
            ? iconButton("close", `Remove ${one.name}`, () => askRemove(one), { id: "remove-class" })
            : iconButton("pencil", `Rename or remove ${one.name}`, () => rename(one.class)),
        iconButton(one.locked ? "lock" : "unlock",
            one.locked ? `${one.name} is locked: nothing paints over it. Unlock` : `Lock ${one.name}: nothing paints over it`,
            (event) => perform(event.currentTarget, () => edit(one.class, { locked: !one.locked })),
            { "aria-pressed": one.locked ? "true" : "false", "data-focus": `lock-${one.class}` }));
}

function askRemove(one) {
    removing = one;
    renaming = null;
    show();
    find("class-name").textContent = one.name;
    find("class-dialog").returnValue = "";
    find("class-dialog").showModal();
}

async function remove() {
    await edit(removing.class, { removed: true });
    stores.labels.reloadAll();
    redraw("labels");
}

function rename(number) {
    renaming = number;
    show();
    const field = find("class-list").querySelector(".rename");
    field?.focus();
    field?.select();
}

function nameField(one) {
    const field = make("input", { type: "text", class: "rename", value: one.name, maxlength: 60, "aria-label": `New name of ${one.name}` });
    let done = false;
    const end = (keep) => {
        if (done) return;
        done = true;
        const name = field.value.trim();
        field.blur();
        renaming = null;
        if (keep && name && name !== one.name) perform(null, () => edit(one.class, { name }));
        show();
    };
    field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") end(true);
        if (event.key === "Escape") end(false);
    });
    // The button beside it removes the class; it is part of the same editing.
    field.addEventListener("blur", (event) => event.relatedTarget?.id !== "remove-class" && end(true));
    return field;
}
