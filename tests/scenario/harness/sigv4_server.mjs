// A fake of Bedrock's runtime that lets nobody in whose signature AWS's own signer (@smithy/signature-v4) does not come to as well. It answers Converse, InvokeModel as
// Anthropic's models do, and, framed by @smithy/eventstream-codec, ConverseStream with "echo: <last text>"; GET /__seen tells what came in, refused or not.
//
// usage: node sigv4_server.mjs NODE_DIR '{"AKID": {"secret": "...", "session": "..."}}' '["bearer key"]'    prints its port
import crypto from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';

const [dir, keysText, bearerText] = process.argv.slice(2);
const require = createRequire(`${dir}/package.json`);
const { SignatureV4 } = require('@smithy/signature-v4');
const { EventStreamCodec } = require('@smithy/eventstream-codec');
const { Sha256 } = require('@aws-crypto/sha256-js');
const keys = JSON.parse(keysText), bearers = JSON.parse(bearerText ?? '[]');
const codec = new EventStreamCodec((bytes) => Buffer.from(bytes).toString(), (text) => Buffer.from(text));
const seen = [];

class Refused extends Error {
  constructor(type, message) {
    super(message);
    this.type = type;
  }
}

function parseAuthorization(text) {
  const m = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(text);
  if (!m) throw new Refused('IncompleteSignatureException', `not an authorization: ${text}`);
  return { id: m[1], day: m[2], region: m[3], service: m[4], names: m[5].split(';'), text };
}

function parseDate(text) {
  const m = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  const date = m && new Date(`${m[1]}-${m[2]}-${m[3]}T${m[4]}:${m[5]}:${m[6]}Z`);
  if (!date || Math.abs(date - Date.now()) > 300e3) throw new Refused('InvalidSignatureException', `Signature expired: ${text}`);
  return date;
}

function parseQuery(text) {
  const query = {};
  for (const one of text ? text.split('&') : []) {
    const [name, value = ''] = one.split('=').map(decodeURIComponent);
    query[name] = name in query ? [].concat(query[name], value) : value;
  }
  return query;
}

async function verify(request, body) {
  const given = request.headers.authorization ?? '';
  if (!given) throw new Refused('MissingAuthenticationTokenException', 'Missing Authentication Token');
  if (given.startsWith('Bearer ')) {
    if (bearers.includes(given.slice(7))) return;
    throw new Refused('AccessDeniedException', 'Invalid API Key');
  }
  const auth = parseAuthorization(given), key = keys[auth.id];
  if (!key) throw new Refused('UnrecognizedClientException', 'The security token included in the request is invalid.');
  if ((request.headers['x-amz-security-token'] ?? '') !== (key.session ?? '')) throw new Refused('UnrecognizedClientException', 'the session token is not this key\'s');
  for (const name of ['host', 'x-amz-date', ...Object.keys(request.headers).filter((n) => n.startsWith('x-amz-') || n === 'content-type')])
    if (!auth.names.includes(name)) throw new Refused('InvalidSignatureException', `${name} must be signed`);
  if (request.headers['x-amz-content-sha256'] !== crypto.createHash('sha256').update(body).digest('hex')) throw new Refused('InvalidSignatureException', 'body and x-amz-content-sha256 differ');
  const [path, query] = request.url.split('?');
  const signer = new SignatureV4({ credentials: { accessKeyId: auth.id, secretAccessKey: key.secret, sessionToken: key.session }, region: auth.region,
    service: auth.service, sha256: Sha256, uriEscapePath: true, applyChecksum: true });
  const signed = await signer.sign({ method: request.method, protocol: 'http:', hostname: request.headers.host, path, query: parseQuery(query), body,
    headers: Object.fromEntries(auth.names.map((n) => [n, request.headers[n]])) }, { signingDate: parseDate(request.headers['x-amz-date']) });
  if (signed.headers.authorization !== auth.text)
    throw new Refused('InvalidSignatureException', `The request signature we calculated does not match the signature you provided.`);
}

function event(kind, type, payload) {
  const text = (value) => ({ type: 'string', value });
  const headers = { ':message-type': text(kind), [`:${kind}-type`]: text(type), ':content-type': text('application/json') };
  return Buffer.from(codec.encode({ headers, body: Buffer.from(JSON.stringify(payload)) }));
}

function stream(response, text, model) {
  response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream', 'x-amzn-requestid': 'req-aws-1' });
  response.write(event('event', 'messageStart', { role: 'assistant', p: 'abc' }));
  for (let i = 0; i < text.length; i += 7) {
    const frame = event('event', 'contentBlockDelta', { contentBlockIndex: 0, delta: { text: text.slice(i, i + 7) } });
    if (model.includes('corrupt') && i) frame[frame.length - 8] ^= 1;
    if (model.includes('cut') && i) return response.end(frame.subarray(0, frame.length - 3));
    response.write(frame);
  }
  if (model.includes('exception')) return response.end(event('exception', 'throttlingException', { message: 'Too many requests' }));
  response.write(event('event', 'contentBlockStop', { contentBlockIndex: 0 }));
  response.write(event('event', 'messageStop', { stopReason: 'end_turn' }));
  response.end(event('event', 'metadata', { usage: { inputTokens: 7, outputTokens: 5, totalTokens: 12 }, metrics: { latencyMs: 1 } }));
}

function answer(request, response, body) {
  const m = /^\/model\/([^/]+)\/(converse|converse-stream|invoke)$/.exec(request.url.split('?')[0]);
  const json = { 'content-type': 'application/json', 'x-amzn-requestid': 'req-aws-1' };
  if (!m) return response.writeHead(200, json).end('{}');
  let text = '';
  for (const message of JSON.parse(body).messages ?? []) for (const part of message.content) text = part.text ?? text;
  text = `echo: ${text}`;
  if (m[2] === 'converse-stream') return stream(response, text, decodeURIComponent(m[1]));
  if (m[2] === 'invoke')
    return response.writeHead(200, json).end(JSON.stringify({ id: 'msg_1', type: 'message', role: 'assistant', model: 'claude', content: [{ type: 'text', text }],
      stop_reason: 'end_turn', usage: { input_tokens: 7, output_tokens: 5 } }));
  response.writeHead(200, json).end(JSON.stringify({ output: { message: { role: 'assistant', content: [{ text }] } }, stopReason: 'end_turn',
    usage: { inputTokens: 7, outputTokens: 5, totalTokens: 12 }, metrics: { latencyMs: 1 } }));
}

const server = http.createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  if (request.url === '/__seen') return response.end(JSON.stringify(seen));
  const entry = { method: request.method, url: request.url, headers: request.headers, bytes: body.length, body: body.subarray(0, 4096).toString(), verdict: 'accepted' };
  seen.push(entry);
  try {
    await verify(request, body);
    answer(request, response, body);
  } catch (e) {
    entry.verdict = `${e.type ?? 'broken'}: ${e.message}`;
    response.writeHead(403, { 'content-type': 'application/json', 'x-amzn-errortype': e.type ?? 'InternalServerException' }).end(JSON.stringify({ message: e.message }));
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
