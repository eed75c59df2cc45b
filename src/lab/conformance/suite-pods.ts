import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pods } from '../../kube/resources.ts';
import { eventually, type Place, podOfAnswer, type TestLab } from './harness.ts';

type Options = { skip: string | false };

/** Pods, nodes and what stands in a pod's files. */
export function podTests(lab: () => TestLab, options: Options): void {
  const servers = ['server-1', 'server-2'];
  const clients = ['client-1', 'client-2'];

  test(
    'C23, NM3, NM7: every pod reaches every pod over HTTP, on both nodes and in both families, and its own address is seen',
    options,
    async () => {
      for (const from of await Promise.all([...clients, ...servers].map((name) => lab().ready(name))))
        for (const to of await Promise.all(servers.map((name) => lab().ready(name))))
          for (const [family, ip] of to.ips.entries()) {
            assert.equal(await lab().http(from, ip, 8080), to.name, `${from.name} to ${ip}`);
            if (from.name !== to.name) {
              const seen = await lab().http(from, ip, 8080, '/clientip');
              assert.equal(
                seen.replace(/[[\]]/g, '').replace(/:\d+$/, ''),
                from.ips[family],
                `${from.name} as seen by ${to.name}`,
              );
            }
          }
    },
  );

  test('C24, NM3: every pod reaches every pod over UDP, on both nodes and in both families', options, async () => {
    for (const from of await Promise.all([...clients, ...servers].map((name) => lab().ready(name))))
      for (const to of await Promise.all(servers.map((name) => lab().ready(name))))
        for (const ip of to.ips) assert.equal(podOfAnswer(await lab().udp(from, ip, 8081)), to.name, `${from.name} to ${ip}`);
  });

  const overHttp = (from: Place, ip: string): Promise<string> => lab().http(from, ip, 8080);
  const overUdp = async (from: Place, ip: string): Promise<string> => podOfAnswer(await lab().udp(from, ip, 8081));
  for (const [id, protocol, ask] of [
    ['C25', 'HTTP', overHttp],
    ['C26', 'UDP', overUdp],
  ] as const)
    test(`${id}, NM4: each node reaches every pod on every node over ${protocol}, in both families`, options, async () => {
      for (const node of lab().nodes) {
        const from = await lab().node(node);
        for (const name of servers) {
          const to = await lab().ready(name);
          for (const ip of to.ips) assert.equal(await ask(from, ip), name, `${node} to ${ip}`);
        }
      }
    });

  test(
    'C20, CRI10: pods with one host port number on another host address or of another protocol all run on one node, each reached by its own',
    options,
    async () => {
      const node = await lab().node('node-1');
      const other = await lab().node('node-2');
      const port = 54323;
      for (const [family, localhost] of ['127.0.0.1', '::1'].entries()) {
        const own = node.ips[family]!;
        const make = (name: string, hostIP: string, protocol: 'TCP' | 'UDP'): Promise<Place> => {
          const ports = [{ containerPort: 8080, hostPort: port, hostIP, protocol }];
          return lab().pod(name, { node: 'node-1', spec: { containers: [{ name: 'main', image: 'agnhost', ports }] } });
        };
        const names = [`host-port-local-${family}`, `host-port-tcp-${family}`, `host-port-udp-${family}`] as const;
        await Promise.all([make(names[0], localhost, 'TCP'), make(names[1], own, 'TCP'), make(names[2], own, 'UDP')]);
        assert.equal(await lab().http({ ...node, source: own }, localhost, port), names[0], 'from the node to loopback');
        for (const from of [node, other, await lab().ready('client-1'), await lab().ready('client-2')]) {
          assert.equal(await lab().http(from, own, port), names[1], `TCP from ${from.name}`);
          assert.equal(podOfAnswer(await lab().udp(from, own, port)), names[2], `UDP from ${from.name}`);
        }
        for (const name of names) await lab().removePod(name);
      }
    },
  );

  test('CRI10: pods with one host port go to different nodes; the next waits until one of them is gone', options, async () => {
    const ports = [{ containerPort: 8080, hostPort: 54324, protocol: 'TCP' as const }];
    const spec = { containers: [{ name: 'main', image: 'agnhost', ports }] };
    await Promise.all(['one-port-a', 'one-port-b'].map((name) => lab().pod(name, { spec })));
    const onNodes = async (): Promise<(string | undefined)[]> => {
      const pods = await Promise.all(['one-port-a', 'one-port-b'].map((name) => lab().api.get(Pods, name, 'default')));
      return pods.map((pod) => pod.spec?.nodeName).sort();
    };
    assert.deepEqual(await onNodes(), ['node-1', 'node-2']);
    const third = lab().pod('one-port-c', { spec });
    await eventually(async () => {
      const { status } = await lab().api.get(Pods, 'one-port-c', 'default');
      assert.match(JSON.stringify(status?.conditions ?? []), /didn't have free ports for the requested pod ports/);
    });
    await lab().removePod('one-port-a');
    await third;
    const from = await lab().ready('client-1');
    const seen = await Promise.all(
      lab().nodes.map(async (node) => lab().http(from, (await lab().node(node)).ips[0]!, 54324)),
    );
    assert.deepEqual(seen.sort(), ['one-port-b', 'one-port-c']);
    for (const name of seen) await lab().removePod(name);
  });

  test('C3, R10: a pod with host name and subdomain finds its full name in its own /etc/hosts', options, async () => {
    await lab().service('subdomain', { clusterIP: 'None', selector: { app: 'named' }, ports: [{ name: 'http', port: 80 }] });
    const pod = await lab().pod('named', { labels: { app: 'named' }, spec: { hostname: 'querier', subdomain: 'subdomain' } });
    const full = 'querier.subdomain.default.svc.cluster.local';
    const lines = (await lab().inside(pod, 'cat', '/etc/hosts')).split('\n').map((line) => line.split(/\s+/));
    for (const ip of pod.ips)
      assert.deepEqual(
        lines.find(([address]) => address === ip),
        [ip, full, 'querier'],
      );
    assert.equal((await lab().inside(pod, 'hostname')).trim(), 'querier');
    assert.match(await lab().inside(pod, 'ping', '-c', '1', '-W', '5', full), /1 packets received/);
  });

  test(
    'C10, R1: dnsPolicy None puts the nameservers, searches and options of dnsConfig into resolv.conf, and nothing else',
    options,
    async () => {
      const pod = await lab().pod('own-dns', {
        spec: {
          dnsPolicy: 'None',
          dnsConfig: { nameservers: ['1.1.1.1'], searches: ['resolv.conf.local'], options: [{ name: 'ndots', value: '2' }] },
        },
      });
      const lines = (await lab().inside(pod, 'cat', '/etc/resolv.conf'))
        .split('\n')
        .filter((line) => line && !line.startsWith('#'));
      assert.deepEqual(lines.sort(), ['nameserver 1.1.1.1', 'options ndots:2', 'search resolv.conf.local']);
    },
  );
}
