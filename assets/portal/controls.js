// What is shown and how: slices, contrast, what lies over the image.

import { fill, find, make } from "./dom.js";
import { change, denoises, listen, state } from "./state.js";
import { short } from "./tools.js";
import { fitImage, showSlice, stores, view, viewMoved } from "./viewer.js";

const BARS = 128;
const STEPS = 1000;

/** Connects the controls below the picture. */
export function startControls() {
    startSlices();
    startContrast();
    startLayers();
    find("zoom-in").addEventListener("click", () => zoom(1.5));
    find("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
    find("zoom-fit").addEventListener("click", fitImage);
    find("zoom-one").addEventListener("click", () => zoom(1 / view.scale));
    find("orthogonal").addEventListener("click", () => change({ orthogonal: !state.orthogonal }));
    listen(["orthogonal", "image"], () => {
        find("orthogonal").hidden = (state.image?.slices ?? 1) < 2;
        find("orthogonal").setAttribute("aria-pressed", state.orthogonal);
    });
}

/** Zooms about the middle. */
export function zoom(factor) {
    view.zoom(factor);
    viewMoved();
}

function startSlices() {
    const slider = find("slice");
    const exact = find("slice-number");
    slider.addEventListener("input", () => showSlice(Number(slider.value)));
    exact.addEventListener("change", () => showSlice(Number(exact.value) - 1));
    listen(["image", "slice"], () => {
        const slices = state.image?.slices ?? 1;
        find("slices").hidden = slices < 2;
        slider.max = slices - 1;
        slider.value = state.slice;
        exact.max = slices;
        exact.value = state.slice + 1;
        find("slice-count").textContent = `of ${slices}`;
    });
}

function startContrast() {
    const [low, high, gamma] = ["low", "high", "gamma"].map((name) => find(`contrast-${name}`));
    const [lowExact, highExact] = [find("contrast-low-exact"), find("contrast-high-exact")];
    const span = () => state.image.highest - state.image.lowest || 1;
    const value = (slider) => state.image.lowest + Number(slider.value) / STEPS * span();
    const set = (changes) => {
        const next = { ...state.contrast, ...changes };
        // The window keeps some width, whichever end is moved.
        const least = span() / STEPS;
        if (next.high - next.low < least) {
            if ("low" in changes) next.high = next.low + least;
            else next.low = next.high - least;
        }
        change({ contrast: next });
    };
    low.addEventListener("input", () => set({ low: value(low) }));
    high.addEventListener("input", () => set({ high: value(high) }));
    gamma.addEventListener("input", () => set({ gamma: 2 ** Number(gamma.value) }));
    lowExact.addEventListener("change", () => lowExact.value !== "" && set({ low: Number(lowExact.value) }));
    highExact.addEventListener("change", () => highExact.value !== "" && set({ high: Number(highExact.value) }));
    find("contrast-auto").addEventListener("click", () => change({ contrast: { low: state.image.low, high: state.image.high, gamma: 1 } }));
    find("contrast-full").addEventListener("click", () => change({ contrast: { low: state.image.lowest, high: state.image.highest, gamma: 1 } }));
    const panel = find("contrast-panel");
    find("contrast").addEventListener("click", () => showContrast(panel.hidden));
    panel.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        showContrast(false);
        find("contrast").focus();
    });
    listen(["image", "contrast"], () => {
        find("contrast").disabled = !state.image;
        if (!state.image) return showContrast(false);
        low.value = (state.contrast.low - state.image.lowest) / span() * STEPS;
        high.value = (state.contrast.high - state.image.lowest) / span() * STEPS;
        gamma.value = Math.log2(state.contrast.gamma);
        [lowExact.value, highExact.value] = [short(state.contrast.low), short(state.contrast.high)];
        find("contrast-gamma-exact").textContent = state.contrast.gamma.toFixed(2);
        if (!panel.hidden) drawHistogram();
    });
}

function showContrast(shown) {
    find("contrast-panel").hidden = !shown;
    find("contrast").setAttribute("aria-expanded", shown);
    if (shown) drawHistogram();
}

