// Made tests/fuzz/corpus/eventstream, with AWS's own codec: node tests/fuzz/eventstream.mjs BUILD/node tests/fuzz/corpus/eventstream
import fs from 'node:fs';
import { createRequire } from 'node:module';

const [dir, out] = process.argv.slice(2);
const require = createRequire(`${fs.realpathSync(dir)}/package.json`);
const { EventStreamCodec } = require('@smithy/eventstream-codec');
const codec = new EventStreamCodec((bytes) => Buffer.from(bytes).toString(), (text) => Buffer.from(text));
const text = (value) => ({ type: 'string', value });
const frame = (headers, body) => Buffer.from(codec.encode({ headers, body: Buffer.from(body) }));
const event = (kind, type, body) => frame({ [`:${kind}-type`]: text(type), ':content-type': text('application/json'), ':message-type': text(kind) }, body);

const converse = [event('event', 'messageStart', '{"role":"assistant"}'), event('event', 'contentBlockDelta', '{"delta":{"text":"grüße 漢字"}}'),
  event('event', 'messageStop', '{"stopReason":"end_turn"}')];
const types = { ':event-type': text('all'), yes: { type: 'boolean', value: true }, no: { type: 'boolean', value: false }, byte: { type: 'byte', value: -1 },
  short: { type: 'short', value: 2 }, int: { type: 'integer', value: 3 }, bytes: { type: 'binary', value: new Uint8Array([1, 2, 3]) },
  at: { type: 'timestamp', value: new Date(0) }, id: { type: 'uuid', value: '01234567-89ab-cdef-0123-456789abcdef' }, ':message-type': text('event') };
const flipped = Buffer.concat(converse);
flipped[flipped.length - 10] ^= 1;
const files = {
  converse: Buffer.concat(converse),
  exception: Buffer.concat([converse[0], event('exception', 'throttlingException', '{"message":"slow down"}')]),
  error: frame({ ':message-type': text('error'), ':error-code': text('InternalError'), ':error-message': text('it broke') }, ''),
  types: frame(types, 'x'),
  bare: frame({}, ''),
  flipped,
};
for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(`${out}/${name}`, bytes);
