// SP's req protocol (nanomsg, nng) over ipc, tcp and tls+tcp: one connection, any number of requests in flight.
//
// A connection begins with eight bytes each way: 0 "SP" 0, the protocol (0x30 REQ, 0x31 REP), 0 0. Then messages: a length of 64 bits, big-endian, and so many
// bytes; on ipc a byte 1 stands before the length. A request's body begins with its number, 32 bits with the highest set, and its reply's body with the same.
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";

import { TdaError } from "./errors.js";

const HELLO_REQ = Buffer.from("0053500000300000", "hex");
const HELLO_REP = Buffer.from("0053500000310000", "hex");
const REPLY_MAX = 256 * 1024 * 1024;
const CONNECT_MS = 5000;

/** The connection is gone; whether the request arrived is not known. */
export class Lost extends Error {}
/** No reply in time. */
export class Late extends Error {}
/** What answers speaks another protocol. */
export class Foreign extends Error {}

function dial(url, ca) {
  if (url.startsWith("ipc://")) return net.connect({ path: url.slice(6) });
  const at = url.lastIndexOf(":");
  const host = url.slice(url.indexOf("://") + 3, at).replace(/^\[|\]$/g, "");
  const target = { host, port: Number(url.slice(at + 1)) };
  if (url.startsWith("tcp://")) return net.connect(target);
  return tls.connect({ ...target, ...(!net.isIP(host) && { servername: host }), ...(ca && { ca: readFileSync(ca) }) });
}

export class Connection {
  #socket;
  #before; // bytes in front of a length
  #number = 0;
  #waiting = new Map(); // number -> {resolve, reject}
  #pieces = [];
  #bytes = 0;
  #wanted = 8; // bytes until there is something to look at
  #greeted = false;
  #ready;
  lost = null;

  /** Resolves with a connection; or Lost, Foreign. */
  static async open(url, ca) {
    const c = new Connection(url, ca);
    await c.#ready;
    return c;
  }

  constructor(url, ca) {
    this.#before = url.startsWith("ipc://") ? Buffer.from([1]) : Buffer.alloc(0);
    this.#socket = dial(url, ca);
    this.#socket.setNoDelay(true).setKeepAlive(true, 30000);
    this.#socket.write(HELLO_REQ);
    this.#ready = new Promise((resolve, reject) => this.#waiting.set("hello", { resolve, reject }));
    const timer = setTimeout(() => this.#end(new Lost("no connection in time")), CONNECT_MS);
    this.#ready.then(() => clearTimeout(timer), () => clearTimeout(timer));
    this.#socket.on("data", (piece) => this.#take(piece));
    this.#socket.on("error", (error) => this.#end(new Lost(error.message)));
    this.#socket.on("close", () => this.#end(new Lost("the daemon closed the connection")));
  }

  #end(error) {
    if (this.lost) return;
    this.lost = error;
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#pieces = [];
  }

  #take(piece) {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    while (!this.lost && this.#bytes >= this.#wanted) {
      const data = this.#pieces.length === 1 ? this.#pieces[0] : Buffer.concat(this.#pieces);
      const used = this.#greeted ? this.#message(data) : this.#hello(data);
      this.#pieces = used === data.length ? [] : [data.subarray(used)];
      this.#bytes = data.length - used;
    }
  }

  #hello(data) {
    if (!data.subarray(0, 8).equals(HELLO_REP)) {
      this.#end(new Foreign("what answers is no REP socket"));
      return data.length;
    }
    this.#greeted = true;
    this.#wanted = this.#head;
    this.#settle("hello", this);
    return 8;
  }

  get #head() {
    return this.#before.length + 8;
  }

  /** One message, when it is there whole; returns the bytes used. */
  #message(data) {
    const size = Number(data.readBigUInt64BE(this.#before.length));
    if (size < 4 || size > REPLY_MAX) {
      this.#end(new Lost(`a reply of ${size} bytes`));
      return data.length;
    }
    this.#wanted = this.#head + size;
    if (data.length < this.#wanted) return 0;
    const body = data.subarray(this.#head, this.#wanted);
    const used = this.#wanted;
    this.#wanted = this.#head;
    this.#settle(body.readUInt32BE(0), body.subarray(4));
    return used;
  }

  #settle(number, value) {
    const slot = this.#waiting.get(number);
    this.#waiting.delete(number);
    slot?.resolve(value);
  }

  /** The reply's bytes. Lost, or Late. */
  async exchange(message, timeoutMs) {
    if (this.lost) throw this.lost;
    const number = (0x80000000 | (this.#number = (this.#number + 1) & 0x7fffffff)) >>> 0;
    const head = Buffer.alloc(12);
    head.writeBigUInt64BE(BigInt(message.length + 4));
    head.writeUInt32BE(number, 8);
    this.#socket.write(Buffer.concat([this.#before, head, message]));
    this.#socket.ref();
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(number, { resolve, reject });
        timer = setTimeout(() => reject(new Late()), Math.max(timeoutMs, 0));
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(number);
      if (!this.#waiting.size) this.#socket.unref(); // an idle client keeps no program alive
    }
  }

  /** Who answers: {name: "tdad", boot}. TdaError when the token is not good. */
  async greet(auth) {
    const request = { jsonrpc: "2.0", id: 1, method: "host.info", params: auth ? { auth } : {} };
    const reply = await this.exchange(Buffer.from(JSON.stringify(request)), CONNECT_MS);
    let answer;
    try {
      answer = JSON.parse(reply);
    } catch {
      answer = undefined;
    }
    if (answer?.error?.data?.kind) throw TdaError.of(answer.error);
    const info = answer?.result;
    if (info?.name !== "tdad") throw new Foreign("what answers is no tdad");
    return info;
  }

  close() {
    this.#end(new Lost("closed"));
  }
}
