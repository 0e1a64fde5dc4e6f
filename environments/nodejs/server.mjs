// Starts the server of the nodejs environment: warms it up, listens, and ends it on SIGTERM.

import { chmodSync } from 'node:fs';

import { writeRequestIds } from './logs.mjs';
import { createService } from './service.mjs';
import { warmUp } from './warm.mjs';

const socket = process.env.FISSION_SOCKET;
const port = Number(process.env.RUNTIME_PORT || 8888);

writeRequestIds();
await warmUp();

const service = createService({ notifyFetcher: !socket });
service.server.on('error', (error) => {
  console.error(`nodejs environment: cannot listen on ${socket || `port ${port}`}: ${error.message}`);
  process.exit(1);
});
if (socket) {
  // The folder of the socket decides who may connect; the one who connects may be another user than this one.
  service.server.listen(socket, () => chmodSync(socket, 0o777));
} else {
  service.server.listen(port, '0.0.0.0');
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => service.drain(() => process.exit(0)));
}
