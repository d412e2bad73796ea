// The advanced fold: every setting of training, as the server lists them.

import { getJson } from "./api.js";
import { fill, find, make } from "./dom.js";
import { report } from "./messages.js";

/** What the user has set, by name; what is left alone is not in it. */
const chosen = new Map();
let loading = null;

/** The fold asks the server when it is opened, or training is started, for the first time. */
export function startSettings() {
    find("advanced").addEventListener("toggle", () => {
        if (!find("advanced").open) return;
        find("advanced").scrollIntoView({ block: "start" });
        load().catch(report);
    });
    find("settings-search").addEventListener("input", search);
}

/** The settings that differ from their defaults: {name: value}; waits for those that the project keeps. */
export async function chosenSettings() {
    await load();
    return Object.fromEntries(chosen);
}

/** Asks the server once. */
function load() {
    loading ??= getJson("/api/settings").then(show).catch((error) => {
        loading = null;
        throw error;
    });
    return loading;
}

function show(answer) {
    const settings = Array.isArray(answer) ? answer : answer.settings;
    const parts = new Map();
    for (const setting of settings) {
        // Images and labels are those of the project, and what is learnt is their classes.
        if (setting.for_files || setting.name === "task") continue;
        const heading = setting.heading ?? "Settings";
        if (!parts.has(heading)) parts.set(heading, []);
        parts.get(heading).push(setting);
    }
    fill(find("settings"), [...parts].map(([heading, group]) => make("fieldset", {}, make("legend", {}, heading), group.map(line))));
}

function line(setting) {
    const { name } = setting;
    const id = `setting-${name}`;
    const input = field(setting, id);
    const element = make("div", { class: "setting", "data-text": `${name} ${setting.help ?? ""}`.toLowerCase() },
        make("label", { htmlFor: id }, name.replaceAll("_", " ")),
        input,
        make("p", { class: "hint" }, [helpOf(setting), defaultOf(setting)].filter(Boolean).join(" ")));
    const take = () => {
        const value = input.value.trim();
        if (value === "") chosen.delete(name);
        else chosen.set(name, valueOf(kindOf(setting), value));
        element.classList.toggle("set", chosen.has(name));
        find("settings-count").textContent = chosen.size > 0 ? `(${chosen.size} set)` : "";
    };
    input.addEventListener("change", take);
    // What the project keeps from an earlier start.
    if (setting.value !== null && setting.value !== undefined) {
        input.value = String(setting.value);
        take();
    }
    return element;
}

/** Help as a sentence, with the names of other settings as this page writes them. */
function helpOf({ help }) {
    if (!help) return "";
    const text = help.replace(/`([^`]*)`/g, (_, name) => name.replaceAll("_", " "));
    return /[.!?]$/.test(text) ? text : `${text}.`;
}

function defaultOf(setting) {
    const value = setting.default;
    return value === null || value === undefined || value === "" ? "" : `Left empty: ${value}.`;
}

/** "flag", "number", "text", or a list of choices. */
function kindOf({ kind, choices }) {
    if (Array.isArray(choices) && choices.length > 0) return choices;
    if (kind !== null && typeof kind === "object") return Object.values(kind).find(Array.isArray) ?? "text";
    const word = String(kind ?? "text").toLowerCase();
    if (/bool|flag|switch|yes/.test(word)) return "flag";
    if (/^(integer|whole|float|number|count|share|f64|usize|u64|i64)/.test(word) && word !== "numbers") return "number";
    return "text";
}

function field(setting, id) {
    const kind = kindOf(setting);
    if (kind === "flag") return choice(id, [["", "default"], ["true", "yes"], ["false", "no"]]);
    if (Array.isArray(kind)) {
        return choice(id, [["", "default"], ...kind.map((one) => {
            const name = typeof one === "string" ? one : one.name;
            return [name, name];
        })]);
    }
    const placeholder = setting.default === null || setting.default === undefined ? "" : String(setting.default);
    return make("input", { id, type: kind === "number" ? "number" : "text", step: kind === "number" ? "any" : null, placeholder });
}

function choice(id, options) {
    return make("select", { id }, options.map(([value, text]) => make("option", { value }, text)));
}

function valueOf(kind, text) {
    if (kind === "flag") return text === "true";
    if (kind === "number") return Number(text);
    return text;
}

function search() {
    const words = find("settings-search").value.toLowerCase().replaceAll("_", " ").split(" ").filter(Boolean);
    for (const element of find("settings").querySelectorAll(".setting")) {
        const text = element.dataset.text.replaceAll("_", " ");
        element.hidden = !words.every((word) => text.includes(word));
    }
    for (const part of find("settings").querySelectorAll("fieldset")) {
        part.hidden = [...part.querySelectorAll(".setting")].every((element) => element.hidden);
    }
}
