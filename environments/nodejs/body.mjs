// Request bodies: parsed by content type into `request.body`. Other types are left in the stream for the function.

import bodyParser from 'body-parser';

// Larger bodies of the parsed types are answered 413.
const limit = process.env.BODY_PARSER_LIMIT || '1mb';

const parsers = [
  [/^application\/(?:[^;]+\+)?json\s*(?:;|$)/i, bodyParser.json({ limit, type: () => true })],
  [/^application\/x-www-form-urlencoded\s*(?:;|$)/i, bodyParser.urlencoded({ limit, type: () => true, extended: false })],
  [/^text\//i, bodyParser.text({ limit, type: () => true })],
  [/^application\/octet-stream\s*(?:;|$)/i, bodyParser.raw({ limit, type: () => true })],
];

/** Resolves when `request.body` is set; rejects with an error that has a `status`. */
export function parseBody(request, response) {
  const type = request.headers['content-type'];
  const parse = type && parsers.find(([pattern]) => pattern.test(type))?.[1];
  if (!parse) return undefined;
  return new Promise((resolve, reject) => parse(request, response, (error) => (error ? reject(error) : resolve())));
}
