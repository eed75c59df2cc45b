import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CniError, cniCode } from '../../cni/errors.ts';
import { Gate } from './gate.ts';

test('whoever waits at the gate goes on the moment it opens, and later ones at once', async () => {
  const gate = new Gate('no nodes yet');
  const waiting = Promise.all([gate.pass(60_000), gate.pass(60_000)]);
  gate.set('no pod CIDR yet');
  gate.set(undefined);
  await waiting;
  await gate.pass(0);
  assert.deepEqual([gate.why, gate.wasOpen], [undefined, true]);
});

test('CNI2: who waits too long is told to try again, with the newest reason', async () => {
  const gate = new Gate('no nodes yet');
  const waiting = gate.pass(10);
  gate.set('no pod CIDR yet');
  await assert.rejects(waiting, (error: unknown) => {
    assert.ok(error instanceof CniError);
    assert.deepEqual([error.code, error.message], [cniCode.tryAgainLater, "the node's network is not ready: no pod CIDR yet"]);
    return true;
  });
  assert.equal(gate.wasOpen, false);
});

test('a gate that shuts again remembers that pods may run behind it', async () => {
  const gate = new Gate('starting');
  gate.set(undefined);
  gate.set('the links are gone');
  assert.deepEqual([gate.why, gate.wasOpen], ['the links are gone', true]);
  await assert.rejects(gate.pass(0), /the links are gone/);
});

test('who waits at a gate that is closed for good goes on at once, and it never opens again', async () => {
  const gate = new Gate('starting');
  const waiting = assert.rejects(gate.pass(60_000), /not ready: the agent is being stopped/);
  gate.close('the agent is being stopped');
  await waiting;
  gate.set(undefined);
  await assert.rejects(gate.pass(60_000), /not ready: the agent is being stopped/);
});
