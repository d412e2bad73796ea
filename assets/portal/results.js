// Results: running the network over whole images, looking at what came out, and taking it along.

import { getJson, path, sendJson } from "./api.js";
import { fill, find, icon, iconButton, make, offerFile } from "./dom.js";
import { onEvent } from "./events.js";
import { perform, report, say } from "./messages.js";
import { allSaved } from "./session.js";
import { change, denoises, listen, state } from "./state.js";
import { tableToCsv, totals } from "./table.js";

const WORDS = { waiting: "waiting", running: "running", done: "finished", failed: "failed", stopped: "stopped" };
const ENDED = ["done", "failed", "stopped"];

/** Which jobs show their whole table. */
const unfolded = new Set();

/** Connects the panel. */
export function startResults() {
    find("run-form").addEventListener("submit", (event) => {
        event.preventDefault();
        perform(find("run"), run);
    });
    for (const line of ["command", "predict-command"]) find(`copy-${line}`).addEventListener("click", () => copy(find(line)));
    listen(["project"], () => {
        // Denoised images have numbers with fractions.
        const png = find("run-format").querySelector("[value=png]");
        png.hidden = png.disabled = denoises();
        if (png.disabled && png.selected) find("run-format").value = "tif";
    });
    onEvent("job", ({ type, ...job }) => {
        const others = state.jobs.filter((one) => one.job !== job.job);
        const known = state.jobs.some((one) => one.job === job.job);
        change({ jobs: known ? state.jobs.map((one) => (one.job === job.job ? job : one)) : [...others, job] });
        // The last event of a job may have come before its table was written.
        if (ENDED.includes(job.state)) readJobs().catch(report);
    });
    for (const type of ["open", "project"]) onEvent(type, () => readJobs().catch(report));
    listen(["jobs", "project"], show);
    listen(["training"], () => {
        find("run").disabled = !state.training?.model;
        find("run-hint").hidden = Boolean(state.training?.model);
    });
}

/** Reads all jobs, and the command line that makes the model again. */
export async function readJobs() {
    change({ jobs: await getJson("/api/jobs") });
}

/** Asks for the command line anew; it changes with the labels. */
export async function readCommand() {
    const { command, predict } = await getJson("/api/command");
    find("command").textContent = command;
    find("predict-command").textContent = predict ?? "";
}

async function run() {
    await allSaved();
    const products = ["classes", "probabilities"].filter((name) => find(`product-${name}`).checked);
    if (products.length === 0 && !denoises()) return say("Choose what to compute: classes, probabilities or both.", "error");
    const images = find("run-images").value === "all" ? "all" : [state.image.id];
    await sendJson("POST", "/api/jobs", { kind: "predict", images, products: denoises() ? [] : products, format: find("run-format").value });
    await readJobs();
}

