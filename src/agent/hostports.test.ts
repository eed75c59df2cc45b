import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { askTcp, askUdp, Mirror } from './testkit/mirror.ts';
import { TestNode } from './testkit/node.ts';

const own = ['192.0.2.1', '2001:db8::1'];
const both = (hostPort: number, containerPort: number, hostIP?: string) =>
  ['tcp', 'udp'].map((protocol) => ({ hostPort, containerPort, protocol, ...(hostIP ? { hostIP } : {}) }));
/** As kubelet's runtimes call for a pod `default/NAME`. */
const asking = (name: string, portMappings: readonly unknown[]) => ({
  config: { runtimeConfig: { portMappings } },
  env: { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}` },
});

for (const attach of ['routed', 'bridge'] as const)
  test(
    `CRI10 (${attach}): a host port leads to its pod from everywhere, who asks is seen as who they are, before and after a restart of the agent`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const web = await node.addPod('web', asking('web', both(8080, 80)));
      const other = await node.addPod('other');
      using _mirror = await Mirror.start(web.ns.ns, 80, 'web');
      const everywhere = async (when: string): Promise<void> => {
        for (const [family, address] of own.entries()) {
          const peer = ['192.0.2.2', '2001:db8::2'][family]!;
          for (const [who, ns, seen] of [
            ['another node', node.peer, peer],
            ['the node', node.ns, address],
            ['another pod', other.ns, other.addresses[family]!],
            ['the pod itself', web.ns, address],
          ] as const) {
            const what = `${who} at ${address} ${when}`;
            assert.equal(await askTcp(ns.ns, address, 8080), `web ${seen}`, `TCP from ${what}`);
            assert.equal(await askUdp(ns.ns, address, 8080), `web ${seen}`, `UDP from ${what}`);
          }
        }
      };
      await everywhere('at first');
      await node.stop();
      await everywhere('while no agent runs');
      await node.startReady();
      assert.equal(node.status().reconciler.operations, 0, 'all of it was right');
      await everywhere('after a restart');
      assert.equal((await node.cni({ command: 'DEL', containerId: 'web', netns: web.ns.path })).code, 0);
      assert.deepEqual(
        node.ruleset().filter((line) => line.startsWith('element of hostports')),
        [],
      );
      for (const address of own)
        for (const from of [node.peer, node.ns, other.ns])
          await assert.rejects(askTcp(from.ns, address, 8080), /ECONNREFUSED/, address);
    },
  );
