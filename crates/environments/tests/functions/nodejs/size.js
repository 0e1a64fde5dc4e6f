module.exports = async ({ request }) => ({ status: 200, body: String(request.body.length) });
