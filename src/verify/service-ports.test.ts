import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint, EndpointSlice, Service, ServiceSpec } from '../kube/types.ts';
import { endpointKey, expectedOn, portsOf, readyAddresses, type ServicePort, slicesOf } from './service-ports.ts';

const service = (spec: Partial<ServiceSpec>, labels: Record<string, string> = {}): Service => ({
  metadata: { name: 'web', namespace: 'shop', labels },
  spec: {
    type: 'ClusterIP',
    clusterIP: '10.96.0.7',
    clusterIPs: ['10.96.0.7', 'fd00:96::7'],
    ports: [{ name: 'http', port: 80 }],
    ...spec,
  },
});

const endpoint = (address: string, nodeName: string, conditions: Endpoint['conditions'] = { ready: true }): Endpoint => ({
  addresses: [address],
  nodeName,
  conditions,
});

const slice = (endpoints: Endpoint[], more: Partial<EndpointSlice> = {}): EndpointSlice => ({
  metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
  endpoints,
  ...more,
});

const one = (spec: Partial<ServiceSpec>, ...slices: EndpointSlice[]): ServicePort => portsOf(service(spec), slices, 'ipv4')[0]!;
const chosen = (port: ServicePort, node: string, scope: 'cluster' | 'local' = 'cluster'): string[] | string => {
  const expected = expectedOn(node, port, scope);
  return expected.kind === 'endpoints' ? expected.endpoints.map(endpointKey) : expected.kind;
};

test('a port has the endpoints of all its slices of the family, each once, the readiest word for it', () => {
  const gone = { ready: false, serving: true, terminating: true };
  const port = one(
    {},
    slice([endpoint('10.244.1.2', 'n1', gone), endpoint('10.244.2.2', 'n2')]),
    slice([endpoint('10.244.1.2', 'n1')]),
    slice([endpoint('fd00::1', 'n1')], { addressType: 'IPv6' }),
    slice([endpoint('10.244.3.3', 'n3')], { ports: [{ name: 'admin', protocol: 'TCP', port: 9 }] }),
  );
  assert.deepEqual(chosen(port, 'n1'), ['10.244.1.2:8080', '10.244.2.2:8080']);
  assert.equal(port.address.toString(), '10.96.0.7');
});

test('SD5: ready endpoints are chosen, and only when there are none those that still serve while they end', () => {
  const ending = endpoint('10.244.1.2', 'n1', { ready: false, serving: true, terminating: true });
  const broken = endpoint('10.244.1.3', 'n1', { ready: false, serving: false, terminating: false });
  assert.deepEqual(chosen(one({}, slice([ending, broken, endpoint('10.244.2.2', 'n2')])), 'n1'), ['10.244.2.2:8080']);
  assert.deepEqual(chosen(one({}, slice([ending, broken])), 'n1'), ['10.244.1.2:8080']);
  assert.equal(chosen(one({}, slice([broken])), 'n1'), 'refused');
});

test('with policy Local only endpoints of the node count: silence when others have some, refused when nobody has', () => {
  const port = one({ internalTrafficPolicy: 'Local' }, slice([endpoint('10.244.1.2', 'n1'), endpoint('10.244.2.2', 'n2')]));
  assert.deepEqual(chosen(port, 'n1', 'local'), ['10.244.1.2:8080']);
  assert.equal(chosen(port, 'n3', 'local'), 'silent');
  assert.equal(chosen(one({}, slice([])), 'n3', 'local'), 'refused');
  assert.equal(port.internalLocal, true);
});

test('with topology hints or session affinity not every endpoint must be seen from one client', () => {
  const two = [endpoint('10.244.1.2', 'n1'), endpoint('10.244.2.2', 'n2')];
  const all = (port: ServicePort): boolean | undefined => {
    const expected = expectedOn('n1', port, 'cluster');
    return expected.kind === 'endpoints' ? expected.all : undefined;
  };
  assert.equal(all(one({}, slice(two))), true);
  assert.equal(all(one({ sessionAffinity: 'ClientIP' }, slice(two))), false);
  assert.equal(all(one({}, slice(two.map((each) => ({ ...each, hints: { forZones: [{ name: 'z1' }] } }))))), false);
});

test('headless Services, ExternalNames, SCTP and Services of other proxies have nothing to connect to', () => {
  assert.deepEqual(portsOf(service({ clusterIP: 'None', clusterIPs: ['None'] }), [], 'ipv4'), []);
  assert.deepEqual(portsOf(service({ type: 'ExternalName' }), [], 'ipv4'), []);
  assert.deepEqual(portsOf(service({ ports: [{ port: 1, protocol: 'SCTP' }] }), [], 'ipv4'), []);
  assert.deepEqual(portsOf(service({}, { 'service.kubernetes.io/service-proxy-name': 'other' }), [], 'ipv4'), []);
  assert.deepEqual(portsOf(service({ clusterIPs: ['10.96.0.7'] }), [], 'ipv6'), []);
});

test('node ports count for the types that have them', () => {
  const ports = [{ name: 'http', port: 80, nodePort: 30080 }];
  assert.equal(one({ type: 'NodePort', ports }).nodePort, 30080);
  assert.equal(one({ type: 'LoadBalancer', ports }).nodePort, 30080);
  assert.equal(one({ ports }).nodePort, undefined);
});

test('a headless Service has the addresses of its ready endpoints, each once', () => {
  const notReady = endpoint('10.244.1.9', 'n1', { ready: false });
  const slices = [slice([endpoint('10.244.1.2', 'n1'), notReady]), slice([endpoint('10.244.1.2', 'n1')])];
  const other = slice([endpoint('10.244.9.9', 'n1')], {
    metadata: { name: 'x', namespace: 'else', labels: slices[0]!.metadata.labels },
  });
  assert.deepEqual(readyAddresses(slicesOf(service({}), [...slices, other]), 'ipv4').map(String), ['10.244.1.2']);
});
