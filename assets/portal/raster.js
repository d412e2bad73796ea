// Which pixels a stroke or a polygon covers: the same rule as the server's, without a canvas, so that what is painted in the
// page is what the server has written down. Coordinates are image pixels, x to the right and y down; the centre of the
// first pixel is at (0.5, 0.5).
//
// A tile is {level, tx, ty, width, height, data}: `data` has one byte a pixel, 255 where nothing is labelled. A pixel of level n
// stands for 2^n x 2^n pixels of the image.

export const TILE = 256;
export const UNLABELLED = 255;

/** The smallest radius in pixels of a level, so that a thin stroke does not vanish when seen from far away. */
const THINNEST = 0.6;

/**
 * Paints all pixels whose centre is at most `radius` from the segment a-b into `tile`; in pixels of the tile's level.
 * `blocked` has a 1 for each value that must not be painted over; `allowed(index)` says no to single pixels; both may be null.
 * Returns what has changed as {left, top, right, bottom} in pixels of the tile (right and bottom excluded), or null.
 */
export function paintSegment(tile, ax, ay, bx, by, radius, value, blocked, allowed) {
    const left = tile.tx * TILE, top = tile.ty * TILE;
    const first = Math.max(0, Math.ceil(Math.min(ay, by) - radius - 0.5) - top - 1);
    const last = Math.min(tile.height - 1, Math.floor(Math.max(ay, by) + radius - 0.5) - top + 1);
    if (first > last || Math.max(ax, bx) + radius < left || Math.min(ax, bx) - radius > left + tile.width) return null;
    const inside = capsule(ax, ay, bx, by, radius);
    const changed = new Changed();
    for (let row = first; row <= last; row++) {
        const y = top + row + 0.5;
        const span = rowOfCapsule(ax, ay, bx, by, radius, y);
        if (!span) continue;
        // Square roots are rounded, so the ends are settled by the rule itself.
        let from = Math.max(left, Math.ceil(span[0] - 0.5) - 1);
        let to = Math.min(left + tile.width - 1, Math.floor(span[1] - 0.5) + 1);
        while (from <= to && !inside(from + 0.5, y)) from++;
        while (to >= from && !inside(to + 0.5, y)) to--;
        paintRow(tile, row, from - left, to - left, value, blocked, allowed, changed);
    }
    return changed.rectangle();
}

/** Paints all pixels whose centre is inside the polygon by the even-odd rule; as `paintSegment`. `points` are [[x, y], ...]. */
export function paintPolygon(tile, points, value, blocked) {
    const left = tile.tx * TILE, top = tile.ty * TILE;
    let [lowest, highest] = [Infinity, -Infinity];
    for (const [, y] of points) {
        lowest = Math.min(lowest, y);
        highest = Math.max(highest, y);
    }
    const first = Math.max(0, Math.floor(lowest) - top - 1);
    const last = Math.min(tile.height - 1, Math.ceil(highest) - top + 1);
    const changed = new Changed();
    for (let row = first; row <= last; row++) {
        const crossings = crossingsAt(points, top + row + 0.5);
        for (let i = 0; i + 1 < crossings.length; i += 2) {
            const from = Math.max(0, Math.ceil(crossings[i] - 0.5) - left);
            let to = Math.min(tile.width - 1, Math.ceil(crossings[i + 1] - 0.5) - 1 - left);
            paintRow(tile, row, from, to, value, blocked, null, changed);
        }
    }
    return changed.rectangle();
}

/**
 * Paints a journal entry (`stroke` or `polygon`) into a tile, from the stroke's segment number `start` on.
 * `greyAt` is null, or a function from a pixel's index in the tile to its grey value, for strokes with a range.
 */
export function paintEntry(tile, entry, blocked, greyAt, start = 0) {
    const scale = 1 / 2 ** tile.level;
    const value = entry.class === null ? UNLABELLED : entry.class;
    if (entry.op === "polygon") {
        return paintPolygon(tile, entry.points.map(([x, y]) => [x * scale, y * scale]), value, blocked);
    }
    if (entry.op !== "stroke") return null;
    const radius = tile.level === 0 ? entry.size / 2 : Math.max(THINNEST, entry.size / 2 * scale);
    let allowed = null;
    if (entry.range) {
        if (!greyAt) return null;
        const [low, high] = entry.range;
        allowed = (index) => { const grey = greyAt(index); return grey >= low && grey <= high; };
    }
    const { points } = entry;
    let changed = null;
    for (let i = start; i < Math.max(1, points.length - 1); i++) {
        const [ax, ay] = points[i];
        const [bx, by] = points[Math.min(i + 1, points.length - 1)];
        changed = union(changed, paintSegment(tile, ax * scale, ay * scale, bx * scale, by * scale, radius, value, blocked, allowed));
    }
    return changed;
}

