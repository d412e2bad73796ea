// What networks make of the image: of the one that is being trained ("live"), or of finished jobs.

import { getTile } from "./api.js";
import { TileStore } from "./loader.js";
import { applyContrast, probabilityTable, uncertaintyTable } from "./lookup.js";
import { blankCanvas, coloured, presentTable } from "./picture.js";
import { areaOf, overlap } from "./raster.js";

const MOST_BYTES = 96 * 2 ** 20;
const UNCERTAINTY = uncertaintyTable();

/** Tiles of results. An address has a `source`: "live/classes", "live/uncertainty", "live/probability/3" (of class 3), "live/values", or a job. */
export class ResultStore extends TileStore {
    constructor({ onLoaded, onFailed }) {
        super({ most: MOST_BYTES, onLoaded, onFailed, fetch: (address, before) => this.fetchResult(address, before) });
        this.versions = new Map();
        this.likely = new Map();
    }

    async fetchResult({ image, slice, level, ty, tx, source }, before) {
        const tile = `${level}/${ty}/${tx}`;
        const version = this.version(image, slice);
        const [kind] = source.split("/");
        const answer = await getTile(kind === "live"
            ? `/api/images/${image}/${slice}/result/${tile}?version=${version}&${this.query(source)}`
            : `/api/images/${image}/${slice}/jobs/${encodeURIComponent(kind)}/${tile}`);
        if (!answer) return null;
        const { width, height, channels } = answer;
        const numbers = numbersOf(answer);
        if (!numbers) return null;
        return {
            width, height, channels, ...numbers, bytes: (4 + 2 * channels) * width * height,
            version: Math.max(version, answer.version), needed: before ? before.needed : this.version(image, slice),
        };
    }

    isStale(tile) {
        return tile.source.startsWith("live/") && tile.version < tile.needed;
    }

    /** A region has been computed anew. */
    computed({ image, slice, version, x, y, width, height }) {
        this.versions.set(`${image}/${slice}`, Math.max(version, this.version(image, slice)));
        this.failed.clear();
        const region = { left: x, top: y, right: x + width, bottom: y + height };
        for (const tile of this.tiles.values()) {
            if (tile.image !== image || tile.slice !== slice || !overlap(areaOf(tile), region)) continue;
            tile.needed = Math.max(tile.needed, version);
        }
    }

    version(image, slice) {
        return this.versions.get(`${image}/${slice}`) ?? 0;
    }

    /** The newest version of any slice of an image. */
    latest(image) {
        const of = [...this.versions].filter(([name]) => name.startsWith(`${image}/`)).map(([, version]) => version);
        return Math.max(0, ...of);
    }

    /** What a live source shows, as the server is asked for it. */
    query(source) {
        const [, what, number] = source.split("/");
        return number === undefined ? `what=${what}` : `what=${what}&class=${number}`;
    }

    /** The table from bytes to colours of a source; `colours` is that of the classes. */
    tableOf(source, colours) {
        const [, what, number] = source.split("/");
        if (what === "uncertainty") return UNCERTAINTY;
        if (what !== "probability") return colours;
        const colour = colours[Number(number)];
        const name = `${number}/${colour}`;
        if (!this.likely.has(name)) this.likely.set(name, probabilityTable(colour));
        return this.likely.get(name);
    }

    /** The tile as a canvas; `colours` is the table of the classes. */
    drawn(tile, colours) {
        if (tile.values) return this.drawnValues(tile);
        return coloured(tile, this.tableOf(tile.source, colours));
    }

    /** A tile of a network that denoises, with the contrast of the image. */
    drawnValues(tile) {
        const table = presentTable();
        if (tile.colours === table) return tile.canvas;
        tile.canvas ??= blankCanvas(tile.width, tile.height);
        const picture = new ImageData(tile.width, tile.height);
        const pixels = new Uint32Array(picture.data.buffer);
        applyContrast(tile.values, tile.channels, table, pixels);
        // Of the network as it learns, 0 stands for what was not computed yet.
        if (tile.source.startsWith("live/")) clearMissing(tile.values, pixels);
        tile.canvas.getContext("2d").putImageData(picture, 0, 0);
        tile.colours = table;
        return tile.canvas;
    }
}

/** The numbers of an answer: {data} of a byte a pixel, or {values} of 16 bits a pixel and channel; null where they do not fit. */
function numbersOf({ buffer, width, height, channels }) {
    const area = width * height;
    if (buffer.byteLength === area && channels === 1) return { data: new Uint8Array(buffer) };
    return buffer.byteLength === 2 * area * channels ? { values: new Uint16Array(buffer) } : null;
}

function clearMissing(values, pixels) {
    for (let i = 0; i < pixels.length; i++) {
        if (values[i] === 0) pixels[i] = 0;
    }
}
