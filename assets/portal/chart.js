// A chart of loss and score against steps, with axes. The loss has the left axis, in powers of ten where it spans many.

const MARGIN = { left: 56, right: 38, top: 20, bottom: 34 };
const MOST_POINTS = 600;

/**
 * Draws `curve`, [[step, loss, score or null], ...], on the canvas. `colours`: {text, grid, loss, score}; `ratio` is physical pixels
 * a pixel of the page; `scale` is that of the score, as `shareScale` and `decibelScale` give it.
 */
export function drawChart(canvas, curve, colours, ratio, scale = shareScale) {
    const context = canvas.getContext("2d");
    const width = canvas.width / ratio, height = canvas.height / ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (curve.length === 0) return;
    context.font = "11px system-ui, sans-serif";
    const inner = { left: MARGIN.left, top: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    const points = thinned(curve.filter(([step, loss]) => Number.isFinite(step) && Number.isFinite(loss)));
    const axis = lossAxis(points.map(([, loss]) => loss));
    const steps = stepAxis(points);
    const x = (step) => inner.left + (step - steps.from) / (steps.to - steps.from) * inner.width;
    const y = (share) => inner.top + (1 - share) * inner.height;
    context.lineWidth = 1;
    context.fillStyle = colours.text;
    context.strokeStyle = colours.grid;
    context.textBaseline = "middle";
    for (const tick of axis.ticks) {
        line(context, inner.left, y(axis.share(tick)), inner.left + inner.width, y(axis.share(tick)));
        context.textAlign = "right";
        context.fillText(label(tick), inner.left - 5, y(axis.share(tick)));
    }
    context.textAlign = "left";
    const scored = points.filter(([, , score]) => score !== null && score !== undefined);
    const scores = scale(scored.map(([, , score]) => score));
    if (scored.length > 0) for (const tick of scores.ticks) context.fillText(String(tick), inner.left + inner.width + 5, y(scores.share(tick)));
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const tick of steps.ticks) context.fillText(label(tick), x(tick), inner.top + inner.height + 4);
    context.fillText("steps", inner.left + inner.width / 2, height - 13);
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
    context.fillStyle = colours.loss;
    context.fillText("— loss", 4, 12);
    if (scored.length > 0) {
        context.textAlign = "right";
        context.fillStyle = colours.score;
        context.fillText(`${scores.name} - -`, width - 4, 12);
    }
    curveOf(context, points.map(([step, loss]) => [x(step), y(axis.share(loss))]), colours.loss, []);
    curveOf(context, scored.map(([step, , score]) => [x(step), y(Math.min(1, Math.max(0, scores.share(score))))]), colours.score, [5, 3]);
}

/** The axis of scores from 0 to 1: {name, share(score), ticks}. */
export function shareScale() {
    return { name: "score (0 to 1)", share: (score) => score, ticks: [0, 0.5, 1] };
}

/** The axis of scores in decibels, as far as these go: {name, share(score), ticks}. */
export function decibelScale(scores) {
    const from = Math.floor(Math.min(...scores)), to = Math.max(from + 2, Math.ceil(Math.max(...scores)));
    return { name: "PSNR (dB)", share: (score) => (score - from) / (to - from), ticks: [from, (from + to) / 2, to] };
}

/** At most so many points, each the mean of its neighbours: fast, and calmer to look at. */
export function thinned(points, most = MOST_POINTS) {
    if (points.length <= most) return points;
    const made = [];
    for (let i = 0; i < most; i++) {
        const part = points.slice(Math.floor(i * points.length / most), Math.floor((i + 1) * points.length / most));
        const scores = part.map(([, , score]) => score).filter((score) => score !== null && score !== undefined);
        const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
        made.push([part.at(-1)[0], mean(part.map(([, loss]) => loss)), scores.length > 0 ? mean(scores) : null]);
    }
    return made;
}

/** The axis of the loss: {share(value) from 0 to 1, ticks}. */
export function lossAxis(losses) {
    const positive = losses.filter((loss) => loss > 0);
    const most = losses.length > 0 ? Math.max(...losses) : 1;
    const least = positive.length > 0 ? Math.min(...positive) : most;
    if (positive.length === losses.length && losses.length > 0 && most / least > 20) {
        const [from, to] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
        const ticks = Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
        return { share: (value) => (Math.log10(Math.max(value, 10 ** from)) - from) / (to - from), ticks };
    }
    const step = roundStep((most || 1) / 3);
    const top = Math.ceil((most || 1) / step - 1e-9) * step;
    return { share: (value) => value / top, ticks: Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step) };
}

function stepAxis(points) {
    const from = points.length > 0 ? points[0][0] : 0;
    const to = Math.max(from + 1, points.length > 0 ? points.at(-1)[0] : 1);
    const step = roundStep((to - from) / 4);
    const first = Math.ceil(from / step) * step;
    const ticks = [];
    for (let tick = first; tick <= to; tick += step) ticks.push(tick);
    return { from, to, ticks };
}

/** The next 1, 2 or 5 times a power of ten. */
function roundStep(rough) {
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((times) => times * power >= rough * 0.999);
}

function label(value) {
    if (value === 0) return "0";
    if (Math.abs(value) >= 1000) return `${Number((value / 1000).toPrecision(3))}k`;
    return String(Number(value.toPrecision(2)));
}

function line(context, x0, y0, x1, y1) {
    context.beginPath();
    context.moveTo(x0, Math.round(y0) + 0.5);
    context.lineTo(x1, Math.round(y1) + 0.5);
    context.stroke();
}

function curveOf(context, points, colour, dashes) {
    context.strokeStyle = colour;
    context.lineWidth = 1.6;
    context.setLineDash(dashes);
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x, y));
    if (points.length === 1) context.arc(points[0][0], points[0][1], 1.5, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
}
