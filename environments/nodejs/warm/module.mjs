export default async function (context) { return { status: 200, body: { warm: context.request.body } }; }
