import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NetNs } from '../../kernel/netns.ts';
import { run, tc } from '../../testing/judge.ts';
import { eventually } from '../testkit/node.ts';
import { leftovers } from '../testkit/runtimes/leftovers.ts';
import { ownMachine } from '../testkit/runtimes/own-machine.ts';
import { needsContainerd, runtimeProgram } from '../testkit/runtimes/packages.ts';
import { ask, url, World } from '../testkit/runtimes/world.ts';

ownMachine(needsContainerd('1.6').skip);

/** Each release; containerd-restart.test.ts has the newest in bridge mode. */
const variants = [
  ['1.6', 'routed'],
  ['1.7', 'bridge'],
  ['2', 'routed'],
] as const;

for (const [release, attach] of variants) {
  const name = `containerd ${release}, ${attach}`;
  const needed = needsContainerd(release);
  test(
    `CRI1, CRI4, CRI5, CRI9, CNI14: containerd runs pods with podnet as its only plugin, from the moment that podnet can serve (${name})`,
    needed,
    async () => {
      await using world = await World.make(release, { attach });
      const { node, containerd } = world;
      const { cri } = containerd;
      assert.match((await cri.networkProblem()) ?? '', /cni plugin not initialized/);
      await assert.rejects(cri.runPod(containerd.podConfig('early')), /cni plugin not initialized/);
      await node.startReady();
      await eventually(async () => assert.equal(await cri.networkProblem(), undefined));
      for (const id of await cri.pods()) await world.deletePod({ id });
      const nothingLeft = leftovers(node);

      const [a, b] = [await world.addPod('a'), await world.addPod('b')];
      assert.deepEqual(a.ips, ['10.1.0.2', 'fd01::2']);
      assert.deepEqual(b.ips, ['10.1.0.3', 'fd01::3']);
      assert.equal(node.status().attachments, 2);
      for (const pod of [a, b]) {
        const lengths = attach === 'routed' ? [32, 128] : [24, 64];
        const seen = await cri.exec(pod.container, 'ip', 'address');
        for (const ip of ['127.0.0.1/8', '::1/128', ...pod.ips.map((ip, i) => `${ip}/${lengths[i]}`)])
          assert.ok(seen.includes(` ${ip} `), seen);
        assert.match(await cri.exec(pod.container, 'ip', 'route'), /^default via \S+ dev eth0/);
        assert.match(await cri.exec(pod.container, 'ip', '-6', 'route'), /^default via \S+ dev eth0/m);
        const { netns } = await cri.podStatus(pod.id);
        for (const ip of pod.ips) {
          assert.equal(await ask(node.ns.path, ip), pod.config.name, 'from the node');
          assert.equal(await ask(node.peer.path, ip), pod.config.name, 'from another node');
          for (const other of [a, b]) {
            const from = await cri.podStatus(other.id);
            assert.equal(await ask(from.netns, ip), pod.config.name, `from pod ${other.config.name}`);
          }
          assert.equal(
            await cri.exec(pod.container, 'wget', '-O', '-', url(ip)),
            `${pod.config.name}\n`,
            'from its own container',
          );
        }
        assert.notEqual(netns, '');
      }

      await world.deletePod(a);
      assert.equal(await ask(node.ns.path, b.ips[0]!), 'b', 'b goes on');
      await world.deletePod(b);
      assert.equal(node.status().attachments, 0);
      await nothingLeft();
    },
  );

  test(
    `CRI3, CNI6: a pod is stopped twice, and once when its namespace is gone, and nothing is left (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const nothingLeft = leftovers(node);
      const [a, b] = [await world.addPod('a'), await world.addPod('b')];
      for (let i = 0; i < 3; i++) await containerd.cri.stopPod(a.id);
      await containerd.cri.removePod(a.id);
      await containerd.cri.removePod(a.id);
      const { netns } = await containerd.cri.podStatus(b.id);
      NetNs.remove(netns);
      await world.deletePod(b);
      assert.deepEqual(
        node.status().leases.map(({ used }) => used),
        [0, 0],
      );
      await nothingLeft();
    },
  );

  test(
    `CNI15, F22: fifty pods at once get addresses of their own, answer, and go at once without a trace (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const nothingLeft = leftovers(node);
      const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => containerd.cri.runPod(containerd.podConfig(`p${i}`))));
      const ips = (await Promise.all(ids.map((id) => containerd.cri.podStatus(id)))).flatMap((status) => status.ips);
      assert.equal(new Set(ips).size, 100);
      assert.equal(node.status().attachments, 50);
      for (const ip of ips) run(node.ns.path, runtimeProgram('busybox'), 'ping', '-c', '1', '-W', '5', ip);
      await Promise.all(ids.map((id) => world.deletePod({ id })));
      assert.equal(node.status().attachments, 0);
      await nothingLeft();
    },
  );

  test(
    `CRI10, CNI13: containerd hands a pod's port mappings over, and they are served until it is stopped (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const nothingLeft = leftovers(node);
      const portMappings = [
        { protocol: 'TCP', containerPort: 8080, hostPort: 9090 },
        { protocol: 'UDP', containerPort: 53, hostPort: 9053, hostIp: '192.0.2.1' },
        { protocol: 'TCP', containerPort: 9999, hostPort: 0 },
      ] as const;
      const a = await world.addPod('a', { portMappings });
      const { netns } = await containerd.cri.podStatus(a.id);
      const own = ['192.0.2.1', '2001:db8::1'];
      for (const ip of own)
        for (const from of [node.ns.path, node.peer.path, netns])
          assert.equal(await ask(from, ip, 9090), 'a', `${ip} from ${from}`);
      const elements = (): string[] => node.ruleset().filter((line) => /^element of hostports(-at)?[46] /.test(line));
      assert.equal(elements().length, 3);
      await assert.rejects(
        containerd.cri.runPod(containerd.podConfig('b', { portMappings })),
        /runtimeConfig\.portMappings: host port 9090\/tcp is taken: default\/a has 9090\/tcp on this node/,
      );
      await containerd.restart();
      for (const ip of own) assert.equal(await ask(node.peer.path, ip, 9090), 'a');
      await containerd.cri.stopPod(a.id);
      assert.deepEqual(elements(), []);
      const b = await world.addPod('b', { portMappings });
      for (const ip of own) assert.equal(await ask(node.peer.path, ip, 9090), 'b');
      for (const pod of [a, b]) await world.deletePod(pod);
      for (const id of await containerd.cri.pods()) await world.deletePod({ id });
      await nothingLeft();
    },
  );

  test(
    `CRI11, CNI13: containerd hands over the bandwidth of a pod's annotations, and it is shaped until it is stopped (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const nothingLeft = leftovers(node);
      const annotations = { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '2Mi' };
      const id = await containerd.cri.runPod(containerd.podConfig('slow', { annotations }));
      const shapes = tc<{ kind: string; options: { rate: number; burst: number } }>(node.ns.path, 'qdisc').filter(
        ({ kind }) => kind === 'tbf',
      );
      // Not the 512 MB that containerd writes when nobody asked for a burst.
      assert.deepEqual(shapes.map(({ options: { rate, burst } }) => [rate * 8, burst < 20_000]).sort(), [
        [10_000_000, true],
        [2 << 20, true],
      ]);
      await world.deletePod({ id });
      await nothingLeft();
    },
  );

  test(
    `CRI1, CRI4: pods of the host's network run without an agent, and nobody is asked for them (${name})`,
    needed,
    async () => {
      await using world = await World.make(release, { attach });
      const { node, containerd } = world;
      const config = containerd.podConfig('host', { hostNetwork: true });
      const id = await containerd.cri.runPod(config);
      const container = await containerd.runContainer(id, config, 'sleep', '1000');
      assert.match(await containerd.cri.exec(container, 'ip', 'address'), / 192\.0\.2\.1\/24 /);
      await node.startReady();
      assert.equal(node.status().attachments, 0);
      await world.deletePod({ id });
    },
  );

  test(`CRI6: a sandbox that was killed is made anew, before and after the old one is deleted (${name})`, needed, async () => {
    await using world = await World.ready(release, { attach });
    const { node, containerd } = world;
    const { cri } = containerd;
    // containerd 2 lets the shim of a sandbox that was killed live on.
    const nothingLeft = leftovers(node, release === '2' ? /^process containerd-shim$/ : undefined);
    const seen = new Set<string>();
    let old = await world.addPod('a');
    for (const deleteFirst of [false, true]) {
      process.kill((await cri.podStatus(old.id)).pid, 'SIGKILL');
      await eventually(async () => assert.equal((await cri.podStatus(old.id)).ready, false));
      if (deleteFirst) await world.deletePod(old);
      const anew = await world.addPod('a');
      for (const address of old.ips) seen.add(address);
      assert.ok(
        anew.ips.every((address) => !seen.has(address)),
        `${anew.ips.join(' and ')} had another owner a moment ago`,
      );
      if (!deleteFirst) await world.deletePod(old);
      for (const ip of anew.ips) assert.equal(await ask(node.peer.path, ip), 'a');
      old = anew;
    }
    assert.equal(node.status().attachments, 1);
    await world.deletePod(old);
    await nothingLeft();
  });
}
