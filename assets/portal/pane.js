// One picture on the screen. Image, network's result and labels are drawn on a canvas each that is not part of the page; the one
// that is seen is put together from them, where something has changed. So a stroke draws a few pixels of labels and nothing else.

import { want } from "./loader.js";
import { make } from "./dom.js";
import { TILE, union } from "./raster.js";
import { denoises, state } from "./state.js";
import { levelFor, levelsOf, tilesIn } from "./view.js";
import { blankCanvas, drawn, presentTable } from "./picture.js";

const LAYERS = ["image", "overlay", "labels"];

/** More than this many pixels for one of the screen cost time and show nothing. */
const FINEST = 2;

export class Pane {
    /**
     * `stores`: {pictures, labels, results}; `view` is shared by panes side by side; `source()` says what the overlay shows,
     * `colours()` is the table of the classes' colours, `drawMarks(context)` draws what tools show above it all.
     */
    constructor(element, { stores, view, source, colours, drawMarks }) {
        Object.assign(this, { element, stores, view, source, colours, drawMarks });
        this.screen = make("canvas", { class: "layer", "aria-hidden": "true" });
        element.append(this.screen);
        this.screenContext = this.screen.getContext("2d", { alpha: false });
        this.contexts = {};
        for (const layer of LAYERS) this.contexts[layer] = blankCanvas(1, 1).getContext("2d", { alpha: layer !== "image" });
        this.pending = new Set();
        this.painted = null;
        this.touched = null;
        this.lastMarks = null;
        this.readColours();
    }

    /** Takes the element's size. */
    resize() {
        const { clientWidth: width, clientHeight: height } = this.element;
        this.ratio = Math.min(FINEST, window.devicePixelRatio || 1);
        const [wide, high] = [Math.max(1, Math.round(width * this.ratio)), Math.max(1, Math.round(height * this.ratio))];
        for (const canvas of [this.screen, ...LAYERS.map((layer) => this.contexts[layer].canvas)]) {
            if (canvas.width === wide && canvas.height === high) continue;
            canvas.width = wide;
            canvas.height = high;
        }
    }

    /** Takes up the colour around the image, which goes with the page's appearance. */
    readColours() {
        this.around = getComputedStyle(this.element).backgroundColor;
    }

    /** Draws these layers ("image", "overlay", "labels"), or "marks" or "screen" alone, in the next frame; all without a name. */
    redraw(...layers) {
        for (const layer of layers.length > 0 ? layers : LAYERS) this.pending.add(layer);
        this.soon();
    }

    /** Draws the labels of a rectangle of the image in the next frame. */
    redrawPainted(rectangle) {
        this.painted = union(this.painted, rectangle);
        this.soon();
    }

    /** Draws the marks again, which are now in this rectangle of the screen only. */
    moveMarks(rectangle) {
        this.touched = union(union(this.touched, this.lastMarks), rectangle);
        this.lastMarks = rectangle;
        this.soon();
    }

    soon() {
        this.frame ??= requestAnimationFrame(() => this.draw());
    }

    draw() {
        const { pending: layers, painted, touched } = this;
        this.frame = null;
        this.pending = new Set();
        this.painted = null;
        this.touched = null;
        const wishes = [];
        if (!state.image) {
            LAYERS.forEach((layer) => this.clear(layer));
            return this.putTogether([[0, 0, this.screen.width, this.screen.height]]);
        }
        if (layers.has("image")) this.drawImage(wishes);
        if (layers.has("labels")) this.drawLabels(wishes);
        else if (painted) this.drawLabels(wishes, painted);
        if (layers.has("overlay")) this.drawOverlay(wishes);
        const regions = [];
        if (layers.size > 0) regions.push([0, 0, this.screen.width, this.screen.height]);
        else {
            if (painted) regions.push(this.place(painted, 1));
            if (touched) regions.push(this.onScreen(touched));
        }
        this.putTogether(regions);
        if (LAYERS.some((layer) => layers.has(layer)) || painted) this.wish(layers, wishes);
    }

    /** Puts rectangles of the screen together from the layers, with the marks above. */
    putTogether(regions) {
        const context = this.screenContext;
        for (const [x, y, width, height] of regions) {
            const [left, top] = [Math.max(0, x), Math.max(0, y)];
            const wide = Math.min(this.screen.width, x + width) - left, high = Math.min(this.screen.height, y + height) - top;
            if (wide <= 0 || high <= 0) continue;
            context.save();
            context.setTransform(1, 0, 0, 1, 0, 0);
            context.beginPath();
            context.rect(left, top, wide, high);
            context.clip();
            const layers = [["image", 1]];
            if (this.source()) layers.push(["overlay", denoises() ? state.blend : state.overlayOpacity]);
            if (state.labelsShown) layers.push(["labels", state.labelOpacity]);
            for (const [layer, opacity] of layers) {
                context.globalAlpha = opacity;
                // Before and after are divided by a line.
                const start = layer === "overlay" && denoises() ? Math.max(left, Math.round(state.wipe * this.screen.width)) : left;
                const shown = wide - (start - left);
                if (shown > 0) context.drawImage(this.contexts[layer].canvas, start, top, shown, high, start, top, shown, high);
            }
            context.globalAlpha = 1;
            context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
            if (state.image) this.drawMarks(context);
            context.restore();
        }
    }

    /** Of layers that were not drawn the wishes stand as they were. */
    wish(layers, wishes) {
        this.wishes = [...wishes, ...(this.wishes ?? []).filter(({ layer }) => !layers.has(layer))];
        want(this, [...this.wishes]);
    }

    drawImage(wishes) {
        this.clear("image");
        const table = presentTable();
        this.drawTiles("image", this.stores.pictures, {}, (tile) => drawn(tile, table), wishes);
    }

    drawLabels(wishes, part = null) {
        this.clear("labels", part);
        if (!state.labelsShown || denoises()) return;
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
        context.imageSmoothingEnabled = (layer === "image" || (layer === "overlay" && denoises())) && this.view.scale * this.ratio < 2;
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

    /** A rectangle of the screen in whole pixels of the canvas: [x, y, width, height]. */
    onScreen({ left, top, right, bottom }) {
        const [x, y] = [Math.floor(left * this.ratio), Math.floor(top * this.ratio)];
        return [x, y, Math.ceil(right * this.ratio) - x, Math.ceil(bottom * this.ratio) - y];
    }

    clear(layer, part = null) {
        const context = this.contexts[layer];
        const { width, height } = context.canvas;
        context.fillStyle = this.around;
        if (layer === "image") context.fillRect(0, 0, width, height);
        else if (part) context.clearRect(...this.place(part, 1));
        else context.clearRect(0, 0, width, height);
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
