import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetNs } from '../kernel/netns.ts';
import { run } from '../testing/judge.ts';
import { eventually, TestNode } from './testkit/node.ts';
import { Containerd } from './testkit/runtimes/containerd.ts';
import type { PodConfig } from './testkit/runtimes/cri.ts';
import { leftovers } from './testkit/runtimes/leftovers.ts';
import { ownMachine } from './testkit/runtimes/own-machine.ts';
import { needsRuntime, runtimeProgram } from './testkit/runtimes/packages.ts';

const needed = needsRuntime('containerd', 'runc', 'busybox');
ownMachine(needed.skip);

interface Pod {
  config: PodConfig;
  id: string;
  container: string;
  ips: string[];
}

/** A node whose runtime is containerd; its agent is not started. */
class World implements AsyncDisposable {
  readonly node: TestNode;
  readonly containerd: Containerd;

  private constructor(node: TestNode, containerd: Containerd) {
    this.node = node;
    this.containerd = containerd;
  }

  static async make(): Promise<World> {
    const node = await TestNode.make();
    try {
      const options = { directory: `${node.world.directory}/c`, netns: node.ns.path, cni: node.config.cni };
      return new World(node, await Containerd.start(options));
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async ready(): Promise<World> {
    const world = await World.make();
    await world.node.startReady();
    await eventually(async () => assert.equal(await world.containerd.cri.networkProblem(), undefined));
    return world;
  }

  /** A pod that says its name by HTTP on port 8080, over both families. */
  async addPod(name: string): Promise<Pod> {
    const config = this.containerd.podConfig(name);
    const id = await this.containerd.cri.runPod(config);
    const script = `mkdir /www && echo ${name} > /www/index.html && exec httpd -f -p 8080 -h /www`;
    const container = await this.containerd.runContainer(id, config, 'sh', '-c', script);
    return { config, id, container, ips: (await this.containerd.cri.podStatus(id)).ips };
  }

  async deletePod({ id }: { id: string }): Promise<void> {
    await this.containerd.cri.stopPod(id);
    // A container that ends this moment counts as running yet; kubelet tries again too.
    await eventually(() => this.containerd.cri.removePod(id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.containerd[Symbol.asyncDispose]();
    } finally {
      await this.node[Symbol.asyncDispose]();
    }
  }
}

const url = (ip: string): string => `http://${ip.includes(':') ? `[${ip}]` : ip}:8080/`;

/** What a web server answers that is asked from within a network namespace. */
const ask = (netns: string, ip: string): Promise<string> =>
  eventually(() => run(netns, runtimeProgram('busybox'), 'timeout', '5', 'wget', '-O', '-', url(ip)).trim());

test('CRI1, CRI4, CRI5, CRI9, CNI14: containerd runs pods with podnet as its only plugin, from the moment that podnet can serve', needed, async () => {
  await using world = await World.make();
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
    const seen = await cri.exec(pod.container, 'ip', 'address');
    for (const ip of ['127.0.0.1/8', '::1/128', `${pod.ips[0]}/32`, `${pod.ips[1]}/128`]) assert.ok(seen.includes(` ${ip} `), seen);
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
      assert.equal(await cri.exec(pod.container, 'wget', '-O', '-', url(ip)), `${pod.config.name}\n`, 'from its own container');
    }
    assert.notEqual(netns, '');
  }

  await world.deletePod(a);
  assert.equal(await ask(node.ns.path, b.ips[0]!), 'b', 'b goes on');
  await world.deletePod(b);
  assert.equal(node.status().attachments, 0);
  await nothingLeft();
});

test('CRI3, CNI6: a pod is stopped twice, and once when its namespace is gone, and nothing is left', needed, async () => {
  await using world = await World.ready();
  const { node, containerd } = world;
  const nothingLeft = leftovers(node);
  const [a, b] = [await world.addPod('a'), await world.addPod('b')];
  for (let i = 0; i < 3; i++) await containerd.cri.stopPod(a.id);
  await containerd.cri.removePod(a.id);
  await containerd.cri.removePod(a.id);
  const { netns } = await containerd.cri.podStatus(b.id);
  NetNs.remove(netns);
  await world.deletePod(b);
  assert.deepEqual(node.status().leases.map(({ used }) => used), [0, 0]);
  await nothingLeft();
});

test('CNI15, F22: fifty pods at once get addresses of their own, answer, and go at once without a trace', needed, async () => {
  await using world = await World.ready();
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
});

test('CRI1, CRI4: pods of the host\'s network run without an agent, and nobody is asked for them', needed, async () => {
  await using world = await World.make();
  const { node, containerd } = world;
  const config = containerd.podConfig('host', { hostNetwork: true });
  const id = await containerd.cri.runPod(config);
  const container = await containerd.runContainer(id, config, 'sleep', '1000');
  assert.match(await containerd.cri.exec(container, 'ip', 'address'), / 192\.0\.2\.1\/24 /);
  await node.startReady();
  assert.equal(node.status().attachments, 0);
  await world.deletePod({ id });
});

test('CRI6: a sandbox that was killed is made anew, before and after the old one is deleted', needed, async () => {
  await using world = await World.ready();
  const { node, containerd } = world;
  const { cri } = containerd;
  const nothingLeft = leftovers(node);
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

test('CRI9: pods keep their addresses and answer while the agent restarts, and while containerd does', needed, async () => {
  await using world = await World.ready();
  const { node, containerd } = world;
  const nothingLeft = leftovers(node);
  const a = await world.addPod('a');
  await node.stop();
  assert.equal(await ask(node.ns.path, a.ips[0]!), 'a', 'without an agent');
  await node.startReady();
  await containerd.restart();
  assert.deepEqual((await containerd.cri.podStatus(a.id)).ips, a.ips);
  const b = await world.addPod('b');
  for (const pod of [a, b]) for (const ip of pod.ips) assert.equal(await ask(node.peer.path, ip), pod.config.name);
  for (const pod of [a, b]) await world.deletePod(pod);
  await nothingLeft();
});

test('CRI2: while the agent is down pods fail and say why; what was asked is done when it is back', needed, async () => {
  await using world = await World.ready();
  const { node, containerd } = world;
  const { cri } = containerd;
  const nothingLeft = leftovers(node);
  const a = await world.addPod('a');
  await node.stop();
  const why = /failed to setup network for sandbox .*podnet's agent is not running on this node: \S+cni\.sock/;
  await assert.rejects(cri.runPod(containerd.podConfig('b')), why);
  // DEL must fail too: the address of `a` is still leased.
  await assert.rejects(cri.stopPod(a.id), /podnet's agent is not running on this node/);

  await node.startReady();
  const b = await world.addPod('b');
  assert.ok(b.ips.length === 2 && b.ips.every((address) => !a.ips.includes(address)), 'the addresses of a are not free yet');
  // kubelet asks again for every sandbox that there is.
  for (const id of await cri.pods()) await world.deletePod({ id });
  await nothingLeft();
});

test('CRI2, CNI15: of pods that come while the agent restarts each gets an address or a reason, and kubelet\'s next attempt gets one', needed, async () => {
  await using world = await World.ready();
  const { node, containerd } = world;
  const { cri } = containerd;
  const nothingLeft = leftovers(node);
  const refusals: string[] = [];
  let done = 0;
  const asKubelet = async (name: string): Promise<string> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const id = await cri.runPod(containerd.podConfig(name));
        done++;
        return id;
      } catch (error) {
        if (attempt === 100) throw error;
        refusals.push((error as Error).message);
        await sleep(200);
      }
    }
  };
  // A few at a time, so that some come while there is no agent however fast it is.
  const some = async (from: number): Promise<string[]> => {
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) ids.push(await asKubelet(`p${from + i}`));
    return ids;
  };
  const storm = Promise.all([0, 6, 12, 18, 24].map(some));
  await eventually(() => assert.ok(done > 3));
  await node.stop();
  await eventually(() => assert.ok(refusals.length > 0));
  await node.startReady();
  const ids = (await storm).flat();
  for (const refusal of refusals) assert.match(refusal, /podnet's agent (is not running on this node|gave no answer)/);
  const ips = (await Promise.all(ids.map((id) => cri.podStatus(id)))).flatMap((status) => status.ips);
  assert.equal(new Set(ips).size, 60);
  for (const ip of ips) run(node.ns.path, runtimeProgram('busybox'), 'ping', '-c', '1', '-W', '5', ip);
  // Those that failed are there as sandboxes that are not ready: kubelet deletes them too.
  await Promise.all((await cri.pods()).map((id) => world.deletePod({ id })));
  await nothingLeft();
});
