// Files that are sent to the server, one after the other, and folders that are dropped on the page.

import { path, sendFile, sendJson } from "./api.js";
import { find } from "./dom.js";
import { report } from "./messages.js";
import { inOrder, isPicture, seriesOf } from "./series.js";

/**
 * Asks whether files are the slices of one stack: true, false, or null where the person wants none of it. `series` is as `seriesOf`
 * gives it.
 */
export async function askStack({ name, count, likely }) {
    const dialog = find("stack-dialog");
    find("stack-question").textContent = `The ${count} files of “${name}” differ only by a number: are they the slices of one stack?`;
    const [one, apart] = [find("stack-one"), find("stack-apart")];
    one.textContent = `One stack of ${count} slices`;
    apart.textContent = `${count} images`;
    one.classList.toggle("primary", likely);
    apart.classList.toggle("primary", !likely);
    dialog.returnValue = "";
    dialog.showModal();
    (likely ? one : apart).focus();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    return { one: true, apart: false }[dialog.returnValue] ?? null;
}

/**
 * Sends groups of files, [{name, files}, ...], for images of a role; with `asks` each group is a stack where the person says so. Gives what
 * was added.
 */
export async function uploadGroups(groups, { role, asks }) {
    const added = [];
    const shown = find("upload-progress");
    try {
        for (const { name, files } of groups) {
            const series = asks ? seriesOf(files.map((file) => file.name), files.map((file) => file.size)) : null;
            const stack = series ? await askStack({ ...series, name: name || series.name }) : false;
            if (stack === null) continue;
            if (stack) added.push(...await uploadStack(name || series.name, inOrder(files)));
            else added.push(...await uploadApart(files, role));
        }
    } finally {
        shown.hidden = true;
    }
    return added;
}

async function uploadApart(files, role) {
    const query = role ? `?role=${encodeURIComponent(role)}` : "";
    const added = [];
    for (const [index, file] of files.entries()) {
        try {
            added.push(...(await send(file, index, files.length, query)).images);
        } catch (error) {
            error.message = `${file.name}: ${error.message}`;
            report(error);
        }
    }
    return added;
}

/** All slices or none. */
async function uploadStack(name, files) {
    const key = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try {
        for (const [index, file] of files.entries()) await send(file, index, files.length, `?stack=${key}`);
        return (await sendJson("POST", path("/api/upload-stack", key), { name })).images;
    } catch (error) {
        report(error);
        await sendJson("DELETE", path("/api/upload-stack", key)).catch(() => {});
        return [];
    }
}

function send(file, index, count, query = "") {
    const bar = find("upload-bar");
    find("upload-progress").hidden = false;
    find("upload-text").textContent = `${index + 1} of ${count}: ${file.name}`;
    bar.value = 0;
    return sendFile("PUT", path("/api/upload", file.name) + query, file, (done) => { bar.value = done; });
}

/** What was dropped: the files by themselves, and those of each folder, as groups. */
export async function droppedGroups(transfer) {
    const entries = [...transfer.items].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.() ?? null);
    const folders = entries.filter((entry) => entry?.isDirectory);
    if (folders.length === 0) return [{ name: "", files: [...transfer.files] }];
    const loose = await Promise.all(entries.filter((entry) => entry?.isFile).map(fileOf));
    const groups = loose.length > 0 ? [{ name: "", files: loose }] : [];
    for (const folder of folders) {
        const inside = (await entriesOf(folder)).filter((entry) => entry.isFile && isPicture(entry.name));
        if (inside.length > 0) groups.push({ name: folder.name, files: await Promise.all(inside.map(fileOf)) });
    }
    return groups;
}

function fileOf(entry) {
    return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** All entries of a folder, which browsers give a hundred at a time. */
async function entriesOf(folder) {
    const reader = folder.createReader();
    const all = [];
    for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (some.length === 0) return all;
        all.push(...some);
    }
}
