// Areas: polygon by clicks, lasso by drawing around, flood fill by one click.

import { mayPaint, rounded } from "./brush.js";
import { paintAndRecord, recordAndWait } from "./session.js";
import { activeClass, state } from "./state.js";
import { redraw, twice, view } from "./viewer.js";

/** How near to the first point a click closes a polygon, in pixels of the screen. */
const NEAR = 10;

/** Clicks set corners; a click on the first one, a second one on the last or Enter closes. */
export function polygonTool() {
    let points = [];

    function close() {
        if (points.length >= 3) paint(points);
        points = [];
        redraw("marks");
    }

    return {
        down(place) {
            if (points.length === 0 && !mayPaint()) return false;
            const [x, y] = view.toScreen(...place);
            const first = points.length >= 3 ? view.toScreen(...points[0]) : null;
            if (first && Math.hypot(first[0] - x, first[1] - y) < NEAR) {
                close();
                return false;
            }
            const point = rounded(place);
            const last = points.at(-1);
            if (last && last[0] === point[0] && last[1] === point[1]) close();
            else points.push(point);
            return false;
        },
        finish: close,
        back() {
            points.pop();
            redraw("marks");
        },
        cancel() {
            points = [];
            redraw("marks");
        },
        get active() {
            return points.length > 0;
        },
        reach: () => (points.length > 0 ? null : 0),
        mark: (context, place) => points.length > 0 && outline(context, place ? [...points, place] : points, points),
    };
}

/** Draws around an area; lifting the pointer closes it. */
export function lassoTool() {
    let points = null;
    return {
        down(place) {
            if (!mayPaint()) return false;
            points = [rounded(place)];
            return true;
        },
        move(places) {
            for (const place of places) {
                const point = rounded(place);
                const [x, y] = points.at(-1);
                if (Math.hypot(point[0] - x, point[1] - y) >= Math.max(0.3, 1.5 / view.scale)) points.push(point);
            }
        },
        up() {
            if (points?.length >= 3) paint(points);
            points = null;
            redraw("marks");
        },
        cancel() {
            points = null;
            redraw("marks");
        },
        get active() {
            return points !== null;
        },
        reach: () => (points ? null : 0),
        mark: (context) => points && outline(context, points, []),
    };
}

/** Fills what looks like the pixel that is clicked at. */
export function fillTool() {
    return {
        down(place) {
            const { image, slice } = state;
            const [x, y] = place.map(Math.floor);
            if (!mayPaint() || x < 0 || y < 0 || x >= image.width || y >= image.height) return false;
            const tolerance = state.tolerance * (image.highest - image.lowest);
            recordAndWait({ op: "fill", image: image.id, slice, class: state.class, x, y, tolerance });
            return false;
        },
        reach: () => 8,
        mark(context, place) {
            if (!place) return;
            const [x, y] = view.toScreen(...place);
            twice(context, () => {
                context.beginPath();
                context.arc(x, y, 5, 0, 2 * Math.PI);
                context.stroke();
            });
        },
    };
}

function paint(points) {
    paintAndRecord({ op: "polygon", image: state.image.id, slice: state.slice, class: state.class, points });
}

function outline(context, points, corners) {
    if (points.length === 0) return;
    const seen = points.map((point) => view.toScreen(...point));
    const colour = activeClass()?.colour ?? "#fff";
    context.beginPath();
    seen.forEach(([x, y]) => context.lineTo(x, y));
    context.closePath();
    context.globalAlpha = 0.3;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
    twice(context, () => {
        context.beginPath();
        seen.forEach(([x, y]) => context.lineTo(x, y));
        context.stroke();
    });
    for (const corner of corners) {
        const [x, y] = view.toScreen(...corner);
        context.fillStyle = "#fff";
        context.fillRect(x - 3, y - 3, 6, 6);
        context.strokeRect(x - 3, y - 3, 6, 6);
    }
}
