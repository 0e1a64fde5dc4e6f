// A function as a WebAssembly component: the fetch event, as in service workers.
addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const name = new URL(request.url).searchParams.get('name') ?? 'world';
  return new Response(`Hello, ${name}!\n`);
}
