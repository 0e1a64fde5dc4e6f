// Makes a web page of the Markdown it is sent, with a package from npm.
const { marked } = require('marked');

module.exports = async function ({ request }) {
  const markdown = typeof request.body === 'string' ? request.body : '';
  return { status: 200, headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: marked.parse(markdown) };
};
