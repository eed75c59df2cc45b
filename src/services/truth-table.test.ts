import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '../kube/types.ts';
import { type Family, families } from '../net/ip.ts';
import { needsRoot } from '../testing/root.ts';
import { refused, unanswered } from './testkit/outcomes.ts';
import { type NodeName, nodeAddress, outsideAddress, podAddress, TwoNodes } from './testkit/two-nodes.ts';

/** The table of semantics 2.5, "Truth table for policies": endpoints on node A only; six clients; what the server sees as its client, or how it fails. */

const clients = ['podA', 'hostA', 'podB', 'hostB', 'ext via A', 'ext via B'] as const;
type Client = (typeof clients)[number];
/** `own`: the client's address is kept; `node`: it is a node's; '-': nobody asks. */
type Outcome = 'own' | 'node' | 'DROP' | 'REJECT' | '-';
type Destination = 'ClusterIP' | 'NodePort@A' | 'NodePort@B' | 'LB VIP' | 'externalIP';

interface Row {
  to: readonly Destination[];
  spec: Service['spec'];
  endpoints: boolean;
  outcomes: readonly [Outcome, Outcome, Outcome, Outcome, Outcome, Outcome];
}

const local = { externalTrafficPolicy: 'Local' };
const everywhere: readonly Destination[] = ['ClusterIP', 'NodePort@A', 'NodePort@B', 'LB VIP', 'externalIP'];
/** What a process of a node sends has a node's address, whether it was translated or not. */
const rows: readonly Row[] = [
  { to: ['ClusterIP'], spec: {}, endpoints: true, outcomes: ['own', 'node', 'own', 'node', 'node', 'node'] },
  {
    ...{ to: ['ClusterIP'], spec: { internalTrafficPolicy: 'Local' }, endpoints: true },
    outcomes: ['own', 'node', 'DROP', 'DROP', 'node', 'DROP'],
  },
  { to: ['NodePort@A'], spec: local, endpoints: true, outcomes: ['own', 'node', 'own', 'node', 'own', '-'] },
  { to: ['NodePort@B'], spec: local, endpoints: true, outcomes: ['DROP', 'DROP', 'own', 'node', '-', 'DROP'] },
  { to: ['LB VIP', 'externalIP'], spec: local, endpoints: true, outcomes: ['own', 'node', 'own', 'node', 'own', 'DROP'] },
  {
    ...{ to: ['NodePort@A', 'LB VIP', 'externalIP'], spec: {}, endpoints: true },
    outcomes: ['node', 'node', 'node', 'node', 'node', 'node'],
  },
  { to: ['NodePort@B'], spec: {}, endpoints: true, outcomes: ['node', 'node', 'node', 'node', 'node', 'node'] },
  {
    ...{ to: everywhere, spec: {}, endpoints: false },
    outcomes: ['REJECT', 'REJECT', 'REJECT', 'REJECT', 'REJECT', 'REJECT'],
  },
  {
    ...{ to: everywhere, spec: { ...local, internalTrafficPolicy: 'Local' }, endpoints: false },
    outcomes: ['REJECT', 'REJECT', 'REJECT', 'REJECT', 'REJECT', 'REJECT'],
  },
];

const vips = { ClusterIP: ['10.96.0.1', 'fd00:96::1'], 'LB VIP': ['198.51.100.10', 'fd00:198::10'], externalIP: ['198.51.100.99', 'fd00:198::99'] };
const portOf = (to: Destination): number => (to.startsWith('NodePort') ? 30_080 : 80);
const addressOf = (to: Destination, family: Family): string =>
  to === 'NodePort@A' || to === 'NodePort@B' ? nodeAddress(to.slice(-1) as NodeName, family) : vips[to][families.indexOf(family)]!;

