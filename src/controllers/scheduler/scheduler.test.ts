import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseQuantity } from '../../kube/quantity.ts';
import { Events, Nodes, Pods } from '../../kube/resources.ts';
import type { Node, Pod, PodAffinityTerm } from '../../kube/types.ts';
import { eventually, TestCluster } from '../harness.ts';
import { place } from './controller.ts';
import type { Cluster } from './filters.ts';
import { addPod, newNodeInfo } from './node-info.ts';

type NodeChange = (node: Node) => void;
type PodChange = (pod: Pod) => void;

const node = (name: string, change: NodeChange = () => {}): Node => {
  const made: Node = {
    metadata: { name, labels: { 'kubernetes.io/hostname': name, zone: name < 'c' ? 'z1' : 'z2' } },
    spec: {},
    status: { allocatable: { cpu: '2', memory: '4Gi', pods: '10' } },
  };
  change(made);
  return made;
};

let serial = 0;
const pod = (change: PodChange = () => {}): Pod => {
  const made: Pod = {
    metadata: { name: `p${serial++}`, namespace: 'default', labels: {} },
    spec: { containers: [{ name: 'c' }] },
  };
  change(made);
  return made;
};

/** Nodes a, b, c with the pods that stand on them. */
function cluster(changes: Record<string, NodeChange> = {}, standing: Record<string, Pod[]> = {}): Cluster {
  const nodes = ['a', 'b', 'c'].map((name) => {
    const info = newNodeInfo(node(name, changes[name]));
    for (const one of standing[name] ?? []) addPod(info, { ...one, spec: { ...one.spec!, nodeName: name } });
    return info;
  });
  const hasAntiAffinity = nodes.some(({ pods }) => [...pods.values()].some(({ spec }) => spec?.affinity?.podAntiAffinity));
  return { nodes, namespaceLabels: (name) => ({ 'kubernetes.io/metadata.name': name }), hasAntiAffinity };
}

const labelled = (labels: Record<string, string>, change: PodChange = () => {}): Pod =>
  pod((p) => {
    p.metadata.labels = labels;
    change(p);
  });
const asking = (cpu: string): Pod => pod((p) => (p.spec!.containers[0]!.resources = { requests: { cpu } }));
const hostPort = (port: number, hostIP?: string): Pod =>
  pod((p) => (p.spec!.containers[0]!.ports = [{ containerPort: 80, hostPort: port, ...(hostIP ? { hostIP } : {}) }]));
const udpHostPort = (port: number): Pod =>
  pod((p) => (p.spec!.containers[0]!.ports = [{ containerPort: 80, hostPort: port, protocol: 'UDP' }]));
const term = (app: string, topologyKey = 'kubernetes.io/hostname'): PodAffinityTerm => ({
  labelSelector: { matchLabels: { app } },
  topologyKey,
});
const apart =
  (app: string, key?: string): PodChange =>
  (p) =>
    (p.spec!.affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app, key)] } });
const near =
  (app: string, key?: string): PodChange =>
  (p) =>
    (p.spec!.affinity = { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app, key)] } });
const taint =
  (effect: string): NodeChange =>
  (n) =>
    (n.spec!.taints = [{ key: 'k', value: 'v', effect }]);
const all = (change: NodeChange): Record<string, NodeChange> => ({ a: change, b: change, c: change });
const spread: PodChange = (p) => {
  p.metadata.labels = { app: 'x' };
  p.spec!.topologySpreadConstraints = [
    { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: 'x' } } },
  ];
};

