import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Services } from '../../kube/resources.ts';
import type { Endpoint, EndpointSlice, Node, Pod, Service } from '../../kube/types.ts';
import { desiredEndpoints, type EndpointGroup } from './desired.ts';
import { sliceController, sliceMeta } from './labels.ts';
import { subsetsOf } from './legacy-controller.ts';
import { mirroredGroups } from './mirror-controller.ts';
import { portsOf } from './ports.ts';
import { reconcileSlices } from './slices.ts';

const service = (spec: Service['spec'] = {}, labels?: Record<string, string>): Service => ({
  metadata: { name: 'web', namespace: 'default', uid: 'svc', ...(labels ? { labels } : {}) },
  spec: {
    selector: { app: 'web' },
    ports: [{ port: 80, targetPort: 'http' }],
    ipFamilies: ['IPv4'],
    clusterIP: '10.96.0.7',
    ...spec,
  },
});

const pod = (n: number, change: (pod: Pod) => void = () => {}): Pod => {
  const made: Pod = {
    metadata: { name: `p${n}`, namespace: 'default', uid: `u${n}`, labels: { app: 'web' } },
    spec: { nodeName: 'n1', containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }] },
    status: {
      phase: 'Running',
      podIPs: [{ ip: `10.244.0.${n}` }, { ip: `fd00::${n}` }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
  change(made);
  return made;
};

const node: Node = { metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'a' } } };
const desired = (svc: Service, pods: Pod[]) => desiredEndpoints(svc, pods, (name) => (name === 'n1' ? node : undefined));

