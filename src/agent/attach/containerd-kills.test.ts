import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isPodLink } from '../../links/pod-link.ts';
import { ip, run } from '../../testing/judge.ts';
import { callCni } from '../testkit/cni.ts';
import { eventually } from '../testkit/node.ts';
import { ProcessNode } from '../testkit/process-node.ts';
import { Containerd } from '../testkit/runtimes/containerd.ts';
import { ownMachine } from '../testkit/runtimes/own-machine.ts';
import { needsContainerd, runtimeProgram } from '../testkit/runtimes/packages.ts';

ownMachine(needsContainerd('1.6').skip);

/** Tries as long as kubelet does, which is for ever. */
async function asKubelet<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt === 300) throw error;
      await sleep(100);
    }
  }
}

for (const [release, attach] of [
  ['1.6', 'routed'],
  ['2', 'bridge'],
] as const)
  test(
    `F21, CRI2, CNI10: kill -9 of the agent and of containerd amid pods that come and go leaks nothing and gives no address twice (containerd ${release}, ${attach})`,
    needsContainerd(release),
    async () => {
      const directory = mkdtempSync('/tmp/podnet-test-kills-');
      try {
        await using node = new ProcessNode(`${directory}/n`, { attach, podCidrs: ['10.1.0.0/24', 'fd01::/64'] });
        await node.start();
        await node.ready();
        const netns = `${node.directory}/node`;
        await using containerd = await Containerd.start({ directory: `${directory}/c`, netns, cni: node.config.cni, release });
        await eventually(async () => assert.equal(await containerd.cri.networkProblem(), undefined));
        const links = (): string[] =>
          ip(netns, 'link').flatMap(({ ifname }) => (isPodLink(String(ifname)) ? [String(ifname)] : []));
        const leases = (): string[] => readdirSync(node.config.stateDir).filter((name) => name.endsWith('.json'));
        const remove = async (id: string): Promise<void> => {
          await asKubelet(() => containerd.cri.stopPod(id));
          await asKubelet(() => containerd.cri.removePod(id));
        };

        const live = new Set<string>();
        let changes = 0;
        const kubelet = async (worker: number): Promise<void> => {
          for (let i = 0; i < 8; i++) {
            // Each attempt of kubelet's is another sandbox.
            const id = await asKubelet(() => containerd.cri.runPod(containerd.podConfig(`p${worker}-${i}`)));
            live.add(id);
            changes++;
            if (i % 2 === 0) continue;
            live.delete(id);
            await remove(id);
            changes++;
          }
        };
        const storm = Promise.all([0, 1, 2, 3].map(kubelet));
        storm.catch(() => {}); // told below
        for (const withRuntime of [false, true, false, true]) {
          const before = changes;
          await eventually(() => assert.ok(changes > before + 2, 'nothing goes on'), 60_000);
          await Promise.all([node.kill(), ...(withRuntime ? [containerd.kill()] : [])]);
          await sleep(100);
          await Promise.all([node.start(), ...(withRuntime ? [containerd.launch()] : [])]);
        }
        await storm;
        await node.ready();

        // kubelet deletes what it does not know; what the runtime does not know either is left to GC.
        const { cri } = containerd;
        await Promise.all((await cri.pods()).filter((id) => !live.has(id)).map(remove));
        const valid = [...live].map((containerID) => ({ containerID, ifname: 'eth0' }));
        const gc = { command: 'GC', config: { 'cni.dev/valid-attachments': valid } };
        assert.deepEqual(await callCni(node.executable, gc), { code: 0, json: {} });
        assert.equal(live.size, 16);
        const ips = (await Promise.all([...live].map((id) => cri.podStatus(id)))).flatMap((pod) => pod.ips);
        assert.equal(new Set(ips).size, 32);
        for (const address of ips) run(netns, runtimeProgram('busybox'), 'ping', '-c', '1', '-W', '5', address);
        await eventually(() => assert.deepEqual([links().length, leases().length], [16, 16]));

        await Promise.all([...live].map(remove));
        await eventually(() => assert.deepEqual([links(), leases()], [[], []]));
        const { attachments, problems } = await node.ready();
        assert.deepEqual({ attachments, problems }, { attachments: 0, problems: [] });
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  );
