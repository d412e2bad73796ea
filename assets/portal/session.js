// What this page writes into the journal, and what it hears of what others write: strokes, undo and redo, the project.

import { getJson, getText, sendJson } from "./api.js";
import { afterCalm } from "./dom.js";
import { onEvent } from "./events.js";
import { report, say } from "./messages.js";
import { Parts } from "./parts.js";
import { Queue, leftBehind, tabsLeft } from "./queue.js";
import { change, classes, listen, showImage, state } from "./state.js";
import { redraw, stores } from "./viewer.js";

const TAB = "msd-gpu/tab";

/** This page's name in the journal: it survives a reload, and no two open pages have the same. */
export let tab = "";
let queue = null;
const parts = new Parts(sessionStorage);
const continuing = new WeakSet();
let turning = Promise.resolve();

/** Finds this page's name, sets up the queue and listens to the server; nothing is read or sent before `openSession`. */
export async function startSession() {
    tab = sessionStorage.getItem(TAB) || newName();
    if (!await holdName(tab)) {
        tab = newName();
        await holdName(tab);
        parts.forget();
    }
    sessionStorage.setItem(TAB, tab);
    queue = newQueue(tab);
    onEvent("journal", ({ seq, tab: other, changed }) => {
        if (other !== tab) labelsChanged(changed, seq);
        readProjectSoon();
    });
    onEvent("project", () => readProject().catch(report));
    onEvent("open", () => comeBack().catch(report));
    listen(["connected"], () => !state.connected && queue.doubt());
    window.addEventListener("beforeunload", (event) => state.saving === "unkept" && event.preventDefault());
}

/** Reads the project, and sends what this and earlier pages could not. */
export async function openSession() {
    await readProject();
    parts.open(state.project.id);
    await takeUpLeft();
}

/** Writes an entry; `follows` where it goes on with the stroke before it. */
export function record(entry, follows = false) {
    if (follows) continuing.add(entry);
    queue.push(entry);
}

/** Paints an entry (stroke or polygon) here at once, and writes it. */
export function paintAndRecord(entry) {
    stores.labels.remember(entry);
    stores.labels.paint(entry);
    record(entry);
}

/** Writes an entry that the server carries out; resolves when it has. */
export async function recordAndWait(entry) {
    queue.push(entry);
    await queue.drained();
}

/** Waits until everything that was painted is with the server. */
export function allSaved() {
    return queue.drained();
}

export function undo() {
    return turn("undo");
}

export function redo() {
    return turn("redo");
}

/** Reads the project again: images, classes and what belongs to them. */
export async function readProject() {
    const project = await getJson("/api/project");
    queue.learn(project.journal.seq, project.journal.hash);
    if (project.journal.seq > stores.labels.seq) {
        // Events may have been missed.
        labelsChanged(project.images.map(({ id }) => ({ image: id })), project.journal.seq, true);
    }
    change({ project });
    const known = project.images.find((one) => one.id === state.image?.id);
    if (known) change({ image: known });
    else showImage(project.images[0]?.id);
    if (!classes().some((one) => one.class === state.class)) change({ class: classes()[0]?.class ?? 0 });
    if (project.training) {
        const { curve, ...training } = project.training;
        change({ training: { ...state.training, ...training } });
    }
}

const readProjectSoon = afterCalm(() => readProject().catch(report), 2500);

function newQueue(name) {
    return new Queue({
        storage: localStorage, tab: name,
        send: (entries) => sendJson("POST", "/api/journal", { tab: name, entries }),
        isSame: sameJournal,
        readAfter: async (seq) => (await readJournal(seq)).filter((entry) => entry.seq > seq),
        onState: (saving) => change({ saving }),
        onSaved: (entries, answer) => saved(entries, answer),
        onRefused: (entry, error) => {
            stores.labels.refused(entry);
            redraw("labels");
            report(error);
        },
    });
}

