// The brush and the eraser: painted here as the pointer moves, written when it is lifted, long strokes in parts.

import { record } from "./session.js";
import { activeClass, state } from "./state.js";
import { stores, twice, view } from "./viewer.js";
import { say } from "./messages.js";

const POINTS_A_PART = 500;

/** The brush (`erases` false) or the eraser. */
export function brushTool(erases) {
    let stroke = null;
    let follows = false;

    function begin(points) {
        stroke = {
            op: "stroke", image: state.image.id, slice: state.slice, class: erases ? null : state.class,
            size: state.size, points, depth: state.depth, range: erases ? null : state.range,
        };
        stores.labels.remember(stroke);
    }

    function write() {
        record(stroke, follows);
        follows = true;
    }

    return {
        down(place) {
            if (!erases && !mayPaint()) return false;
            follows = false;
            begin([rounded(place)]);
            stores.labels.paint(stroke);
            return true;
        },
        move(places) {
            if (!stroke) return;
            let start = stroke.points.length - 1;
            for (const place of places) {
                const point = rounded(place);
                const [x, y] = stroke.points.at(-1);
                if (Math.hypot(point[0] - x, point[1] - y) < Math.min(2, Math.max(0.1, stroke.size / 50))) continue;
                stroke.points.push(point);
                if (stroke.points.length < POINTS_A_PART) continue;
                stores.labels.paint(stroke, start);
                write();
                begin([point]);
                start = 0;
            }
            if (stroke.points.length > start + 1) stores.labels.paint(stroke, start);
        },
        up() {
            if (!stroke) return;
            write();
            stroke = null;
        },
        reach: () => Math.max(1.5, state.size / 2 * view.scale) + 3,
        mark(context, place) {
            if (!place) return;
            const [x, y] = view.toScreen(...place);
            twice(context, () => {
                context.beginPath();
                context.arc(x, y, Math.max(1.5, state.size / 2 * view.scale), 0, 2 * Math.PI);
                context.stroke();
            });
            if (!erases && activeClass()) {
                context.fillStyle = activeClass().colour;
                context.beginPath();
                context.arc(x, y, 2, 0, 2 * Math.PI);
                context.fill();
            }
        },
    };
}

/** Whether there is a class to paint with; says so where there is none. */
export function mayPaint() {
    if (activeClass()) return true;
    say("Add a class first: it is the name of what you paint, such as “cell” or “background”.", "error");
    return false;
}

/** To a tenth of a pixel, as it is written; and not far outside of the image. */
export function rounded([x, y]) {
    const { width, height } = state.image;
    const margin = state.size;
    const tenth = (value, most) => Math.round(Math.min(most + margin, Math.max(-margin, value)) * 10) / 10;
    return [tenth(x, width), tenth(y, height)];
}
