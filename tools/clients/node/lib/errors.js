// What a call can end with. Catch TdaError, and look at its kind; or one of the classes, where that is enough.

/** The daemon's answer: `kind` is a stable word, `field` the input at fault, `hint` what to do, `retryMs` when it is worth trying again (undefined: not, or
 * nobody knows), `code` JSON-RPC's (undefined: not the daemon's), `data` all that it said. */
export class TdaError extends Error {
  constructor(message, kind, { code, data = {}, hint, cause } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    this.kind = kind;
    this.code = code;
    this.data = data;
    this.field = data.field;
    this.hint = data.hint ?? hint;
    this.retryMs = data.retry_ms;
  }

  /** From JSON-RPC's error object. */
  static of(error) {
    const data = error.data ?? {};
    return new TdaError(error.message ?? "", data.kind ?? "error", { code: error.code, data });
  }
}

/** No daemon; or lost, and not back in time. */
export class Unreachable extends TdaError {}
/** No reply in time; the call may go on in the daemon. */
export class Timeout extends TdaError {}
/** The daemon was restarted before it replied; it was not asked again. */
export class OutcomeUnknown extends TdaError {}
