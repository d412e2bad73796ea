// Projects that denoise: what the network learns from, and what each image is for that.

import { sendJson } from "./api.js";
import { fill, find, make } from "./dom.js";
import { perform } from "./messages.js";
import { rolesOf, summary } from "./roles.js";
import { readProject } from "./session.js";
import { change, denoises, listen, state } from "./state.js";

/** What images can be in this project: [[role, name], ...]. */
export function roles() {
    return rolesOf(state.project);
}

/** The role of images that are added now; null where there is nothing to choose. */
export function roleOfNew() {
    return roles().length > 1 ? find("role").value : null;
}

/** Connects the choices. */
export function startDenoising() {
    for (const name of ["task", "learns-from", "welcome-learns-from"]) {
        for (const box of document.querySelectorAll(`input[name=${name}]`)) {
            box.addEventListener("change", () => perform(null, async () => {
                try {
                    await sendJson("PATCH", "/api/project", { [name === "task" ? "task" : "learns_from"]: box.value });
                } finally {
                    await readProject();
                    show();
                }
            }));
        }
    }
    listen(["project"], show);
    // Nothing is drawn: the pointer moves the picture.
    listen(["project", "tool"], () => denoises() && state.tool !== "move" && change({ tool: "move" }));
}

function show() {
    const { project } = state;
    if (!project) return;
    document.documentElement.dataset.task = project.task;
    for (const box of document.querySelectorAll("input[name=task]")) box.checked = box.value === project.task;
    for (const box of document.querySelectorAll("input[name=learns-from], input[name=welcome-learns-from]")) {
        box.checked = box.value === project.learns_from;
    }
    const offered = roles();
    find("role-line").hidden = offered.length < 2;
    const select = find("role");
    const before = select.value;
    if ([...select.options].map(({ value }) => value).join() !== offered.map(([role]) => role).join()) {
        fill(select, offered.map(([role, name]) => make("option", { value: role }, name)));
        if (offered.some(([role]) => role === before)) select.value = before;
    }
    fill(find("drop-roles"), offered.length < 2 ? [] : offered.map(([role, name]) => make("div", { class: "drop-role", "data-role": role }, `Drop here: ${name}`)));
    if (denoises()) find("sources-text").textContent = project.images.length > 0 ? summary(project) : "";
}
