/**
 * Faults on demand, so that a client's retries can be tried: the next `times` requests are answered with `status`.
 *
 * `{"status": 429, "retryAfterSeconds": 1, "times": 2}`: throttled before anything is done.
 * `{"status": 503, "times": 1, "afterCommit": true}`: the work is done and kept, but the answer is lost.
 * `{"status": 0}`: the connection is cut instead of answered.
 */
import { badRequest, operationOutcome } from "./outcome.mjs";

const ISSUE_CODES = { 401: "login", 403: "forbidden", 404: "not-found", 408: "timeout", 429: "throttled" };

export class Faults {
  #planned = [];

  /** Adds `times` faults behind those already planned. */
  plan({ status, retryAfterSeconds, retryAfterMs, times = 1, afterCommit = false, diagnostics }) {
    const isHttpError = Number.isInteger(status) && status >= 400 && status < 600;
    if (!(isHttpError || status === 0) || !Number.isInteger(times) || times < 1) {
      throw badRequest("A fault needs a status (400 to 599, or 0 to cut the connection) and times of at least 1.");
    }
    for (let count = 0; count < times; count += 1) {
      this.#planned.push({ status, retryAfterSeconds, retryAfterMs, afterCommit, diagnostics });
    }
  }

  clear() {
    this.#planned = [];
  }

  /** The fault that meets the next request, if any. */
  next() {
    return this.#planned.shift();
  }

  answer({ status, retryAfterSeconds, retryAfterMs, diagnostics }) {
    if (status === 0) {
      return { drop: true };
    }
    const headers = {};
    if (retryAfterSeconds !== undefined) {
      headers["Retry-After"] = String(retryAfterSeconds);
    }
    if (retryAfterMs !== undefined) {
      headers["x-ms-retry-after-ms"] = String(retryAfterMs);
    }
    const text = diagnostics ?? "The request was refused by a fault planned for a test.";
    return { status, headers, resource: operationOutcome("error", ISSUE_CODES[status] ?? "exception", text) };
  }
}
