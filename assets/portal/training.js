// Training: one button, what state it is in, its curve, and where the network is least sure.

import { getJson, sendJson } from "./api.js";
import { decibelScale, drawChart, shareScale } from "./chart.js";
import { fill, find, make } from "./dom.js";
import { onEvent } from "./events.js";
import { perform, report, say } from "./messages.js";
import { allSaved } from "./session.js";
import { chosenSettings, startSettings } from "./settings.js";
import { change, denoises, listen, state } from "./state.js";
import { showPlace } from "./viewer.js";

const WORDS = {
    idle: "Not trained yet", starting: "Starting…", running: "Training", paused: "Paused",
    resting: "Resting: it goes on when you paint", failed: "Training has failed",
};
const ACTIVE = ["starting", "running", "resting"];

/** Points of the curve kept in the page; older ones are thinned by the chart, the server keeps all. */
const MOST_POINTS = 20_000;

let curve = [];
/** Whether the user has chosen a depth; until then it is that of the network that there is. */
let chosenDepth = false;

/** Connects the panel and its button. */
export function startTraining() {
    find("train").addEventListener("click", trainOrPause);
    find("forget").addEventListener("click", () => {
        find("forget-dialog").returnValue = "";
        find("forget-dialog").showModal();
    });
    find("forget-dialog").addEventListener("close", () => find("forget-dialog").returnValue === "yes" && forget());
    find("anew-dialog").addEventListener("close", () => find("anew-dialog").returnValue === "yes" && startAnew());
    find("depths").addEventListener("change", () => { chosenDepth = true; });
    find("least-sure").addEventListener("click", leastSure);
    startSettings();
    onEvent("training", (event) => {
        const { type, point, curve: newest, ...training } = event;
        addPoint(point ?? newest?.at(-1) ?? [training.step, training.loss, training.score]);
        change({ training: { ...state.training, ...training } });
    });
    for (const type of ["open", "project"]) onEvent(type, () => readTraining().catch(report));
    listen(["training"], show);
    new ResizeObserver(drawSoon).observe(find("chart"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawSoon);
    document.addEventListener("themechange", drawSoon);
}

/** Reads the state of training with its whole curve. */
export async function readTraining() {
    const { curve: whole, ...training } = await getJson("/api/training");
    curve = whole ?? [];
    const depth = [...document.querySelectorAll("input[name=depth]")].find((one) => one.value === training.depth);
    if (depth && !chosenDepth) depth.checked = true;
    change({ training });
    drawSoon();
}

/** Starts training, or pauses it. */
export function trainOrPause() {
    const pauses = ACTIVE.includes(state.training?.state);
    return perform(find("train"), async () => {
        if (!pauses) {
            // What was painted last is trained on, too.
            await allSaved();
            try {
                await start();
            } catch (error) {
                if (error.status !== 409) throw error;
                find("anew-text").textContent = error.message;
                find("anew-dialog").returnValue = "";
                find("anew-dialog").showModal();
            }
        } else {
            await sendJson("POST", "/api/training", { action: "pause" });
        }
        await readTraining();
    });
}

async function start() {
    const depth = document.querySelector("input[name=depth]:checked").value;
    await sendJson("POST", "/api/training", { action: "start", depth, settings: await chosenSettings() });
    if (state.overlay === "nothing") change({ overlay: "classes" });
}

/** Forgets the network, whose settings are others than those that are chosen, and trains one with these. */
async function startAnew() {
    await perform(find("train"), async () => {
        await sendJson("POST", "/api/training", { action: "forget" });
        curve = [];
        await start();
        await readTraining();
    });
}

/** Goes to the place of which the network is least sure. */
export function leastSure() {
    return perform(find("least-sure"), async () => {
        try {
            showPlace(await sendJson("POST", "/api/least-sure"));
            say("Here it is least sure. Is what it makes of this right?");
        } catch (error) {
            if (error.status !== 409) throw error;
            say(error.message);
        }
    });
}

async function forget() {
    await perform(find("forget"), async () => {
        await sendJson("POST", "/api/training", { action: "forget" });
        curve = [];
        await readTraining();
    });
}

function addPoint(point) {
    if (!point || !Number.isFinite(point[1])) return;
    const last = curve.at(-1);
    if (last && point[0] < last[0]) curve = [];
    if (last && point[0] === last[0]) curve.pop();
    curve.push(point);
    if (curve.length > MOST_POINTS) curve = curve.filter((_, index) => index % 2 === 0);
    drawSoon();
}

function show() {
    const training = state.training;
    const now = training?.state ?? "idle";
    const pauses = ACTIVE.includes(now);
    find("train").textContent = pauses ? "Pause training" : "Train";
    find("train").dataset.state = now;
    find("training-state").textContent = now === "resting" && denoises() ? "Resting" : WORDS[now] ?? now;
    find("training-state").dataset.state = now;
    find("training-message").textContent = training?.message ?? "";
    find("training-message").hidden = !training?.message;
    find("device").textContent = state.project?.device ?? "";
    find("training-line").textContent = progress(training);
    find("training-numbers").textContent = numbers(training);
    find("score-note").textContent = training?.score_note ?? "";
    const skipped = training?.skipped ?? [];
    fill(find("training-skipped"), skipped.map(({ name, reason }) => make("li", {}, `${name} is left out: ${reason}`)));
    find("training-skipped").hidden = skipped.length === 0;
    fill(find("chosen"), (training?.chosen ?? []).map((text) => make("li", {}, text)));
    find("chosen-part").hidden = !training?.chosen?.length;
    find("least-sure").disabled = !training?.model;
    find("forget").disabled = !training?.model && now === "idle";
    for (const link of document.querySelectorAll("[data-needs-model]")) link.hidden = !training?.model;
}

/** One line that fits beside the button. */
function progress(training) {
    if (!training?.step) return "";
    const score = typeof training.score === "number" ? ` · ${scoreText(training.score, 2)}` : "";
    return `step ${training.step}${score}`;
}

function numbers(training) {
    if (!training?.step) return "";
    const parts = [`${training.step} steps in ${duration(training.seconds)}`];
    if (training.steps_a_second) parts.push(`${Number(training.steps_a_second.toPrecision(2))} steps a second`);
    if (Number.isFinite(training.loss)) parts.push(`loss ${Number(training.loss.toPrecision(3))}`);
    if (typeof training.score === "number") parts.push(scoreText(training.score, 3));
    return parts.join(" · ");
}

function scoreText(score, digits) {
    return denoises() ? `PSNR ${score.toFixed(digits - 1)} dB` : `score ${score.toFixed(digits)}`;
}

/** Seconds as people say them. */
function duration(seconds) {
    if (!Number.isFinite(seconds)) return "no time";
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return `${(seconds / 3600).toFixed(1)} h`;
}

let frame = null;

function drawSoon() {
    frame ??= requestAnimationFrame(() => {
        frame = null;
        const canvas = find("chart");
        const ratio = window.devicePixelRatio || 1;
        const { clientWidth, clientHeight } = canvas;
        if (clientWidth === 0) return;
        canvas.width = Math.round(clientWidth * ratio);
        canvas.height = Math.round(clientHeight * ratio);
        const style = getComputedStyle(canvas);
        const colour = (name) => style.getPropertyValue(name).trim();
        const colours = { text: colour("--muted"), grid: colour("--line"), loss: colour("--loss"), score: colour("--score") };
        drawChart(canvas, curve, colours, ratio, denoises() ? decibelScale : shareScale);
        const last = curve.at(-1);
        canvas.setAttribute("aria-label", last
            ? `Loss ${last[1].toPrecision(3)} after ${last[0]} steps, from ${curve[0][1].toPrecision(3)} at the start`
            : "Loss and score: nothing yet");
        find("chart-empty").hidden = curve.length > 0;
    });
}
