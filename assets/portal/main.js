// Starts the page: each part once, then the project is read and the server's events are listened to.

import { startBrowser } from "./browse.js";
import { startClasses } from "./classes.js";
import { startControls } from "./controls.js";
import { startDenoising } from "./denoising.js";
import { find, icon } from "./dom.js";
import { openEvents } from "./events.js";
import { startImages } from "./images.js";
import { startImports } from "./imports.js";
import { startKeys } from "./keys.js";
import { report, startMessages } from "./messages.js";
import { startNavigation } from "./navigation.js";
import { startProject } from "./project.js";
import { readCommand, readJobs, startResults } from "./results.js";
import { openSession, startSession, tab } from "./session.js";
import { change, rememberChoices } from "./state.js";
import { onTab, startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";
import { startTools } from "./tools.js";
import { startTour } from "./tour.js";
import { readTraining, startTraining } from "./training.js";
import { startViewer } from "./viewer.js";

const AGAIN_AFTER = 2000;

for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
startTheme();
rememberChoices();
startMessages();
await startSession();
startViewer(tab);
startTools();
startNavigation();
startControls();
startClasses();
startDenoising();
startImages();
startBrowser();
startTraining();
startResults();
startImports();
startTabs();
startProject();
startTour();
startKeys();
onTab("results", () => readCommand().catch(() => { find("command").textContent = "There is none before something was trained."; }));
await open();

/** Reads everything; where the server does not answer yet, again after a while. */
async function open() {
    try {
        await openSession();
        await Promise.all([readTraining(), readJobs()]);
        openEvents(tab);
        document.documentElement.dataset.ready = "yes";
    } catch (error) {
        if (error.status === 0) change({ connected: false });
        else report(error);
        setTimeout(open, AGAIN_AFTER);
    }
}
