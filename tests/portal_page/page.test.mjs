// Parts of the page that need no browser: contrast, view, tables, charts. Run: node --test tests/portal_page/*.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { decibelScale, lossAxis, thinned } from "../../assets/portal/chart.js";
import { applyContrast, classTable, contrastTable, probabilityTable, uncertaintyTable } from "../../assets/portal/lookup.js";
import { rolesOf, summary } from "../../assets/portal/roles.js";
import { tableToCsv, totals } from "../../assets/portal/table.js";
import { View, levelFor, levelsOf, tilesIn } from "../../assets/portal/view.js";

test("the contrast window goes from black to white, and gamma bends it", () => {
    const plain = contrastTable({ lowest: -1, highest: 3, low: 0, high: 2, gamma: 1 });
    const at = (value) => Math.round((value + 1) / 4 * 65535);
    assert.equal(plain[at(-0.5)], 0);
    assert.equal(plain[at(2.5)], 255);
    assert.ok(Math.abs(plain[at(1)] - 127.5) <= 1);
    const bent = contrastTable({ lowest: -1, highest: 3, low: 0, high: 2, gamma: 2 });
    assert.ok(Math.abs(bent[at(0.5)] - 127.5) <= 1);
    const flat = contrastTable({ lowest: 5, highest: 5, low: 5, high: 5, gamma: 1 });
    assert.ok(flat.every((value) => value >= 0 && value <= 255));
});

test("grey and coloured tiles become opaque pixels", () => {
    const table = contrastTable({ lowest: 0, highest: 1, low: 0, high: 1, gamma: 1 });
    const grey = new Uint32Array(1);
    applyContrast(new Uint16Array([65535]), 1, table, grey);
    assert.equal(grey[0], 0xffffffff);
    const colour = new Uint32Array(1);
    applyContrast(new Uint16Array([65535, 0, 0]), 3, table, colour);
    assert.equal(colour[0], 0xff0000ff);
});

test("labels without a class are transparent, and so is what was not computed", () => {
    const table = classTable([{ class: 1, colour: "#ff8000" }, { class: 2, colour: "no colour" }]);
    assert.equal(table[1], 0xff0080ff);
    assert.equal(table[2] >>> 24, 255);
    assert.equal(table[0], 0);
    assert.equal(table[255], 0);
    const uncertainty = uncertaintyTable();
    assert.equal(uncertainty[255], 0);
    assert.equal(uncertainty[0] >>> 24, 0);
    assert.equal(uncertainty[254] >>> 24, 255);
});

test("the colour of a class is the fuller the likelier it is", () => {
    const colours = classTable([{ class: 3, colour: "#ff8000" }]);
    const table = probabilityTable(colours[3]);
    assert.deepEqual([table[0] >>> 24, table[127] >>> 24, table[254] >>> 24, table[255]], [0, 128, 255, 0]);
    assert.ok([...table.slice(0, 255)].every((colour) => (colour & 0xffffff) === 0x0080ff));
});

test("zooming keeps what is under the cursor", () => {
    const view = new View();
    view.resize(800, 600);
    view.fit(16384, 16384);
    const under = view.toImage(300, 200);
    view.zoom(7, 300, 200);
    view.toImage(300, 200).forEach((value, axis) => assert.ok(Math.abs(value - under[axis]) < 1e-6));
    const [x, y] = view.toScreen(...view.toImage(12, 34));
    assert.ok(Math.abs(x - 12) < 1e-9 && Math.abs(y - 34) < 1e-9);
});

test("few tiles are in view at any size", () => {
    const view = new View();
    view.resize(1000, 800);
    view.fit(16384, 16384);
    for (let step = 0; step < 60; step++) {
        const level = levelFor(view.scale, levelsOf(16384, 16384));
        const tiles = tilesIn(view.visible(), level, 16384, 16384);
        assert.ok(tiles.length > 0 && tiles.length <= 80, `${tiles.length} tiles at ${view.scale}`);
        view.zoom(1.2, 700, 100);
    }
});

