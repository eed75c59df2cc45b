import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/**
 * The project's test runner, behind `npm test [-- PATTERN]`. PATTERN narrows to the test files whose path holds it and, where no path does,
 * to the tests whose name holds it. Ends with node's summary; exit code 1 when a test failed or none was found.
 */
const root = join(import.meta.dirname, '..');
const pattern = process.argv[2] ?? '';
const all = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .sort()
  .map((file) => join(root, file));
const byPath = all.filter((file) => relative(root, file).includes(pattern));
const files = byPath.length ? byPath : all;

if (files.length === 0) {
  console.error(`no test file under ${root}: run \`npm run build\` first`);
  process.exitCode = 1;
} else {
  const escaped = pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const stream = run({ files, concurrency: 2, ...(byPath.length ? {} : { testNamePatterns: [new RegExp(escaped)] }) });
  stream.on('test:fail', () => {
    process.exitCode = 1;
  });
  stream.compose(new spec()).pipe(process.stdout);
}
