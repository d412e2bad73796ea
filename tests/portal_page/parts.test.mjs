// Which entries are parts of longer strokes, over a reload. Run: node --test tests/portal_page/*.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { Parts } from "../../assets/portal/parts.js";

class Storage {
    constructor() {
        this.items = new Map();
    }

    getItem(key) {
        return this.items.get(key) ?? null;
    }

    setItem(key, value) {
        this.items.set(key, value);
    }

    removeItem(key) {
        this.items.delete(key);
    }
}

function opened(storage, project) {
    const parts = new Parts(storage);
    parts.open(project);
    return parts;
}

test("parts are known again after a reload, but not in another project", () => {
    const storage = new Storage();
    const parts = opened(storage, "one");
    parts.add(7);
    parts.add(8);
    assert.ok(opened(storage, "one").has(8));
    const other = opened(storage, "two");
    assert.ok(!other.has(7) && !other.has(8));
    other.add(3);
    assert.ok(opened(storage, "two").has(3) && !opened(storage, "two").has(8));
});

test("what is forgotten or cannot be read is not known", () => {
    const storage = new Storage();
    const parts = opened(storage, "one");
    parts.add(7);
    parts.forget();
    assert.ok(!parts.has(7) && !opened(storage, "one").has(7));
    for (const kept of ["[7]", "{", '{"project":"one","numbers":7}', "null"]) {
        storage.setItem("msd-gpu/parts", kept);
        assert.ok(!opened(storage, "one").has(7), kept);
    }
});

test("only the last parts are kept", () => {
    const storage = new Storage();
    const parts = opened(storage, "one");
    for (let number = 1; number <= 2500; number++) parts.add(number);
    const again = opened(storage, "one");
    assert.ok(again.has(2500) && again.has(501) && !again.has(500));
});
