// What the page knows, in one place. Parts of the page read `state`, change it with `change`, and are told with `listen`.

const KEPT = "msd-gpu/choices";

export const state = {
    /** As GET /api/project gives it; null until it is there. */
    project: null,
    /** The image that is seen, one of `project.images`, or null. */
    image: null,
    slice: 0,
    /** The number of the class that is painted. */
    class: 0,
    tool: "brush",
    /** Of the brush: diameter in pixels, slices painted to both sides, range of grey values or null. */
    size: 12,
    depth: 0,
    range: null,
    /** How far a fill may differ, as a share of the image's range of values. */
    tolerance: 0.1,
    /** Contrast of the image: {low, high, gamma}. */
    contrast: { low: 0, high: 1, gamma: 1 },
    /** What is laid over the image: labels, and the network's "classes", "uncertainty", "probability" (of the chosen class) or "nothing". */
    labelsShown: true,
    labelOpacity: 0.7,
    overlay: "classes",
    overlayOpacity: 0.4,
    /** In a project that denoises: how much of the denoised picture is mixed in, and from which share of the width on it is shown. */
    blend: 1,
    wipe: 0,
    /** Where the overlay comes from: "live" (the network that is trained), or a job's id. */
    source: "live",
    /** The same for the second picture beside the first; null where there is one picture. */
    beside: null,
    orthogonal: false,
    /** Where the orthogonal views cut: [x, y] in image pixels. */
    cut: [0, 0],
    /** As GET /api/training and GET /api/jobs give it. */
    training: null,
    jobs: [],
    /** "saved", "saving", "lost" (the server does not answer). */
    saving: "saved",
    /** Whether the stream of events is open. */
    connected: true,
};

/** Of these the choices are remembered by the browser. */
const REMEMBERED = ["size", "tolerance", "labelOpacity", "overlayOpacity", "overlay", "labelsShown", "blend"];

const listeners = new Map();
let changed = null;

/** Calls `action` after one of the names has changed, and once now. Many changes at once are one call. */
export function listen(names, action) {
    for (const name of names) {
        if (!listeners.has(name)) listeners.set(name, new Set());
        listeners.get(name).add(action);
    }
    action();
}

/** Changes some values, as in `change({ slice: 3 })`. */
export function change(values) {
    for (const [name, value] of Object.entries(values)) {
        if (Object.is(state[name], value)) continue;
        state[name] = value;
        if (!changed) {
            changed = new Set();
            queueMicrotask(tell);
        }
        changed.add(name);
    }
}

/** Whether images are denoised in the project, not segmented. */
export function denoises() {
    return state.project?.task === "denoise";
}

/** The classes that are there, in order. */
export function classes() {
    return state.project?.classes.filter((one) => !one.removed) ?? [];
}

/** The class that is painted, or null where there is none. */
export function activeClass() {
    return classes().find((one) => one.class === state.class) ?? null;
}

/** Shows another image, with the contrast that suits it. */
export function showImage(id, slice = 0) {
    const image = state.project?.images.find((one) => one.id === id) ?? null;
    if (!image) return change({ image: null, slice: 0 });
    const same = state.image?.id === id;
    change({ image, slice: Math.min(Math.max(0, slice), image.slices - 1) });
    if (same) return;
    change({
        contrast: { low: image.low, high: image.high, gamma: 1 }, range: null, cut: [image.width / 2, image.height / 2],
        orthogonal: state.orthogonal && image.slices > 1, depth: image.slices > 1 ? state.depth : 0,
    });
}

/** Takes up the choices of the last visit, and remembers them from now on. */
export function rememberChoices() {
    try {
        const kept = JSON.parse(localStorage.getItem(KEPT) || "{}");
        for (const name of REMEMBERED) {
            if (typeof kept[name] === typeof state[name]) state[name] = kept[name];
        }
    } catch {
        // A browser that keeps nothing works as well.
    }
    listen(REMEMBERED, () => {
        try {
            localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(REMEMBERED.map((name) => [name, state[name]]))));
        } catch {
            // As above.
        }
    });
}

function tell() {
    const names = changed;
    changed = null;
    const actions = new Set();
    for (const name of names) {
        for (const action of listeners.get(name) ?? []) actions.add(action);
    }
    for (const action of actions) action();
}
