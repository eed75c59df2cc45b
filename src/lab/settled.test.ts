import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Pod, Service } from '../kube/types.ts';
import { unsettled } from './settled.ts';

const pod = (name: string, ready: boolean, more: object = {}): Pod => ({
  metadata: { name, namespace: 'default', labels: { app: 'web' }, ...more },
  status: { podIPs: [{ ip: '10.244.0.1' }], conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});
const service = (spec: NonNullable<Service['spec']> = { selector: { app: 'web' } }): Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec,
});
const slice = (...names: string[]): EndpointSlice => ({
  metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints: names.map((name) => ({ addresses: ['10.244.0.1'], conditions: { ready: true }, targetRef: { kind: 'Pod', name } })),
});

test('a Service is settled when its slices hold just the pods that are Ready and stay', () => {
  const pods = [
    pod('a', true),
    pod('b', false),
    pod('c', true, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    pod('d', true, { labels: {} }),
  ];
  const of = (...slices: EndpointSlice[]): string[] => unsettled(pods, { services: [service()], slices });
  assert.deepEqual(of(slice('a')), []);
  for (const slices of [[], [slice()], [slice('a', 'b')], [slice('c')]]) assert.deepEqual(of(...slices), ['default/web']);
  const others: NonNullable<Service['spec']>[] = [
    {},
    { selector: {} },
    { type: 'ExternalName', selector: { app: 'web' } },
    { selector: { app: 'web' }, publishNotReadyAddresses: true },
  ];
  for (const spec of others) assert.deepEqual(unsettled(pods, { services: [service(spec)], slices: [] }), []);
});
