import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { installConfList, installExecutable, removePlugin } from '../../cni/installation.ts';
import { run } from '../../testing/judge.ts';
import { eventually } from '../testkit/node.ts';
import { leftovers } from '../testkit/runtimes/leftovers.ts';
import { ownMachine } from '../testkit/runtimes/own-machine.ts';
import { needsContainerd, runtimeProgram } from '../testkit/runtimes/packages.ts';
import { loseRuntime, reboot } from '../testkit/runtimes/reboot.ts';
import { ask, World } from '../testkit/runtimes/world.ts';

ownMachine(needsContainerd('1.6').skip);

/** The oldest release and the newest. */
const variants = [
  ['1.6', 'routed'],
  ['2', 'bridge'],
] as const;

/** What libcni keeps of answers, for a runtime that may have lost the sandbox. */
const libcnisResults = /^file \/var\/lib\/cni\/results\//;

for (const [release, attach] of variants) {
  const name = `containerd ${release}, ${attach}`;
  const needed = needsContainerd(release);
  test(
    `CRI9: pods keep their addresses and answer while the agent restarts, and while containerd does (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
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
    },
  );

  test(
    `CRI2: while the agent is down pods fail and say why; what was asked is done when it is back (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
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
    },
  );

  test(
    `CRI2, CNI15: of pods that come while the agent restarts each gets an address or a reason, and kubelet's next attempt gets one (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const { cri } = containerd;
      const nothingLeft = leftovers(node, libcnisResults);
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
      for (const refusal of refusals)
        assert.match(refusal, /podnet's agent (is not running on this node|gave no answer|is being stopped)/);
      const ips = (await Promise.all(ids.map((id) => cri.podStatus(id)))).flatMap((status) => status.ips);
      assert.equal(new Set(ips).size, 60);
      for (const ip of ips) run(node.ns.path, runtimeProgram('busybox'), 'ping', '-c', '1', '-W', '5', ip);
      // Those that failed are there as sandboxes that are not ready: kubelet deletes them too.
      await Promise.all((await cri.pods()).map((id) => world.deletePod({ id })));
      // A sandbox whose teardown fails while there is no agent is sometimes dropped by the runtime (seen with containerd 2): what it held is GC's then.
      assert.deepEqual(await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': [] } }), { code: 0, json: {} });
      await nothingLeft();
    },
  );

  test(
    `CRI6, CRI7: after a reboot every pod gets a new sandbox with addresses of its own, whenever the old one is deleted, and nothing is left (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const nothingLeft = leftovers(node);
      const old = [await world.addPod('a'), await world.addPod('b'), await world.addPod('c')] as const;
      await node.stop();
      await containerd.kill();
      await reboot(node, containerd.folders.state);
      assert.equal(
        readdirSync(node.config.stateDir).filter((file) => file.endsWith('.json')).length,
        3,
        'the leases are on disk',
      );

      await Promise.all([node.startReady(), containerd.launch()]);
      const { cri } = containerd;
      for (const { id } of old) await eventually(async () => assert.equal((await cri.podStatus(id)).ready, false));
      const a = await world.addPod('a');
      await world.deletePod(old[0]);
      await world.deletePod(old[1]);
      const [b, c] = [await world.addPod('b'), await world.addPod('c')];
      assert.equal(new Set([a, b, c].flatMap(({ ips }) => ips)).size, 6);
      for (const late of [false, true]) {
        for (const pod of [a, b, c]) for (const ip of pod.ips) assert.equal(await ask(node.peer.path, ip), pod.config.name);
        assert.deepEqual([node.status().attachments, ...node.status().leases.map(({ used }) => used)], [3, 3, 3]);
        if (!late) await world.deletePod(old[2]);
      }
      for (const pod of [a, b, c]) await world.deletePod(pod);
      await nothingLeft();
    },
  );

  test(
    `CNI10, CRI2: a runtime that has lost all that it knew leaves leases without links, told in the status, which GC by its sandboxes takes (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const nothingLeft = leftovers(node, libcnisResults);
      await world.addPod('a');
      await world.addPod('b');
      await containerd.kill();
      await loseRuntime(node, '/var/lib/cni', ...Object.values(containerd.folders));
      await containerd.launch();
      await containerd.importImage();
      const c = await world.addPod('c');
      await eventually(() =>
        assert.deepEqual(node.status().problems.filter((line) => /but its link is gone/.test(line)).length, 2),
      );
      assert.deepEqual(
        node.status().leases.map(({ used }) => used),
        [3, 3],
      );
      const valid = (await containerd.cri.pods()).map((containerID) => ({ containerID, ifname: 'eth0' }));
      assert.deepEqual(await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': valid } }), { code: 0, json: {} });
      assert.deepEqual(
        node.status().leases.map(({ used }) => used),
        [1, 1],
      );
      for (const ip of c.ips) assert.equal(await ask(node.peer.path, ip), 'c');
      await world.deletePod(c);
      await nothingLeft();
    },
  );

  test(
    `CNI14, CRI2: without the executable, or without the configuration, containerd cannot end pods: what 'cni remove' refuses for; with both back it can (${name})`,
    needed,
    async () => {
      await using world = await World.ready(release, { attach });
      const { node, containerd } = world;
      const { binDir, confDir, socketPath, network } = node.config.cni;
      const nothingLeft = leftovers(node);
      const [a, b] = [await world.addPod('a'), await world.addPod('b')];
      // Or it would put back what is taken away.
      await node.stop();
      assert.deepEqual(
        removePlugin({ binDir, confDir }).map(({ outcome }) => outcome),
        ['removed', 'removed', 'removed'],
      );
      await eventually(async () =>
        assert.match((await containerd.cri.networkProblem()) ?? '', /not initialized|no network config/),
      );
      await assert.rejects(containerd.cri.stopPod(a.id), /not initialized/);
      installConfList(confDir, network);
      await eventually(() => assert.rejects(containerd.cri.stopPod(a.id), /failed to find plugin "loopback"/));
      installExecutable(binDir, socketPath);
      await node.startReady();
      for (const pod of [a, b]) await world.deletePod(pod);
      await nothingLeft();
    },
  );
}
