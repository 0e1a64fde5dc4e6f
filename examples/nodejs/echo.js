// Answers with what it was asked.
module.exports = async function ({ request }) {
  return {
    status: 200,
    headers: { 'X-Echo': 'yes' },
    body: { method: request.method, path: request.path, query: request.query, headers: request.headers, body: request.body },
  };
};
