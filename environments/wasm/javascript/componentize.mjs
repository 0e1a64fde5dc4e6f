// Makes a component of a JavaScript function: componentize.mjs WIT SOURCE TARGET. Packages are bundled into one module first,
// because a component reads no files to find them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';

import { componentize } from '@bytecodealliance/componentize-js';
import { build } from 'esbuild';

const [wit, source, target] = process.argv.slice(2);

async function bundle(scratch) {
  const outfile = join(scratch, basename(source));
  await build({
    entryPoints: [basename(source)], absWorkingDir: dirname(source), outfile, bundle: true, format: 'esm',
    platform: 'neutral', mainFields: ['module', 'main'], conditions: ['worker', 'import'], target: 'es2022',
    // Interfaces of WASI are the component's imports.
    external: ['wasi:*'], loader: { '': 'js' }, logLevel: 'warning', color: false,
  });
  return outfile;
}

// A custom section, which engines skip and the platform reads: a store of such a component answers one request only.
function says(name, text) {
  const content = Buffer.concat([Buffer.from([name.length]), Buffer.from(name + text)]);
  return Buffer.concat([Buffer.from([0, content.length]), content]);
}

const scratch = await mkdtemp(join(tmpdir(), 'bundle-'));
try {
  const sourcePath = await bundle(scratch);
  const { component } = await componentize({ sourcePath, witPath: wit, worldName: 'function' });
  await writeFile(target, Buffer.concat([component, says('fission:requests-per-store', '1')]));
} catch (error) {
  // esbuild has told its own errors, with file and line.
  if (!error.errors) console.error(String(error.stack ?? error).replaceAll(`${relative('/', scratch)}/`, ''));
  process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}
