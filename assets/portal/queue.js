// Journal entries on their way to the server. An entry is kept in the browser's storage until the server has acknowledged it;
// where it is unknown whether an entry has arrived, the journal is read before it is sent again, so that none is written twice.

const PREFIX = "msd-gpu/queue/";
const MOST_AT_ONCE = 50;
const RETRIES = [500, 1000, 2000, 4000];

/** Answers that say that an entry will never be taken; after any other one it is sent again. */
const REFUSALS = [400, 404, 409, 413, 422];

/**
 * - `storage`: like localStorage; `tab`: this page's name.
 * - `send(entries)`: gives {seq, hash, changed}, or throws an error with `status`.
 * - `readAfter(seq)`: the journal's entries after this number.
 * - `isSame(known)`: whether the server still has the journal with this entry, {seq, hash}; where not, nothing is sent any more.
 * - `onState("saved" | "saving" | "lost" | "unkept")`, `onSaved(entries, answer)`, `onRefused(entry, error)`.
 */
export class Queue {
    constructor({ storage, tab, send, readAfter, isSame, onState, onSaved, onRefused, wait = (action, delay) => setTimeout(action, delay) }) {
        Object.assign(this, { storage, tab, send, readAfter, isSame, onState, onSaved, onRefused, wait });
        this.entries = [];
        this.known = { seq: 0, hash: "" };
        this.uncertain = false;
        this.busy = false;
        this.held = false;
        this.failures = 0;
        this.waiting = [];
    }

    /** Appends an entry; it is on its way when this returns. */
    push(entry) {
        this.entries.push(entry);
        this.keep();
        this.flush();
    }

    /** Resolves when all entries have been acknowledged. */
    drained() {
        if (this.entries.length === 0 && !this.busy) return Promise.resolve();
        return new Promise((resolve) => this.waiting.push(resolve));
    }

    /** The server answers again: send at once. */
    retry() {
        this.failures = 0;
        this.flush();
    }

    /** The server was gone for a while: before the next entry is sent, it is asked whether it has the same journal. */
    doubt() {
        this.uncertain = true;
    }

    /** It has. What is on its way stays in doubt until the journal was read. */
    trust() {
        if (this.entries.length === 0) this.uncertain = false;
    }

    /** An entry of the journal that is known with its hash. While something is on its way, the one before that is kept. */
    learn(seq, hash) {
        if (!this.uncertain && seq >= this.known.seq) this.known = { seq, hash };
    }

    async flush() {
        if (this.busy || this.held || this.entries.length === 0) return;
        this.busy = true;
        if (this.failures === 0) this.onState("saving");
        try {
            if (this.uncertain) {
                this.held = !await this.isSame(this.known);
                if (this.held) return this.onState("lost");
                await this.passOverArrived();
            }
            while (this.entries.length > 0) await this.sendSome();
            this.failures = 0;
            this.onState("saved");
        } catch {
            this.onState("lost");
            this.wait(() => this.flush(), RETRIES[Math.min(this.failures, RETRIES.length - 1)]);
            this.failures++;
        } finally {
            this.busy = false;
        }
        if (this.entries.length === 0) this.waiting.splice(0).forEach((resolve) => resolve());
        else if (this.failures === 0) this.flush();
    }

    async sendSome() {
        const batch = this.entries.slice(0, this.oneByOne ? 1 : MOST_AT_ONCE);
        this.uncertain = true;
        this.keep();
        let answer;
        try {
            answer = await this.send(batch);
        } catch (error) {
            if (!REFUSALS.includes(error.status)) throw error;
            // Refused: nothing of it was written. The one that is at fault is found by sending them alone.
            this.uncertain = false;
            if (batch.length > 1) {
                this.oneByOne = true;
                return;
            }
            this.oneByOne = false;
            this.entries.shift();
            this.keep();
            this.onRefused(batch[0], error);
            return;
        }
        this.uncertain = false;
        this.entries.splice(0, batch.length);
        this.learn(answer.seq, answer.hash);
        this.keep();
        this.onSaved(batch, answer);
    }

    /** Takes out the entries that the journal has already. */
    async passOverArrived() {
        const written = (await this.readAfter(this.known.seq)).filter((entry) => entry.tab === this.tab);
        let last = null;
        while (written.length > 0 && this.entries.length > 0) {
            const entry = written.shift();
            if (!sameEntry(entry, this.entries[0])) continue;
            last = entry;
            const [saved] = this.entries.splice(0, 1);
            this.onSaved([saved], { seq: entry.seq, hash: entry.hash, changed: [] });
        }
        this.uncertain = false;
        if (last) this.learn(last.seq, last.hash);
        this.keep();
    }

    keep() {
        try {
            if (this.entries.length === 0) this.storage.removeItem(PREFIX + this.tab);
            else this.storage.setItem(PREFIX + this.tab, JSON.stringify({ known: this.known, uncertain: this.uncertain, entries: this.entries }));
        } catch {
            this.onState("unkept");
        }
    }

    /** Takes up what an earlier page of this name has left. */
    restore() {
        const left = leftBehind(this.storage, this.tab);
        if (!left) return;
        this.entries = [...left.entries, ...this.entries];
        this.uncertain = left.uncertain;
        this.known = left.known;
    }
}

/** What a page of this name has left in the storage: {known, uncertain, entries}, or null. */
export function leftBehind(storage, tab) {
    try {
        const left = JSON.parse(storage.getItem(PREFIX + tab) ?? "null");
        return Array.isArray(left?.entries) && left.entries.length > 0 ? left : null;
    } catch {
        return null;
    }
}

/** The names of all pages that have left something. */
export function tabsLeft(storage) {
    const names = [];
    for (let i = 0; i < storage.length; i++) {
        const key = storage.key(i);
        if (key.startsWith(PREFIX)) names.push(key.slice(PREFIX.length));
    }
    return names;
}

/** Whether two entries ask for the same; what the server adds does not count. */
export function sameEntry(a, b) {
    const fields = ["op", "image", "slice", "class", "size", "depth", "range", "points", "x", "y", "tolerance", "from", "to"];
    return fields.every((field) => JSON.stringify(a[field] ?? null) === JSON.stringify(b[field] ?? null)
        || (field === "depth" && (a.depth ?? 0) === (b.depth ?? 0)));
}
