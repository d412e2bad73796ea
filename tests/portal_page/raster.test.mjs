// Which pixels strokes and polygons cover, against the rule applied to every pixel. Run: node --test tests/portal_page/*.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { TILE, UNLABELLED, boundsOf, paintEntry, paintPolygon, paintSegment } from "../../assets/portal/raster.js";

/** Numbers that look random and are the same every time. */
function generator(seed) {
    return () => {
        seed = (seed * 1103515245 + 12345) % 2147483648;
        return seed / 2147483648;
    };
}

function tile(width, height, more = {}) {
    return { level: 0, tx: 0, ty: 0, width, height, data: new Uint8Array(width * height).fill(UNLABELLED), ...more };
}

function distance(x, y, [ax, ay], [bx, by]) {
    const length2 = (bx - ax) ** 2 + (by - ay) ** 2;
    const along = length2 === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2));
    return Math.hypot(ax + along * (bx - ax) - x, ay + along * (by - ay) - y);
}

/** Every pixel by the rule; those within rounding of the border may be either. */
function assertStroke(painted, points, size, value) {
    const segments = points.length === 1 ? [[points[0], points[0]]] : points.slice(1).map((point, i) => [points[i], point]);
    let count = 0;
    for (let y = 0; y < painted.height; y++) {
        for (let x = 0; x < painted.width; x++) {
            const [px, py] = [painted.tx * TILE + x + 0.5, painted.ty * TILE + y + 0.5];
            const nearest = Math.min(...segments.map(([a, b]) => distance(px, py, a, b)));
            const is = painted.data[y * painted.width + x] === value;
            if (Math.abs(nearest - size / 2) > 1e-9) assert.equal(is, nearest <= size / 2, `pixel ${x}, ${y} at ${nearest} of ${size / 2}`);
            count += is;
        }
    }
    return count;
}

test("strokes cover the pixels whose centre is near enough", () => {
    const random = generator(7);
    for (let run = 0; run < 60; run++) {
        const size = [1, 2, 9, 30.5, 200][run % 5];
        const points = Array.from({ length: 1 + run % 6 }, () => [random, random].map((next) => Math.round((next() * 130 - 15) * 10) / 10));
        const painted = tile(100, 90);
        paintEntry(painted, { op: "stroke", class: 3, size, points }, null, null);
        assertStroke(painted, points, size, 3);
    }
});

test("a stroke along an axis and through tile borders has no gap", () => {
    const points = [[250.5, 20.5], [262.5, 20.5], [262.5, 300.5]];
    let count = 0;
    for (const [ty, tx] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
        const painted = tile(TILE, TILE, { ty, tx });
        paintEntry(painted, { op: "stroke", class: 0, size: 5, points }, null, null);
        count += assertStroke(painted, points, 5, 0);
    }
    assert.ok(count > 5 * 280);
});

test("points exactly at the radius are covered", () => {
    const painted = tile(20, 20);
    paintSegment(painted, 10.5, 10.5, 10.5, 10.5, 5, 1, null, null);
    assert.equal(painted.data[13 * 20 + 14], 1, "3, 4 from the centre is 5");
    assert.equal(painted.data[10 * 20 + 15], 1);
    assert.equal(painted.data[10 * 20 + 16], UNLABELLED);
});

test("what has changed is told, and nothing where nothing has", () => {
    const painted = tile(50, 50);
    const stroke = { op: "stroke", class: 1, size: 4, points: [[10, 20], [30, 20]] };
    assert.deepEqual(paintEntry(painted, stroke, null, null), { left: 8, top: 18, right: 32, bottom: 22 });
    assert.equal(paintEntry(painted, stroke, null, null), null);
    const bounds = boundsOf(stroke);
    assert.ok(bounds.left <= 8 && bounds.right >= 32 && bounds.top <= 18 && bounds.bottom >= 22);
});

test("locked classes are left alone by brush, eraser and polygon", () => {
    const painted = tile(40, 40);
    painted.data.fill(2, 0, 400);
    const before = painted.data.slice(0, 400);
    const blocked = new Uint8Array(256);
    blocked[2] = 1;
    paintEntry(painted, { op: "stroke", class: 1, size: 30, points: [[20, 15]] }, blocked, null);
    paintEntry(painted, { op: "polygon", class: 1, points: [[0, 0], [40, 0], [40, 40], [0, 40]] }, blocked, null);
    paintEntry(painted, { op: "stroke", class: null, size: 90, points: [[20, 15]] }, blocked, null);
    assert.deepEqual(painted.data.slice(0, 400), before);
    assert.ok(painted.data.slice(400).every((value) => value === UNLABELLED));
});

test("a brightness range lets only those pixels be painted", () => {
    const painted = tile(10, 10);
    const entry = { op: "stroke", class: 1, size: 100, points: [[5, 5]], range: [30, 60] };
    assert.equal(paintEntry(painted, entry, null, null), null, "without grey values nothing can be said");
    paintEntry(painted, entry, null, (index) => index);
    painted.data.forEach((value, index) => assert.equal(value === 1, index >= 30 && index <= 60));
});

test("polygons are filled by the even-odd rule", () => {
    const random = generator(11);
    for (let run = 0; run < 40; run++) {
        const points = Array.from({ length: 3 + run % 5 }, () => [Math.round(random() * 700) / 10 - 5, Math.round(random() * 700) / 10 - 5]);
        const painted = tile(60, 60);
        paintPolygon(painted, points, 4, null);
        for (let y = 0; y < 60; y++) {
            for (let x = 0; x < 60; x++) {
                let inside = false;
                points.forEach(([xi, yi], i) => {
                    const [xj, yj] = points.at(i - 1);
                    if (yi > y + 0.5 !== yj > y + 0.5 && x + 0.5 < (xj - xi) * (y + 0.5 - yi) / (yj - yi) + xi) inside = !inside;
                });
                assert.equal(painted.data[y * 60 + x] === 4, inside, `pixel ${x}, ${y} of run ${run}`);
            }
        }
    }
});

test("seen from far away a thin stroke does not vanish", () => {
    const painted = tile(64, 64, { level: 5 });
    paintEntry(painted, { op: "stroke", class: 1, size: 3, points: [[100, 900], [1900, 950]] }, null, null);
    for (let x = 4; x < 58; x++) {
        assert.ok(Array.from({ length: 64 }, (_, y) => painted.data[y * 64 + x]).includes(1), `column ${x}`);
    }
});
