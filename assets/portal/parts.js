// Longer strokes are written in parts, of which undo takes all. Which entries of the journal are such parts is remembered over a reload,
// with the project that they are of: another project at the same address has entries of these numbers too.

const PARTS = "msd-gpu/parts";

/** So many numbers of parts are remembered. */
const MOST_PARTS = 2000;

export class Parts {
    /** `storage`: like sessionStorage. Nothing is known before `open`. */
    constructor(storage) {
        this.storage = storage;
        this.project = null;
        this.numbers = new Set();
    }

    /** Takes up what is remembered of the project with this `id`. */
    open(id) {
        this.project = id;
        let kept = null;
        try {
            kept = JSON.parse(this.storage.getItem(PARTS) ?? "null");
        } catch {
            // What cannot be read is of no project.
        }
        const numbers = kept?.project === id && Array.isArray(kept.numbers) ? kept.numbers : [];
        this.numbers = new Set([...numbers, ...this.numbers]);
    }

    /** The entry of this number goes on with the one before it. */
    add(number) {
        this.numbers.add(number);
        if (this.project === null) return;
        const numbers = [...this.numbers].slice(-MOST_PARTS);
        this.storage.setItem(PARTS, JSON.stringify({ project: this.project, numbers }));
    }

    has(number) {
        return this.numbers.has(number);
    }

    forget() {
        this.numbers = new Set();
        this.storage.removeItem(PARTS);
    }
}
