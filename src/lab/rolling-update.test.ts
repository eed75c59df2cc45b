import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { leftSince, ownLab, stateOf } from './testkit/podnet.ts';
import { rollUnderConnections } from './testkit/rolling.ts';

/** `npm run soak -- rolling-update` makes 100,000. */
const connections = 5000;

test(
  'SD24, SD5: rolling updates under new connections all the time lose none of 5,000, from pods and from outside, in both families',
  needsRoot,
  async (t) => {
    const names = ownLab('roll');
    const before = stateOf(names);
    const { failures, pods, rollouts } = await rollUnderConnections(names, connections);
    t.diagnostic(`${connections} connections to ${pods} pods during ${rollouts} rollouts, ${failures.length} failed`);
    assert.deepEqual(failures.slice(0, 10), [], `${failures.length} of ${connections} connections failed`);
    assert.ok(rollouts >= 2 && pods > 8, `${pods} pods in ${rollouts} rollouts`);
    assert.deepEqual(await leftSince(before, names), []);
  },
);
