// Five steps for the first visit, in words of those who look at cells and materials.

import { find } from "./dom.js";
import { perform } from "./messages.js";
import { openSample } from "./images.js";
import { showTab } from "./tabs.js";
import { denoises, listen, state } from "./state.js";

const SEEN = "msd-gpu/tour-seen";

const STEPS = [
    {
        title: "1 of 5 · Your images", at: "images",
        text: "Drop images anywhere on this page, or add a folder of this computer by its path. Stacks get a slider for their slices. "
            + "Your files stay where they are and are never changed.",
    },
    {
        title: "2 of 5 · What is what", at: "tab-label", tab: "label",
        text: "Add a class for each thing you want to tell apart, such as “cell” and “background”. Then paint a few strokes of each: "
            + "one inside, one along its border. You need not paint everything. Each stroke is saved at once, and Ctrl+Z takes it back.",
    },
    {
        title: "3 of 5 · Let it learn", at: "train", tab: "train",
        text: "Press Train. A small network learns from your strokes, and after a few seconds its answer appears over the image "
            + "in the colours of your classes.",
    },
    {
        title: "4 of 5 · Correct it", at: "least-sure", tab: "train",
        text: "Where it is wrong, paint the right class over it; it learns that while you go on. “Take me where it is least sure” shows you "
            + "what it has not understood yet.",
    },
    {
        title: "5 of 5 · Take it home", at: "tab-results", tab: "results",
        text: "When you like what you see, run it over all images and stacks. You get label images, a table of areas and counts, "
            + "the trained model, and a command line that makes the same again.",
    },
];

/** The same for projects that denoise. */
const DENOISING = [
    {
        title: "1 of 5 · Your images", at: "images",
        text: "Drop noisy images anywhere on this page, or add a folder of this computer by its path. Your files stay where they are and "
            + "are never changed.",
    },
    {
        title: "2 of 5 · What it learns from", at: "tab-label", tab: "label",
        text: "Best are clean images of the same places. Next best are two recordings of the same slices, such as reconstructions from "
            + "every second projection. Without either, it learns from the noisy images alone, where the noise of neighbouring pixels has "
            + "nothing in common.",
    },
    {
        title: "3 of 5 · Let it learn", at: "train", tab: "train",
        text: "Press Train. A small network learns to tell the image from its noise, and the picture becomes clearer as it goes on.",
    },
    {
        title: "4 of 5 · Compare", at: "layers", tab: "train",
        text: "Move the line between before and after, or show the image as it was beside it. Look whether fine structures are still there: "
            + "what a network cannot tell from noise it takes away.",
    },
    {
        title: "5 of 5 · Take it home", at: "tab-results", tab: "results",
        text: "When you like what you see, run it over all images and stacks. You get images with the same kind of numbers, the trained "
            + "model, and command lines that make the same again.",
    },
];

let step = 0;

/** Connects the tour and the welcome of an empty project. */
export function startTour() {
    find("tour-next").addEventListener("click", () => (step + 1 < steps().length ? show(step + 1) : end()));
    find("tour-back").addEventListener("click", () => show(Math.max(0, step - 1)));
    find("tour-end").addEventListener("click", end);
    find("tour-card").addEventListener("keydown", (event) => {
        if (event.key === "Escape") end();
        event.stopPropagation();
    });
    find("start-tour").addEventListener("click", () => show(0));
    find("open-sample").addEventListener("click", () => perform(find("open-sample"), async () => {
        await openSample();
        if (!localStorage.getItem(SEEN)) show(1);
    }));
    find("add-own").addEventListener("click", () => find("path").focus());
    listen(["project"], () => {
        if (state.project) find("welcome").hidden = state.project.images.length > 0;
    });
}

function steps() {
    return denoises() ? DENOISING : STEPS;
}

function show(number) {
    step = number;
    const { title, text, at, tab } = steps()[step];
    if (tab) showTab(tab);
    find("tour-card").hidden = false;
    find("tour-title").textContent = title;
    find("tour-text").textContent = text;
    find("tour-back").disabled = step === 0;
    find("tour-next").textContent = step + 1 < steps().length ? "Next" : "Done";
    point(at);
    find("tour-next").focus();
}

function end() {
    find("tour-card").hidden = true;
    localStorage.setItem(SEEN, "yes");
    point(null);
    find("picture").focus({ preventScroll: true });
}

function point(id) {
    document.querySelectorAll(".pointed-at").forEach((element) => element.classList.remove("pointed-at"));
    if (id) find(id).classList.add("pointed-at");
}