const cases: [what: string, pod: Pod, cluster: Cluster, expected: string][] = [
  ['an empty cluster takes it on the first', pod(), cluster(), 'a'],
  ['the fewest pods win', pod(), cluster({}, { a: [pod()], b: [pod()] }), 'c'],
  ['no nodes', pod(), { ...cluster(), nodes: [] }, 'no nodes available to schedule pods'],
  ['nodeSelector', pod((p) => (p.spec!.nodeSelector = { zone: 'z2' })), cluster(), 'c'],
  [
    'nodeSelector that fits nowhere',
    pod((p) => (p.spec!.nodeSelector = { disk: 'ssd' })),
    cluster(),
    "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
  ],
  [
    'required node affinity by expression and field',
    pod((p) => {
      const nodeSelectorTerms = [
        {
          matchExpressions: [{ key: 'zone', operator: 'In', values: ['z1'] }],
          matchFields: [{ key: 'metadata.name', operator: 'NotIn', values: ['a'] }],
        },
      ];
      p.spec!.affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
    }),
    cluster(),
    'b',
  ],
  [
    'preferred node affinity beats fewest pods',
    pod((p) => {
      const preference = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['b'] }] };
      p.spec!.affinity = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 5, preference }] } };
    }),
    cluster({}, { b: [pod()] }),
    'b',
  ],
  ['a taint keeps it off', pod(), cluster({ a: taint('NoSchedule'), b: taint('NoExecute') }), 'c'],
  [
    'a taint that is tolerated',
    pod((p) => (p.spec!.tolerations = [{ key: 'k', operator: 'Exists' }])),
    cluster(all(taint('NoSchedule'))),
    'a',
  ],
  [
    'taints everywhere',
    pod((p) => (p.spec!.tolerations = [{ key: 'k', value: 'w' }])),
    cluster(all(taint('NoSchedule'))),
    '0/3 nodes are available: 3 node(s) had untolerated taint {k: v}.',
  ],
  ['a soft taint is avoided', pod(), cluster({ a: taint('PreferNoSchedule') }), 'b'],
  [
    'cordoned nodes beside full ones',
    asking('3'),
    cluster({ a: (n) => (n.spec!.unschedulable = true) }),
    '0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.',
  ],
  ['requests are summed up', asking('1500m'), cluster({}, { a: [asking('1')], b: [asking('600m')] }), 'c'],
  ['exactly what is left fits', asking('0.7'), cluster({}, { a: [asking('1300m')], b: [asking('2')], c: [asking('2')] }), 'a'],
  [
    'an init container that wants more counts',
    pod((p) => (p.spec!.initContainers = [{ name: 'i', resources: { requests: { memory: '5Gi' } } }])),
    cluster(),
    '0/3 nodes are available: 3 Insufficient memory.',
  ],
  ['pod count', pod(), cluster(all((n) => (n.status!.allocatable!.pods = '0'))), '0/3 nodes are available: 3 Too many pods.'],
  ['a taken host port', hostPort(80), cluster({}, { a: [hostPort(80)], b: [hostPort(80, '1.2.3.4')] }), 'c'],
  [
    "a sidecar's host port",
    pod((p) => (p.spec!.initContainers = [{ name: 's', restartPolicy: 'Always', ports: [{ containerPort: 1, hostPort: 80 }] }])),
    cluster({}, { a: [hostPort(80)], b: [hostPort(81)], c: [pod()] }),
    'b',
  ],
  [
    'the same host port of another protocol',
    udpHostPort(80),
    cluster({}, { a: [udpHostPort(80)], b: [hostPort(80)], c: [udpHostPort(80)] }),
    'b',
  ],
  [
    'the same host port on another address',
    hostPort(80, '1.1.1.1'),
    cluster({}, { a: [hostPort(80, '2.2.2.2')], b: [hostPort(80)], c: [hostPort(80)] }),
    'a',
  ],
  [
    'host ports taken everywhere',
    hostPort(80),
    cluster({}, { a: [hostPort(80)], b: [hostPort(80)], c: [hostPort(80)] }),
    "0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports.",
  ],
  [
    'anti-affinity',
    labelled({ app: 'x' }, apart('x')),
    cluster({}, { a: [labelled({ app: 'x' })], b: [labelled({ app: 'x' })] }),
    'c',
  ],
  [
    'anti-affinity by zone',
    labelled({ app: 'x' }, apart('x', 'zone')),
    cluster({}, { a: [labelled({ app: 'x' })], c: [pod(), pod()] }),
    'c',
  ],
  [
    'anti-affinity of those who are there counts as well',
    labelled({ app: 'x' }),
    cluster({}, { a: [pod(apart('x', 'zone'))], c: [pod(apart('x'))] }),
    "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules.",
  ],
  ['affinity', pod(near('db', 'zone')), cluster({}, { c: [labelled({ app: 'db' }), pod(), pod()] }), 'c'],
  ['the first of its own kind finds a place', labelled({ app: 'x' }, near('x')), cluster(), 'a'],
  ['affinity to nobody', pod(near('db')), cluster(), "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."],
  ['spread over zones', pod(spread), cluster({}, { a: [labelled({ app: 'x' })], c: [pod(), pod(), pod()] }), 'c'],
  [
    'spread where a label is missing',
    pod(spread),
    cluster(all((n) => delete n.metadata.labels!.zone)),
    "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label).",
  ],
];

