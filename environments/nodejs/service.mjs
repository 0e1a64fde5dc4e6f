// The HTTP service: specializes once, then gives every request to the function.

import http from 'node:http';

import express from 'express';
import { WebSocketServer } from 'ws';

import { callFunction } from './call.mjs';
import { parseBody } from './body.mjs';
import { loadFunction, explain } from './load.mjs';
import { withRequestId } from './logs.mjs';

// Bytes of request headers; larger ones are answered 431. The router refuses far smaller ones, so it never decides.
const MAX_HEADER_BYTES = 1024 * 1024;
// Bytes of a specialize request; it holds the metadata of one object and at most 1 MiB of variables.
const MAX_SPECIALIZE_BYTES = 4 * 1024 * 1024;
// How often idle WebSockets are asked whether they still live, in milliseconds.
const PING_EVERY_MS = Number(process.env.TIMEOUT || 60000);
// Where version 1 of the protocol keeps its code.
const V1_CODE_PATH = '/userfunc/user';
const UNSPECIALIZED = 'Generic container: no requests supported';
// Where Fission's pods are told that WebSockets opened or all closed, so that they are not reaped.
const FETCHER_EVENTS = 'http://127.0.0.1:8000/wsevent/';

/**
 * A server that is not listening yet, and how to end it.
 * `notifyFetcher`: report open WebSockets to the fetcher beside this container.
 */
export function createService({ notifyFetcher = false } = {}) {
  const state = { fn: undefined, specializing: false, draining: false };
  const { Request, Response } = expressClasses();
  const options = {
    IncomingMessage: Request,
    ServerResponse: Response,
    maxHeaderSize: MAX_HEADER_BYTES,
    // Time limits are the router's; a slow upload or a quiet connection is no reason to end it here.
    requestTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: 0,
  };
  const idle = new Set();
  const server = http.createServer(options, (request, response) => {
    if (state.draining) response.shouldKeepAlive = false;
    idle.delete(request.socket);
    response.once('close', () => (state.draining ? request.socket.destroySoon() : idle.add(request.socket)));
    withRequestId(request, () => serve(state, request, response));
  });
  server.on('connection', (socket) => {
    idle.add(socket);
    socket.once('close', () => idle.delete(socket));
  });
  const sockets = webSockets(server, state, idle, notifyFetcher);
  const drain = (done) => {
    state.draining = true;
    server.close(done);
    // Node's own closeIdleConnections leaves those that never sent a request.
    for (const socket of idle) socket.destroy();
    for (const client of sockets.clients) client.close(1001, 'shutting down');
  };
  return { server, drain };
}

/** Classes of requests and responses with express' methods, so that no prototype changes while a request is served. */
function expressClasses() {
  const app = express();
  app.disable('x-powered-by');
  class Request extends http.IncomingMessage {}
  class Response extends http.ServerResponse {}
  Object.setPrototypeOf(Request.prototype, app.request);
  Object.setPrototypeOf(Response.prototype, app.response);
  return { Request, Response };
}

async function serve(state, request, response) {
  const path = request.url.split('?', 1)[0];
  if (path === '/healthz') return text(response, 200, '');
  if (request.method === 'POST' && (path === '/specialize' || path === '/v2/specialize')) {
    return specialize(state, path, request, response);
  }
  if (!state.fn) return text(response, 500, UNSPECIALIZED);
  // What express' own entry would have set.
  request.res = response;
  response.req = request;
  request.originalUrl = request.url;
  request.baseUrl = '';
  request.params = {};
  request.next = (error) => error && fail(response, error);
  response.locals = Object.create(null);
  request.body = {};
  try {
    await parseBody(request, response);
  } catch (error) {
    return text(response, error.status || 400, error.message);
  }
  try {
    await callFunction(state.fn, request, response);
  } catch (error) {
    fail(response, error);
  }
}

function fail(response, error) {
  console.error(error);
  if (response.headersSent) return response.destroy();
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  text(response, 500, 'Internal server error');
}

function text(response, status, body) {
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(body);
}

async function specialize(state, path, request, response) {
  const body = await readAll(request).catch((error) => error);
  if (body instanceof Error) return text(response, 400, `cannot read the specialize request: ${body.message}`);
  if (state.fn || state.specializing) return text(response, 400, 'Not a generic container');
  let load = { filepath: process.env.CODE_PATH || V1_CODE_PATH, functionName: '' };
  if (path === '/v2/specialize') {
    try {
      load = JSON.parse(body);
    } catch (error) {
      return text(response, 400, `the specialize request is not JSON: ${error.message}`);
    }
    if (typeof load?.filepath !== 'string') return text(response, 400, 'the specialize request has no filepath');
    const env = load.env ?? {};
    if (env.constructor !== Object || Object.values(env).some((value) => typeof value !== 'string')) {
      return text(response, 400, 'env of the specialize request must be names with strings');
    }
    Object.assign(process.env, env);
  }
  state.specializing = true;
  try {
    state.fn = await loadFunction(load.filepath, String(load.functionName ?? ''));
    text(response, 202, '');
  } catch (error) {
    const why = await explain(error, load.filepath);
    console.error(why);
    text(response, 500, why);
  } finally {
    state.specializing = false;
  }
}

async function readAll(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_SPECIALIZE_BYTES) throw new Error(`it is larger than ${MAX_SPECIALIZE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** WebSockets on any path: the function is called with the connection and the set of all open ones. */
function webSockets(server, state, idle, notifyFetcher) {
  const sockets = new WebSocketServer({ noServer: true });
  const notify = (event) => {
    if (notifyFetcher) http.get(FETCHER_EVENTS + event, (answer) => answer.resume()).on('error', () => {});
  };
  server.on('upgrade', (request, socket, head) => {
    idle.delete(socket);
    if (!state.fn) {
      return socket.end(`HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: ${UNSPECIALIZED.length}\r\n\r\n${UNSPECIALIZED}`);
    }
    withRequestId(request, () => sockets.handleUpgrade(request, socket, head, (ws) => connected(ws, request)));
  });
  const connected = async (ws) => {
    if (sockets.clients.size === 1) notify('start');
    watch(ws);
    ws.on('error', (error) => console.error(error));
    ws.on('close', () => sockets.clients.size === 0 && notify('end'));
    try {
      await state.fn(ws, sockets.clients);
    } catch (error) {
      console.error(error);
      ws.close(1011, 'Internal server error');
    }
  };
  return sockets;
}

/** Ends a connection whose other side no longer answers. */
function watch(ws) {
  let alive = true;
  ws.on('pong', () => (alive = true));
  const timer = setInterval(() => {
    if (!alive) return ws.terminate();
    alive = false;
    ws.ping();
  }, PING_EVERY_MS);
  ws.on('close', () => clearInterval(timer));
}
