import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EndpointConditions, EndpointSlice, Service, ServiceSpec } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { keyOf } from '../reconcile/model.ts';
import { rank } from './election.ts';
import { AnnouncementPlanner } from './planner.ts';
import { loadBalancerClass } from './service.ts';

const names = ['node-1', 'node-2', 'node-3', 'node-4'];
const addressesOf = (name: string): IpAddr[] => [`172.30.0.1${name.at(-1)}`, `fd30::1${name.at(-1)}`].map(IpAddr.parse);

const service = (ips: string[], spec: ServiceSpec = {}, ipMode: string | undefined = 'VIP'): Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Cluster', ...spec },
  status: { loadBalancer: { ingress: ips.map((ip) => ({ ip, ipMode })) } },
});

const slice = (...endpoints: [nodeName: string, conditions?: EndpointConditions][]): EndpointSlice => ({
  metadata: { name: 'web-1', namespace: 'default' },
  addressType: 'IPv4',
  endpoints: endpoints.map(([nodeName, conditions]) => ({ addresses: ['10.0.0.1'], nodeName, conditions })),
});

/** The same objects on all nodes. */
class Cluster {
  slices: EndpointSlice[] = [];
  readonly planners = new Map(names.map((name) => [name, new AnnouncementPlanner(() => this.slices)]));

  constructor() {
    for (const [name, planner] of this.planners) {
      for (const other of names) planner.setCandidate(other, { name: other, addresses: addressesOf(other) });
      planner.setNode({
        ...{ name, addresses: addressesOf(name), uplink: 'eth0', sink: 'podnet-svc' },
        onLink: ['172.30.0.0/24', 'fd30::/64'].map((text) => Prefix.parse(text)),
      });
    }
  }

  all(change: (planner: AnnouncementPlanner) => void): void {
    for (const planner of this.planners.values()) change(planner);
  }

  /** Who announces the address, by what each plans for itself. */
  announcers(address: string): string[] {
    this.all((planner) => void planner.take());
    return names.filter((name) =>
      this.planners
        .get(name)!
        .announced()
        .some((one) => one.toString() === address),
    );
  }
}

const vip = '172.30.0.128';
const order = rank(IpAddr.parse(vip), names);

