import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetNs } from '../../kernel/netns.ts';
import type { KubeObject } from '../../kube/api.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { callCni } from '../testkit/cni.ts';
import { identity } from '../testkit/policy-node.ts';
import { PolicyProber } from '../testkit/policy-prober.ts';
import { ProcessNode } from '../testkit/process-node.ts';

const policy = (name: string, spec: NetworkPolicySpec): KubeObject =>
  ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'default', name }, spec }) as KubeObject;
const pod = (name: string): KubeObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'default', name, labels: { app: name } } },
    spec: { nodeName: 'me', containers: [] },
  }) as KubeObject;
const names = ['server', 'client', 'shut', 'stranger'] as const;
const objects = [
  ...names.map(pod),
  policy('servers', {
    podSelector: { matchLabels: { app: 'server' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
  }),
  policy('nobody', { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress'] }),
];
/** A change that has nothing to do with the traffic: it is written, and an epoch begins. */
const another = (i: number): KubeObject =>
  policy(`other-${i}`, {
    podSelector: { matchLabels: { app: 'stranger' } },
    ingress: [{ from: [{ ipBlock: { cidr: `203.0.113.${i}/32` } }] }],
  });

for (const attach of ['routed', 'bridge'] as const)
  test(
    `P1, P3, P4: an agent that is killed (kill -9) at any moment of its start leaves allowed flows alive and denied ones denied (${attach})`,
    needsRoot,
    async () => {
      const directory = mkdtempSync(`${tmpdir()}/podnet-test-policy-`);
      using world = new TestWorld('agent');
      try {
        await using node = new ProcessNode(`${directory}/n`, { attach, podCidrs: ['10.1.0.0/24', 'fd01::/64'] });
        node.objects = objects;
        await node.start();
        await node.ready();
        const sides = {} as Record<(typeof names)[number], { ns: NetNs; addresses: string[] }>;
        for (const name of names) {
          const ns = world.namespace(name);
          const { code, json } = await callCni(node.executable, {
            command: 'ADD',
            containerId: name,
            netns: ns.path,
            ...identity('default', name),
          });
          assert.equal(code, 0, JSON.stringify(json));
          sides[name] = {
            ns: ns.ns,
            addresses: (json.ips as { address: string }[]).map(({ address }) => address.split('/')[0]!),
          };
        }
        const { server, client, shut, stranger } = sides;
        using prober = await PolicyProber.start({
          allowed: [{ name: 'client', from: client.ns, to: server }],
          forbidden: [client, stranger].map(({ ns }) => ({ from: ns, to: shut })),
        });
        for (let i = 0; i < 8; i++) {
          await node.kill();
          await sleep(50);
          node.objects = [...objects, another(i)];
          await node.start();
          // From before it has read anything to after it has written all.
          if (i % 2 === 0) await sleep(40 * i);
          else await node.ready();
        }
        await node.ready();
        assert.deepEqual(await prober.end(), { lost: [], through: 0 });
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  );
