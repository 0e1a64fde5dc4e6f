// Before the first function comes: goes the whole way once with functions of its own, so that everything it needs is
// loaded and compiled. A failure here costs milliseconds later and nothing else.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { createService } from './service.mjs';

// Requests per function; more did not make the first request of a user faster.
const REQUESTS = 5;
const FUNCTIONS = ['warm/user', 'warm/module.mjs'].map((name) => fileURLToPath(new URL(name, import.meta.url)));

export async function warmUp() {
  let folder;
  try {
    folder = mkdtempSync(join(tmpdir(), 'warm-'));
    for (const [index, filepath] of FUNCTIONS.entries()) {
      const service = createService();
      const socket = join(folder, `${index}.sock`);
      service.server.listen(socket);
      await once(service.server, 'listening');
      const client = connect(socket);
      await ask(client, 'POST /v2/specialize', JSON.stringify({ filepath, functionName: '' }));
      for (let i = 0; i < REQUESTS; i += 1) {
        await ask(client, 'GET /?a=b');
        await ask(client, 'POST /', '{"a":1}');
      }
      client.destroy();
      await new Promise((resolve) => service.drain(resolve));
    }
  } catch (error) {
    console.error(`nodejs environment: warm-up failed: ${error.message}`);
  } finally {
    if (folder) rmSync(folder, { recursive: true, force: true });
  }
}

async function ask(client, line, body = '') {
  client.write(`${line} HTTP/1.1\r\nHost: warm\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  await once(client, 'data');
}
