import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../testing/judge.ts';
import type { AgentConfig } from '../config.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { leftovers } from '../testkit/runtimes/leftovers.ts';
import { ownMachine } from '../testkit/runtimes/own-machine.ts';
import { needsRuntime, runtimeProgram } from '../testkit/runtimes/packages.ts';
import { Podman } from '../testkit/runtimes/podman.ts';
import { reboot } from '../testkit/runtimes/reboot.ts';

const needed = needsRuntime('podman', 'conmon', 'runc', 'busybox');
ownMachine(needed.skip);

async function inWorld(attach: AgentConfig['attach'], body: (node: TestNode, podman: Podman) => Promise<void>): Promise<void> {
  await using node = await TestNode.make({ attach });
  await node.startReady();
  const { cni } = node.config;
  await using podman = await Podman.start({
    directory: `${node.world.directory}/p`,
    netns: node.ns.path,
    cni,
    network: cni.network,
  });
  await body(node, podman);
}

/** Says its name by HTTP on port 8080. */
const server = (name: string): string[] => [
  'sh',
  '-c',
  `mkdir -p /www && echo ${name} > /www/index.html && exec httpd -f -p 8080 -h /www`,
];

const url = (ip: string, port: number): string => `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}/`;
const ask = (netns: string, ip: string, port = 8080): Promise<string> =>
  eventually(() => run(netns, runtimeProgram('busybox'), 'timeout', '5', 'wget', '-O', '-', url(ip, port)).trim());

for (const attach of ['routed', 'bridge'] as const)
  test(`CNI1, CNI12: podman runs containers with podnet as its only plugin, and leaves nothing (${attach})`, needed, () =>
    inWorld(attach, async (node, podman) => {
      const nothingLeft = leftovers(node);
      await podman.run('a', ...server('a'));
      await podman.run('b', ...server('b'));
      const [a, b] = [await podman.inspect('a'), await podman.inspect('b')];
      assert.deepEqual(a.ips, ['10.1.0.2', 'fd01::2']);
      assert.deepEqual(b.ips, ['10.1.0.3', 'fd01::3']);
      for (const [name, { ips }] of Object.entries({ a, b })) {
        for (const ip of ips) {
          for (const from of [node.ns.path, node.peer.path, a.netns, b.netns])
            assert.equal(await ask(from, ip), name, `from ${from}`);
          assert.ok((await podman.exec(name, 'ip', 'address')).includes(` ${ip}/`));
        }
        assert.match(await podman.exec(name, 'ip', 'address', 'show', 'lo'), /UP/);
        assert.match(await podman.exec(name, 'ip', 'route'), /^default via \S+ dev eth0/);
      }
      await podman.remove('a', 'b');
      assert.equal(node.status().attachments, 0);
      await nothingLeft();
    }),
  );

test('CNI13, CRI10: podman hands over -p, --ip, --ip6 and --mac-address, and all of them are served', needed, () =>
  inWorld('routed', async (node, podman) => {
    const nothingLeft = leftovers(node);
    await podman.runWith(['-p', '9090:8080', '-p', '192.0.2.1:9091:8080'], 'a', ...server('a'));
    const own = ['192.0.2.1', '2001:db8::1'];
    const { netns } = await podman.inspect('a');
    for (const ip of own)
      for (const from of [node.ns.path, node.peer.path, netns])
        assert.equal(await ask(from, ip, 9090), 'a', `${ip} from ${from}`);
    assert.equal(await ask(node.peer.path, own[0]!, 9091), 'a');
    await assert.rejects(
      podman.runWith(['-p', '9090:80'], 'b', ...server('b')),
      /host port 9090\/tcp is taken: a has 9090\/tcp on this node/,
    );
    await podman.remove('b');
    const wishes = ['--ip', '10.1.0.77', '--ip6', 'fd01::77', '--mac-address', '02:00:00:00:00:77'];
    await podman.runWith(wishes, 'c', ...server('c'));
    assert.deepEqual((await podman.inspect('c')).ips, ['10.1.0.77', 'fd01::77']);
    assert.match(await podman.exec('c', 'ip', 'link', 'show', 'eth0'), /02:00:00:00:00:77/);
    assert.equal(await ask(node.peer.path, '10.1.0.77'), 'c');
    await podman.remove('a');
    await podman.runWith(['-p', '9090:8080'], 'd', ...server('d'));
    for (const ip of own) assert.equal(await ask(node.peer.path, ip, 9090), 'd');
    await podman.remove('c', 'd');
    await nothingLeft();
  }),
);

test('CRI2: while the agent is down podman fails and says why; then it goes on', needed, () =>
  inWorld('routed', async (node, podman) => {
    const nothingLeft = leftovers(node);
    await podman.run('a', ...server('a'));
    await node.stop();
    await assert.rejects(podman.run('b', ...server('b')), /podnet's agent is not running on this node/);
    assert.equal(await ask(node.ns.path, '10.1.0.2'), 'a', 'a goes on');
    await node.startReady();
    await podman.remove('b');
    await podman.run('b', ...server('b'));
    for (const name of ['a', 'b'])
      for (const ip of (await podman.inspect(name)).ips) assert.equal(await ask(node.peer.path, ip), name);
    await podman.remove('a', 'b');
    await nothingLeft();
  }),
);

test('CNI15, F22: fifty containers at once get addresses of their own, answer, and go at once without a trace', needed, () =>
  inWorld('bridge', async (node, podman) => {
    const nothingLeft = leftovers(node);
    const names = Array.from({ length: 50 }, (_, i) => `p${i}`);
    await Promise.all(names.map((name) => podman.run(name, 'sleep', '1000')));
    assert.equal(node.status().attachments, 50);
    const ips = (await podman.inspectAll(names)).flatMap((container) => container.ips);
    assert.equal(new Set(ips).size, 100);
    for (const ip of ips) run(node.ns.path, runtimeProgram('busybox'), 'ping', '-c', '1', '-W', '5', ip);
    // The agent that deletes is not the one that added.
    await node.stop();
    await node.startReady();
    await podman.remove(...names);
    assert.equal(node.status().attachments, 0);
    await nothingLeft();
  }),
);

test(
  'CRI6, CRI7: after a reboot containers start again under their old ids with addresses that nobody else has, and nothing is left',
  needed,
  () =>
    inWorld('routed', async (node, podman) => {
      const nothingLeft = leftovers(node);
      await podman.run('a', ...server('a'));
      await podman.run('b', ...server('b'));
      await node.stop();
      await reboot(node, ...podman.volatile);
      await node.startReady();
      await podman.run('c', ...server('c'));
      await podman.start('b', 'a');
      const ips: string[] = [];
      for (const name of ['a', 'b', 'c']) {
        const found = (await podman.inspect(name)).ips;
        ips.push(...found);
        for (const ip of found) assert.equal(await ask(node.peer.path, ip), name);
      }
      assert.equal(new Set(ips).size, 6);
      assert.deepEqual([node.status().attachments, ...node.status().leases.map(({ used }) => used)], [3, 3, 3]);
      await podman.remove('a', 'b', 'c');
      await nothingLeft();
    }),
);
