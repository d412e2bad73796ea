// Light or dark: as the system has it, or as the switch says.

import { find } from "./dom.js";

const KEPT = "msd-gpu/theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const WORDS = { system: "Light or dark as the system", light: "Light", dark: "Dark" };

/** Takes up the choice of the last visit and connects the switch. */
export function startTheme() {
    let theme = localStorage.getItem(KEPT);
    if (!(theme in NEXT)) theme = "system";
    show(theme);
    find("theme").addEventListener("click", () => {
        theme = NEXT[theme];
        localStorage.setItem(KEPT, theme);
        show(theme);
    });
}

function show(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    find("theme").title = `Appearance: ${WORDS[theme]}`;
    find("theme").setAttribute("aria-label", find("theme").title);
    document.dispatchEvent(new Event("themechange"));
}