function show() {
    find("no-jobs").hidden = state.jobs.length > 0;
    const focused = document.activeElement?.dataset?.focus;
    fill(find("jobs"), [...state.jobs].reverse().map(card));
    if (focused) find("jobs").querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

function card(job) {
    const parts = [make("div", { class: "job-head" },
        make("strong", {}, `Result ${job.job}`),
        make("span", { class: `job-state ${job.state}` }, WORDS[job.state] ?? job.state))];
    if (!ENDED.includes(job.state)) {
        parts.push(
            make("progress", { max: 1, value: job.done ?? 0, "aria-label": `Progress of result ${job.job}` }),
            make("div", { class: "row" },
                make("span", {}, `${Math.round((job.done ?? 0) * 100)} %`),
                smallButton(`stop-${job.job}`, (event) => stop(event, job), "Stop")));
    }
    if (job.message) parts.push(make("p", { class: job.state === "failed" ? "error-text" : "hint" }, job.message));
    if (job.state === "done") parts.push(buttons(job));
    if (job.table?.length > 0) parts.push(table(job));
    if (job.files?.length > 0) parts.push(files(job));
    if (job.command) parts.push(command(job));
    return make("li", { class: "job" }, parts);
}

function buttons(job) {
    const look = () => {
        change({ source: job.job, overlay: "classes" });
        say(`The picture shows result ${job.job}${denoises() ? "" : " over the image"}. Move through the slices with the slider or with , and .`);
    };
    const beside = () => change({ beside: job.job, overlay: state.overlay === "nothing" ? "classes" : state.overlay });
    return make("div", { class: "row wrap" },
        smallButton(`look-${job.job}`, look, "Look through"),
        smallButton(`beside-${job.job}`, beside, "Show beside"));
}

/** A button that keeps the focus when the list is made anew, by its name. */
function smallButton(name, click, ...children) {
    return make("button", { type: "button", class: "small", "data-focus": name, on: { click } }, ...children);
}

function table(job) {
    const sums = totals(job.table);
    const rows = sums.map((sum) => make("tr", {},
        make("th", { scope: "row" }, className(sum.class)),
        make("td", {}, sum.pixels.toLocaleString("en")),
        make("td", {}, `${(sum.share * 100).toFixed(1)} %`),
        make("td", {}, sum.objects === null ? "–" : sum.objects.toLocaleString("en"))));
    const csv = () => offerFile(`${state.project.name || "project"}-${job.job}.csv`, tableToCsv(job.table, className, imageName));
    const detail = make("details", { class: "each-image" },
        make("summary", {}, "Each image"),
        make("div", { class: "scroll" }, make("table", {}, head("Image", "Class", "Pixels", "Share", "Objects"),
            make("tbody", {}, job.table.slice(0, 500).map((row) => make("tr", {},
                make("th", { scope: "row" }, imageName(row.image)), make("td", { class: "text" }, className(row.class)),
                make("td", {}, row.pixels.toLocaleString("en")), make("td", {}, `${(row.share * 100).toFixed(1)} %`),
                make("td", {}, row.objects ?? "–")))))));
    detail.open = unfolded.has(job.job);
    detail.addEventListener("toggle", () => (detail.open ? unfolded.add(job.job) : unfolded.delete(job.job)));
    return make("div", {},
        make("table", {},
            make("caption", { class: "hidden" }, `Areas and objects of result ${job.job}`),
            head("Class", "Pixels", "Share", "Objects"), make("tbody", {}, rows)),
        detail,
        smallButton(`csv-${job.job}`, csv, icon("download"), "Table as CSV"));
}

function head(...names) {
    return make("thead", {}, make("tr", {}, names.map((name) => make("th", { scope: "col" }, name))));
}

function files(job) {
    return make("ul", { class: "files" }, job.files.map((file) => {
        const name = typeof file === "string" ? file : file.name;
        return make("li", {}, make("a", { href: path("/api/jobs", job.job, "files", name), download: "" }, icon("download"), name));
    }));
}

/** The line that makes the model of a job again. */
function command(job) {
    const line = make("code", {}, job.command);
    return make("details", { class: "each-image" },
        make("summary", {}, `The model after ${job.steps.toLocaleString("en")} steps`),
        make("p", { class: "hint" }, "This line makes it again from this project:"),
        make("div", { class: "command" }, line,
            iconButton("copy", "Copy the line", () => copy(line), { "data-focus": `copy-${job.job}` })));
}

function stop(event, job) {
    return perform(event.currentTarget, async () => {
        await sendJson("DELETE", path("/api/jobs", job.job));
        await readJobs();
    });
}

function className(number) {
    return state.project?.classes.find((one) => one.class === number)?.name ?? `class ${number}`;
}

function imageName(id) {
    return state.project?.images.find((one) => one.id === id)?.name ?? id;
}

/** Copies the text of an element; where the browser keeps the clipboard to itself, the text is selected. */
async function copy(element) {
    try {
        await navigator.clipboard.writeText(element.textContent);
        say("Copied.", "good");
    } catch {
        getSelection().selectAllChildren(element);
        say("The browser does not allow copying here: the line is selected, press Ctrl+C.");
    }
}
