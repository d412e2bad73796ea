// What images are for a network that denoises, in words. Without a page.

const MOST_SPLITS = 9;

/** What images can be in a project, as GET /api/project gives it: [[role, name], ...]; one or none where there is nothing to choose. */
export function rolesOf(project) {
    if (project?.task !== "denoise") return [];
    if (project.learns_from === "pairs") return [["noisy", "noisy"], ["clean", "clean"]];
    if (project.learns_from !== "splits") return [["noisy", "noisy"]];
    const last = Math.max(2, ...project.images.map(({ role }) => 1 + Number(/^split-(\d)$/.exec(role)?.[1] ?? 0)));
    return Array.from({ length: Math.min(MOST_SPLITS, last) }, (_, index) => [`split-${index + 1}`, `recording ${index + 1}`]);
}

/** What there is and what is missing, in a sentence. */
export function summary(project) {
    const count = (wanted) => project.images.filter(({ role }) => wanted(role)).length;
    const images = (number, kind) => `${number} ${kind} image${number === 1 ? "" : "s"}`;
    if (project.learns_from === "pairs") {
        const [noisy, clean] = [count((role) => role !== "clean"), count((role) => role === "clean")];
        if (clean === 0) return `${images(noisy, "noisy")}, but no clean ones yet: choose “clean” on the left, and add them.`;
        return `${images(noisy, "noisy")} and ${images(clean, "clean")}. Those of the same name belong together.`;
    }
    if (project.learns_from === "splits") {
        const groups = rolesOf(project).map(([role, name]) => [name, count((one) => one === role)]).filter(([, number]) => number > 0);
        if (groups.length < 2) return "There are not two recordings yet: choose the recording on the left, and add its images.";
        return `${groups.map(([name, number]) => `${number} of ${name}`).join(", ")}. Images belong together by their names, or by the order of these.`;
    }
    return `${images(count((role) => role !== "clean"), "noisy")}.`;
}
