import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Endpoint, EndpointSlice, Service } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { NftElement } from '../reconcile/model.ts';
import { backendsOf, chooseBackends } from './endpoints.ts';
import { explainService, type ServiceExplanation } from './explain.ts';
import { listService } from './list.ts';
import type { ServiceNode } from './node.ts';
import type { KernelView, SeenConnection } from './observed.ts';
import { ServicePlanner } from './planner.ts';
import { judgeEndpoints } from './reasons.ts';
import { viewOf } from './service.ts';

const node: ServiceNode = {
  ...{ name: 'n1', zone: 'east', addresses: ['192.168.0.1', 'fd00:192::1'].map(IpAddr.parse) },
  ...{ podCidrs: [Prefix.parse('10.244.1.0/24')], serviceCidrs: ['10.96.0.0/16', 'fd96::/112'].map(Prefix.parse) },
};
const web = (spec: Service['spec'] = {}, rest: Partial<Service> = {}): Service => ({
  metadata: { namespace: 'default', name: 'web' },
  spec: { clusterIPs: ['10.96.0.1'], ports: [{ name: 'http', port: 80, nodePort: 30_080 }], ...spec },
  ...rest,
});
const slice = (endpoints: Endpoint[], rest: Partial<EndpointSlice> = {}): EndpointSlice => ({
  metadata: { namespace: 'default', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
  ...{ addressType: 'IPv4', ports: [{ name: 'http', port: 8080 }], endpoints },
  ...rest,
});
const endpoint = (host: number, rest: Partial<Endpoint> = {}): Endpoint => ({
  addresses: [`10.244.1.${host}`],
  nodeName: 'n1',
  ...rest,
});
const conditions = (ready: boolean, serving = ready, terminating = false): Partial<Endpoint> => ({
  conditions: { ready, serving, terminating },
});
const hints = (zones: string[], nodes: string[] = []): Partial<Endpoint> => ({
  hints: {
    forZones: zones.map((name) => ({ name })),
    ...(nodes.length > 0 ? { forNodes: nodes.map((name) => ({ name })) } : {}),
  },
});

/** What is planned, held by a kernel which has it all but for what `change` does to it. */
function explained(
  service: Service,
  slices: EndpointSlice[],
  options: {
    node?: ServiceNode;
    answered?: ReadonlySet<string>;
    answerable?: ReadonlySet<string>;
    change?: (held: Map<string, NftElement>) => void;
    connections?: SeenConnection[];
    clients?: (elements: readonly NftElement[]) => { key: string; data: string }[];
  } = {},
): ServiceExplanation {
  const at = options.node ?? node;
  const planner = new ServicePlanner({ node: at, services: [service], slices, held: new Map(), ...{ answered: options.answered, answerable: options.answerable } });
  const elements = planner.take().get('service default/web') as NftElement[];
  const held = new Map(elements.map((element) => [`${element.set} ${element.key}`, element]));
  options.change?.(held);
  const kernel: KernelView = {
    find: (set, keys) => new Map(keys.flatMap((key) => (held.has(`${set} ${key}`) ? [[key, held.get(`${set} ${key}`)!]] : []))),
    connections: (_family, _protocol, ports) => (options.connections ?? []).filter(({ destinationPort }) => ports.has(destinationPort)),
    clients: () => options.clients?.(elements) ?? [],
  };
  return explainService(planner.factsOf('service default/web')!, elements, kernel);
}

/** `pod: sent on any 2 client` for each destination and position, by address. */
const ways = ({ ports }: ServiceExplanation): Record<string, string[]> =>
  Object.fromEntries(
    ports.flatMap(({ destinations }) =>
      destinations.map(({ kind, address, port, from }) => [
        `${kind} ${address} ${port}`,
        Object.entries(from).map(([position, { outcome, set, endpoints, source }]) =>
          [position, outcome, set, outcome === 'sent on' ? endpoints : undefined, source]
            .filter((one) => one !== undefined)
            .join(' '),
        ),
      ]),
    ),
  );

test('SD5, SD17, SD18, SD19, SD21: each endpoint that is not chosen has its own reason', () => {
  const reasons = (slices: EndpointSlice[], at = node): string[] =>
    judgeEndpoints(slices, viewOf(web(), at).ports[0]!, at).map(({ address, any, local }) =>
      [address.split('.').at(-1), any === true ? 'any' : any.code, local === true ? 'local' : local.code].join(' '),
    );
  const elsewhere = { nodeName: 'n2' };
  assert.deepEqual(
    reasons([
      slice([
        ...[endpoint(1), endpoint(2, elsewhere), endpoint(3, conditions(false)), endpoint(4, conditions(false, true, true))],
        ...[endpoint(5, conditions(false, false, true)), { addresses: ['127.0.0.1'] }, { addresses: ['no address'] }],
      ]),
      slice([endpoint(9)], { ports: [{ name: 'other', port: 1 }] }),
      slice([{ addresses: ['fd00::1'] }], { addressType: 'IPv6' }),
    ]),
    [
      ...[
        '1 any local',
        '2 any not-on-this-node',
        '3 not-ready not-ready',
        '4 terminating terminating',
        '5 terminating terminating',
      ],
      ...[
        '1 address-not-allowed address-not-allowed',
        'no address address-not-allowed address-not-allowed',
        '9 no-such-port no-such-port',
      ],
    ],
  );
  assert.deepEqual(reasons([slice([endpoint(4, conditions(false, true, true)), endpoint(3, conditions(false))])]), [
    '4 any local',
    '3 not-ready not-ready',
  ]);
  const zones = [endpoint(1, hints(['east'])), endpoint(2, hints(['west']))];
  assert.deepEqual(reasons([slice(zones)]), ['1 any local', '2 other-zone-preferred local']);
  const nodes = [endpoint(1, hints(['east'], ['n1'])), endpoint(2, { ...hints(['east'], ['n2']), ...elsewhere })];
  assert.deepEqual(reasons([slice(nodes)]), ['1 any local', '2 other-node-preferred not-on-this-node']);
});

test('whoever is told to be chosen is in the planned set, and whoever is not has a reason, of any endpoints', () => {
  const one = fc.record({
    ...{ host: fc.integer({ min: 1, max: 6 }), ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() },
    ...{ here: fc.boolean(), zone: fc.constantFrom(undefined, 'east', 'west'), forNode: fc.constantFrom(undefined, 'n1', 'n2') },
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 6 }), (all) => {
      const endpoints = all.map(({ host, ready, serving, terminating, here, zone, forNode }) =>
        endpoint(host, {
          ...{ nodeName: here ? 'n1' : 'n2', ...conditions(ready, serving, terminating) },
          ...(zone || forNode ? hints(zone ? [zone] : [], forNode ? [forNode] : []) : {}),
        }),
      );
      const port = viewOf(web(), node).ports[0]!;
      const { cluster, local } = chooseBackends(backendsOf([slice(endpoints)], 'http', 'tcp', 'ipv4', node), node);
      const judged = judgeEndpoints([slice(endpoints)], port, node);
      for (const [set, key] of [
        [cluster, 'any'],
        [local, 'local'],
      ] as const) {
        const told = judged.filter((one) => one[key] === true).map(({ address }) => address);
        assert.deepEqual(told.sort(), set.map(({ address }) => `${address}`).sort());
        for (const { [key]: reason } of judged) if (reason !== true) assert.match(reason.why, /^\S.{8,}/);
      }
    }),
  );
});

