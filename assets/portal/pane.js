// One picture on the screen: four canvases on top of each other, so that a stroke redraws labels only and a slider nothing.

import { want } from "./loader.js";
import { make } from "./dom.js";
import { TILE, union } from "./raster.js";
import { state } from "./state.js";
import { levelFor, levelsOf, tilesIn } from "./view.js";
import { drawn, presentTable } from "./picture.js";

const LAYERS = ["image", "overlay", "labels", "marks"];

/** More than this many pixels for one of the screen cost time and show nothing. */
const FINEST = 2;

export class Pane {
    /** `stores`: {pictures, labels, results}; `view` is shared by panes side by side; `source()` says what the overlay shows. */
    constructor(element, { stores, view, source, colours, name }) {
        Object.assign(this, { element, stores, view, source, colours, name });
        this.canvases = {};
        this.contexts = {};
        for (const layer of LAYERS) {
            const canvas = make("canvas", { class: `layer ${layer}`, "aria-hidden": "true" });
            element.append(canvas);
            this.canvases[layer] = canvas;
            this.contexts[layer] = canvas.getContext("2d", { alpha: layer !== "image" });
        }
        this.pending = null;
        this.painted = null;
        this.drawMarks = () => {};
    }

    /** Takes the element's size; returns whether it has changed. */
    resize() {
        const { clientWidth: width, clientHeight: height } = this.element;
        this.ratio = Math.min(FINEST, window.devicePixelRatio || 1);
        const [wide, high] = [Math.max(1, Math.round(width * this.ratio)), Math.max(1, Math.round(height * this.ratio))];
        if (this.canvases.image.width === wide && this.canvases.image.height === high) return false;
        for (const canvas of Object.values(this.canvases)) {
            canvas.width = wide;
            canvas.height = high;
        }
        return true;
    }

    /** Draws these layers in the next frame. */
    redraw(...layers) {
        this.pending ??= new Set();
        for (const layer of layers.length > 0 ? layers : LAYERS) this.pending.add(layer);
        this.frame ??= requestAnimationFrame(() => this.draw());
    }

    /** Draws the labels of a rectangle of the image in the next frame. */
    redrawPainted(rectangle) {
        this.painted = union(this.painted, rectangle);
        this.frame ??= requestAnimationFrame(() => this.draw());
    }

    draw() {
        const layers = this.pending ?? new Set();
        const { painted } = this;
        this.frame = null;
        this.pending = null;
        this.painted = null;
        this.canvases.labels.style.opacity = state.labelOpacity;
        this.canvases.overlay.style.opacity = state.overlayOpacity;
        if (!state.image) {
            for (const layer of LAYERS) this.clear(layer);
            return;
        }
        const wishes = [];
        if (layers.has("image")) this.drawImage(wishes);
        if (layers.has("labels")) this.drawLabels(wishes);
        else if (painted) this.drawLabels(wishes, painted);
        if (layers.has("overlay")) this.drawOverlay(wishes);
        if (layers.has("marks") || layers.has("image")) {
            this.clear("marks");
            const context = this.contexts.marks;
            context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
            this.drawMarks(context);
        }
        if (layers.size > 1 || !layers.has("marks")) want(this, this.allWishes(layers, wishes));
    }

    /** Of layers that were not drawn the wishes stand as they were. */
    allWishes(layers, wishes) {
        this.wishes = [
            ...wishes,
            ...(this.wishes ?? []).filter(({ layer }) => !layers.has(layer)),
        ];
        return [...this.wishes];
    }

    drawImage(wishes) {
        this.clear("image");
        const table = presentTable();
        this.drawTiles("image", this.stores.pictures, {}, (tile) => drawn(tile, table), wishes);
    }

    drawLabels(wishes, part = null) {
        this.clear("labels", part);
        if (!state.labelsShown) return;
        const { labels } = this.stores;
        this.drawTiles("labels", labels, {}, (tile) => labels.drawn(tile, this.colours()), wishes, part);
    }

