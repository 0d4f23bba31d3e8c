// See driver.py.
import readline from "node:readline";

import { Client, TdaError } from "../../tools/clients/node/lib/index.js";

function failure(e) {
  if (!(e instanceof TdaError)) throw e;
  return { error: { code: e.code ?? 0, message: e.message, kind: e.kind, field: e.field ?? "", hint: e.hint ?? "", retry_ms: e.retryMs ?? -1 } };
}

async function stream(client, method, params) {
  const events = [];
  try {
    const s = client.stream(undefined, { method, ...params });
    for await (const event of s) {
      events.push(event);
      if (params.input === "cancel me" && event.type === "start") await s.cancel();
    }
    return { events, state: s.state, result: s.result ?? null };
  } catch (e) {
    return { events, ...failure(e) };
  }
}

const say = (reply) => console.log(JSON.stringify(reply));
try {
  const client = await Client.connect({ reconnectMs: Number(process.env.RECONNECT_MS ?? 10000) });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [what, method] = line.split(" ", 2);
    const params = JSON.parse(line.slice(what.length + method.length + 2));
    say(what === "stream" ? await stream(client, method, params) : await client.call(method, params).then((result) => ({ result }), failure));
  }
  client.close();
} catch (e) {
  say(failure(e));
}
