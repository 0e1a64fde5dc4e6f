// Sends one line a second, each as soon as it is there (server-sent events).
import { setTimeout as sleep } from 'node:timers/promises';

async function* ticks() {
  for (let i = 1; i <= 5; i += 1) {
    yield `data: tick ${i}\n\n`;
    await sleep(1000);
  }
}

export default async function () {
  return { status: 200, headers: { 'Content-Type': 'text/event-stream' }, body: ticks() };
}
