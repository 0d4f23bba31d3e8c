import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { OutcomeUnknown, TdaError, Timeout, Unreachable } from "./errors.js";
import { Stream } from "./stream.js";
import { Connection, Foreign, Late, Lost } from "./wire.js";

const TIMEOUT_MS = 600_000;
const RECONNECT_MS = 10_000;
const BACKOFF_MS = 50;
const BACKOFF_MAX_MS = 2000;

function defaultUrl() {
  const uid = process.getuid();
  const runtime = process.env.XDG_RUNTIME_DIR ?? "";
  if (uid === 0) return "ipc:///run/tda/tda.sock";
  return runtime.startsWith("/") ? `ipc://${runtime}/tda/tda.sock` : `ipc:///tmp/tda-${uid}/tda.sock`;
}

function defaultToken() {
  const path = process.env.TDA_TOKEN_FILE;
  return path ? readFileSync(path, "utf8").trim() : process.env.TDA_TOKEN || undefined;
}

/** Such a method may be asked twice, and a key would only fill the daemon's memory. host.methods says the same. */
export function onlyReads(method) {
  return method.startsWith("host.") || method === "status" || /\.(list|get|poll|explain|read|export)$/.test(method);
}

/** A tdad. Any number of calls may be in flight; they share one connection.
 *
 * url: "ipc:///path", "tcp://host:port" or "tls+tcp://host:port" (default: $TDA_SOCKET, else where a tdad listens by itself); user: put into every call (default:
 * $TDA_USER); auth: a token, which all but ipc want (default: $TDA_TOKEN, or what the file $TDA_TOKEN_FILE holds); ca: a file of authorities that the daemon's
 * certificate is judged by (default: $TDA_CA, else Node's); timeoutMs: for a reply; reconnectMs: for how long a lost connection is tried again. The first connection is tried once, by connect() or the first call. */
export class Client {
  #common;
  #ca;
  #connecting = null; // a promise of {connection, boot}
  #current = null;
  #hadOne = false;
  #closed = false;

  constructor({ url, user, auth, ca, timeoutMs = TIMEOUT_MS, reconnectMs = RECONNECT_MS } = {}) {
    this.url = url ?? (process.env.TDA_SOCKET || defaultUrl());
    if (!/^(ipc|tcp|tls\+tcp):\/\//.test(this.url)) throw new TypeError(`an address begins with ipc://, tcp:// or tls+tcp://, not ${this.url}`);
    this.#ca = ca ?? (process.env.TDA_CA || undefined);
    auth ??= defaultToken();
    this.timeoutMs = timeoutMs;
    this.reconnectMs = reconnectMs;
    user ??= process.env.TDA_USER || undefined;
    this.#common = { ...(user && { user }), ...(auth && { auth }) };
  }

  static async connect(options) {
    const client = new Client(options);
    await client.call("host.ping");
    return client;
  }

  // ---- what one asks for ----

  /** A whole turn, with tools: {text, meta, ...}. */
  ask(text, params = {}) {
    return this.call("agent.run", { input: text, ...params });
  }

  /** The same, event by event: for await (const event of client.stream("...")). An aborted signal ends the turn. */
  stream(text, { method = "agent.run", signal, ...params } = {}) {
    return new Stream(this, method, text === undefined ? params : { input: text, ...params }, signal);
  }

  /** {provider, model, credentials, mcp_server, ...}: tried first, then published together. */
  configure(fields) {
    return this.call("configure", fields);
  }

  /** Ends a task. False: it had ended already. */
  async cancel(task, params = {}) {
    try {
      await this.call("task.cancel", { task, ...params });
      return true;
    } catch (error) {
      if (error.kind !== "already_finished") throw error;
      return false;
    }
  }

  /** Any method; its result. TdaError when it is refused. Runs once, even when the connection breaks in the middle. */
  async call(method, params = {}, { timeoutMs = this.timeoutMs } = {}) {
    params = { ...this.#common, ...params };
    if (!onlyReads(method)) params.idempotency_key ??= randomBytes(16).toString("hex");
    const request = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }));
    const reply = JSON.parse(await this.#untilAnswered(method, request, timeoutMs));
    if (reply.error) throw TdaError.of(reply.error);
    return reply.result;
  }

  // ---- one connection, and the next ----

  #unreachable(error) {
    if (error instanceof Foreign) return new TdaError(`${error.message} on ${this.url}`, "protocol");
    const hint = "start one with: tdad --config FILE";
    return new Unreachable(`no daemon answers on ${this.url}: ${error.message}`, "unreachable", { hint, cause: error });
  }

  async #open() {
    const connection = await Connection.open(this.url, this.#ca);
    try {
      const info = await connection.greet(this.#common.auth);
      this.#hadOne = true;
      this.#current = { connection, boot: info.boot ?? info.pid };
      return this.#current;
    } catch (error) {
      connection.close();
      throw error instanceof Late ? new Lost("it takes connections, and does not answer") : error;
    }
  }

  /** The connection, and which run of the daemon it leads to. */
  async #connected() {
    if (this.#closed) throw new TypeError("the client is closed");
    if (this.#current && !this.#current.connection.lost) return this.#current;
    this.#connecting ??= this.#open().finally(() => (this.#connecting = null));
    return this.#connecting;
  }

  async #untilAnswered(method, request, timeoutMs) {
    const deadline = performance.now() + timeoutMs;
    let sentTo;
    let lostAt;
    for (let pause = BACKOFF_MS; ; pause = Math.min(pause * 2, BACKOFF_MAX_MS)) {
      try {
        const { connection, boot } = await this.#connected();
        if (sentTo !== undefined && sentTo !== boot && !onlyReads(method))
          throw new OutcomeUnknown("the daemon was restarted while it worked on this", "outcome_unknown", { hint: "look whether it was done, then ask again" });
        sentTo = boot;
        lostAt = undefined;
        return await connection.exchange(request, deadline - performance.now());
      } catch (error) {
        if (error instanceof Foreign) throw this.#unreachable(error);
        if (!(error instanceof Lost || error instanceof Late)) throw error;
        const now = performance.now();
        if (error instanceof Late || now >= deadline) throw new Timeout(`no reply to ${method} within ${timeoutMs} ms`, "timeout");
        lostAt ??= now;
        if (!this.#hadOne || this.#closed || now - lostAt >= this.reconnectMs) throw this.#unreachable(error);
      }
      await sleep(pause * (0.5 + Math.random() / 2));
    }
  }

  close() {
    this.#closed = true;
    this.#current?.connection.close();
  }
}
