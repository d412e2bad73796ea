// What values of label files stand for. Run: node --test tests/portal_page/*.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import { meaningsText, suggested } from "../../assets/portal/values.js";

test("a value is suggested as the class of its number, others as nothing", () => {
    const classes = [{ class: 0 }, { class: 7 }];
    assert.deepEqual([0, 7, 1, 255, -1].map((value) => suggested(value, classes)), ["0", "7", "none", "none", "none"]);
});

test("choices are written as the server reads them", () => {
    assert.equal(meaningsText([[0, "none"], [255, 7], [-1, "0"]]), "0:none,255:7,-1:0");
});