describe('endpoints of a Service', () => {
  const conditions: [what: string, change: (pod: Pod) => void, publish: boolean, expected: Endpoint['conditions'] | undefined][] =
    [
      ['a ready pod', () => {}, false, { ready: true, serving: true, terminating: false }],
      [
        'a pod that is not ready',
        (p) => (p.status!.conditions = []),
        false,
        { ready: false, serving: false, terminating: false },
      ],
      [
        'a terminating pod that still serves',
        (p) => (p.metadata.deletionTimestamp = 'now'),
        false,
        { ready: false, serving: true, terminating: true },
      ],
      [
        'a pod that is not ready, published anyway (SA15)',
        (p) => (p.status!.conditions = []),
        true,
        { ready: true, serving: false, terminating: false },
      ],
      ['a failed pod', (p) => (p.status!.phase = 'Failed'), true, undefined],
      ['a pod without address', (p) => (p.status!.podIPs = []), false, undefined],
      ['a pod whose node is not known (ES4)', (p) => (p.spec!.nodeName = 'gone'), false, undefined],
      [
        'a pod whose node is not known, published anyway',
        (p) => (p.spec!.nodeName = 'gone'),
        true,
        { ready: true, serving: true, terminating: false },
      ],
    ];
  test('ES2, ES4: conditions tell readiness, service and termination', () => {
    for (const [what, change, publishNotReadyAddresses, expected] of conditions) {
      const { groups } = desired(service({ publishNotReadyAddresses }), [pod(1, change)]);
      assert.deepEqual(groups.flatMap(({ endpoints }) => endpoints)[0]?.conditions, expected, what);
    }
    assert.equal(desired(service(), [pod(1, (p) => (p.spec!.nodeName = 'gone'))]).missingNodes, true);
  });

  test('ES1, ES3: one group per family and ports, with node, zone, pod and, for its own subdomain, hostname', () => {
    const named = pod(1, (p) => Object.assign(p.spec!, { hostname: 'h', subdomain: 'web' }));
    const other = pod(2, (p) => (p.spec!.containers[0]!.ports![0]!.containerPort = 9090));
    const { groups } = desired(service({ ipFamilies: ['IPv6', 'IPv4'] }), [named, other]);
    const told = groups.map(({ addressType, ports, endpoints }) => [addressType, ports[0]?.port, endpoints[0]?.addresses[0]]);
    assert.deepEqual(told, [
      ['IPv6', 8080, 'fd00::1'],
      ['IPv4', 8080, '10.244.0.1'],
      ['IPv6', 9090, 'fd00::2'],
      ['IPv4', 9090, '10.244.0.2'],
    ]);
    assert.deepEqual(groups[0]!.endpoints[0], {
      addresses: ['fd00::1'],
      conditions: { ready: true, serving: true, terminating: false },
      hostname: 'h',
      nodeName: 'n1',
      zone: 'a',
      targetRef: { kind: 'Pod', name: 'p1', namespace: 'default', uid: 'u1' },
    });
    assert.equal(groups[2]!.endpoints[0]!.hostname, undefined);
  });

  test('ES5, ES9: a family without endpoints has an empty group; a headless Service without ports has endpoints without ports', () => {
    assert.deepEqual(desired(service({ ipFamilies: ['IPv4', 'IPv6'] }), []).groups, [
      { addressType: 'IPv4', ports: [], endpoints: [] },
      { addressType: 'IPv6', ports: [], endpoints: [] },
    ]);
    const [group] = desired(service({ clusterIP: 'None', ports: [] }), [pod(1)]).groups;
    assert.deepEqual([group!.ports, group!.endpoints.length], [[], 1]);
  });

  test('ES10: traffic distribution becomes hints', () => {
    const hints = (trafficDistribution?: string) =>
      desired(service({ trafficDistribution }), [pod(1)]).groups[0]!.endpoints[0]!.hints;
    assert.equal(hints(), undefined);
    assert.deepEqual(hints('PreferClose'), { forZones: [{ name: 'a' }] });
    assert.deepEqual(hints('PreferSameZone'), { forZones: [{ name: 'a' }] });
    assert.deepEqual(hints('PreferSameNode'), { forZones: [{ name: 'a' }], forNodes: [{ name: 'n1' }] });
  });

  test('SA16: the annotation topology-mode Auto goes before the field', () => {
    const asked = service({ trafficDistribution: 'PreferSameZone' });
    const hints = (mode: string) => {
      asked.metadata.annotations = { 'service.kubernetes.io/topology-mode': mode };
      return desired(asked, [pod(1)]).groups[0]!.endpoints[0]!.hints;
    };
    assert.equal(hints('Auto'), undefined);
    assert.deepEqual(hints('Disabled'), { forZones: [{ name: 'a' }] });
  });

  test('ES10: an endpoint that is not ready, or whose node is in no zone, has no hint', () => {
    const spec = { trafficDistribution: 'PreferSameZone' };
    const hints = (change: (p: Pod) => void) => desired(service(spec), [pod(1, change)]).groups[0]!.endpoints[0]!.hints;
    assert.deepEqual(
      hints(() => {}),
      { forZones: [{ name: 'a' }] },
    );
    assert.equal(
      hints((p) => (p.status!.conditions = [])),
      undefined,
    );
    assert.equal(
      hints((p) => (p.metadata.deletionTimestamp = 'now')),
      undefined,
    );
    const { groups } = desiredEndpoints(service(spec), [pod(1)], (name) => ({ metadata: { name } }));
    assert.equal(groups[0]!.endpoints[0]!.hints, undefined);
  });

  test('SA15, ES2: with publishNotReadyAddresses every pod that is not finished is ready, whatever it says', () => {
    const all = [
      pod(1, (p) => (p.status!.conditions = [])),
      pod(2, (p) => (p.metadata.deletionTimestamp = 'now')),
      pod(3, (p) => (p.status!.phase = 'Succeeded')),
    ];
    const { groups } = desired(service({ publishNotReadyAddresses: true }), all);
    assert.deepEqual(
      groups[0]!.endpoints.map(({ targetRef, conditions }) => [targetRef?.name, conditions]),
      [
        ['p1', { ready: true, serving: false, terminating: false }],
        ['p2', { ready: true, serving: true, terminating: true }],
      ],
    );
  });

  test('SA4: a named target port is found by protocol, in containers and then in sidecars', () => {
    const dns = pod(1, (p) => {
      p.spec!.containers[0]!.ports = [
        { name: 'dns', containerPort: 5353, protocol: 'UDP' },
        { name: 'dns', containerPort: 5354, protocol: 'TCP' },
      ];
      p.spec!.initContainers = [
        { name: 'once', ports: [{ name: 'admin', containerPort: 1 }] },
        { name: 'sidecar', restartPolicy: 'Always', ports: [{ name: 'admin', containerPort: 2 }] },
      ];
    });
    const ports: Service['spec'] = {
      ports: [
        { name: 'u', port: 53, protocol: 'UDP', targetPort: 'dns' },
        { name: 't', port: 53, protocol: 'TCP', targetPort: 'dns' },
        { name: 'admin', port: 80, targetPort: 'admin' },
        { name: 'same', port: 90 },
        { name: 'lacking', port: 91, targetPort: 'nowhere' },
      ],
    };
    assert.deepEqual(
      portsOf(service(ports), dns).map(({ name, port }) => [name, port]),
      [
        ['u', 5353],
        ['t', 5354],
        ['admin', 2],
        ['same', 90],
      ],
    );
  });

  test('ES7: labels are the Service’s, but for those that say what a slice is', () => {
    const labelled = service({}, { a: 'b', 'kubernetes.io/service-name': 'lie', 'service.kubernetes.io/headless': '' });
    const { labels, generateName, ownerReferences } = sliceMeta(Services, labelled, sliceController, undefined, false);
    assert.deepEqual(labels, {
      a: 'b',
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    });
    assert.equal(generateName, 'web-');
    assert.deepEqual(ownerReferences, [
      { apiVersion: 'v1', kind: 'Service', name: 'web', uid: 'svc', controller: true, blockOwnerDeletion: true },
    ]);
  });

  test('ES11: Endpoints hold the primary family, without terminating pods, at most 1000 addresses', () => {
    const many = Array.from({ length: 1100 }, (_, i) =>
      pod(i, (p) => (p.status!.podIPs = [{ ip: `10.1.${i >> 8}.${i & 255}` }])),
    );
    many[0]!.metadata.deletionTimestamp = 'now';
    many[1]!.status!.conditions = [];
    const { subsets, truncated } = subsetsOf(service(), many);
    assert.equal(truncated, true);
    assert.equal(subsets[0]!.addresses!.length, 1000);
    assert.equal(subsets[0]!.addresses![0]!.ip, '10.1.0.2');
    assert.deepEqual(subsets[0]!.ports, [{ port: 8080, protocol: 'TCP' }]);
    const few = subsetsOf(service(), many.slice(0, 3)).subsets;
    assert.deepEqual([few[0]!.addresses?.length, few[0]!.notReadyAddresses?.length], [1, 1]);
  });

  test('ES12: hand-written Endpoints are mirrored by family and ports', () => {
    const groups = mirroredGroups({
      metadata: { name: 'web', namespace: 'default' },
      subsets: [
        { addresses: [{ ip: '1.2.3.4' }, { ip: '2001:db8::1' }], notReadyAddresses: [{ ip: '1.2.3.5' }], ports: [{ port: 80 }] },
      ],
    });
    assert.deepEqual(
      groups.map(({ addressType, endpoints }) => [
        addressType,
        endpoints.map(({ addresses, conditions }) => [addresses[0], conditions?.ready]),
      ]),
      [
        [
          'IPv4',
          [
            ['1.2.3.4', true],
            ['1.2.3.5', false],
          ],
        ],
        ['IPv6', [['2001:db8::1', true]]],
      ],
    );
  });
});