/** Where in the image an entry paints, from the stroke's segment `start` on: {left, top, right, bottom} in image pixels. */
export function boundsOf(entry, start = 0) {
    const margin = entry.op === "stroke" ? entry.size / 2 + 1 : 1;
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = start; i < entry.points.length; i++) {
        const [x, y] = entry.points[i];
        left = Math.min(left, x);
        top = Math.min(top, y);
        right = Math.max(right, x);
        bottom = Math.max(bottom, y);
    }
    return { left: left - margin, top: top - margin, right: right + margin, bottom: bottom + margin };
}

/** The slices that an entry paints, first and last. */
export function slicesOf(entry) {
    const depth = entry.depth || 0;
    return [entry.slice - depth, entry.slice + depth];
}

/** The smallest rectangle around two, either of which may be null. */
export function union(a, b) {
    if (!a || !b) return a || b;
    return {
        left: Math.min(a.left, b.left), top: Math.min(a.top, b.top),
        right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom),
    };
}

/** Whether two rectangles share area. */
export function overlap(a, b) {
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** The rectangle of the image that a tile covers. */
export function areaOf(tile) {
    const scale = 2 ** tile.level;
    const left = tile.tx * TILE * scale, top = tile.ty * TILE * scale;
    return { left, top, right: left + tile.width * scale, bottom: top + tile.height * scale };
}

/** The rule: whether a point is at most `radius` from the segment a-b. */
function capsule(ax, ay, bx, by, radius) {
    const dx = bx - ax, dy = by - ay;
    const length2 = dx * dx + dy * dy;
    const radius2 = radius * radius;
    return (x, y) => {
        const along = length2 === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length2));
        const ex = ax + along * dx - x, ey = ay + along * dy - y;
        return ex * ex + ey * ey <= radius2;
    };
}

/** Where the row at `y` meets the area around the segment, as [from, to], or null. The area is convex: it is one stretch. */
function rowOfCapsule(ax, ay, bx, by, radius, y) {
    let [from, to] = [Infinity, -Infinity];
    for (const [x, centre] of [[ax, ay], [bx, by]]) {
        const across = radius * radius - (y - centre) ** 2;
        if (across >= 0) {
            const half = Math.sqrt(across);
            from = Math.min(from, x - half);
            to = Math.max(to, x + half);
        }
    }
    const dx = bx - ax, dy = by - ay;
    const length = Math.hypot(dx, dy);
    if (length > 0) {
        // The rectangle between the two discs: between its ends along the segment, and at most `radius` beside it.
        const along = between(dx, (y - ay) * dy - ax * dx, 0, length * length);
        const beside = between(dy, -(y - ay) * dx - ax * dy, -radius * length, radius * length);
        const low = Math.max(along[0], beside[0]), high = Math.min(along[1], beside[1]);
        if (low <= high) {
            from = Math.min(from, low);
            to = Math.max(to, high);
        }
    }
    return from <= to ? [from, to] : null;
}

/** The x for which low <= factor x + offset <= high. */
function between(factor, offset, low, high) {
    if (factor === 0) return low <= offset && offset <= high ? [-Infinity, Infinity] : [Infinity, -Infinity];
    const a = (low - offset) / factor, b = (high - offset) / factor;
    return a < b ? [a, b] : [b, a];
}

function crossingsAt(points, y) {
    const crossings = [];
    for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
        const [xi, yi] = points[i];
        const [xj, yj] = points[j];
        if (yi > y !== yj > y) crossings.push((xj - xi) * (y - yi) / (yj - yi) + xi);
    }
    return crossings.sort((a, b) => a - b);
}

function paintRow(tile, row, from, to, value, blocked, allowed, changed) {
    const { data } = tile;
    const start = row * tile.width;
    let [first, last] = [-1, -1];
    for (let i = start + from; i <= start + to; i++) {
        if (data[i] === value || (blocked && blocked[data[i]]) || (allowed && !allowed(i))) continue;
        data[i] = value;
        if (first < 0) first = i;
        last = i;
    }
    if (first >= 0) changed.add(first - start, last - start, row);
}

/** Collects the rectangle of what has changed. */
class Changed {
    left = Infinity;
    right = -1;
    top = -1;
    bottom = -1;

    add(from, to, row) {
        this.left = Math.min(this.left, from);
        this.right = Math.max(this.right, to + 1);
        if (this.top < 0) this.top = row;
        this.bottom = row + 1;
    }

    rectangle() {
        return this.top < 0 ? null : { left: this.left, top: this.top, right: this.right, bottom: this.bottom };
    }
}
