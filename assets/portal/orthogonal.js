// Cuts through a stack beside the picture: below it along the rows (x, z), to the right of it along the columns (y, z). Over the
// image lie the network's result and the labels, as in the picture.

import { getTile } from "./api.js";
import { afterCalm, make } from "./dom.js";
import { coloured, decode, drawn, presentTable, versionOf } from "./picture.js";
import { change, denoises, state } from "./state.js";
import { levelFor, levelsOf } from "./view.js";

const KEPT = 48;

export class OrthogonalViews {
    /**
     * `stores`: {labels, results}, for how new what they show is; `source()` says what the overlay shows, `colours()` is the table of
     * the classes' colours.
     */
    constructor({ across, down, view, stores, source, colours, failed }) {
        Object.assign(this, { view, stores, source, colours, failed });
        this.brush = null;
        this.kept = new Map();
        this.sides = [
            { name: "xz", element: across, canvas: make("canvas", { class: "layer" }) },
            { name: "yz", element: down, canvas: make("canvas", { class: "layer" }) },
        ];
        for (const side of this.sides) {
            side.element.append(side.canvas);
            side.element.addEventListener("pointerdown", (event) => this.pick(side, event));
            side.element.addEventListener("pointermove", (event) => event.buttons & 1 && this.pick(side, event));
        }
        this.fetchSoon = afterCalm(() => this.fetch(), 60);
    }

    resize() {
        const ratio = window.devicePixelRatio || 1;
        for (const { element, canvas } of this.sides) {
            canvas.width = Math.max(1, Math.round(element.clientWidth * ratio));
            canvas.height = Math.max(1, Math.round(element.clientHeight * ratio));
        }
    }

    /** Draws both in the next frame, with what is new by then. */
    redraw() {
        if (!state.orthogonal || !state.image) return;
        this.fetchSoon();
        this.soon();
    }

    soon() {
        this.frame ??= requestAnimationFrame(() => {
            this.frame = null;
            if (state.image) this.sides.forEach((side) => this.draw(side));
        });
    }

    /** Where the brush is in the picture, [x, y] or null, and how large. */
    moveBrush(place, size) {
        if (!state.orthogonal || (!place && !this.brush)) return;
        this.brush = place && { place, size };
        this.soon();
    }

    /** The addresses of what a side shows now, by layer: the image, and over it the result and the labels. */
    wanted({ name }) {
        const { image, cut } = state;
        const longest = name === "xz" ? image.height : image.width;
        const at = Math.min(longest - 1, Math.max(0, Math.floor(name === "xz" ? cut[1] : cut[0])));
        const level = levelFor(this.view.scale, levelsOf(image.width, image.height));
        const path = `/api/images/${image.id}/views/${name}/${at}/${level}`;
        const layers = [["image", path + versionOf(image)]];
        const overlay = this.overlay(path);
        if (overlay) layers.push(["overlay", overlay]);
        if (state.labelsShown && !denoises()) layers.push(["labels", `${path}/labels?seq=${this.stores.labels.seq}`]);
        return layers;
    }

    overlay(path) {
        const source = this.source();
        // Cuts show classes; in projects that denoise they show the image alone.
        if (!source || denoises()) return null;
        const [kind] = source.split("/");
        if (kind !== "live") return `${path}/${encodeURIComponent(kind)}`;
        return `${path}/result?version=${this.stores.results.latest(state.image.id)}&${this.stores.results.query(source)}`;
    }

    async fetch() {
        if (!state.orthogonal || !state.image) return;
        const { id } = state.image;
        for (const side of this.sides) {
            const shown = {};
            for (const [layer, path] of this.wanted(side)) {
                if (!this.kept.has(path)) {
                    try {
                        const answer = await getTile(path);
                        this.keep(path, layer === "image" ? decode(answer) : bytesOf(answer));
                    } catch (error) {
                        this.failed(error);
                    }
                }
                if (this.kept.get(path)) shown[layer] = this.kept.get(path);
            }
            if (!shown.image || state.image?.id !== id) continue;
            side.shown = { ...shown, of: id, source: this.source() };
            this.draw(side);
        }
    }

