module.exports = async function ({ request }) {
  const chunks = [];
  if (!Object.keys(request.body).length) for await (const chunk of request) chunks.push(chunk);
  const body = typeof request.body === 'string' || Buffer.isBuffer(request.body) ? request.body.toString()
    : Object.keys(request.body).length ? JSON.stringify(request.body) : Buffer.concat(chunks).toString();
  return {
    status: 201,
    body: { method: request.method, path: request.path, query: request.url.split('?')[1] || '', header: request.get('X-Test') || '', body },
    headers: { 'X-Answer': 'yes' },
  };
};
