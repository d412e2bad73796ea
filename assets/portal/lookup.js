// From numbers to colours by tables, so that another contrast, gamma or colour needs no request and no arithmetic a pixel.

/**
 * The table from a tile's 16-bit values to grey: 0 at `low`, 255 at `high`, bent by `gamma` in between.
 * A value v of a tile stands for lowest + v/65535 (highest - lowest).
 */
export function contrastTable({ lowest, highest, low, high, gamma }) {
    const table = new Uint8ClampedArray(65536);
    const span = highest - lowest;
    const from = span > 0 ? (low - lowest) / span * 65535 : 0;
    const to = span > 0 ? (high - lowest) / span * 65535 : 65535;
    const width = Math.max(1e-6, to - from);
    for (let value = 0; value < 65536; value++) {
        const share = Math.min(1, Math.max(0, (value - from) / width));
        table[value] = 255 * share ** (1 / gamma) + 0.5;
    }
    return table;
}

/** Puts a tile's planes of 16-bit values (1 or 3) through the table, as RGBA in `pixels` (32 bits a pixel). */
export function applyContrast(values, channels, table, pixels) {
    const area = pixels.length;
    if (channels < 3) {
        for (let i = 0; i < area; i++) {
            const grey = table[values[i]];
            pixels[i] = 0xff000000 | grey << 16 | grey << 8 | grey;
        }
        return;
    }
    for (let i = 0; i < area; i++) {
        pixels[i] = 0xff000000 | table[values[i + 2 * area]] << 16 | table[values[i + area]] << 8 | table[values[i]];
    }
}

/** The table from labels to colours; classes that are not there, and 255, are transparent. */
export function classTable(classes) {
    const table = new Uint32Array(256);
    for (const { class: number, colour } of classes) {
        if (number < 255) table[number] = packed(colour);
    }
    return table;
}

/** The table for uncertainty: from transparent over violet and red to yellow; 255 (not computed) is transparent. */
export function uncertaintyTable() {
    const stops = [[0, 40, 11, 84, 0], [64, 101, 21, 110, 150], [128, 188, 55, 84, 220], [192, 249, 142, 9, 255], [254, 252, 255, 164, 255]];
    const table = new Uint32Array(256);
    for (let value = 0; value < 255; value++) {
        const next = Math.max(1, stops.findIndex(([at]) => at >= value));
        const [from, to] = [stops[next - 1], stops[next]];
        const share = (value - from[0]) / (to[0] - from[0]);
        const [red, green, blue, alpha] = [1, 2, 3, 4].map((i) => Math.round(from[i] + share * (to[i] - from[i])));
        table[value] = (alpha << 24 | blue << 16 | green << 8 | red) >>> 0;
    }
    return table;
}

/** The table for the probability of a class of this packed colour: 0 is transparent, 254 the full colour; 255 (not computed) is nothing. */
export function probabilityTable(colour) {
    const table = new Uint32Array(256);
    for (let value = 0; value < 255; value++) table[value] = (Math.round(value / 254 * 255) << 24 | (colour & 0xffffff)) >>> 0;
    return table;
}

/** Puts the rectangle of a tile's bytes through a table of colours into RGBA pixels of the whole tile. */
export function applyColours(bytes, width, table, pixels, { left, top, right, bottom }) {
    for (let row = top; row < bottom; row++) {
        const end = row * width + right;
        for (let i = row * width + left; i < end; i++) pixels[i] = table[bytes[i]];
    }
}

function packed(colour) {
    const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour || "");
    if (!found) return 0xff808080;
    const [red, green, blue] = found.slice(1).map((hex) => parseInt(hex, 16));
    return (0xff000000 | blue << 16 | green << 8 | red) >>> 0;
}
