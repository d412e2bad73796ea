// What the values of a label file stand for.

/** Stands for a class that there is not yet. */
export const NEW = "new";

/**
 * What is chosen at first for a value: the class of the name that the file has for it, or a new one; without a name the class of this
 * number, else nothing.
 */
export function suggested(value, classes, name = null) {
    if (name !== null) {
        const same = classes.find((one) => one.name === name);
        return same ? String(same.class) : NEW;
    }
    return classes.some((one) => one.class === value) ? String(value) : "none";
}

/** The choices, pairs of a value and the number of a class or "none", as the server reads them. */
export function meaningsText(chosen) {
    return chosen.map(([value, meaning]) => `${value}:${meaning}`).join(",");
}