const elsewhereOnly = [slice([endpoint(1, { nodeName: 'n2' })])];
const balanced: Partial<Service> = { status: { loadBalancer: { ingress: [{ ip: '198.51.100.1' }] } } };

test('SD3, SD4, SD8: what a pod, a process and a client outside meet at each destination, and whose address the endpoint sees', () => {
  const spec = { type: 'LoadBalancer' };
  assert.deepEqual(ways(explained(web(spec, balanced), [slice([endpoint(1), endpoint(2, { nodeName: 'n2' })])])), {
    'ClusterIP 10.96.0.1 80': ['pod sent on any 2 client', 'node sent on any 2 node', 'outside sent on any 2 node'],
    'load balancer 198.51.100.1 80': ['pod sent on any 2 node', 'node sent on any 2 node', 'outside sent on any 2 node'],
    'node port 192.168.0.1 30080': ['pod sent on any 2 node', 'node sent on any 2 node', 'outside sent on any 2 node'],
  });
  const local = { ...spec, externalTrafficPolicy: 'Local' as const };
  const shortCut = ['pod sent on any 2 client', 'node sent on any 2 node', 'outside sent on local 1 client'];
  const policyLocal = explained(web(local, balanced), [slice([endpoint(1), endpoint(2, { nodeName: 'n2' })])]);
  assert.deepEqual(ways(policyLocal), {
    'ClusterIP 10.96.0.1 80': ['pod sent on any 2 client', 'node sent on any 2 node', 'outside sent on any 2 node'],
    ...{ 'load balancer 198.51.100.1 80': shortCut, 'node port 192.168.0.1 30080': shortCut },
  });
  assert.match(policyLocal.ports[0]!.destinations[1]!.from.pod.why, /Local is for clients from outside \(SD8\)/);
});