function saved(entries, { seq, changed }) {
    entries.forEach((entry, index) => {
        const number = seq - entries.length + 1 + index;
        stores.labels.saved(entry, number);
        if (continuing.has(entry)) parts.add(number);
    });
    // What this page painted itself is there already; what the server worked out (fills) is not.
    const calm = entries.every(({ op }) => op === "stroke" || op === "polygon");
    labelsChanged(changed ?? [], seq, calm);
}

function labelsChanged(changed, seq, calm = false) {
    stores.labels.changed(changed, seq, calm);
    if (!calm) return redraw("labels");
    return redrawCalm();
}

/** When strokes have rested, their tiles are compared with the server's. */
const redrawCalm = afterCalm(() => redraw("labels"), 800);

/** One undo or redo after the other, each after all strokes have arrived. */
function turn(way) {
    turning = turning.then(() => turnOnce(way)).catch((error) => {
        if (error.status === 409) say(error.message);
        else report(error);
    });
    return turning;
}

async function turnOnce(way) {
    if (state.saving === "lost" || !state.connected) {
        return say("Undo and redo need the server, which does not answer at present.", "error");
    }
    await queue.drained();
    for (;;) {
        const answer = await sendJson("POST", `/api/${way}`, { tab });
        queue.learn(answer.seq, answer.hash);
        stores.labels.forgetSaved();
        labelsChanged(answer.changed, answer.seq);
        showChange(answer.changed);
        const number = answer.entry?.of ?? answer.entry?.seq;
        if (!parts.has(way === "undo" ? number : number + 1)) return;
    }
}

/** What was undone is shown, where it is on another image or slice. */
function showChange(changed) {
    const here = ({ image, slice }) => image === state.image?.id && slice === state.slice;
    const known = changed.find(({ image }) => state.project.images.some((one) => one.id === image));
    if (known && !changed.some(here)) showImage(known.image, known.slice);
}

/** The server is there again: it may have been started anew, with the same project or another one. */
async function comeBack() {
    if (!await sameJournal(queue.known)) {
        sessionStorage.removeItem(TAB);
        parts.forget();
        location.reload();
        return;
    }
    queue.trust();
    await readProject();
    stores.labels.changed(state.project.images.map(({ id }) => ({ image: id })), state.project.journal.seq);
    queue.retry();
    redraw();
}

/** Sends what this page, or pages that were closed, could not send; what belongs to another project is left where it is. */
async function takeUpLeft() {
    let foreign = 0;
    for (const name of tabsLeft(localStorage)) {
        const left = leftBehind(localStorage, name);
        if (!left) continue;
        if (!await sameJournal(left.known)) {
            foreign += left.entries.length;
            continue;
        }
        if (name === tab) {
            queue.restore();
            queue.retry();
        } else if (await holdName(name, true)) {
            const other = newQueue(name);
            other.restore();
            other.retry();
        }
    }
    if (foreign > 0) say(`${foreign} strokes of another project wait in this browser; they are sent when that project is open.`);
}

async function sameJournal({ seq, hash }) {
    if (seq === 0) return true;
    const entry = (await readJournal(seq)).find((one) => one.seq === seq);
    return Boolean(entry) && entry.hash === hash;
}

async function readJournal(from) {
    const lines = (await getText(`/api/journal?from=${from}`)).split("\n");
    return lines.filter((line) => line.trim()).map((line) => JSON.parse(line));
}

/** Whether no other open page has this name. Without locks (plain HTTP from elsewhere) only one's own name is taken up. */
function holdName(name, others = false) {
    if (!navigator.locks) return Promise.resolve(!others);
    return new Promise((resolve) => {
        navigator.locks.request(`msd-gpu-tab-${name}`, { ifAvailable: true }, (lock) => {
            resolve(Boolean(lock));
            // Held until the page is closed.
            return lock ? new Promise(() => {}) : undefined;
        });
    });
}

function newName() {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
