// Labels: tiles of the server, into which this page paints at once. A tile is fetched again after the server has changed it;
// until then what was painted here is painted into every tile that comes, so that nothing flickers.

import { getTile } from "./api.js";
import { TileStore, key } from "./loader.js";
import { applyColours } from "./lookup.js";
import { blankCanvas, greysOf } from "./picture.js";
import { areaOf, boundsOf, overlap, paintEntry, slicesOf, union } from "./raster.js";
import { classes } from "./state.js";

const MOST_BYTES = 96 * 2 ** 20;

/** How long after the last stroke its tiles are compared with the server's, in milliseconds. */
const CALM = 700;

export class LabelStore extends TileStore {
    /** `onPainted(rectangle of the image)`; `pictures`: the store of image tiles, for strokes within a brightness range. */
    constructor({ pictures, onLoaded, onPainted, onFailed }) {
        super({ most: MOST_BYTES, onLoaded, onFailed, fetch: (address, before) => this.fetchLabels(address, before) });
        this.pictures = pictures;
        this.onPainted = onPainted;
        this.seq = 0;
        // What this page has painted and the tiles may not have yet: {entry, seq: null until it is saved}.
        this.recent = [];
        this.calmAt = 0;
    }

    async fetchLabels(address, before) {
        const { image, slice, level, ty, tx } = address;
        const seq = this.seq;
        const answer = await getTile(`/api/images/${image}/${slice}/labels/${level}/${ty}/${tx}?seq=${seq}`);
        if (!answer) return null;
        const data = new Uint8Array(answer.buffer);
        const { width, height } = answer;
        if (data.length !== width * height) return null;
        // What has changed while a new tile was on its way cannot have been noted in it.
        const needed = before ? before.needed : this.seq;
        const tile = { ...address, width, height, data, seq: Math.max(seq, answer.seq), needed, bytes: 5 * width * height };
        for (const one of this.recent) {
            if (one.seq === null || one.seq > tile.seq) this.paintInto(tile, one.entry, 0);
        }
        if (before && before.colours && same(before.data, data)) {
            // As it was: the picture of it stays.
            Object.assign(tile, { canvas: before.canvas, pixels: before.pixels, colours: before.colours });
        }
        return tile;
    }

    isStale(tile) {
        return (tile.seq < 0 || tile.seq < tile.needed) && performance.now() >= this.calmAt;
    }

    /** A stroke or polygon of this page: painted into all tiles that are there, from the stroke's segment `start` on. */
    paint(entry, start = 0) {
        const bounds = boundsOf(entry, start);
        const [first, last] = slicesOf(entry);
        let painted = null;
        for (const tile of this.tiles.values()) {
            if (tile.image !== entry.image || tile.slice < first || tile.slice > last) continue;
            const area = areaOf(tile);
            if (!overlap(area, bounds)) continue;
            const changed = this.paintInto(tile, entry, start);
            if (!changed) continue;
            tile.dirty = union(tile.dirty, changed);
            const scale = 2 ** tile.level;
            painted = union(painted, {
                left: area.left + changed.left * scale, top: area.top + changed.top * scale,
                right: area.left + changed.right * scale, bottom: area.top + changed.bottom * scale,
            });
        }
        this.calmAt = performance.now() + CALM;
        if (painted) this.onPainted(painted);
    }

    /** Remembers an entry of this page until the tiles have it. */
    remember(entry) {
        this.recent.push({ entry, seq: null });
    }

    /** The server has written an entry of this page. */
    saved(entry, seq) {
        const one = this.recent.find((one) => one.entry === entry);
        if (one) one.seq = seq;
        // Tiles on their way were asked for with an earlier number; a few more are kept for them.
        const kept = this.recent.filter((one) => one.seq !== null);
        if (kept.length > 64) this.recent = this.recent.filter((one) => one.seq === null || kept.indexOf(one) >= kept.length - 32);
    }

    /** An entry will not be written: what it painted is wrong. */
    refused(entry) {
        this.recent = this.recent.filter((one) => one.entry !== entry);
        this.reloadAll();
    }

    /** All tiles are fetched again; until they come, they are shown as they are. */
    reloadAll() {
        this.calmAt = 0;
        for (const tile of this.tiles.values()) tile.seq = -1;
    }

    /** Labels have changed on the server; `calm` where this page shows the change already. */
    changed(regions, seq, calm = false) {
        this.seq = Math.max(this.seq, seq);
        if (!calm) this.calmAt = 0;
        for (const tile of this.tiles.values()) {
            if (regions.some((region) => touches(tile, region))) tile.needed = Math.max(tile.needed, seq);
        }
    }

    /** After undo and redo, entries that were painted here no longer say what the tiles should be. */
    forgetSaved() {
        this.recent = this.recent.filter((one) => one.seq === null);
    }

    /** The tile as a canvas in the colours of this table; only what has changed is coloured. */
    drawn(tile, colours) {
        const whole = { left: 0, top: 0, right: tile.width, bottom: tile.height };
        if (tile.colours !== colours) {
            tile.canvas ??= blankCanvas(tile.width, tile.height);
            tile.pixels ??= new ImageData(tile.width, tile.height);
            tile.colours = colours;
            tile.dirty = whole;
        }
        if (tile.dirty) {
            const { left, top, right, bottom } = tile.dirty;
            applyColours(tile.data, tile.width, colours, new Uint32Array(tile.pixels.data.buffer), tile.dirty);
            tile.canvas.getContext("2d").putImageData(tile.pixels, 0, 0, left, top, right - left, bottom - top);
            tile.dirty = null;
        }
        return tile.canvas;
    }

    paintInto(tile, entry, start) {
        const [first, last] = slicesOf(entry);
        if (tile.image !== entry.image || tile.slice < first || tile.slice > last) return null;
        const picture = entry.range ? this.pictures.tiles.get(key({ ...tile, source: "" })) : null;
        return paintEntry(tile, entry, blockedFor(entry.class), picture && greysOf(picture), start);
    }
}

/** Which labels a class must not be painted over: those of locked classes. */
function blockedFor(number) {
    const locked = classes().filter((one) => one.locked && one.class !== number);
    if (locked.length === 0) return null;
    const blocked = new Uint8Array(256);
    for (const one of locked) blocked[one.class] = 1;
    return blocked;
}

function touches(tile, { image, slice, x, y, width, height }) {
    if (tile.image !== image || (slice !== undefined && slice !== null && tile.slice !== slice)) return false;
    if (x === undefined) return true;
    return overlap(areaOf(tile), { left: x, top: y, right: x + width, bottom: y + height });
}

function same(a, b) {
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) {
        if (a[i] !== b[i]) return false;
    }
    return true;
}
