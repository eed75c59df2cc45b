import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { NetNs } from '../../kernel/netns.ts';
import type { KubeObject } from '../../kube/api.ts';
import { needsRoot } from '../../testing/root.ts';
import { killStorm, type Resident, type Residents } from '../testkit/kill-storm.ts';
import { ProcessNode } from '../testkit/process-node.ts';
import { Echo, Traffic } from '../testkit/traffic.ts';

const port = 8080;

/** A Service with its slice, as the API has them at a start. */
const service = (name: string, clusterIP: string, endpoint: string): KubeObject[] => [
  {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'default', name } },
    spec: { type: 'ClusterIP', clusterIP, clusterIPs: [clusterIP], ipFamilies: ['IPv4'], ports: [{ protocol: 'TCP', port: 80, targetPort: port }] },
  } as KubeObject,
  {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: { namespace: 'default', name: `${name}-x`, labels: { 'kubernetes.io/service-name': name } },
    ports: [{ protocol: 'TCP', port }],
    endpoints: [{ addresses: [endpoint], conditions: { ready: true, serving: true } }],
  } as KubeObject,
];

/** Connections between two pods that live through the storm, one of them by a Service. */
class Flows implements Residents, Disposable {
  /** The first address that is given. */
  server = '10.1.0.2';
  readonly #namespaces: NetNs[] = [];
  #echo: Echo | undefined;
  #traffic: Traffic | undefined;

  async begin([server, client]: readonly Resident[]): Promise<void> {
    assert.equal(server!.addresses[0], this.server);
    const [there, here] = [server!, client!].map(({ netns }) => NetNs.open(netns)) as [NetNs, NetNs];
    this.#namespaces.push(there, here);
    this.#echo = await Echo.start(there, port);
    this.#traffic = new Traffic(here);
    for (const address of server!.addresses) await this.#traffic.tcpFlow(`TCP to ${address}`, address, port);
    await this.#traffic.tcpFlow('TCP through a Service', '10.96.0.80', 80);
    this.#traffic.tcpConnections('new connections through a Service', '10.96.0.80', 80);
  }

  async end(): Promise<string[]> {
    return this.#traffic!.end();
  }

  [Symbol.dispose](): void {
    this.#traffic?.[Symbol.dispose]();
    this.#echo?.[Symbol.dispose]();
    for (const ns of this.#namespaces) ns[Symbol.dispose]();
  }
}

for (const attach of ['routed', 'bridge'] as const)
  test(
    `F1, F21, CNI5, CNI7, P1, P7: kill -9 of the agent amid ADD, DEL and changes of Services leaks nothing, gives no address twice, and takes nothing from connections (${attach})`,
    needsRoot,
    async () => {
      const directory = mkdtempSync(`${tmpdir()}/podnet-test-storm-`);
      try {
        await using node = new ProcessNode(`${directory}/s`, { attach, podCidrs: ['10.1.0.0/24', 'fd01::/64'] });
        using flows = new Flows();
        const onStart = (life: number): void => {
          // Some stay, one comes and one goes with each life.
          node.objects = [service('web', '10.96.0.80', flows.server), ...[life, life + 1, life + 2].map((i) => service(`s${i}`, `10.96.1.${i}`, flows.server))].flat();
        };
        const { problems, adds } = await killStorm(node, { kills: 8, residents: flows, onStart });
        assert.deepEqual(problems, []);
        assert.ok(adds > 0);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  );