/** How often each brightness occurs in the tiles that are there, and what the window shows of it. */
function drawHistogram() {
    const canvas = find("histogram");
    const context = canvas.getContext("2d");
    const counts = new Float64Array(BARS);
    for (const tile of stores.pictures.tiles.values()) {
        if (tile.image !== state.image.id) continue;
        for (let i = 0; i < tile.width * tile.height; i += 7) counts[tile.values[i] * BARS >> 16]++;
    }
    // The square root shows rare values beside a large background.
    const most = Math.sqrt(Math.max(1, ...counts));
    const style = getComputedStyle(canvas);
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    context.fillStyle = style.getPropertyValue("--muted");
    counts.forEach((count, bar) => {
        const high = Math.sqrt(count) / most * (height - 2);
        context.fillRect(bar * width / BARS, height - high, width / BARS, high);
    });
    const { lowest, highest } = state.image;
    const place = (value) => (value - lowest) / (highest - lowest || 1) * width;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 2;
    context.beginPath();
    for (let x = 0; x <= width; x += 2) {
        const share = Math.min(1, Math.max(0, (x - place(state.contrast.low)) / (place(state.contrast.high) - place(state.contrast.low))));
        context.lineTo(x, height - 1 - (height - 2) * share ** (1 / state.contrast.gamma));
    }
    context.stroke();
}

function startLayers() {
    const shown = find("labels-shown");
    shown.addEventListener("change", () => change({ labelsShown: shown.checked }));
    const labels = find("label-opacity");
    labels.addEventListener("input", () => change({ labelOpacity: labels.value / 100 }));
    const overlay = find("overlay");
    overlay.addEventListener("change", () => change({ overlay: overlay.value }));
    const opacity = find("overlay-opacity");
    opacity.addEventListener("input", () => change({ overlayOpacity: opacity.value / 100 }));
    const denoised = find("denoised-shown");
    denoised.addEventListener("change", () => change({ overlay: denoised.checked ? "classes" : "nothing" }));
    for (const name of ["blend", "wipe"]) {
        const slider = find(name);
        slider.addEventListener("input", () => change({ [name]: slider.value / 100 }));
        listen([name, "overlay"], () => {
            slider.value = state[name] * 100;
            slider.disabled = state.overlay === "nothing";
        });
    }
    listen(["overlay"], () => { denoised.checked = state.overlay !== "nothing"; });
    listen(["labelsShown", "labelOpacity", "overlay", "overlayOpacity", "project"], () => {
        shown.checked = state.labelsShown;
        labels.value = state.labelOpacity * 100;
        overlay.value = state.overlay;
        opacity.value = state.overlayOpacity * 100;
        opacity.disabled = state.overlay === "nothing";
        find("uncertainty-scale").hidden = state.overlay !== "uncertainty" || denoises();
    });
    startSources();
}

/** Which network's result is seen, and which one beside it. */
function startSources() {
    const [main, beside] = [find("source"), find("beside")];
    main.addEventListener("change", () => change({ source: main.value }));
    beside.addEventListener("change", () => change({ beside: beside.value || null }));
    let offered = null;
    listen(["jobs", "source", "beside", "training"], () => {
        const done = state.jobs.filter((job) => job.state === "done").map(({ job }) => job);
        // An open list would close if it were made anew at every step of training.
        if (offered !== done.join()) {
            offered = done.join();
            const finished = (before) => done.map((job) => make("option", { value: job }, `${before}result ${job}`));
            fill(main, make("option", { value: "live" }, "as it learns"), finished(""));
            fill(beside, make("option", { value: "" }, "beside: nothing"), make("option", { value: "bare" }, "beside: bare image"),
                make("option", { value: "live" }, "beside: as it learns"), finished("beside: "));
        }
        if (![...main.options].some((option) => option.value === state.source)) change({ source: "live" });
        main.value = state.source;
        beside.value = state.beside ?? "";
        main.disabled = done.length === 0;
        beside.disabled = done.length === 0 && !state.training?.model && !state.beside;
    });
}
