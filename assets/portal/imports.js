// Label files of other programs: sent to the server, which asks back where it does not know what their values stand for.

import { path, sendFile } from "./api.js";
import { addClass } from "./classes.js";
import { fill, find, make } from "./dom.js";
import { perform, say } from "./messages.js";
import { readProject, tab } from "./session.js";
import { classes, state } from "./state.js";
import { NEW, meaningsText, suggested } from "./values.js";

/** Connects the button and the dialogue. */
export function startImports() {
    find("import-labels").addEventListener("change", ({ target }) => {
        const [file] = target.files;
        target.value = "";
        if (file && state.image) perform(null, () => importLabels(file, state.image));
    });
}

async function importLabels(file, image) {
    // Undo in this page takes away what came by this page.
    const address = `${path("/api/import", image.id)}?tab=${encodeURIComponent(tab)}`;
    try {
        await sendFile("POST", address, file);
    } catch (error) {
        const values = error.answer?.values;
        if (error.status !== 409 || !values) throw error;
        const meanings = await ask(file, values);
        if (meanings === null) return;
        await sendFile("POST", `${address}&values=${encodeURIComponent(meanings)}`, file);
    }
    await readProject();
    say(`The labels of ${file.name} were laid over ${image.name}. Undo takes them away.`, "good");
}

/** Asks which class each value stands for; null where the person does not say. */
async function ask(file, values) {
    const dialog = find("values-dialog");
    find("values-file").textContent = file.name;
    const lines = values.map(({ value, pixels, name, colour }) => {
        const field = make("select", { "aria-label": name ?? `Value ${value}` },
            make("option", { value: "none" }, "nothing"),
            classes().map((one) => make("option", { value: one.class }, one.name)),
            make("option", { value: NEW }, name === undefined ? "a new class" : `a new class “${name}”`));
        field.value = suggested(value, classes(), name);
        return { value, pixels, name, colour, field };
    });
    fill(find("values-list"), lines.map(({ value, pixels, name, field }) => make("tr", {},
        make("th", { scope: "row" }, name ?? value), make("td", {}, pixels.toLocaleString("en")), make("td", {}, field))));
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "yes") return null;
    const chosen = [];
    for (const { value, name, colour, field } of lines) {
        let meaning = field.value;
        if (meaning === NEW) {
            // Two values of one name are one class.
            const wanted = name ?? `value ${value}`;
            const known = classes().find((one) => one.name === wanted);
            if (!known) await addClass(wanted, colour);
            meaning = known?.class ?? state.class;
        }
        chosen.push([value, meaning]);
    }
    return meaningsText(chosen);
}
