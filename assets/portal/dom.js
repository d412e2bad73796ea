// Elements from plain data. Text from the server is only ever set as text, so names cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `make("button", { class: "plain", on: { click } }, "Text", child)`. Attributes that are null or false are left out;
 * `on` has event listeners; `value`, `checked`, `disabled`, `hidden` and the like are set as properties.
 */
export function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name === "on") {
            for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
        } else if (["value", "checked", "disabled", "hidden", "textContent", "tabIndex", "htmlFor"].includes(name)) {
            element[name] = value;
        } else if (value !== null && value !== false && value !== undefined) {
            element.setAttribute(name, value === true ? "" : value);
        }
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

/** The element of the page with this id. */
export function find(id) {
    return document.getElementById(id);
}

/** Replaces what is in an element. */
export function fill(element, ...children) {
    element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/** A drawing from the path data of `ICONS`, for decoration: what it means is said in words beside it or in a label. */
export function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 20 20");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
}

/** A button with a drawing whose name is read out and shown on hovering. */
export function iconButton(name, label, click, attributes = {}) {
    return make("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click }, ...attributes }, icon(name));
}

/** Calls `action` once, `delay` milliseconds after the last of many calls. */
export function afterCalm(action, delay) {
    let timer = null;
    return (...values) => {
        clearTimeout(timer);
        timer = setTimeout(() => action(...values), delay);
    };
}

/** Hands text to the user as a file. */
export function offerFile(name, text, type = "text/csv") {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = make("a", { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const ICONS = {
    move: "M10 2v16M2 10h16M10 2 7.5 4.5M10 2l2.5 2.5M10 18l-2.5-2.5M10 18l2.5-2.5M2 10l2.5-2.5M2 10l2.5 2.5M18 10l-2.5-2.5M18 10l-2.5 2.5",
    brush: "M17 3 9 11M9 11c-2-.5-4 .5-4.500 3-.3 1.500-1 2.300-2 2.800 3 .8 6.500.2 7.500-2.300C10.500 13 10 11.500 9 11Z",
    eraser: "M8 17 3 12l8-8 6 6-7 7H8ZM7 8l6 6M8 17h9",
    polygon: "M4 6l8-3 5 6-4 8-8-2ZM4 6l1 9",
    lasso: "M10 4c4 0 7 2 7 4.500S14 13 10 13 3 11 3 8.500 6 4 10 4ZM6 12.500c-1.500 1-1.500 2.500 0 3s1 2-.5 2.500",
    fill: "M8 3l7 7-6 6-6-6 6-6M3.500 10h11.500M16.500 13c1 1.500 1.500 2.200 1.500 3a1.500 1.500 0 0 1-3 0c0-.8.5-1.500 1.500-3Z",
    undo: "M7 4 3 8l4 4M3 8h8c4 0 6 2 6 5s-2 4-4 4",
    redo: "M13 4l4 4-4 4M17 8H9c-4 0-6 2-6 5s2 4 4 4",
    lock: "M5 9h10v8H5ZM7 9V6.500a3 3 0 0 1 6 0V9",
    unlock: "M5 9h10v8H5ZM7 9V6.500a3 3 0 0 1 5.800-1",
    close: "M5 5l10 10M15 5 5 15",
    plus: "M10 4v12M4 10h12",
    minus: "M4 10h12",
    fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
    pencil: "M4 16l1-4 9-9 3 3-9 9-4 1ZM12 5l3 3",
    sun: "M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7ZM10 1.500v2M10 16.500v2M1.500 10h2M16.500 10h2M4 4l1.400 1.400M14.600 14.600 16 16M16 4l-1.400 1.400M5.400 14.600 4 16",
    help: "M7 7.500C7 5.500 8.300 4.500 10 4.500s3 1.200 3 2.800c0 2.200-3 2.400-3 4.700M10 15v.6",
    folder: "M2.500 5h5l2 2h8v9h-15Z",
    contrast: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM10 3v14M10 6l6 0M10 9h7M10 12h6.500M10 15h4",
    planes: "M3 3h8v8H3ZM13.500 3H17v8h-3.500ZM3 13.500h8V17H3Z",
    download: "M10 3v9M6 9l4 4 4-4M4 17h12",
    copy: "M7 7h9v10H7ZM4 13V3h9",
};
