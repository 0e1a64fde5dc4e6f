const { Readable } = require('node:stream');
module.exports = async () => ({
  status: 200,
  body: Readable.from((async function* () {
    yield 'first';
    await new Promise((done) => setTimeout(done, 300));
    yield 'second';
  })()),
});
