import assert from 'node:assert/strict';
import { Deployments, Services } from '../../kube/resources.ts';
import { eventually, type Place, TestLab } from '../conformance/harness.ts';
import type { LabNames } from '../names.ts';

const replicas = 4;
const atOnce = 12;

/** What rolling updates did to connections. */
export interface Rolled {
  connections: number;
  failures: string[];
  /** How many pods answered, and how often all of them were replaced. */
  pods: number;
  rollouts: number;
}

/**
 * Makes new connections all the time, from a pod by ClusterIP and from outside by the load balancer's addresses, in both families, while a Deployment's pods are
 * replaced again and again (SD24, SD5). In a lab of its own, which is gone afterwards.
 * @param onProgress called after each rollout
 */
export async function rollUnderConnections(names: LabNames, connections: number, onProgress: (so: Rolled) => void = () => {}): Promise<Rolled> {
  await using lab = await TestLab.up(names.lab);
  const labels = { app: 'web' };
  const container = { name: 'main', image: 'agnhost', ports: [{ name: 'http', containerPort: 8080 }] };
  await lab.api.create(Deployments, {
    metadata: { name: 'web', namespace: 'default' },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { name: '', labels }, spec: { containers: [container] } } },
  });
  await lab.service('web', { type: 'LoadBalancer', selector: labels, ports: [{ name: 'http', port: 80, targetPort: 'http' }] });
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
      assert.deepEqual([status?.updatedReplicas, status?.availableReplicas, status?.replicas], [replicas, replicas, replicas]);
    });
  await rolledOut();
  for (const [from, address] of ways) await eventually(() => lab.http(from, address, 80));

  const failures: string[] = [];
  const answered = new Set<string>();
  let started = 0;
  let rollouts = 0;
  const so = (): Rolled => ({ connections: Math.min(started, connections), failures, pods: answered.size, rollouts });
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
    onProgress(so());
  }
  await all;
  return so();
}
