"""AWS's event stream framing (application/vnd.amazon.eventstream): one message from headers and a payload."""
import struct
import zlib


def header(name, value):
    data = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(data)) + data


def message(headers, payload):
    """u32 total, u32 length of headers, u32 CRC of these eight bytes, headers, payload, u32 CRC of all before."""
    block = b"".join(header(k, v) for k, v in headers.items())
    head = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    body = head + struct.pack(">I", zlib.crc32(head)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


def event(kind, payload):
    return message({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(kind, payload):
    return message({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}, payload)
