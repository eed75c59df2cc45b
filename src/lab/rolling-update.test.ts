import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deployments, Services } from '../kube/resources.ts';
import { needsRoot } from '../testing/root.ts';
import { eventually, type Place, TestLab } from './conformance/harness.ts';
import { leftSince, ownLab, stateOf } from './testkit/podnet.ts';

const replicas = 4;
const connections = 5000;
const atOnce = 12;

test(
  'SD24, SD5: rolling updates under new connections all the time lose none of 5,000, from pods and from outside, in both families',
  needsRoot,
  async (t) => {
    const names = ownLab('roll');
    const before = stateOf(names);
    {
      await using lab = await TestLab.up(names.lab);
      const labels = { app: 'web' };
      const container = { name: 'main', image: 'agnhost', ports: [{ name: 'http', containerPort: 8080 }] };
      await lab.api.create(Deployments, {
        metadata: { name: 'web', namespace: 'default' },
        spec: {
          replicas,
          selector: { matchLabels: labels },
          template: { metadata: { name: '', labels }, spec: { containers: [container] } },
        },
      });
      await lab.service('web', {
        type: 'LoadBalancer',
        selector: labels,
        ports: [{ name: 'http', port: 80, targetPort: 'http' }],
      });
      const client = await lab.pod('client', { node: 'node-1' });
      const outside: Place = { name: 'outside', netns: names.outside, ips: [] };
      const ways = await eventually(async () => {
        const { spec, status } = await lab.api.get(Services, 'web', 'default');
        const ingress = (status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip!);
        assert.equal(ingress.length, 2);
        return [...spec!.clusterIPs!.map((ip) => [client, ip] as const), ...ingress.map((ip) => [outside, ip] as const)];
      });
      const rolledOut = (): Promise<void> =>
        eventually(async () => {
          const { metadata, status } = await lab.api.get(Deployments, 'web', 'default');
          assert.equal(status?.observedGeneration, metadata.generation);
          assert.deepEqual(
            [status?.updatedReplicas, status?.availableReplicas, status?.replicas],
            [replicas, replicas, replicas],
          );
        });
      await rolledOut();
      for (const [from, address] of ways) await eventually(() => lab.http(from, address, 80));

      const failures: string[] = [];
      const answered = new Set<string>();
      let started = 0;
      let rollouts = 0;
      const connect = async (): Promise<void> => {
        while (started < connections) {
          const [from, address] = ways[started++ % ways.length]!;
          try {
            answered.add(await lab.http(from, address, 80));
          } catch (error) {
            failures.push(`${from.name} to ${address}: ${error as Error}`);
          }
        }
      };
      const all = Promise.all(Array.from({ length: atOnce }, connect));
      // One after the other for as long as there are connections.
      while (started < connections) {
        const annotations = { 'kubectl.kubernetes.io/restartedAt': `${rollouts++}` };
        await lab.api.patch(Deployments, 'web', 'default', { spec: { template: { metadata: { annotations } } } }, 'merge');
        await rolledOut();
      }
      await all;
      t.diagnostic(`${started} connections to ${answered.size} pods during ${rollouts} rollouts, ${failures.length} failed`);
      assert.deepEqual(failures.slice(0, 10), [], `${failures.length} of ${started} connections failed`);
      assert.ok(rollouts >= 2 && answered.size > replicas * 2, `${answered.size} pods in ${rollouts} rollouts`);
    }
    assert.deepEqual(await leftSince(before, names), []);
  },
);