describe('announcements', () => {
  test('exactly one of the nodes announces each address, in both families, the same by every node’s plan', () => {
    const cluster = new Cluster();
    const vips = Array.from({ length: 40 }, (_, i) => [`172.30.0.${128 + i}`, `fd30::1:${i}`]).flat();
    cluster.all((planner) => planner.setService('default/web', service(vips)));
    const counts = new Map<string, number>();
    for (const address of vips) {
      const [one, ...more] = cluster.announcers(address);
      assert.ok(one !== undefined && more.length === 0, address);
      counts.set(one, (counts.get(one) ?? 0) + 1);
      for (const planner of cluster.planners.values()) assert.equal(planner.announcerOf(address), one);
    }
    for (const name of names) assert.ok((counts.get(name) ?? 0) >= 8, `addresses spread: ${JSON.stringify([...counts])}`);
  });

  test('when a node goes, only its own addresses move', () => {
    for (let i = 0; i < 200; i++) {
      const address = IpAddr.parse('10.0.0.0').offset(i);
      const before = rank(address, names);
      for (const gone of names)
        assert.deepEqual(
          rank(address, names.filter((name) => name !== gone).reverse()),
          before.filter((name) => name !== gone),
        );
    }
  });

  test('a node that is not Ready, or excluded from load balancing, is no candidate (node.kubernetes.io/exclude-from-external-load-balancers)', () => {
    const cluster = new Cluster();
    cluster.all((planner) => planner.setService('default/web', service([vip])));
    assert.deepEqual(cluster.announcers(vip), [order[0]]);
    cluster.all((planner) => planner.setCandidate(order[0]!, undefined));
    assert.deepEqual(cluster.announcers(vip), [order[1]]);
    cluster.all((planner) => planner.setCandidate(order[0]!, { name: order[0]!, addresses: addressesOf(order[0]!) }));
    assert.deepEqual(cluster.announcers(vip), [order[0]]);
  });

  test('SD5 SD7: with externalTrafficPolicy Local only nodes with usable endpoints announce, and nobody when there are none', () => {
    const cluster = new Cluster();
    const at = (...endpoints: Parameters<typeof slice>): string[] => {
      cluster.slices = [slice(...endpoints)];
      cluster.all((planner) => planner.setEndpoints('default/web'));
      return cluster.announcers(vip);
    };
    cluster.all((planner) => planner.setService('default/web', service([vip], { externalTrafficPolicy: 'Local' })));
    assert.deepEqual(cluster.announcers(vip), []);
    const last = order.at(-1)!;
    assert.deepEqual(at([last], [order[0]!, { ready: false }]), [last]);
    const ending = { ready: false, serving: true, terminating: true };
    assert.deepEqual(at([last], [order[0]!, ending]), [last], 'ready ones go first');
    assert.deepEqual(at([last, { ready: false, serving: false, terminating: true }], [order[1]!, ending]), [order[1]]);
    assert.deepEqual(at([order[1]!, { ready: false, terminating: true }]), [order[1]], 'SD18: nil serving is true');
    assert.deepEqual(at(), []);
    cluster.slices = [slice([order[2]!]), ...['IPv6', 'FQDN'].map((addressType) => ({ ...slice([order[0]!]), addressType }))];
    cluster.all((planner) => planner.setEndpoints('default/web'));
    assert.deepEqual(cluster.announcers(vip), [order[2]], 'endpoints of the other family take none of its traffic');
    cluster.all((planner) => planner.setService('default/web', service([vip])));
    assert.deepEqual(cluster.announcers(vip), [order[0]], 'policy Cluster needs none: connections are refused, not lost');
  });

  test('SD11, SA11, SA13: mode Proxy, foreign classes and other types are not announced; what is no more is given back', () => {
    const cluster = new Cluster();
    for (const [given, announced] of [
      [service([vip], {}, 'Proxy'), false],
      [service([vip], { loadBalancerClass: 'example.com/lb' }), false],
      [service([vip], { loadBalancerClass }), true],
      [service([vip], { type: 'NodePort' }), false],
      [service([vip], {}, undefined), true],
      [service(['127.0.0.1']), false],
      [service([]), false],
    ] as const) {
      cluster.all((planner) => planner.setService('default/web', given));
      assert.equal(cluster.announcers(vip).length, announced ? 1 : 0, JSON.stringify(given));
    }
  });

  test('an address of another link is nobody’s here: no router asks for it by ARP or ND', () => {
    const cluster = new Cluster();
    cluster.all((planner) => planner.setService('default/web', service(['192.0.2.7', '2001:db8::7'])));
    assert.deepEqual([cluster.announcers('192.0.2.7'), cluster.announcers('2001:db8::7')], [[], []]);
    const [first, second] = order;
    cluster.all((planner) => {
      planner.setService('default/web', service([vip]));
      planner.setCandidate(first!, { name: first!, addresses: [IpAddr.parse('172.30.9.1')] });
    });
    assert.deepEqual(cluster.announcers(vip), [second], 'nor is a node of another link a candidate');
  });

  test('the next two watch those before them; when these die the address moves on, and back when they return', () => {
    const cluster = new Cluster();
    cluster.all((planner) => planner.setService('default/web', service([vip])));
    const watched = order.map((name) => [...cluster.planners.get(name)!.watched().keys()]);
    assert.deepEqual(watched, [[], [order[0]], [order[0], order[1]], []]);
    const [, second, third] = order.map((name) => cluster.planners.get(name)!);
    second!.setAlive(order[0]!, false);
    third!.setAlive(order[0]!, false);
    cluster.all((planner) => void planner.take());
    assert.deepEqual(second!.announced().map(String), [vip]);
    assert.deepEqual(third!.announced(), []);
    third!.setAlive(order[1]!, false);
    third!.take();
    assert.deepEqual(third!.announced().map(String), [vip]);
    for (const planner of [second!, third!]) for (const name of order.slice(0, 2)) planner.setAlive(name, true);
    assert.deepEqual(cluster.announcers(vip), [order[0]]);
    assert.equal(cluster.planners.get(order[1]!)!.watched().get(order[0]!)?.family, 'ipv4');
  });

  test('the plan of an address: the link answers, the address is routed away from it, and no interface holds it', () => {
    const cluster = new Cluster();
    cluster.all((planner) => planner.setService('default/web', service([vip, 'fd30::1:0'])));
    const items = [...cluster.planners.values()].flatMap((planner) => [...planner.take().values()].flat());
    assert.deepEqual(items.map(keyOf).sort(), [
      'proxy eth0 172.30.0.128',
      'proxy eth0 fd30::1:0',
      'route 254 172.30.0.128/32',
      'route 254 fd30::1:0/128',
      'sysctl net/ipv4/neigh/eth0/proxy_delay',
      'sysctl net/ipv6/conf/eth0/proxy_ndp',
      'sysctl net/ipv6/neigh/eth0/proxy_delay',
    ]);
    cluster.all((planner) => planner.setService('default/web', undefined));
    const after = [...cluster.planners.values()].flatMap((planner) => [...planner.take().values()]);
    assert.deepEqual(after, [[], []], 'withdrawn by who had them');
  });
});