    keep(path, tile) {
        this.kept.set(path, tile);
        for (const oldest of this.kept.keys()) {
            if (this.kept.size <= KEPT) break;
            this.kept.delete(oldest);
        }
    }

    /** Pixels of the screen a slice, and where the present slice lies: in the middle, as far as there are slices. */
    alongSlices(side) {
        const { element, name } = side;
        const room = name === "xz" ? element.clientHeight : element.clientWidth;
        const step = Math.max(this.view.scale, room / state.image.slices);
        const middle = room / 2 - (state.slice + 0.5) * step;
        return { step, start: Math.min(0, Math.max(room - state.image.slices * step, middle)) };
    }

    draw(side) {
        const { canvas, name, shown } = side;
        const context = canvas.getContext("2d");
        const ratio = window.devicePixelRatio || 1;
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, canvas.width, canvas.height);
        if (!shown || shown.of !== state.image.id) return;
        const { step, start } = this.alongSlices(side);
        const { view } = this;
        const { image, cut, slice } = state;
        const [zeroX, zeroY] = view.toScreen(0, 0);
        const deep = image.slices * step;
        const layers = [[drawn(shown.image, presentTable()), 1]];
        if (shown.overlay && this.source()) {
            layers.push([coloured(shown.overlay, this.stores.results.tableOf(shown.source, this.colours())), state.overlayOpacity]);
        }
        if (shown.labels && state.labelsShown) layers.push([coloured(shown.labels, this.colours()), state.labelOpacity]);
        for (const [index, [picture, opacity]] of layers.entries()) {
            context.imageSmoothingEnabled = index === 0 && view.scale < 2;
            context.globalAlpha = opacity;
            if (name === "xz") {
                context.setTransform(ratio, 0, 0, ratio, 0, 0);
                context.drawImage(picture, zeroX, start, image.width * view.scale, deep);
            } else {
                // The picture has rows along its width; beside the image they run down.
                context.setTransform(0, ratio, ratio, 0, 0, 0);
                context.drawImage(picture, zeroY, start, image.height * view.scale, deep);
            }
        }
        context.globalAlpha = 1;
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        context.strokeStyle = "#ffd24d";
        const at = start + (slice + 0.5) * step;
        const [cutX, cutY] = view.toScreen(...cut);
        if (name === "xz") cross(context, cutX, at);
        else cross(context, at, cutY);
        if (this.brush) this.drawBrush(context, name, at, step);
    }

    /** Where the brush would paint: as wide as it is, over its slices. */
    drawBrush(context, name, at, step) {
        const [x, y] = this.view.toScreen(...this.brush.place);
        const along = Math.max(3, this.brush.size * this.view.scale);
        const deep = Math.max(3, (2 * state.depth + 1) * step);
        const [middleX, middleY, width, height] = name === "xz" ? [x, at, along, deep] : [at, y, deep, along];
        for (const [line, colour] of [[3, "rgba(0,0,0,0.65)"], [1.5, "#fff"]]) {
            context.lineWidth = line;
            context.strokeStyle = colour;
            context.strokeRect(middleX - width / 2, middleY - height / 2, width, height);
        }
        context.lineWidth = 1;
    }

    /** A click shows the slice and the place that were clicked at. */
    pick(side, event) {
        if (!state.image) return;
        event.preventDefault();
        const box = side.element.getBoundingClientRect();
        const [sx, sy] = [event.clientX - box.left, event.clientY - box.top];
        const { step, start } = this.alongSlices(side);
        const across = side.name === "xz";
        const slice = Math.floor(((across ? sy : sx) - start) / step);
        const [x, y] = this.view.toImage(sx, sy);
        change({
            slice: Math.min(state.image.slices - 1, Math.max(0, slice)),
            cut: across ? [x, state.cut[1]] : [state.cut[0], y],
        });
    }
}

/** A cut from the server's bytes, one a pixel. */
function bytesOf(answer) {
    if (!answer) return null;
    const { buffer, width, height } = answer;
    const data = new Uint8Array(buffer);
    return data.length === width * height ? { width, height, data, canvas: null, colours: null } : null;
}

function cross(context, x, y) {
    context.setLineDash([6, 4]);
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, 1e4);
    context.moveTo(0, y);
    context.lineTo(1e4, y);
    context.stroke();
    context.setLineDash([]);
}
