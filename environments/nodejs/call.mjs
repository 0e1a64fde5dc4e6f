// Calls the function and turns what it returns into the response.

import { Readable } from 'node:stream';

/** What a function is called with. Notes whether the function took the response into its own hands. */
class Context {
  #response;
  touched = false;

  constructor(request, response) {
    this.request = request;
    this.#response = response;
    // The flag is ours; it does not belong in what a function sees when it prints its context.
    Object.defineProperty(this, 'touched', { value: false, writable: true, enumerable: false });
  }

  get response() {
    this.touched = true;
    return this.#response;
  }
}

/** Serves one request. Rejects when the function failed. */
export async function callFunction(fn, request, response) {
  const context = new Context(request, response);
  if (fn.length >= 2) {
    await new Promise((resolve, reject) => {
      const callback = (status, body, headers) => resolve(send(response, status, body, headers));
      response.once('close', resolve);
      Promise.resolve(fn(context, callback)).catch(reject);
    });
    return;
  }
  const result = await fn(context);
  if (response.headersSent) return;
  if (result === undefined || result === null) {
    // It answers through context.response, now or later.
    if (context.touched) return;
    throw new TypeError('the function returned nothing; return { status, body, headers }');
  }
  if (typeof result !== 'object' || Buffer.isBuffer(result)) return send(response, 200, result);
  if (result.status === undefined && !('body' in result) && !('headers' in result)) {
    throw new TypeError('the function returned an object without status and body; return { status, body, headers }');
  }
  await send(response, result.status ?? 200, result.body, result.headers);
}

function send(response, status, body, headers) {
  if (response.headersSent) return undefined;
  for (const [name, value] of headers ? Object.entries(headers) : []) {
    if (value !== undefined && value !== null) response.set(name, Array.isArray(value) ? value.map(String) : String(value));
  }
  response.status(Number(status));
  if (isStream(body)) return stream(response, body);
  if (body === undefined || body === null) {
    if (!response.hasHeader('Content-Length')) response.setHeader('Content-Length', '0');
    return response.end();
  }
  if (body instanceof Uint8Array && !Buffer.isBuffer(body)) return response.send(Buffer.from(body));
  return response.send(body);
}

function isStream(body) {
  return typeof body === 'object' && body !== null && !Buffer.isBuffer(body)
    && (typeof body.pipe === 'function' || typeof body.getReader === 'function' || typeof body[Symbol.asyncIterator] === 'function');
}

/** Sends chunks as they come, no faster than the client takes them; ends the source when the client is gone. */
async function stream(response, body) {
  const source = typeof body.getReader === 'function' ? Readable.fromWeb(body) : typeof body.pipe === 'function' ? body : Readable.from(body);
  const gone = () => source.destroy();
  response.once('close', gone);
  try {
    for await (const chunk of source) {
      if (response.destroyed) return;
      if (!response.write(typeof chunk === 'string' || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk))) await drained(response);
    }
    response.end();
  } catch (error) {
    // A source that we ended ourselves because the client left is no fault of the function.
    if (!response.destroyed) throw error;
  } finally {
    response.off('close', gone);
  }
}

function drained(response) {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
