import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

/** Floors of the house, top first; rooms of one floor never import each other (docs/architecture.md). */
const floors: readonly (readonly string[])[] = [
  ['cli'],
  ['lab', 'bench', 'predict'],
  ['agent', 'runner', 'verify', 'controllers'],
  ['cni', 'ipam', 'links', 'door', 'hostports', 'routes', 'services', 'announce', 'dns', 'foreign', 'policy'],
  ['apiserver'],
  ['kube'],
  ['reconcile', 'walk'],
  ['kernel'],
  ['wire'],
  ['net', 'unix'],
];
const floorOf = (room: string): number => floors.findIndex((rooms) => rooms.includes(room));
const source = join(import.meta.dirname, '..', '..', 'src');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const isTest = (file: string): boolean =>
  file.endsWith('.test.ts') || file.startsWith('testing/') || /\/(testkit\/|suite|harness|fake)/.test(file);

/** Every import of the file: what stands between the quotes after `from` or in `import(…)`. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
}

test('imports run downward, and rooms of one floor never import each other', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const from = file.split('/')[0]!;
    for (const target of importsOf(file)) {
      if (!target.startsWith('.')) continue;
      const to = normalize(join(dirname(file), target)).split('/')[0]!;
      if (to === from) continue;
      if (to === 'testing') {
        if (!isTest(file)) wrong.push(`${file} is product code and imports ${target}`);
      } else if (from !== 'testing' && floorOf(to) <= floorOf(from)) {
        wrong.push(`${file} (${from}) must not import ${target} (${to})`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('every room stands on a floor', () => {
  const rooms = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(
    rooms.filter((room) => room.name !== 'testing' && floorOf(room.name) < 0).map((room) => room.name),
    [],
  );
});

test('only the kernel room calls native code', () => {
  assert.deepEqual(
    files.filter((file) => !file.startsWith('kernel/') && importsOf(file).includes('koffi')),
    [],
  );
  assert.deepEqual(
    files.filter(
      (file) =>
        !file.startsWith('kernel/') && !isTest(file) && importsOf(file).some((target) => target.endsWith('/kernel/sys.ts')),
    ),
    [],
    'system calls by their numbers have names and types there',
  );
});

test('every folder says in a README what it is for; what lies in a folder `data` is said beside it', () => {
  const folders = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'data')
    .map(({ parentPath, name }) => join(parentPath, name));
  assert.ok(folders.length > 20);
  assert.deepEqual(
    folders.filter((folder) => !existsSync(join(folder, 'README.md'))),
    [],
  );
});
