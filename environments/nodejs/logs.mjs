// Lines printed while a request is served begin with its id between two record separators, which the log capture takes
// off again. Nothing is added outside a request or when the request has no id.

import { AsyncLocalStorage } from 'node:async_hooks';

const SEPARATOR = '\x1e';
const NEWLINE = 10;
const current = new AsyncLocalStorage();

/** Runs `serve` as part of a request: everything it starts, callbacks included, prints under the request's id. */
export function withRequestId(request, serve) {
  const id = request.headers['x-fission-request-id'];
  return id ? current.run(Buffer.from(SEPARATOR + id + SEPARATOR), serve) : serve();
}

/** From now on both outputs write the ids. */
export function writeRequestIds() {
  for (const output of [process.stdout, process.stderr]) {
    const write = output.write.bind(output);
    let lineStart = true;
    output.write = (chunk, encoding, callback) => {
      const prefix = current.getStore();
      if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
      if (!(bytes instanceof Uint8Array) || bytes.length === 0) return write(chunk, encoding, callback);
      const startsLine = lineStart;
      lineStart = bytes[bytes.length - 1] === NEWLINE;
      return write(prefix ? prefixed(bytes, prefix, startsLine) : bytes, callback);
    };
  }
}

/** The bytes with the prefix at the start of every line in them. */
function prefixed(bytes, prefix, lineStart) {
  const parts = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline + 1;
    if (lineStart || start > 0) parts.push(prefix);
    parts.push(bytes.subarray(start, end));
    start = end;
  }
  return Buffer.concat(parts);
}
