// Which files are taken for the slices of one stack.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inOrder, isPicture, seriesOf } from "../../assets/portal/series.js";

const numbered = (count, name = (n) => `scan_${String(n).padStart(4, "0")}.tif`) => Array.from({ length: count }, (_, n) => name(n));

test("files that differ by numbers alone are a series", () => {
    assert.deepEqual(seriesOf(numbered(12)), { name: "scan", count: 12, likely: true });
    assert.deepEqual(seriesOf(["10.png", "9.png"]), { name: "stack", count: 2, likely: false });
    // A time in the names is a number too.
    assert.equal(seriesOf(numbered(9, (n) => `a${n}_t${n * 7}.tiff`)).likely, true);
    // The same number written in two ways is one slice twice.
    assert.equal(seriesOf(["a1.png", "a01.png"]), null);
});

test("few files are a stack by themselves only where they are as large as each other", () => {
    assert.equal(seriesOf(numbered(3), [900, 900, 900]).likely, true);
    assert.equal(seriesOf(numbered(3), [900, 901, 900]).likely, false);
});

test("other names are no series", () => {
    for (const names of [[], ["a1.png"], ["cell1.png", "fibre2.png"], ["a1.png", "a2.tif"], ["a1.h5", "a2.h5"], ["a.png", "a.png"]]) {
        assert.equal(seriesOf(names), null, names.join());
    }
});

test("slices are in the order in which people count, and hidden files are none", () => {
    assert.deepEqual(inOrder([{ name: "z10.png" }, { name: "z2.png" }]).map(({ name }) => name), ["z2.png", "z10.png"]);
    assert.ok(isPicture("a.TIFF") && !isPicture(".a.tif") && !isPicture("notes.txt"));
});
