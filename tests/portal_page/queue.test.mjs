// Entries on their way to the server: none is lost and none is written twice. Run: node --test tests/portal_page/*.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { Queue, leftBehind, sameEntry, tabsLeft } from "../../assets/portal/queue.js";

class Storage {
    kept = new Map();
    get length() { return this.kept.size; }
    key(index) { return [...this.kept.keys()][index]; }
    getItem(key) { return this.kept.get(key) ?? null; }
    setItem(key, value) { this.kept.set(key, value); }
    removeItem(key) { this.kept.delete(key); }
}

function failure(status) {
    return Object.assign(new Error(`status ${status}`), { status });
}

/** A server that fails as `plan` says: "ok", "gone", "written" (it writes, but the answer is lost), or a status. */
function setUp(plan, storage = new Storage()) {
    const journal = [];
    const told = { states: [], saved: [], refused: [] };
    const queue = new Queue({
        storage, tab: "page-1", wait: (action) => setTimeout(action, 0),
        send: async (entries) => {
            const now = plan.shift() ?? "ok";
            if (now === "gone") throw failure(0);
            if (typeof now === "number") throw failure(now);
            if (entries.some((entry) => entry.bad)) throw failure(400);
            for (const entry of entries) journal.push({ ...entry, tab: "page-1", seq: journal.length + 1, hash: `h${journal.length + 1}` });
            if (now === "written") throw failure(0);
            return { seq: journal.length, hash: `h${journal.length}`, changed: [] };
        },
        isSame: async ({ seq, hash }) => seq === 0 || journal[seq - 1]?.hash === hash,
        readAfter: async (seq) => journal.filter((entry) => entry.seq > seq),
        onState: (state) => told.states.push(state),
        onSaved: (entries) => told.saved.push(...entries),
        onRefused: (entry) => told.refused.push(entry),
    });
    return { queue, journal, told, storage };
}

const stroke = (x, more = {}) => ({ op: "stroke", image: "i1", slice: 0, class: 0, size: 3, points: [[x, 1]], ...more });
const places = (journal) => journal.map((entry) => entry.points[0][0]);

test("entries arrive in order, and are kept until then", async () => {
    const { queue, journal, told, storage } = setUp([]);
    [1, 2, 3].forEach((x) => queue.push(stroke(x)));
    assert.equal(leftBehind(storage, "page-1").entries.length, 3);
    await queue.drained();
    assert.deepEqual(places(journal), [1, 2, 3]);
    assert.equal(storage.length, 0);
    assert.equal(told.states.at(-1), "saved");
});

test("what could not be sent is sent later, and the user is told", async () => {
    const { queue, journal, told } = setUp(["gone", 503, "gone"]);
    queue.push(stroke(1));
    queue.push(stroke(2));
    await queue.drained();
    assert.deepEqual(places(journal), [1, 2]);
    assert.ok(told.states.includes("lost"));
    assert.equal(told.states.at(-1), "saved");
});

test("an entry that was written but not acknowledged is not written again", async () => {
    const { queue, journal, told } = setUp(["written", "gone", "written"]);
    queue.push(stroke(1));
    queue.push(stroke(2));
    await queue.drained();
    queue.push(stroke(3));
    await queue.drained();
    assert.deepEqual(places(journal), [1, 2, 3]);
    assert.equal(told.saved.length, 3);
});

test("of two equal strokes both are written", async () => {
    const { queue, journal } = setUp(["written"]);
    queue.push(stroke(1));
    queue.push(stroke(1));
    await queue.drained();
    assert.deepEqual(places(journal), [1, 1]);
});

test("an entry that is refused does not stop those behind it", async () => {
    const { queue, journal, told } = setUp([]);
    queue.push(stroke(1));
    queue.push(stroke(2, { bad: true }));
    queue.push(stroke(3));
    await queue.drained();
    assert.deepEqual(places(journal), [1, 3]);
    assert.deepEqual(places(told.refused), [2]);
});

test("strokes are not given up where the page is not let in", async () => {
    const { queue, journal, told } = setUp([401, 403, 429]);
    queue.push(stroke(1));
    await queue.drained();
    assert.deepEqual(places(journal), [1]);
    assert.equal(told.refused.length, 0);
});

test("what a closed page has left is found and sent", async () => {
    const first = setUp(Array(1000).fill("gone"));
    first.queue.push(stroke(1));
    first.queue.push(stroke(2));
    await new Promise((resolve) => setTimeout(resolve, 10));
    first.queue.wait = () => {};
    const second = setUp([], first.storage);
    assert.deepEqual(tabsLeft(first.storage), ["page-1"]);
    second.queue.restore();
    second.queue.retry();
    await second.queue.drained();
    assert.deepEqual(places(second.journal), [1, 2]);
    assert.equal(first.storage.length, 0);
});

test("entries are the same whatever the server adds", () => {
    assert.ok(sameEntry(stroke(1), { ...stroke(1), seq: 4, hash: "x", tab: "t", depth: 0, range: null }));
    assert.ok(!sameEntry(stroke(1), stroke(2)));
    assert.ok(!sameEntry(stroke(1), { ...stroke(1), class: null }));
});

test("nothing is sent to a server that has another journal", async () => {
    const { queue, journal, told, storage } = setUp(["ok", "gone"]);
    queue.push(stroke(1));
    await queue.drained();
    journal[0].hash = "another";
    queue.push(stroke(2));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(places(journal), [1]);
    assert.equal(told.states.at(-1), "lost");
    assert.equal(leftBehind(storage, "page-1").entries.length, 1);
});

test("after the server was gone it is asked before anything is sent", async () => {
    const { queue, journal } = setUp([]);
    queue.push(stroke(1));
    await queue.drained();
    queue.doubt();
    journal[0].hash = "another";
    queue.push(stroke(2));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(places(journal), [1]);
});
