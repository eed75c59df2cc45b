import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ContainerStatus, Pod, PodStatus } from '../../kube/types.ts';
import type { StoredObject } from '../object.ts';
import { findResource } from '../resources.ts';
import { humanDuration } from './duration.ts';
import { toTable } from './index.ts';
import { summarize } from './pods.ts';

const nowMs = Date.parse('2026-01-01T01:00:00Z');

describe('ages', () => {
  const second = 1;
  const minute = 60;
  const hour = 3600;
  const day = 86_400;
  const cases: [seconds: number, text: string][] = [
    [-5, '<invalid>'],
    [-1, '0s'],
    [0, '0s'],
    [119 * second, '119s'],
    [2 * minute, '2m'],
    [2 * minute + 5, '2m5s'],
    [9 * minute + 59, '9m59s'],
    [10 * minute + 5, '10m'],
    [179 * minute, '179m'],
    [3 * hour, '3h'],
    [7 * hour + 59 * minute, '7h59m'],
    [8 * hour + 59 * minute, '8h'],
    [47 * hour, '47h'],
    [48 * hour, '2d'],
    [50 * hour, '2d2h'],
    [8 * day + hour, '8d'],
    [729 * day, '729d'],
    [731 * day, '2y1d'],
    [8 * 365 * day, '8y'],
  ];
  for (const [seconds, text] of cases)
    test(`${seconds} s are ${text}`, () => assert.equal(humanDuration(seconds * 1000 - (seconds === -1 ? -500 : 0)), text));
});

describe('pods', () => {
  const state = (name: string, rest: Partial<ContainerStatus>): ContainerStatus => ({
    name,
    ready: false,
    restartCount: 0,
    image: '',
    imageID: '',
    ...rest,
  });
  const pod = (status: PodStatus, spec: Partial<Pod['spec']> = {}, deleted = false): Pod => ({
    metadata: { name: 'p', ...(deleted && { deletionTimestamp: '2026-01-01T00:00:00Z' }) },
    spec: { containers: [{ name: 'a' }, { name: 'b' }], ...spec },
    status,
  });
  const running = { ready: true, state: { running: {} } };
  const cases: [title: string, pod: Pod, ready: string, reason: string, restarts: number][] = [
    ['without containers yet', pod({ phase: 'Pending' }), '0/2', 'Pending', 0],
    [
      'running',
      pod({ phase: 'Running', containerStatuses: [state('a', running), state('b', { ...running, restartCount: 3 })] }),
      '2/2',
      'Running',
      3,
    ],
    [
      'waiting',
      pod({
        phase: 'Pending',
        containerStatuses: [state('a', { state: { waiting: { reason: 'CrashLoopBackOff' } }, restartCount: 2 })],
      }),
      '0/2',
      'CrashLoopBackOff',
      2,
    ],
    [
      'ended with an exit code',
      pod({ phase: 'Failed', containerStatuses: [state('a', { state: { terminated: { exitCode: 3 } } })] }),
      '0/2',
      'ExitCode:3',
      0,
    ],
    [
      'ended by a signal',
      pod({ phase: 'Failed', containerStatuses: [state('a', { state: { terminated: { exitCode: 137, signal: 9 } } })] }),
      '0/2',
      'Signal:9',
      0,
    ],
    [
      'one completed, one running, not ready',
      pod({
        phase: 'Running',
        containerStatuses: [state('a', { state: { terminated: { exitCode: 0, reason: 'Completed' } } }), state('b', running)],
      }),
      '1/2',
      'NotReady',
      0,
    ],
    [
      'in its second init container',
      pod(
        {
          phase: 'Pending',
          initContainerStatuses: [state('i', { state: { terminated: { exitCode: 0 } } }), state('j', { state: { running: {} } })],
        },
        { initContainers: [{ name: 'i' }, { name: 'j' }] },
      ),
      '0/2',
      'Init:1/2',
      0,
    ],
    [
      'with an init container that failed',
      pod(
        {
          phase: 'Pending',
          initContainerStatuses: [state('i', { state: { terminated: { exitCode: 1, reason: 'Error' } }, restartCount: 4 })],
        },
        { initContainers: [{ name: 'i' }] },
      ),
      '0/2',
      'Init:Error',
      4,
    ],
    [
      'with a sidecar',
      pod(
        {
          phase: 'Running',
          initContainerStatuses: [state('i', { ...running, started: true, restartCount: 1 })],
          containerStatuses: [state('a', running), state('b', running)],
        },
        { initContainers: [{ name: 'i', restartPolicy: 'Always' }] },
      ),
      '3/3',
      'Running',
      1,
    ],
    ['going', pod({ phase: 'Running', containerStatuses: [state('a', running)] }, {}, true), '1/2', 'Terminating', 0],
    [
      'gated',
      pod({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }),
      '0/2',
      'SchedulingGated',
      0,
    ],
    ['evicted', pod({ phase: 'Failed', reason: 'Evicted' }), '0/2', 'Evicted', 0],
  ];
  for (const [title, object, ready, reason, restarts] of cases)
    test(`a pod ${title}`, () => {
      const found = summarize(object);
      assert.deepEqual([`${found.ready}/${found.total}`, found.reason, found.restarts], [ready, reason, restarts]);
    });
});

