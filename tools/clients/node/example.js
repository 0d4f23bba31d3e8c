// Ask as one user, and read the answer as it comes. TDA_SOCKET says where the daemon is.
import { Client, TdaError } from "tda-client";

const tda = new Client({ user: "alice" });
const interrupt = new AbortController();
process.once("SIGINT", () => interrupt.abort());

try {
  await tda.configure({ provider: "offline", model: "offline-1" });
  for await (const event of tda.stream(process.argv.slice(2).join(" ") || "Who is there?", { signal: interrupt.signal })) {
    if (event.type === "text") process.stdout.write(event.text);
    else if (event.type === "tool_call") console.log(`[${event.tool} ${JSON.stringify(event.args)}]`);
  }
  console.log();
} catch (error) {
  if (!(error instanceof TdaError)) throw error;
  console.error(`${error.kind}: ${error.message}${error.hint ? ` (${error.hint})` : ""}`);
  process.exitCode = 1;
} finally {
  tda.close();
}
