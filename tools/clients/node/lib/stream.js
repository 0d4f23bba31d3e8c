import { TdaError } from "./errors.js";

const WAIT_MS = 20_000;
const GRACE_MS = 15_000; // a poll's reply that is later than that will not come: the way is dead

/** A task's events as they come: {type: "text", text}, thinking, tool_call, tool_result, usage, warning, end, ...
 *
 * Iteration ends with the task. An error of the task is thrown; after cancel() it just ends. Then `state` is complete or cancelled, and `result` what the method
 * gives when it is called without a stream. Leaving the loop early cancels nothing: call cancel(). */
export class Stream {
  #client;
  #submitted;
  #user;
  #after = 0;
  task;
  state = "pending";
  dropped = 0; // events that the daemon had to drop, because nobody fetched them
  result;
  #error;

  constructor(client, method, { user, auth, idempotency_key, ...params }, signal) {
    this.#client = client;
    this.#user = { ...(user && { user }), ...(auth && { auth }) };
    this.#submitted = client.call("task.submit", { method, params, ...this.#user, ...(idempotency_key && { idempotency_key }) }).then(({ task }) => {
      this.task = task;
      if (signal?.aborted) return this.cancel();
      signal?.addEventListener("abort", () => this.cancel().catch(() => {}), { once: true });
    });
    this.#submitted.catch(() => {}); // thrown where somebody waits for it
  }

  /** Ends the task. What remains of its events still comes. */
  async cancel() {
    if (!this.task) await this.#submitted;
    await this.#client.cancel(this.task, this.#user);
  }

  async #poll() {
    const params = { task: this.task, after: this.#after, wait_ms: WAIT_MS, ...this.#user };
    const poll = await this.#client.call("task.poll", params, { timeoutMs: WAIT_MS + GRACE_MS });
    const events = poll.events.filter((event) => event.n > this.#after);
    this.#after = Math.max(this.#after, poll.next);
    this.dropped += poll.dropped ?? 0;
    this.state = poll.state;
    this.result = poll.result;
    this.#error = poll.error;
    return events;
  }

  async *[Symbol.asyncIterator]() {
    await this.#submitted;
    while (this.state === "pending" || this.state === "running") yield* await this.#poll();
    if (this.state === "error" && this.#error) throw TdaError.of(this.#error);
  }
}