test("the last level is a single tile", () => {
    for (const [width, height] of [[1, 1], [256, 256], [257, 10], [4096, 4096], [5000, 300]]) {
        const levels = levelsOf(width, height);
        assert.equal(tilesIn({ left: 0, top: 0, right: width, bottom: height }, levels - 1, width, height).length, 1);
    }
});

test("tables become CSV that no spreadsheet takes for formulas", () => {
    const table = [{ image: "i1", class: 0, pixels: 10, share: 0.25, objects: null }, { image: "i1", class: 1, pixels: 30, share: 0.75, objects: 4 }];
    const csv = tableToCsv(table, (number) => ["=1+1", 'a "b", c'][number], () => "scan.tif");
    assert.equal(csv, "image,class,pixels,share,objects\r\nscan.tif,'=1+1,10,0.25,\r\nscan.tif,\"a \"\"b\"\", c\",30,0.75,4\r\n");
});

test("totals are over all images", () => {
    const sums = totals([
        { image: "i1", class: 1, pixels: 10, share: 0.5, objects: 2 }, { image: "i1", class: 0, pixels: 10, share: 0.5, objects: null },
        { image: "i2", class: 1, pixels: 60, share: 1, objects: 3 },
    ]);
    assert.deepEqual(sums, [{ class: 1, pixels: 70, share: 0.875, objects: 5 }, { class: 0, pixels: 10, share: 0.125, objects: null }]);
});

test("a loss that spans powers of ten has such an axis, and all of it is on the chart", () => {
    for (const losses of [[1.2, 0.9, 0.5], [10, 0.01], [0, 0.5], [], [0]]) {
        const axis = lossAxis(losses);
        for (const loss of losses) assert.ok(axis.share(loss) >= 0 && axis.share(loss) <= 1 + 1e-9, `${loss} of ${losses}`);
        assert.ok(axis.ticks.length >= 2 && axis.ticks.length < 12);
    }
});

test("long curves are thinned without losing the end", () => {
    const curve = Array.from({ length: 5000 }, (_, step) => [step, step, step % 2 ? null : 0.5]);
    const few = thinned(curve, 600);
    assert.equal(few.length, 600);
    assert.equal(few.at(-1)[0], 4999);
    assert.ok(few.every(([, , score]) => score === 0.5));
});

test("scores in decibels have an axis that holds them", () => {
    for (const scores of [[21.3, 30.9], [25], [-3.2, -3.1]]) {
        const axis = decibelScale(scores);
        for (const score of scores) assert.ok(axis.share(score) >= 0 && axis.share(score) <= 1, `${score} of ${scores}`);
        assert.deepEqual([axis.share(axis.ticks[0]), axis.share(axis.ticks[2])], [0, 1]);
    }
});

test("a project that denoises says what there is and what is missing", () => {
    const project = (learns_from, ...roles) => ({ task: "denoise", learns_from, images: roles.map((role) => ({ role })) });
    assert.deepEqual(rolesOf({ task: "segment", images: [] }), []);
    assert.equal(rolesOf(project("alone", "noisy")).length, 1);
    assert.deepEqual(rolesOf(project("pairs")).map(([role]) => role), ["noisy", "clean"]);
    assert.match(summary(project("pairs", "noisy")), /1 noisy image, but no clean ones/);
    assert.match(summary(project("pairs", "noisy", "split-1", "clean")), /2 noisy images and 1 clean image\./);
    // There is always one recording more to choose than there are.
    assert.deepEqual(rolesOf(project("splits")).map(([role]) => role), ["split-1", "split-2"]);
    assert.equal(rolesOf(project("splits", "split-2")).length, 3);
    assert.equal(rolesOf(project("splits", "split-9")).length, 9);
    assert.match(summary(project("splits", "split-1", "split-1")), /not two recordings/);
    assert.match(summary(project("splits", "split-1", "split-2")), /^1 of recording 1, 1 of recording 2\./);
});
