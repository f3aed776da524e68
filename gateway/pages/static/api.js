// Calls of the JSON interface. Every failure becomes a Problem with a stable code.

import { token } from "./session.js";

const PATIENCE = 30_000; // milliseconds

export class Problem extends Error {
  constructor(members) {
    super(members.detail ?? members.code);
    Object.assign(this, members);
  }

  // Whether the request may have been carried out although its answer is missing.
  get isUnknown() {
    return this.code === "offline" || this.code === "request_in_progress" || this.status >= 500;
  }
}

// Call the interface and return the answer's JSON. Throw a Problem. `key` is the Idempotency-Key of the request.
export async function call(method, path, { body, key } = {}) {
  const headers = { Authorization: `Bearer ${token()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let response;
  let text;
  try {
    const request = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE) };
    response = await fetch(`/v1${path}`, request);
    text = await response.text();
  } catch {
    throw new Problem({ code: "offline", status: 0 });
  }
  const answer = parse(text);
  if (response.ok) return answer;
  const wait = Number(response.headers.get("Retry-After")) || null;
  // A proxy in front of the gateway may answer with a page instead of a problem.
  throw new Problem({ code: "internal_error", ...answer, status: response.status, wait });
}

export const get = (path) => call("GET", path);

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
