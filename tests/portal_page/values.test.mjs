// What values of label files stand for. Run: node --test tests/portal_page/*.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { NEW, meaningsText, suggested } from "../../assets/portal/values.js";

test("a value is suggested as the class of its number, others as nothing", () => {
    const classes = [{ class: 0 }, { class: 7 }];
    assert.deepEqual([0, 7, 1, 255, -1].map((value) => suggested(value, classes)), ["0", "7", "none", "none", "none"]);
});

test("where a file names its classes, the class of that name is suggested, or a new one", () => {
    const classes = [{ class: 0, name: "ground" }, { class: 1, name: "fibre" }];
    assert.deepEqual(["fibre", "ground", "cell"].map((name) => suggested(1, classes, name)), ["1", "0", NEW]);
});

test("choices are written as the server reads them", () => {
    assert.equal(meaningsText([[0, "none"], [255, 7], [-1, "0"]]), "0:none,255:7,-1:0");
});
