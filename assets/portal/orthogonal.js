// Cuts through a stack beside the picture: below it along the rows (x, z), to the right of it along the columns (y, z).

import { getTile } from "./api.js";
import { afterCalm, make } from "./dom.js";
import { decode, drawn, presentTable, versionOf } from "./picture.js";
import { change, state } from "./state.js";
import { levelFor, levelsOf } from "./view.js";

const KEPT = 24;

export class OrthogonalViews {
    constructor({ across, down, view, failed }) {
        this.view = view;
        this.failed = failed;
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

    /** Draws both in the next frame. */
    redraw() {
        if (!state.orthogonal || !state.image) return;
        this.fetchSoon();
        this.frame ??= requestAnimationFrame(() => {
            this.frame = null;
            if (state.image) this.sides.forEach((side) => this.draw(side));
        });
    }

    /** Which cut a side shows now. */
    wanted({ name }) {
        const { image, cut } = state;
        const longest = name === "xz" ? image.height : image.width;
        const at = Math.min(longest - 1, Math.max(0, Math.floor(name === "xz" ? cut[1] : cut[0])));
        const level = levelFor(this.view.scale, levelsOf(image.width, image.height));
        return `/api/images/${image.id}/views/${name}/${at}/${level}${versionOf(image)}`;
    }

    async fetch() {
        if (!state.orthogonal || !state.image) return;
        for (const side of this.sides) {
            const path = this.wanted(side);
            if (!this.kept.has(path)) {
                try {
                    this.keep(path, decode(await getTile(path)));
                } catch (error) {
                    this.failed(error);
                }
            }
            if (this.kept.get(path)) {
                side.shown = { tile: this.kept.get(path), image: state.image.id };
                this.draw(side);
            }
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
        if (!shown || shown.image !== state.image.id) return;
        const { step, start } = this.alongSlices(side);
        const { view } = this;
        const { image, cut, slice } = state;
        const picture = drawn(shown.tile, presentTable());
        const [zeroX, zeroY] = view.toScreen(0, 0);
        context.imageSmoothingEnabled = view.scale < 2;
        const deep = image.slices * step;
        context.strokeStyle = "#ffd24d";
        if (name === "xz") {
            context.setTransform(ratio, 0, 0, ratio, 0, 0);
            context.drawImage(picture, zeroX, start, image.width * view.scale, deep);
            cross(context, view.toScreen(...cut)[0], start + (slice + 0.5) * step);
        } else {
            // The picture has rows along its width; beside the image they run down.
            context.setTransform(0, ratio, ratio, 0, 0, 0);
            context.drawImage(picture, zeroY, start, image.height * view.scale, deep);
            context.setTransform(ratio, 0, 0, ratio, 0, 0);
            cross(context, start + (slice + 0.5) * step, view.toScreen(...cut)[1]);
        }
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
