// Requests to the server. Every failure becomes a `ServerError` with one sentence for people.

/** What the server refused, or that it did not answer (`status` 0); `answer` has what it said beside the sentence. */
class ServerError extends Error {
    constructor(status, message, answer = null) {
        super(message);
        this.status = status;
        this.answer = answer;
    }

    /** Whether it is unknown if the server has done what was asked: it did not answer, or stumbled. */
    get unanswered() {
        return this.status === 0 || this.status >= 500;
    }
}

const CHANGES = { "X-Msd-Gpu": "1" };
const NO_ANSWER = "The server does not answer. Is `msd-gpu serve` still running?";

/** GET of JSON. */
export async function getJson(path) {
    return (await request(path, {})).json();
}

/** GET of text. */
export async function getText(path) {
    return (await request(path, {})).text();
}

/** POST, PATCH or DELETE with JSON; what comes back, or null where that is nothing. */
export async function sendJson(method, path, body) {
    const headers = { ...CHANGES };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await request(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    return text ? JSON.parse(text) : null;
}

/**
 * GET of bytes with what the headers say of them: {buffer, width, height, channels}, for labels the journal's number `seq`, for results
 * the `version`; null where there is no such tile.
 */
export async function getTile(path, signal) {
    let answer;
    try {
        answer = await request(path, { signal });
    } catch (error) {
        if (error.status === 404) return null;
        throw error;
    }
    const number = (name) => Number(answer.headers.get(name));
    return {
        buffer: await answer.arrayBuffer(),
        width: number("X-Width"), height: number("X-Height"), channels: number("X-Channels") || 1,
        seq: number("X-Seq"), version: number("X-Version"),
    };
}

/** Sends a file as it is, with progress from 0 to 1. */
export function sendFile(method, path, file, onProgress = () => {}) {
    return new Promise((resolve, reject) => {
        const sent = new XMLHttpRequest();
        sent.open(method, path);
        for (const [name, value] of Object.entries(CHANGES)) sent.setRequestHeader(name, value);
        sent.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
        sent.onerror = () => reject(new ServerError(0, NO_ANSWER));
        sent.onload = () => {
            if (sent.status >= 400) return reject(new ServerError(sent.status, sentence(sent.status, sent.responseText), parsed(sent.responseText)));
            resolve(sent.responseText ? JSON.parse(sent.responseText) : null);
        };
        sent.send(file);
    });
}

/** The address of a path with parts that may hold any character: `path("/api/upload", name)`. */
export function path(start, ...parts) {
    return [start, ...parts.map(encodeURIComponent)].join("/");
}

async function request(path, options) {
    let answer;
    try {
        answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ServerError(0, NO_ANSWER);
    }
    if (!answer.ok) throw new ServerError(answer.status, sentence(answer.status, await answer.text().catch(() => "")));
    return answer;
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}

function sentence(status, text) {
    // What is no JSON is said in our own words.
    const error = parsed(text)?.error;
    if (typeof error === "string" && error) return asSentence(error);
    if (status === 401 || status === 403) {
        return "The server does not let this page in: open the link that `msd-gpu serve` has printed.";
    }
    return `The server answered with error ${status}; what it printed in the terminal says more.`;
}

/** With a capital letter and a full stop. */
function asSentence(text) {
    const begun = text[0].toUpperCase() + text.slice(1);
    return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
