export { Client } from "./client.js";
export { OutcomeUnknown, TdaError, Timeout, Unreachable } from "./errors.js";
export { Stream } from "./stream.js";
