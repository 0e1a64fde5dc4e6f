// Module hooks, added only when a function could not be imported without them (see load.mjs).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// Keeps modules resolved under the hooks apart from those that failed without: Node remembers failures by address.
const MARK = '?hooked';
const isBare = (specifier) => !/^(?:[./]|[a-z]+:)/.test(specifier);
const isUserFile = (url) => url.startsWith('file:') && !url.includes('/node_modules/') && !url.includes('?');
const marked = (resolved) => (isUserFile(resolved.url) ? { ...resolved, url: resolved.url + MARK } : resolved);

export async function resolve(specifier, context, next) {
  try {
    return marked(await next(specifier, context));
  } catch (error) {
    if (!isBare(specifier)) throw error;
    return next(specifier, { ...context, parentURL: import.meta.url });
  }
}

export function resolveSync(specifier, context, next) {
  try {
    return marked(next(specifier, context));
  } catch (error) {
    if (!isBare(specifier)) throw error;
    return next(specifier, { ...context, parentURL: import.meta.url });
  }
}

const NOT_COMMONJS = /^\s*(?:import|export)\b/m;

function asModule(url, context) {
  if (!url.endsWith(MARK) || context.format === 'module' || /\.(?:cjs|json|node|wasm)\?/.test(url)) return undefined;
  const source = readFileSync(fileURLToPath(url), 'utf8');
  return NOT_COMMONJS.test(source) ? { format: 'module', source, shortCircuit: true } : undefined;
}

export async function load(url, context, next) {
  return asModule(url, context) ?? next(url, context);
}

export function loadSync(url, context, next) {
  return asModule(url, context) ?? next(url, context);
}
