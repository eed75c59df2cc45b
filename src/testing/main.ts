import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { conformanceLedger, statementLedger, unproven } from './ledger/render.ts';
import { Results } from './ledger/results.ts';
import { inOrder } from './order.ts';

/**
 * The project's test runner, behind `npm test [-- PATTERN ...]`. Patterns narrow to the test files whose path holds one of them and, where no path
 * does, to the tests whose name holds one. Ends with node's summary, the slowest files and the reasons of skips; exit code 1 when a test failed or
 * none was found. A whole run as root writes what it has shown to docs/conformance.md and docs/statements.md.
 */
const root = join(import.meta.dirname, '..');
const project = join(root, '..');
/** A file that hangs must not hang the run. */
const fileTimeoutMs = 480_000;
/**
 * So many files at once: they wait half as long as they compute (for silence, for timers, for what the kernel does in the background). No more than six, since some
 * limits are the machine's: neighbours that the kernel keeps (gc_thresh3), inotify instances.
 */
const concurrency = Math.min(Math.ceil(1.5 * availableParallelism()), 6);

/** Files and, when no pattern is part of a path, what the names of tests must hold. */
function select(patterns: readonly string[]): { files: string[]; testNamePatterns?: RegExp[] } {
  const sources = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => file.replace(/\.js$/, '.ts'))
    // What was built from a test that is there no more.
    .filter((file) => existsSync(join(project, 'src', file)));
  const all = inOrder(sources).map((file) => join(root, file.replace(/\.ts$/, '.js')));
  if (patterns.length === 0) return { files: all };
  const files = all.filter((file) => patterns.some((pattern) => relative(root, file).includes(pattern)));
  if (files.length > 0) return { files };
  return { files: all, testNamePatterns: patterns.map((pattern) => new RegExp(pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))) };
}

function summarize(results: Results): void {
  const minutes = results.slowest.slice(0, 8).map(([file, ms]) => `  ${(ms / 1000).toFixed(1).padStart(6)} s  ${file}`);
  console.log(['', 'slowest files', ...minutes].join('\n'));
  if (results.skipped.length > 0) {
    const lines = results.skipped.map(([reason, count]) => `  ${String(count).padStart(6)}    ${reason}`);
    console.log(['skipped tests', ...lines].join('\n'));
  }
  for (const id of results.unknown) console.log(`cited, but not to be found in src/testing/ledger/data: ${id}`);
}

/** Brings a written ledger up to date. @returns what to tell, if anything; an error when CI found a claim without cover */
function keep(name: string, text: string, results: Results): void {
  const path = join(project, 'docs', name);
  const written = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (written === text) return;
  if (process.env.CI !== 'true') {
    writeFileSync(path, text);
    console.log(`docs/${name} is new: commit it`);
    return;
  }
  console.log(`docs/${name} is not what this run has shown: run npm test as root and commit it`);
  const claims = unproven(written, (id) => results.covers(id));
  if (claims.length === 0 || name !== 'conformance.md') return;
  console.error(`docs/${name} claims what no passed test covers: ${claims.join(', ')}`);
  process.exitCode = 1;
}

const patterns = process.argv.slice(2);
const selection = select(patterns);
if (selection.files.length === 0) {
  console.error(`no test file under ${root}: run \`npm run build\` first`);
  process.exitCode = 1;
} else {
  const results = new Results(root);
  const stream = run({ ...selection, concurrency, timeout: fileTimeoutMs });
  stream.on('test:pass', (test) => results.passed(test));
  stream.on('test:fail', () => {
    results.failed++;
    process.exitCode = 1;
  });
  const report = stream.compose(new spec());
  report.pipe(process.stdout, { end: false });
  await finished(report);
  summarize(results);
  if (patterns.length === 0 && process.getuid?.() === 0 && results.failed === 0) {
    keep(
      'conformance.md',
      conformanceLedger((id) => results.covers(id)),
      results,
    );
    keep(
      'statements.md',
      statementLedger((id) => results.covers(id)),
      results,
    );
  }
}