describe('cells', () => {
  const cells = (group: string, plural: string, object: object): Record<string, unknown> => {
    const resource = findResource(group, 'v1', plural)!;
    const full = {
      apiVersion: 'v1',
      kind: resource.kind,
      metadata: { name: 'x', creationTimestamp: '2026-01-01T00:58:00Z' },
      ...object,
    } as StoredObject;
    const table = toTable(resource, [full], { version: 'v1', include: 'None', nowMs, headers: true, metadata: {} });
    const [{ cells: row }] = table.rows as [{ cells: unknown[] }];
    return Object.fromEntries((table.columnDefinitions as { name: string }[]).map(({ name }, at) => [name, row[at]]));
  };

  test('a Service’s addresses and ports', () => {
    const port = { port: 80, protocol: 'TCP', nodePort: 30080 };
    const shown = cells('', 'services', {
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.0.0.1',
        clusterIPs: ['10.0.0.1'],
        ports: [port, { port: 53, protocol: 'UDP' }],
      },
    });
    assert.deepEqual(
      [shown['Cluster-IP'], shown['External-IP'], shown['Port(s)'], shown.Age],
      ['10.0.0.1', '<pending>', '80:30080/TCP,53/UDP', '2m'],
    );
    assert.equal(cells('', 'services', { spec: { type: 'ExternalName', externalName: 'a.b' } })['External-IP'], 'a.b');
    assert.equal(cells('', 'services', { spec: { type: 'ClusterIP', clusterIP: 'None' } })['Cluster-IP'], 'None');
    const balanced = cells('', 'services', {
      spec: { type: 'LoadBalancer' },
      status: { loadBalancer: { ingress: [{ ip: '2.2.2.2' }, { hostname: 'h' }] } },
    });
    assert.equal(balanced['External-IP'], '2.2.2.2,h');
  });

  test('endpoints: the first three, IPv6 in brackets', () => {
    const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];
    assert.equal(
      cells('discovery.k8s.io', 'endpointslices', { addressType: 'IPv4', endpoints: [{ addresses }], ports: [{ port: 80 }] })
        .Endpoints,
      '10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...',
    );
    assert.equal(
      cells('', 'endpoints', { subsets: [{ addresses: [{ ip: 'fd00::1' }], ports: [{ port: 80 }] }] }).Endpoints,
      '[fd00::1]:80',
    );
    assert.equal(cells('', 'endpoints', {}).Endpoints, '<none>');
  });

  test('nodes and policies', () => {
    const node = cells('', 'nodes', {
      metadata: { name: 'n', labels: { 'node-role.kubernetes.io/control-plane': '' } },
      spec: { unschedulable: true },
      status: { conditions: [{ type: 'Ready', status: 'False' }] },
    });
    assert.deepEqual([node.Status, node.Roles, node['Internal-IP']], ['NotReady,SchedulingDisabled', 'control-plane', '<none>']);
    const selector = { matchLabels: { b: 'c' }, matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['y', 'x'] }] };
    assert.equal(
      cells('networking.k8s.io', 'networkpolicies', { spec: { podSelector: selector } })['Pod-Selector'],
      'a notin (x,y),b=c',
    );
    assert.equal(cells('networking.k8s.io', 'networkpolicies', { spec: { podSelector: {} } })['Pod-Selector'], '<none>');
  });
});
