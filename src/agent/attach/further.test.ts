import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { failed, nothingIsLeft, ok } from '../testkit/cni-spec.ts';
import { eventually, TestNode } from '../testkit/node.ts';

const addressesOf = (json: Record<string, unknown>): string[] =>
  (json.ips as { address: string }[]).map(({ address }) => address.replace(/\/.*/, ''));
const outside = (address: string): string => (address.includes(':') ? '2001:db8::2' : '192.0.2.2');

for (const attach of ['routed', 'bridge'] as const)
  test(
    `CNI5, CNI8: a container that is added again under another name, or to another network, is reached by every address, and leaves by each (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const { path } = node.world.namespace('a');
      const calls = [
        { ifname: 'eth0', name: 'podnet' },
        { ifname: 'net1', name: 'podnet' },
        { ifname: 'net2', name: 'other' },
      ].map(({ ifname, name }) => ({ containerId: 'a', netns: path, ifname, config: { name } }));
      const results: Record<string, unknown>[] = [];
      for (const call of calls) {
        const { code, json } = await node.cni({ command: 'ADD', ...call });
        assert.equal(code, 0, JSON.stringify(json));
        results.push(json);
      }
      const ping = (from: string, ...args: string[]): string => run(from, 'ping', '-c1', '-W5', ...args);
      const works = (addresses: readonly string[]): void => {
        for (const address of addresses) {
          ping(node.ns.path, address);
          ping(node.peer.path, address);
          ping(path, '-I', address, outside(address));
        }
      };
      const check = (i: number) => {
        const { config, ...call } = calls[i]!;
        return node.cni({ command: 'CHECK', ...call, config: { ...config, prevResult: results[i] } });
      };
      works(results.flatMap(addressesOf));
      for (const i of calls.keys()) assert.deepEqual(await check(i), ok, `CHECK ${i}`);

      const [, second, third] = results.map(addressesOf) as [string[], string[], string[]];
      run(path, 'ip', 'rule', 'del', 'from', third[0]!);
      assert.match(failed(await check(2), 102, 'CHECK'), new RegExp(`packets from ${third[0]} do not leave`));
      assert.deepEqual(await check(1), ok);
      assert.deepEqual(await node.cni({ command: 'DEL', ...calls[2]! }), ok);

      // What is left has a default route of its own.
      assert.deepEqual(await node.cni({ command: 'DEL', ...calls[0]! }), ok);
      await eventually(() => assert.doesNotMatch(run(path, 'ip', '-o', 'link'), /eth0|net2/));
      works(second);
      ping(path, '192.0.2.2');
      const { code, json } = await node.cni({ command: 'ADD', ...calls[0]! });
      assert.equal(code, 0, JSON.stringify(json));
      works([...second, ...addressesOf(json)]);
      for (const call of calls) assert.deepEqual(await node.cni({ command: 'DEL', ...call }), ok);
      await nothingIsLeft(node);
    },
  );

test("CNI5: a default route of another plugin's interface stays where it is", needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path } = node.world.namespace('a');
  run(path, 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
  for (const command of ['link set eth0 up', 'address add 198.51.100.2/24 dev eth0', 'route add default via 198.51.100.1'])
    run(path, 'ip', ...command.split(' '));
  const { code, json } = await node.cni({ command: 'ADD', containerId: 'a', netns: path, ifname: 'net1' });
  assert.equal(code, 0, JSON.stringify(json));
  assert.match(run(path, 'ip', 'route', 'get', '192.0.2.2'), /via 198\.51\.100\.1 dev eth0/);
  for (const address of addressesOf(json)) run(node.ns.path, 'ping', '-c1', '-W5', address);
});