describe('scheduler', () => {
  test('places pods as kube-scheduler, and says why not in its words', () => {
    for (const [what, one, where, expected] of cases) {
      const found = place(one, where);
      assert.equal('node' in found ? found.node.node.metadata.name : found.message, expected, what);
    }
  });

  test('quantities are read in every notation', () => {
    const read: [string, number][] = [
      ['100m', 0.1],
      ['2', 2],
      ['1.5Gi', 1.5 * 2 ** 30],
      ['1e3', 1000],
      ['5E', 5e18],
      ['12k', 12000],
      ['.5', 0.5],
    ];
    for (const [text, expected] of read) assert.equal(parseQuantity(text), expected, text);
    for (const text of ['', 'x', '1 Gi', '1.2.3']) assert.throws(() => parseQuantity(text), SyntaxError);
  });

  test('a pod that fits nowhere is told why, and is placed when a node comes', async () => {
    await using c = await new TestCluster().start();
    await c.addNode('small', (n) => (n.status!.allocatable = { cpu: '1', memory: '1Gi', pods: '10' }));
    await c.api.create(Pods, { ...asking('2'), metadata: { name: 'big', namespace: 'default' } });
    await eventually(async () => {
      const { status } = await c.api.get(Pods, 'big', 'default');
      const condition = status?.conditions?.find(({ type }) => type === 'PodScheduled');
      assert.deepEqual(
        [condition?.status, condition?.reason, condition?.message],
        ['False', 'Unschedulable', '0/1 nodes are available: 1 Insufficient cpu.'],
      );
      const event = c.api.dump(Events).find(({ reason }) => reason === 'FailedScheduling');
      assert.equal(event?.message, '0/1 nodes are available: 1 Insufficient cpu.');
      assert.equal(event?.source?.component, 'default-scheduler');
    });
    await c.addNode('large');
    await eventually(async () => assert.equal((await c.api.get(Pods, 'big', 'default')).spec?.nodeName, 'large'));
    await eventually(() =>
      assert.ok(c.api.dump(Events).some(({ message }) => message === 'Successfully assigned default/big to large')),
    );
  });

  test('room that a deleted pod leaves is used', async () => {
    await using c = await new TestCluster().start();
    await c.addNode('only', (n) => (n.status!.allocatable!.cpu = '1'));
    await c.api.create(Pods, { ...asking('1'), metadata: { name: 'first', namespace: 'default' } });
    await eventually(async () => assert.equal((await c.api.get(Pods, 'first', 'default')).spec?.nodeName, 'only'));
    await c.api.create(Pods, { ...asking('1'), metadata: { name: 'second', namespace: 'default' } });
    await eventually(() => assert.ok(c.api.dump(Events).some(({ reason }) => reason === 'FailedScheduling')));
    await c.api.delete(Pods, 'first', 'default');
    await eventually(async () => assert.equal((await c.api.get(Pods, 'second', 'default')).spec?.nodeName, 'only'));
  });

  test('a cordoned node gets nothing until it is uncordoned; pods of other schedulers are left alone', async () => {
    await using c = await new TestCluster().start();
    await c.addNode('only', (n) => (n.spec = { unschedulable: true }));
    await c.api.create(Pods, { ...pod(), metadata: { name: 'p', namespace: 'default' } });
    await c.api.create(Pods, {
      ...pod((p) => (p.spec!.schedulerName = 'mine')),
      metadata: { name: 'other', namespace: 'default' },
    });
    await eventually(() => assert.ok(c.api.dump(Events).some(({ reason }) => reason === 'FailedScheduling')));
    await c.api.patch(Nodes, 'only', undefined, { spec: { unschedulable: null } }, 'merge');
    await eventually(async () => assert.equal((await c.api.get(Pods, 'p', 'default')).spec?.nodeName, 'only'));
    assert.equal((await c.api.get(Pods, 'other', 'default')).spec?.nodeName, undefined);
  });
});
