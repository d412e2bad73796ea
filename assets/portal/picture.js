// The image: its tiles as 16-bit numbers, and as pictures for the present contrast.

import { getTile } from "./api.js";
import { TileStore } from "./loader.js";
import { applyColours, applyContrast, contrastTable } from "./lookup.js";
import { state } from "./state.js";

const MOST_BYTES = 192 * 2 ** 20;

/** Where tiles of images are kept; `onLoaded` is called for each that has come. */
export function pictureStore(onLoaded, onFailed) {
    return new TileStore({ most: MOST_BYTES, fetch: fetchPicture, onLoaded, onFailed });
}

async function fetchPicture({ image, slice, level, ty, tx }) {
    const of = state.project.images.find((one) => one.id === image);
    if (!of) return null;
    const tile = decode(await getTile(`/api/images/${image}/${slice}/tiles/${level}/${ty}/${tx}${versionOf(of)}`));
    return tile && { ...tile, of };
}

/** What makes an address new when the file of an image has changed, so that the browser may keep what it got. */
export function versionOf({ key }) {
    return key ? `?v=${encodeURIComponent(key)}` : "";
}

/** A tile or a cut from the server's bytes: 16-bit values, little endian, one plane a channel. */
export function decode(answer) {
    if (!answer) return null;
    const { buffer, width, height, channels } = answer;
    const values = new Uint16Array(buffer);
    if (values.length !== width * height * channels) return null;
    return { width, height, channels, values, canvas: null, table: null, bytes: buffer.byteLength + 4 * width * height };
}

let table = null;
let tableOf = "";

/** The table for the present image and contrast; made anew only where one of them has changed. */
export function presentTable() {
    const { lowest, highest } = state.image;
    const now = JSON.stringify([lowest, highest, state.contrast]);
    if (now !== tableOf) {
        table = contrastTable({ lowest, highest, ...state.contrast });
        tableOf = now;
    }
    return table;
}

/** The tile as a canvas, through this table. */
export function drawn(tile, table) {
    if (tile.table === table) return tile.canvas;
    tile.canvas ??= blankCanvas(tile.width, tile.height);
    const context = tile.canvas.getContext("2d");
    const picture = context.createImageData(tile.width, tile.height);
    applyContrast(tile.values, tile.channels, table, new Uint32Array(picture.data.buffer));
    context.putImageData(picture, 0, 0);
    tile.table = table;
    return tile.canvas;
}

/** A function from a pixel's index in a tile to its grey value in the first channel. */
export function greysOf({ values, of: { lowest, highest } }) {
    const step = (highest - lowest) / 65535;
    return (index) => lowest + values[index] * step;
}

/** A canvas that is not part of the page. */
export function blankCanvas(width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    return canvas;
}

/** A tile or cut of bytes as a canvas in the colours of this table. */
export function coloured(tile, table) {
    if (tile.colours === table) return tile.canvas;
    tile.canvas ??= blankCanvas(tile.width, tile.height);
    const picture = new ImageData(tile.width, tile.height);
    const whole = { left: 0, top: 0, right: tile.width, bottom: tile.height };
    applyColours(tile.data, tile.width, table, new Uint32Array(picture.data.buffer), whole);
    tile.canvas.getContext("2d").putImageData(picture, 0, 0);
    tile.colours = table;
    return tile.canvas;
}
