// Finds and loads the function: which file, which module format, which export.

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, extname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const EXTENSIONS = ['.js', '.mjs', '.cjs'];
const MAIN_FILES = ['index.js', 'index.mjs', 'index.cjs', 'main.js', 'main.mjs', 'main.cjs'];
// `LOAD_ESM=false`: a file that could be either is tried as CommonJS first.
const PREFER_COMMONJS = process.env.LOAD_ESM === 'false';
const OUR_FOLDER = dirname(fileURLToPath(import.meta.url));
// A line that only a module can have. Decides which format is tried first, never which is used.
const LOOKS_LIKE_MODULE = /^\s*(?:import\s*[\w{*"']|export\s+(?:default|const|let|var|function|async|class)\b|export\s*[{*])/m;
// What Node says when it met a module where it expected CommonJS.
const NOT_COMMONJS = /Cannot use import statement outside a module|Unexpected token 'export'|Cannot use 'import\.meta' outside a module|await is only valid/;

// How long finding the line of a syntax error may take, in milliseconds; without it the message goes out alone.
const LOCATE_TIMEOUT_MS = 5000;
// On an error: the file whose import failed.
const IMPORTED = Symbol('imported file');

const { createRequire } = nodeModule;

class LoadError extends Error {}

/**
 * The function at `path` (a file, or a folder) that `entry` names: `file.export`, `file`, or nothing.
 */
export async function loadFunction(path, entry) {
  if (!existsSync(path)) throw new LoadError(`there is no code at ${path}`);
  // Only the first two parts count; a leading `./` is no part.
  const [fileName = '', exportName] = entry.startsWith('..') ? [entry] : entry.replace(/^(?:\.\/)+/, '').split('.');
  const folder = statSync(path).isDirectory();
  const file = folder ? findFile(path, fileName) : path;
  const module = await load(file);
  // A single file has no name of its own here, so one word can only be the name of an export.
  const wanted = exportName || (!folder && typeof module?.[fileName] === 'function' ? fileName : undefined);
  return pick(module, wanted, file);
}

function findFile(folder, name) {
  if (!name) return mainFile(folder);
  const base = join(folder, name);
  if (base !== folder && !base.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
    throw new LoadError(`entry point ${name} lies outside the package`);
  }
  const found = [base, ...EXTENSIONS.map((extension) => base + extension), ...EXTENSIONS.map((extension) => join(base, 'index' + extension))]
    .find((file) => existsSync(file) && statSync(file).isFile());
  if (!found) throw new LoadError(`entry point: there is no file ${name}.js, .mjs or .cjs in the package; it has ${listing(folder)}`);
  return found;
}

function mainFile(folder) {
  const sources = readdirSync(folder).filter((name) => EXTENSIONS.includes(extname(name))).sort();
  if (sources.length === 1) return join(folder, sources[0]);
  const manifest = join(folder, 'package.json');
  const main = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')).main : undefined;
  if (typeof main === 'string' && main) return findFile(folder, main);
  const name = MAIN_FILES.find((candidate) => sources.includes(candidate)) ?? sources[0];
  if (!name) throw new LoadError(`there is no JavaScript file in the package; it has ${listing(folder)}`);
  return join(folder, name);
}

function listing(folder) {
  const names = readdirSync(folder).sort();
  return names.length > 20 ? `${names.slice(0, 20).join(', ')} and ${names.length - 20} more` : names.join(', ') || 'no files';
}

function pick(module, exportName, file) {
  const candidates = exportName
    ? [module?.[exportName], module?.default?.[exportName]]
    : [module?.default, module?.default?.default, module];
  const found = candidates.find((candidate) => typeof candidate === 'function');
  if (found) return found;
  const names = Object.keys(module ?? {}).filter((name) => typeof module[name] === 'function');
  const has = names.length ? `it exports ${names.join(', ')}` : 'it exports no function';
  throw new LoadError(exportName
    ? `${file} does not export a function ${exportName}; ${has}`
    : `${file} does not export a function: use module.exports = async function (context) {...} or export default; ${has}`);
}

async function load(file) {
  const extension = extname(file);
  if (extension === '.mjs') return importFile(file);
  if (extension === '.cjs') return createRequire(file)(file);
  if (!PREFER_COMMONJS && LOOKS_LIKE_MODULE.test(readFileSync(file, 'utf8'))) return importFile(file);
  try {
    return createRequire(file)(file);
  } catch (error) {
    const module = error.code === 'ERR_REQUIRE_ESM' || error.code === 'ERR_REQUIRE_ASYNC_MODULE'
      || (error instanceof SyntaxError && NOT_COMMONJS.test(error.message));
    if (!module) throw error;
    return importFile(file);
  }
}

async function importFile(file) {
  const url = pathToFileURL(file).href;
  try {
    return await import(url);
  } catch (error) {
    const shipped = error.code === 'ERR_MODULE_NOT_FOUND' && /^Cannot find package '([^']+)'/.exec(error.message)?.[1];
    const needsHooks = (shipped && existsSync(join(OUR_FOLDER, 'node_modules', shipped)))
      || (error instanceof SyntaxError && NOT_COMMONJS.test(error.message));
    if (!needsHooks) {
      if (error instanceof SyntaxError) error[IMPORTED] = file;
      throw error;
    }
    await addHooks();
    return import(`${url}?hooked`);
  }
}

/**
 * Lets modules import this server's own packages, and lets files without extension or package.json be modules on a Node
 * that does not find that out itself. Costs some 30 ms where hooks run in a thread of their own, hence only when needed.
 */
async function addHooks() {
  const hooks = new URL('./hooks.mjs', import.meta.url);
  if (nodeModule.registerHooks) {
    const { resolveSync, loadSync } = await import(hooks);
    nodeModule.registerHooks({ resolve: resolveSync, load: loadSync });
  } else {
    nodeModule.register(hooks);
  }
}

/** The error as the user should read it: with file and line, without this server's own frames. */
export async function explain(error, path) {
  if (error instanceof LoadError) return error.message;
  const stack = String(error?.stack ?? error);
  if (error instanceof SyntaxError && /^SyntaxError/.test(stack)) {
    const located = await locate(error[IMPORTED] ?? path);
    if (located) return located;
  }
  const ours = (line) => /^\s+at .*(?:node:internal|node:module)/.test(line) || line.includes(OUR_FOLDER + sep);
  return stack.split('\n').filter((line) => !ours(line)).join('\n').trimEnd();
}

/**
 * Where a module does not parse. Node tells only when it dies of it, so another Node does; modules are parsed before any
 * of them runs, hence nothing of the function is executed.
 */
function locate(file) {
  const script = ['--input-type=module', '--eval', 'await import(process.argv[1])', pathToFileURL(file).href];
  return new Promise((resolve) => {
    execFile(process.execPath, script, { timeout: LOCATE_TIMEOUT_MS }, (_failed, _output, said) => {
      const lines = said.split('\n');
      const end = lines.findIndex((line) => line.startsWith('SyntaxError'));
      resolve(end > 0 ? lines.slice(0, end + 1).join('\n') : undefined);
    });
  });
}
