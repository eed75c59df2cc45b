import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { example, leftSince, ownLab, podnet, stateOf, succeeds } from './testkit/podnet.ts';

test('two labs with the same addresses run beside each other; one goes down while the other is proven', needsRoot, async () => {
  const [one, two] = [ownLab('twin1'), ownLab('twin2')];
  const before = [stateOf(one), stateOf(two)];
  const up = (lab: string, ...flags: string[]): Promise<string> =>
    succeeds('lab', 'up', '--name', lab, '--nodes', '2', '--apply', example('guestbook.yaml'), '--verify', ...flags);
  try {
    const printed = await Promise.all([
      up(one.lab, '--ip-family', 'dual'),
      up(two.lab, '--ip-family', 'dual', '--backend', 'vxlan'),
    ]);
    for (const text of printed) assert.match(text, /The network keeps its word/);
    const [proof] = await Promise.all([
      podnet('verify', '--name', two.lab, '--all', '-o', 'json'),
      succeeds('lab', 'down', '--name', one.lab),
    ]);
    assert.equal(proof.code, 0, proof.stdout + proof.stderr);
    assert.equal((JSON.parse(proof.stdout) as { ok: boolean }).ok, true);
    assert.deepEqual(await leftSince(before[0]!, one), []);
    assert.match(await succeeds('verify', '--name', two.lab), /The network keeps its word/);
  } finally {
    await succeeds('lab', 'down', '--name', one.lab);
    await succeeds('lab', 'down', '--name', two.lab);
  }
  assert.deepEqual(await leftSince(before[1]!, two), []);
});

test('of two that take the same name at the same time one is refused, and the other is whole', needsRoot, async () => {
  const names = ownLab('race');
  const before = stateOf(names);
  try {
    const ended = await Promise.all([0, 1].map(() => podnet('lab', 'up', '--name', names.lab, '--nodes', '1')));
    assert.deepEqual(ended.map(({ code }) => code).sort(), [0, 2]);
    assert.match(ended.map(({ stderr }) => stderr).join(''), new RegExp(`^podnet: lab "${names.lab}" (runs|is there) already`));
    assert.equal((await podnet('status', '--name', names.lab)).code, 0);
  } finally {
    await succeeds('lab', 'down', '--name', names.lab);
  }
  assert.deepEqual(await leftSince(before, names), []);
});

test('labs that come and go at the same time leave each other whole', needsRoot, async () => {
  const labs = Array.from({ length: 3 }, (_, i) => ownLab(`churn${i}`));
  const before = labs.map(stateOf);
  await Promise.all(
    labs.map(async ({ lab }) => {
      for (let round = 0; round < 2; round++) {
        await succeeds('lab', 'up', '--name', lab, '--nodes', '1');
        await succeeds('status', '--name', lab);
        await succeeds('lab', 'down', '--name', lab);
      }
    }),
  );
  for (const [i, names] of labs.entries()) assert.deepEqual(await leftSince(before[i]!, names), []);
});