describe('packing of slices', () => {
  const meta = sliceMeta(Services, service(), sliceController, undefined);
  const endpoint = (n: number, ready = true): Endpoint => ({
    addresses: [`10.0.0.${n}`],
    conditions: { ready },
    targetRef: { kind: 'Pod', name: `p${n}`, uid: `u${n}` },
  });
  const group = (endpoints: Endpoint[], port = 80): EndpointGroup => ({
    addressType: 'IPv4',
    ports: [{ name: '', protocol: 'TCP', port }],
    endpoints,
  });
  let serial = 0;
  const apply = (existing: EndpointSlice[], groups: EndpointGroup[], max: number) => {
    const changes = reconcileSlices(existing, groups, meta, max);
    const after = existing
      .filter((slice) => !changes.delete.some(({ metadata }) => metadata.name === slice.metadata.name))
      .map((slice) => changes.update.find(({ metadata }) => metadata.name === slice.metadata.name) ?? slice);
    after.push(...changes.create.map((slice) => ({ ...slice, metadata: { ...slice.metadata, name: `s${serial++}` } })));
    return { changes, after };
  };

  test('ES6: with every history the slices hold exactly what they should, are never too large, and a second pass writes nothing', () => {
    const step = fc.array(fc.record({ n: fc.integer({ min: 1, max: 20 }), ready: fc.boolean() }), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), fc.integer({ min: 1, max: 5 }), (steps, max) => {
        let slices: EndpointSlice[] = [];
        for (const wanted of steps) {
          const unique = [...new Map(wanted.map(({ n, ready }) => [n, endpoint(n, ready)])).values()];
          const groups = [unique.length > 0 ? group(unique) : { ...group([]), ports: [] }];
          slices = apply(slices, groups, max).after;
          const held = slices.flatMap(({ endpoints }) => endpoints ?? []);
          const byAddress = (a: Endpoint, b: Endpoint): number => (a.addresses[0]! < b.addresses[0]! ? -1 : 1);
          assert.deepEqual([...held].sort(byAddress), [...unique].sort(byAddress));
          assert.ok(slices.every(({ endpoints }) => (endpoints?.length ?? 0) <= max));
          assert.ok(slices.length >= 1, 'ES5: a placeholder stands when there is nothing');
          const again = apply(slices, groups, max).changes;
          assert.deepEqual([again.create, again.update, again.delete], [[], [], []]);
        }
      }),
    );
  });

  test('ES6: one more endpoint writes one slice, the fullest that has room', () => {
    let slices = apply([], [group([1, 2, 3, 4, 5, 6, 7].map((n) => endpoint(n)))], 3).after;
    assert.deepEqual(
      slices.map(({ endpoints }) => endpoints?.length),
      [3, 3, 1],
    );
    slices = apply(slices, [group([1, 2, 4, 5, 6, 7].map((n) => endpoint(n)))], 3).after;
    assert.deepEqual(
      slices.map(({ endpoints }) => endpoints?.length),
      [2, 3, 1],
      'nothing is rebalanced',
    );
    const { changes } = apply(slices, [group([1, 2, 4, 5, 6, 7, 8].map((n) => endpoint(n)))], 3);
    assert.deepEqual(
      [changes.create.length, changes.update.map(({ endpoints }) => endpoints?.length), changes.delete.length],
      [0, [3], 0],
    );
  });

  test('a change of ports reuses the slice that would be deleted', () => {
    const before = apply([], [group([endpoint(1)], 80)], 100).after;
    const { changes } = apply(before, [group([endpoint(1)], 81)], 100);
    assert.deepEqual([changes.create.length, changes.update.length, changes.delete.length], [0, 1, 0]);
    assert.equal(changes.update[0]!.ports?.[0]?.port, 81);
  });
});