function own(client: Client, to: Destination, family: Family): string {
  const node = client.slice(-1) as NodeName;
  if (client.startsWith('pod')) return podAddress(node, family);
  if (client.startsWith('host')) return nodeAddress(node, family);
  return outsideAddress(to.startsWith('NodePort') ? (to.slice(-1) as NodeName) : node, family);
}

/** The same as `podnet svc` tells it, on the node whose kernel translates. */
function toldOf(bed: TwoNodes, client: Client, to: Destination, address: string): Outcome {
  // A node port of the other node is that node's business, which sees a client from outside.
  const at = (to.startsWith('NodePort') ? to : client).slice(-1) as NodeName;
  const isHere = !client.startsWith('ext') && at === client.slice(-1);
  const { ports, elements } = bed.nodes[at].explain('service default/web');
  assert.deepEqual([...new Set(elements.map(({ kernel }) => kernel))], ['held']);
  const destination = ports[0]!.destinations.find((one) => one.address === address && one.port === portOf(to))!;
  const { outcome, source } = destination.from[isHere ? (client.startsWith('pod') ? 'pod' : 'node') : 'outside'];
  if (outcome !== 'sent on') return outcome === 'refused' ? 'REJECT' : 'DROP';
  // The own address of a node's process is the node's.
  return source === 'client' && !client.startsWith('host') ? 'own' : 'node';
}

for (const family of families)
  test(`SD3, SD4, SD6, SD7, SD8 (${family}): the truth table of policies, destinations and clients`, needsRoot, async () => {
    await using bed = new TwoNodes();
    await bed.serve(family, 8080);
    const index = families.indexOf(family);
    const service = (spec: Service['spec']): Service => ({
      metadata: { namespace: 'default', name: 'web' },
      spec: {
        ...{ type: 'LoadBalancer', clusterIPs: [vips.ClusterIP[index]!], externalIPs: [vips.externalIP[index]!] },
        ...{ ports: [{ port: 80, nodePort: 30_080 }], ...spec },
      },
      status: { loadBalancer: { ingress: [{ ip: vips['LB VIP'][index]! }] } },
    });
    const wrong: string[] = [];
    for (const { to: destinations, spec, endpoints, outcomes } of rows) {
      bed.each((planner) => {
        planner.setService(service(spec));
        planner.setSlice({
          metadata: { namespace: 'default', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
          addressType: family === 'ipv4' ? 'IPv4' : 'IPv6',
          ports: [{ port: 8080, protocol: 'TCP' }],
          endpoints: endpoints ? [{ addresses: [podAddress('A', family, 9)], nodeName: 'A' }] : [],
        });
      });
      for (const to of destinations)
        for (const [i, client] of clients.entries()) {
          const expected = outcomes[i]!;
          if (expected === '-') continue;
          if (client.startsWith('ext') && !to.startsWith('NodePort')) bed.sendBy(client.slice(-1) as NodeName, [addressOf(to, family)]);
          const found = await outcome(bed, client, to, expected === 'DROP' ? 250 : 3000);
          const told = toldOf(bed, client, to, addressOf(to, family));
          if (told !== expected) wrong.push(`podnet svc tells ${told}, not ${expected}: ${client} to ${to}, ${JSON.stringify(spec)}`);
          if (found !== expected) wrong.push(`${client} to ${to}, ${JSON.stringify(spec)}, endpoints ${endpoints}: ${found}, not ${expected}`);
        }
    }
    assert.deepEqual(wrong, []);

    async function outcome(nodes: TwoNodes, client: Client, to: Destination, timeoutMs: number): Promise<string> {
      try {
        const seen = await nodes.ask(client, addressOf(to, family), portOf(to), timeoutMs);
        const isNode = [nodeAddress('A', family), nodeAddress('B', family)].includes(seen);
        if (isNode) return 'node';
        return seen === own(client, to, family) ? 'own' : seen;
      } catch (error) {
        return refused(error as Error) ? 'REJECT' : unanswered(error as Error) ? 'DROP' : String(error);
      }
    }
  });
