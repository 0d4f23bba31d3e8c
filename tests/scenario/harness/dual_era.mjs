// A server of both eras on the protocol's own package: 2026-07-28, and 2025-11-25 for who asks for it. Tools echo, whoami, ask (the user, for his colour), steps (with progress)
// and change (its tools, and note://today); a prompt and a resource. With `http` it prints its port, and MCP_RECORD gets a line of JSON for each request: method, headers, body.
//
// usage: node dual_era.mjs NODE_DIR stdio|http [modern]      modern: no legacy era
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as wait } from 'node:timers/promises';

const [dir, transport, only] = process.argv.slice(2);
const require = createRequire(`${dir}/package.json`);
const { McpServer, acceptedContent, createMcpHandler, fromJsonSchema, inputRequired } = require('@modelcontextprotocol/server');
const legacy = only === 'modern' ? 'reject' : undefined;
const text = (value) => ({ content: [{ type: 'text', text: value }] });
const object = (properties = {}) => fromJsonSchema({ type: 'object', properties });
const COLOUR = { type: 'object', properties: { colour: { type: 'string', title: 'Colour', default: 'blue' } }, required: ['colour'] };
let note = 1;
let tellAll; // http: to every subscription of every client

function addLate(s) {
  s.registerTool('late', { description: 'There since the change.', inputSchema: object() }, async () => text('late'));
}

function server({ era, requestInfo }) {
  const s = new McpServer({ name: 'dual-era', version: '1.0.0' }, { capabilities: { tools: { listChanged: true }, prompts: {}, resources: { subscribe: true } }, instructions: 'Be kind.' });
  s.registerTool('echo', { description: 'Echoes.', inputSchema: object({ text: { type: 'string' } }) }, async ({ text: t }) => text(t));
  s.registerTool('whoami', { description: 'Era, process and who asks.', inputSchema: object() }, async () =>
    text(JSON.stringify({ era, pid: process.pid, authorization: requestInfo?.headers.get('authorization') ?? null })));
  s.registerTool('ask', { description: 'Asks the user.', inputSchema: object() }, async (_, ctx) => {
    if (!ctx.mcpReq.inputResponses) return inputRequired({ inputRequests: { colour: inputRequired.elicit({ message: 'Which colour?', requestedSchema: COLOUR }) }, requestState: 'opaque  state' });
    return text(`chosen: ${acceptedContent(ctx.mcpReq.inputResponses, 'colour')?.colour ?? 'none'}`);
  });
  s.registerTool('steps', { description: 'Says how far it is.', inputSchema: object({ n: { type: 'integer' } }) }, async ({ n }, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (let i = 1; i <= n; i++) {
      if (progressToken !== undefined) await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: i, total: n, message: `step ${i}` } });
      await wait(50);
    }
    return text('done');
  });
  s.registerTool('change', { description: 'Changes the note.', inputSchema: object() }, async () => {
    note++;
    if (tellAll) {
      tellAll.resourceUpdated('note://today');
      tellAll.toolsChanged();
    } else {
      await s.server.sendResourceUpdated({ uri: 'note://today' });
      if (note === 2) addLate(s); // says that the tools have changed
    }
    return text(`changed to ${note}`);
  });
  if (note > 1) addLate(s);
  s.registerPrompt('greet', { description: 'Greets.', argsSchema: fromJsonSchema({ type: 'object', properties: { name: { type: 'string' } }, required: ['name'] }) },
    ({ name }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `Say hello to ${name}.` } }] }));
  s.registerResource('today', 'note://today', { description: 'The note.', mimeType: 'text/plain' }, async (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', text: `note ${note}` }] }));
  return s;
}

if (transport === 'stdio') {
  require('@modelcontextprotocol/server/stdio').serveStdio(server, { legacy });
} else {
  const { toNodeHandler } = require('@modelcontextprotocol/node');
  const handler = createMcpHandler(server, { legacy });
  const node = toNodeHandler(handler);
  tellAll = handler.notify;
  http.createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const body = pieces.length ? JSON.parse(Buffer.concat(pieces)) : undefined;
    if (process.env.MCP_RECORD) fs.appendFileSync(process.env.MCP_RECORD, `${JSON.stringify({ method: request.method, headers: request.headers, body })}\n`);
    await node(request, response, body);
  }).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
}
