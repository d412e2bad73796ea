// Files that are the slices of one stack: what their names tell. Without a browser.

const PICTURE = /\.(png|tiff?|jpe?g)$/i;

/** From so many files on, names that differ by numbers are taken for a stack; of fewer, where the files are as large as each other. */
const MANY = 8;

/**
 * What the names of files have in common, where they are of one kind and differ by numbers alone: {name, count, likely}. `name` is
 * what stands before the number, `likely` whether they are slices rather than images of their own; null for other names. `sizes`
 * are the bytes of the files, where they are known.
 */
export function seriesOf(names, sizes = []) {
    if (names.length < 2 || !names.every((name) => PICTURE.test(name))) return null;
    // The parts between numbers are the same in all of them.
    const texts = (name) => JSON.stringify(name.split(/\d+/));
    const numbers = (name) => (name.match(/\d+/g) ?? []).map((digits) => digits.replace(/^0+(?=\d)/, "")).join(".");
    const first = texts(names[0]);
    if (!names.every((name) => texts(name) === first)) return null;
    if (new Set(names.map(numbers)).size < names.length) return null;
    const equal = sizes.length === names.length && sizes.every((size) => size === sizes[0]);
    return { name: JSON.parse(first)[0].replace(/[\s_.-]+$/, "") || "stack", count: names.length, likely: names.length >= MANY || equal };
}

/** In the order in which people count: slice2 before slice10. */
export function inOrder(files) {
    const collator = new Intl.Collator("en", { numeric: true });
    return [...files].sort((a, b) => collator.compare(a.name, b.name));
}

/** Whether a file of this name, out of a folder, may be an image. */
export function isPicture(name) {
    return !name.startsWith(".") && PICTURE.test(name);
}
