// Which tiles are fetched, in which order, and which are kept.

/** So many requests at once that strokes, which are sent beside them, never wait for a connection. */
const AT_ONCE = 4;

/** A tile that could not be had is asked for again after so many milliseconds. */
const AGAIN_AFTER = 2000;

let running = 0;
const wishes = new Map();

/** What someone (`who`) wants now, most urgent first: [{store, address}, ...]. Earlier wishes of the same one are forgotten. */
export function want(who, list) {
    wishes.set(who, list);
    next();
}

function next() {
    while (running < AT_ONCE) {
        const wish = mostUrgent();
        if (!wish) return;
        running++;
        wish.store.load(wish.address).finally(() => {
            running--;
            next();
        });
    }
}

/** The first wishes of all take turns, so that a second picture does not wait for the whole of the first. */
function mostUrgent() {
    for (const [who, list] of wishes) {
        while (list.length > 0) {
            const wish = list.shift();
            if (!wish.store.needs(wish.address)) continue;
            wishes.delete(who);
            wishes.set(who, list);
            return wish;
        }
        wishes.delete(who);
    }
    return null;
}

/**
 * Tiles by address {image, slice, level, ty, tx}, at most so many bytes of them; those not used for longest go first.
 * - `fetch(address)`: the tile, {width, height, bytes, ...}, or null where there is none. `bytes` is what it takes.
 * - `onLoaded(tile)`: a tile has come; `onFailed(error)`.
 */
export class TileStore {
    constructor({ most, fetch, onLoaded, onFailed }) {
        Object.assign(this, { most, fetch, onLoaded, onFailed });
        this.tiles = new Map();
        this.loading = new Set();
        this.failed = new Map();
        this.bytes = 0;
    }

    /** The tile if it is there. */
    get(address) {
        const name = key(address);
        const tile = this.tiles.get(name);
        if (!tile) return null;
        this.tiles.delete(name);
        this.tiles.set(name, tile);
        return tile;
    }

    /** Whether a tile is to be fetched: it is not there, or no longer right, and nobody fetches it. */
    needs(address) {
        const name = key(address);
        if (this.loading.has(name) || performance.now() < (this.failed.get(name) ?? 0)) return false;
        const tile = this.tiles.get(name);
        return !tile || this.isStale(tile);
    }

    isStale() {
        return false;
    }

    async load(address) {
        const name = key(address);
        this.loading.add(name);
        const before = this.tiles.get(name);
        try {
            const tile = await this.fetch(address, before);
            if (tile) {
                this.failed.delete(name);
                this.put(name, Object.assign(tile, address));
            } else {
                this.failed.set(name, performance.now() + AGAIN_AFTER);
            }
        } catch (error) {
            // Tried again after a while, not at once: the server may be gone.
            this.failed.set(name, performance.now() + AGAIN_AFTER);
            this.onFailed?.(error);
        } finally {
            this.loading.delete(name);
        }
    }

    put(name, tile) {
        this.remove(name);
        this.tiles.set(name, tile);
        this.bytes += tile.bytes;
        for (const oldest of this.tiles.keys()) {
            if (this.bytes <= this.most || oldest === name) break;
            this.remove(oldest);
        }
        this.onLoaded(tile);
    }

    remove(name) {
        const tile = this.tiles.get(name);
        if (!tile) return;
        this.bytes -= tile.bytes;
        this.tiles.delete(name);
    }

    /** Forgets all tiles, as when another project is served. */
    clear() {
        this.tiles.clear();
        this.failed.clear();
        this.bytes = 0;
    }
}

/** A tile's name in a store. */
export function key({ image, slice, level, ty, tx, source = "" }) {
    return `${source}/${image}/${slice}/${level}/${ty}/${tx}`;
}
