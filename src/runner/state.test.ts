import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type PodRecord, StateStore } from './state.ts';

const withDir = (run: (dir: string) => void) => (): void => {
  const dir = mkdtempSync(join(tmpdir(), 'podnet-test-state-'));
  try {
    run(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
};

const record = (uid: string, podIPs: string[] = []): PodRecord => ({
  ...{ uid, namespace: 'default', name: `p-${uid}`, sandboxId: 's', netns: '/n', hostNetwork: false },
  podIPs,
  containers: {},
});

test(
  'what was saved last is there for the next runner, what was removed is not, with its folder',
  withDir((dir) => {
    const first = new StateStore(dir);
    for (const uid of ['a', 'b']) first.save(record(uid));
    first.save(record('a', ['10.0.0.1']));
    mkdirSync(join(first.podDir('b'), 'volumes'), { recursive: true });
    first.remove('b');
    // Killed: nothing is closed.
    using next = new StateStore(dir);
    assert.deepEqual(next.load(), [record('a', ['10.0.0.1'])]);
    assert.ok(!existsSync(next.podDir('b')));
  }),
);

test(
  'a folder that no record knows is removed, and half a line at the end harms nothing',
  withDir((dir) => {
    using first = new StateStore(dir);
    first.save(record('a'));
    mkdirSync(first.podDir('a'));
    mkdirSync(first.podDir('stray'));
    appendFileSync(join(dir, 'pods.journal'), '{"uid":"c","rec');
    using next = new StateStore(dir);
    assert.deepEqual(
      next.load().map(({ uid }) => uid),
      ['a'],
    );
    assert.ok(existsSync(next.podDir('a')) && !existsSync(next.podDir('stray')));
  }),
);

test(
  'the journal does not grow for ever',
  withDir((dir) => {
    using store = new StateStore(dir);
    const large = { ...record('a'), cniResult: 'x'.repeat(1 << 20) };
    for (let count = 0; count < 20; count++) store.save(large);
    assert.ok(readFileSync(join(dir, 'pods.journal')).length < 10 << 20);
    using next = new StateStore(dir);
    assert.deepEqual(next.load(), [large]);
  }),
);

test(
  'a store that is closed writes nothing more',
  withDir((dir) => {
    const store = new StateStore(dir);
    store[Symbol.dispose]();
    writeFileSync(join(dir, 'other'), '');
    store.save(record('late'));
    using next = new StateStore(dir);
    assert.deepEqual(next.load(), []);
  }),
);
