import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chapters, citations, conformanceTests, unknownCitations } from './citations.ts';
import { claimed, conformanceLedger, statementLedger, unproven } from './render.ts';
import { Results } from './results.ts';

const passed = (name: string, more: object = {}): Parameters<Results['passed']>[0] =>
  ({
    name,
    file: '/out/room/some.test.js',
    nesting: 0,
    testNumber: 1,
    details: { duration_ms: 5, type: 'test' },
    ...more,
  }) as never;

test('there are 47 conformance tests and no statement twice', () => {
  assert.deepEqual(
    conformanceTests.map(({ id }) => id),
    Array.from({ length: 47 }, (_, index) => `C${index + 1}`),
  );
  const ids = chapters.flatMap(({ statements }) => statements.map(({ id }) => id));
  assert.equal(new Set(ids).size, ids.length);
  for (const { title, statements } of chapters)
    for (const [index, { id, words }] of statements.entries()) {
      assert.equal(id, `${title.slice(0, title.indexOf(':'))}${index + 1}`);
      assert.ok(words.length > 3, id);
    }
});

test('a name cites what stands in it, parts and several too, and nothing that only looks so', () => {
  for (const [name, ids] of [
    [`${'SD4'}a, ${'C13'} (ipv4): a pod`, 'SD4 C13'],
    [`ipv6: ${'NM8'}: a packet of the path's MTU`, 'NM8'],
    [`names of any bytes (${'D23'})`, 'D23'],
    ['kubectl 1.20, IPv4, SHA256, P256 and D99 are no citations, nor is x-D1 or D1.5', ''],
  ] as const)
    assert.equal(citations(name).join(' '), ids, name);
  assert.deepEqual(unknownCitations('SD4, SD99 (dual): x'), ['SD99']);
  assert.deepEqual(unknownCitations('RFC 7766: x'), []);
  assert.deepEqual(unknownCitations('P256 keys: x'), []);
});

test('only a test that passed covers; a skipped, unfinished or grouping one does not', () => {
  const results = new Results('/out');
  const id = 'C7';
  results.passed(passed(`${id}: skipped`, { skip: 'needs root' }));
  results.passed(passed(`${id}: to do`, { todo: true }));
  results.passed(passed(`${id}: a suite`, { details: { duration_ms: 1, type: 'suite' } }));
  assert.deepEqual(results.covers(id), []);
  assert.deepEqual(results.skipped, [['needs root', 1]]);
  results.passed(passed(`${id}, D2 (ipv4): answers`));
  results.passed(passed(`${id}, D2 (ipv6): answers`));
  assert.deepEqual(results.covers(id)[0], { file: 'src/room/some.test.ts', name: 'answers' });
  const ledger = conformanceLedger((of) => results.covers(of));
  assert.deepEqual(claimed(ledger), [id]);
  assert.match(ledger, /\*\*1 of 47\*\*/);
  assert.match(ledger, /\| C7 \|.*\| \[room\/some\]\(\.\.\/src\/room\/some\.test\.ts\): answers \|\n/);
  assert.deepEqual(claimed(statementLedger((of) => results.covers(of))), ['D2']);
  assert.deepEqual(
    unproven(ledger, (of) => results.covers(of)),
    [],
  );
  assert.deepEqual(
    unproven(ledger, () => []),
    [id],
  );
});