test('SD6, SD7: refused when there is no endpoint at all, dropped when a policy is Local and there is none here', () => {
  const none = { type: 'NodePort', internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' } as const;
  const all = (word: string): string[] => ['pod', 'node', 'outside'].map((position) => `${position} ${word}`);
  assert.deepEqual(ways(explained(web(none), [slice([endpoint(1, conditions(false))])])), {
    'ClusterIP 10.96.0.1 80': all('refused'),
    'node port 192.168.0.1 30080': all('refused'),
  });
  const found = explained(web(none), elsewhereOnly);
  assert.deepEqual(ways(found), {
    'ClusterIP 10.96.0.1 80': all('dropped local'),
    'node port 192.168.0.1 30080': ['pod sent on any 1 client', 'node sent on any 1 node', 'outside dropped local'],
  });
  const [clusterIp, nodePort] = found.ports[0]!.destinations;
  assert.match(clusterIp!.from.pod.why, /^internalTrafficPolicy is Local, .*\(SD7\)$/);
  assert.match(nodePort!.from.outside.why, /^externalTrafficPolicy is Local, .*\(SD7\)$/);
});

test('SD10, SD11, SA17, SA14, SD26: source ranges, addresses that are not taken, affinity and health checks are told', () => {
  const spec: Service['spec'] = {
    ...{ type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000, sessionAffinity: 'ClientIP' },
    ...{ loadBalancerSourceRanges: ['10.0.0.0/8', '192.0.2.7/32'], externalIPs: ['203.0.113.9'] },
  };
  const ingress = [
    { ip: '198.51.100.1' },
    { ip: '198.51.100.2', ipMode: 'Proxy' },
    { ip: '10.96.0.9' },
    { hostname: 'lb.example.org' },
  ];
  const found = explained(web(spec, { status: { loadBalancer: { ingress } } }), [
    slice([endpoint(1), endpoint(2, { nodeName: 'n2' })]),
  ]);
  const balancer = found.ports[0]!.destinations.find(({ kind }) => kind === 'load balancer')!;
  assert.deepEqual(balancer.from.outside.only, ['10.0.0.0/8', '192.0.2.7']);
  assert.equal(found.ports[0]!.destinations.at(-1)!.from.outside.only, undefined, 'SD9: not of node ports');
  const without = explained(web(spec, { status: { loadBalancer: { ingress } } }), [slice([])]);
  const { outcome, only } = without.ports[0]!.destinations.find(({ kind }) => kind === 'load balancer')!.from.outside;
  assert.deepEqual([outcome, only], ['refused', ['10.0.0.0/8', '192.0.2.7']], 'all others are dropped');
  assert.deepEqual(
    found.ignored.map(({ address, why }) => `${address}: ${why.split(':')[0]}`),
    [
      ...['198.51.100.2: ipMode Proxy', "10.96.0.9: it is of a Service CIDR, and another Service's to have"],
      ...['lb.example.org: it is no IP address', '203.0.113.9: externalIPs are off'],
    ],
  );
  assert.deepEqual([found.affinitySeconds, found.healthCheck], [10_800, { port: 32_000, localEndpoints: { ipv4: 1 } }]);
  const [allowed] = explained(web({ externalIPs: ['203.0.113.9', '192.0.2.1'] }), [], {
    node: { ...node, externalIpCidrs: [Prefix.parse('203.0.113.0/24')] },
  }).ignored;
  assert.match(
    `${allowed!.address} ${allowed!.why}`,
    /^192\.0\.2\.1 it is not within services\.externalIpCidrs .*203\.0\.113\.0\/24/,
  );
});

test('SD12: other ports of a ClusterIP are refused, as the plan has it', () => {
  assert.deepEqual(explained(web({ clusterIPs: ['10.96.0.1', 'fd96::1'] }), []).refusesOtherPorts, ['10.96.0.1', 'fd96::1']);
  assert.deepEqual(explained(web({ clusterIPs: ['None'] }), []).refusesOtherPorts, []);
});

test("this node's own DNS answers, and its endpoints are taken while it does not", () => {
  const answered = new Set(['10.96.0.1 . tcp . 80']);
  assert.deepEqual(ways(explained(web(), [slice([endpoint(1)])], { answered })), {
    'ClusterIP 10.96.0.1 80': ['pod answered here', 'node answered here', 'outside answered here'],
  });
  // Its own is none then, unless there is no other.
  const [own, other] = [endpoint(1, { nodeName: node.name }), endpoint(2, { nodeName: 'another' })];
  const why = (endpoints: Endpoint[]): string[] =>
    explained(web(), [slice(endpoints)], { answerable: answered }).ports[0]!.endpoints.map(({ any }) => (any === true ? 'chosen' : any.why));
  assert.deepEqual(why([own, other]), ["this node's own DNS is not ready", 'chosen']);
  assert.deepEqual(why([own]), ['chosen']);
});

test('what the kernel lacks, or holds with other data, is told of the element', () => {
  const { elements } = explained(web(), [slice([endpoint(1), endpoint(2)])], {
    change: (held) => {
      held.delete('hairpin4 10.244.1.2 . 10.244.1.2');
      held.set('service-ips4 10.96.0.1 . tcp . 80', {
        kind: 'nft-element',
        set: 'service-ips4',
        key: '10.96.0.1 . tcp . 80',
        data: '0:2001',
      });
    },
  });
  assert.deepEqual(
    elements.filter(({ kernel }) => kernel !== 'held').map(({ set, element, kernel, found }) => [set, element, kernel, found]),
    [
      ['hairpin4', '10.244.1.2 . 10.244.1.2', 'missing', undefined],
      ['service-ips4', '10.96.0.1 . tcp . 80 : 0:2002', 'other data', '10.96.0.1 . tcp . 80 : 0:2001'],
    ],
  );
  assert.equal(elements.length, 6);
  for (const { meaning } of elements) assert.match(meaning, /\S{3,}/);
});

test('SD24: connections are counted by destination and endpoint, with those that live on at an endpoint which is gone', () => {
  const seen = (to: string, by: string, state: SeenConnection['state'], port = 80): SeenConnection => ({
    ...{
      destination: IpAddr.parse(to),
      destinationPort: port,
      replySource: IpAddr.parse(by),
      replySourcePort: by === to ? port : 8080,
      state,
    },
  });
  const connections = [
    seen('10.96.0.1', '10.244.1.1', 'open'),
    seen('10.96.0.1', '10.244.1.1', 'ended'),
    seen('192.168.0.1', '10.244.1.2', 'unanswered', 30_080),
    seen('10.96.0.1', '10.244.1.7', 'open'),
    // Another Service's, one to an address that is no destination, and one that nobody translated.
    seen('10.96.0.2', '10.244.1.1', 'open'),
    seen('192.168.0.9', '10.244.1.1', 'open', 30_080),
    seen('192.168.0.1', '192.168.0.1', 'open', 30_080),
  ];
  const { ports } = explained(web({ type: 'NodePort' }), [slice([endpoint(1), endpoint(2)])], { connections });
  const { destinations, endpoints, departed } = ports[0]!;
  assert.deepEqual(
    [...destinations, ...endpoints].map(
      ({ address, connections: { open, unanswered, ended } }) => `${address} ${open} ${unanswered} ${ended}`,
    ),
    ['10.96.0.1 2 0 1', '192.168.0.1 0 1 0', '10.244.1.1 1 0 1', '10.244.1.2 0 1 0'],
  );
  assert.deepEqual(departed, [{ endpoint: '10.244.1.7 . 8080', connections: { open: 1, unanswered: 0, ended: 0 } }]);
});

test('SD16: clients that affinity holds are counted for the endpoint of this Service that each has', () => {
  const { ports } = explained(web({ sessionAffinity: 'ClientIP' }), [slice([endpoint(1), endpoint(2)])], {
    clients: (elements) => {
      const [first] = elements.filter(({ set }) => set === 'endpoints4');
      const of = (number: string, client: string): { key: string; data: string } => ({
        key: `${number} . ${client}`,
        data: number,
      });
      return [of(first!.key, '10.0.0.1'), of(first!.key, '10.0.0.2'), of('7:0', '10.0.0.1')];
    },
  });
  assert.deepEqual(
    ports[0]!.endpoints.map(({ address, clients }) => [address, clients]),
    [
      ['10.244.1.1', 2],
      ['10.244.1.2', 0],
    ],
  );
});

test('a Service without a data path says why, and a family without endpoints where they are', () => {
  const why = (spec: Service['spec']): string | undefined => explained(web({ clusterIPs: undefined, ...spec }), []).noDataPath;
  assert.match(why({ clusterIP: 'None' })!, /^headless: /);
  assert.match(why({ type: 'ExternalName', externalName: 'example.org' })!, /^ExternalName: /);
  assert.match(why({ clusterIP: '' })!, /no ClusterIP/);
  const dual = explained(web({ clusterIPs: ['10.96.0.1', 'fd96::1'] }), [slice([endpoint(1), endpoint(2)])]);
  assert.deepEqual(
    dual.ports.map(({ family, endpoints, otherFamily }) => [family, endpoints.length, otherFamily]),
    [
      ['ipv4', 2, 0],
      ['ipv6', 0, 2],
    ],
  );
});

test('the line of a Service tells its addresses, ports, endpoints that can be used, and what clients may not expect', () => {
  const line = (service: Service, slices: EndpointSlice[]): string => {
    const { type, addresses, ports, endpoints, problems } = listService({ service, slices, node });
    return [type, addresses, ports, `${endpoints.usable}/${endpoints.total}`, ...problems].join(' ');
  };
  const some = [slice([endpoint(1), endpoint(2, conditions(false))])];
  assert.equal(line(web({ type: 'NodePort' }), some), 'NodePort 10.96.0.1 80:30080/TCP 1/2');
  assert.equal(line(web(), []), 'ClusterIP 10.96.0.1 80/TCP 0/0 80/TCP is refused: no endpoint can be used');
  assert.match(
    line(web({ internalTrafficPolicy: 'Local' }), elsewhereOnly),
    / 0\/1 80\/TCP is dropped: internalTrafficPolicy is Local/,
  );
  assert.match(line(web({ externalIPs: ['203.0.113.9'] }), some), / 1\/2 203\.0\.113\.9 is not taken: externalIPs are off/);
});

test('a Service of a thousand ports asks for its connections once for each protocol and family', () => {
  const ports = Array.from({ length: 1000 }, (_, i) => ({ name: `p${i}`, port: 1000 + i, nodePort: 30_000 + i, protocol: i < 500 ? 'TCP' : 'UDP' }));
  const service = web({ type: 'NodePort', ports });
  const slices = [slice([endpoint(1)], { ports: ports.map(({ name, protocol }) => ({ name, protocol, port: 8080 })) })];
  const planner = new ServicePlanner({ node, services: [service], slices, held: new Map() });
  const elements = planner.take().get('service default/web')!.filter((item) => item.kind === 'nft-element');
  const asked: string[] = [];
  const at = (destinationPort: number): SeenConnection => ({
    ...{ destination: IpAddr.parse('10.96.0.1'), destinationPort, replySource: IpAddr.parse('10.244.1.1'), replySourcePort: 8080, state: 'open' },
  });
  const kernel: KernelView = {
    find: (set, keys) => new Map(elements.filter((one) => one.set === set && keys.includes(one.key)).map((one) => [one.key, one])),
    connections: (family, protocol, wanted) => {
      asked.push(`${family} ${protocol} ${wanted.size}`);
      return [...wanted].map(at);
    },
    clients: () => [],
  };
  const found = explainService(planner.factsOf('service default/web')!, elements, kernel);
  assert.deepEqual(asked, ['ipv4 tcp 1000', 'ipv4 udp 1000']);
  assert.ok(found.ports.every(({ destinations }) => destinations[0]!.connections.open === 1));
});
