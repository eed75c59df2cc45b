import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { TestWorld } from '../../testing/netns.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import type { AgentStatus } from '../status.ts';
import { type CniAnswer, callCni } from '../testkit/cni.ts';
import { eventually } from '../testkit/node.ts';
import { ProcessNode } from '../testkit/process-node.ts';

// That threads leave none behind: links/reaper.test.ts.
test('F47: an agent that has no descriptors left answers with an error or not at all, loses nothing, and serves again once it has some', needsRoot, async () => {
  const directory = mkdtempSync(`${tmpdir()}/podnet-test-descriptors-`);
  using world = new TestWorld('agent');
  try {
    await using node = new ProcessNode(`${directory}/n`, { podCidrs: ['10.1.0.0/24', 'fd01::/64'] });
    await node.start();
    await node.ready();
    const names = ['a', 'b', 'c'];
    for (const name of names) world.namespace(name);
    const path = (name: string): string => `${world.directory}/${name}`;
    const call = (command: string, containerId: string): Promise<CniAnswer> => callCni(node.executable, { command, containerId, netns: path(containerId) });
    const descriptors = (): string[] => readdirSync(`/proc/${node.pid}/fd`);
    const limit = (soft: number): string => run(path('a'), 'prlimit', `--pid=${node.pid}`, `--nofile=${soft}:`);
    assert.equal((await call('ADD', 'a')).code, 0);
    assert.equal((await call('ADD', 'c')).code, 0);
    assert.equal((await call('DEL', 'c')).code, 0);
    await node.ready();
    /** The number below which so many are free: what is open above stays open. */
    const leaving = (spare: number): number => {
      const taken = new Set(descriptors().map(Number));
      let number = 0;
      for (let free = 0; taken.has(number) || free++ < spare; number++);
      return number;
    };
    const { pid } = node;
    // None, then one or two more than it has: each runs out at another place. A runtime that gets no answer waits for it.
    for (const spare of [0, 2, 4, 0, 2, 4]) {
      const answers = ['ADD', 'DEL', 'STATUS'].map((command) => [command, call(command, 'b')] as const).slice(0, spare === 0 ? 3 : 1);
      limit(leaving(spare));
      await new Promise((resolve) => setTimeout(resolve, 80));
      const late = call('ADD', 'b');
      await new Promise((resolve) => setTimeout(resolve, 80));
      limit(4096);
      for (const [command, answer] of answers) {
        const { code, json } = await answer;
        assert.ok(code === 0 || Number(json.code) > 0, `${command} with ${spare} descriptors: ${JSON.stringify(json)}`);
      }
      await late;
      assert.equal((await call('DEL', 'b')).code, 0);
    }
    assert.equal(node.pid, pid);
    const answer = await call('ADD', 'b');
    assert.equal(answer.code, 0, JSON.stringify(answer.json));
    for (const address of ['10.1.0.2', 'fd01::2']) run(path('b'), 'ping', '-c1', '-W5', address);
    assert.equal((await call('DEL', 'b')).code, 0);
    await eventually(async () => {
      const { attachments, problems } = (await node.ask('status')) as AgentStatus;
      assert.deepEqual([attachments, problems], [1, []]);
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
