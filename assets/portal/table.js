// The table of areas and counts of a finished run, and the same as comma-separated values. Without the page.

const HEAD = ["image", "class", "pixels", "share", "objects"];

/** The table as CSV; `nameOf(class)` and `imageOf(id)` give names for people. */
export function tableToCsv(table, nameOf, imageOf) {
    const lines = table.map((row) => [imageOf(row.image), nameOf(row.class), row.pixels, row.share, row.objects ?? ""]);
    return [HEAD, ...lines].map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
}

/** The sums over all images, a row a class, for a first look: [{class, pixels, share, objects}]. */
export function totals(table) {
    const sums = new Map();
    let all = 0;
    for (const { class: number, pixels, objects } of table) {
        const sum = sums.get(number) ?? { class: number, pixels: 0, share: 0, objects: null };
        sum.pixels += pixels;
        all += pixels;
        if (objects !== null && objects !== undefined) sum.objects = (sum.objects ?? 0) + objects;
        sums.set(number, sum);
    }
    return [...sums.values()].map((sum) => ({ ...sum, share: all > 0 ? sum.pixels / all : 0 }));
}

function field(value) {
    let text = String(value);
    // Spreadsheets take what starts like this for a formula.
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