    drawOverlay(wishes) {
        this.clear("overlay");
        const source = this.source();
        if (!source) return;
        const { results } = this.stores;
        this.drawTiles("overlay", results, { source }, (tile) => results.drawn(tile, this.colours()), wishes);
    }

    /** Draws the tiles in view, or those in `part` of the image; in the place of missing ones coarser ones. */
    drawTiles(layer, store, more, canvasOf, wishes, part = null) {
        const { image, slice } = state;
        const context = this.contexts[layer];
        const levels = levelsOf(image.width, image.height);
        const level = levelFor(this.view.scale * this.ratio, levels);
        context.imageSmoothingEnabled = layer === "image" && this.view.scale * this.ratio < 2;
        context.save();
        if (part) {
            const [x, y, width, height] = this.place(part, 1);
            context.beginPath();
            context.rect(x, y, width, height);
            context.clip();
        }
        const area = part ? clipped(grown(part, 2 / this.view.scale), this.view.visible()) : this.view.visible();
        for (const { ty, tx } of tilesIn(area, level, image.width, image.height)) {
            const address = { image: image.id, slice, level, ty, tx, ...more };
            if (store.needs(address)) wishes.push({ layer, store, address });
            this.drawBest(context, store, address, levels, canvasOf);
        }
        context.restore();
        // One coarse tile of the whole is always there to be shown while others come.
        const coarsest = { image: image.id, slice, level: levels - 1, ty: 0, tx: 0, ...more };
        if (!part && level < levels - 1 && store.needs(coarsest)) wishes.unshift({ layer, store, address: coarsest });
    }

    drawBest(context, store, address, levels, canvasOf) {
        const { image } = state;
        const size = TILE * 2 ** address.level;
        const area = {
            left: address.tx * size, top: address.ty * size,
            right: Math.min(image.width, (address.tx + 1) * size), bottom: Math.min(image.height, (address.ty + 1) * size),
        };
        for (let up = 0; address.level + up < levels; up++) {
            const from = { ...address, level: address.level + up, ty: address.ty >> up, tx: address.tx >> up };
            const tile = store.get(from);
            if (!tile) continue;
            const scale = 2 ** -from.level;
            const left = area.left * scale - from.tx * TILE, top = area.top * scale - from.ty * TILE;
            // Sizes are halved and rounded up, so the last pixel of a level may stand for less than the others.
            const width = Math.min(tile.width - left, Math.max(1e-3, up === 0 ? tile.width : (area.right - area.left) * scale));
            const height = Math.min(tile.height - top, Math.max(1e-3, up === 0 ? tile.height : (area.bottom - area.top) * scale));
            if (up === 0) [area.right, area.bottom] = [area.left + width / scale, area.top + height / scale];
            context.drawImage(canvasOf(tile), left, top, width, height, ...this.place(area, 0));
            return;
        }
    }

    /** A rectangle of the image in pixels of the canvas, to whole pixels so that tiles meet: [x, y, width, height]. */
    place({ left, top, right, bottom }, margin) {
        const [x0, y0] = this.view.toScreen(left, top);
        const [x1, y1] = this.view.toScreen(right, bottom);
        const x = Math.round(x0 * this.ratio) - margin, y = Math.round(y0 * this.ratio) - margin;
        return [x, y, Math.round(x1 * this.ratio) + margin - x, Math.round(y1 * this.ratio) + margin - y];
    }

    clear(layer, part = null) {
        const context = this.contexts[layer];
        const canvas = this.canvases[layer];
        context.setTransform(1, 0, 0, 1, 0, 0);
        if (part) context.clearRect(...this.place(part, 1));
        else context.clearRect(0, 0, canvas.width, canvas.height);
    }
}

function grown({ left, top, right, bottom }, by) {
    return { left: left - by, top: top - by, right: right + by, bottom: bottom + by };
}

function clipped(a, b) {
    return {
        left: Math.max(a.left, b.left), top: Math.max(a.top, b.top),
        right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom),
    };
}
