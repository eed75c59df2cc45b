import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { ServiceList, ServiceReport } from '../agent/services/report.ts';
import { eventually, TestNode } from '../agent/testkit/node.ts';
import { connectTcp, listenTcp } from '../kernel/sockets.ts';
import { EndpointSlices, Services } from '../kube/resources.ts';
import { example, ownLab, podnet, succeeds } from '../lab/testkit/podnet.ts';
import { IpAddr } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';

const main = join(import.meta.dirname, 'main.js');

/** The agent answers from this process, so the command must not block it. */
const svc = (node: TestNode, ...more: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const args = [main, 'svc', '--socket', node.config.statusSocket, ...more];
    const child = execFile(process.execPath, args, (_, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }));
  });

/** Lines with single spaces. */
const lines = (text: string): string[] => text.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, '  '));

async function shop(node: TestNode): Promise<void> {
  await node.api.create(Services, {
    metadata: { name: 'shop', namespace: 'default' },
    spec: {
      ...{ type: 'LoadBalancer', clusterIP: '10.96.0.90', clusterIPs: ['10.96.0.90'], externalTrafficPolicy: 'Local' },
      ...{ sessionAffinity: 'ClientIP', loadBalancerSourceRanges: ['10.0.0.0/8'], externalIPs: ['203.0.113.9'] },
      ports: [{ name: 'http', port: 80, nodePort: 30_080 }],
    },
    status: { loadBalancer: { ingress: [{ ip: '198.51.100.1' }] } },
  });
  await node.api.create(EndpointSlices, {
    metadata: { name: 'shop-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'shop' } },
    ...{ addressType: 'IPv4', ports: [{ name: 'http', port: 8080 }] },
    endpoints: [
      { addresses: ['10.1.0.2'], nodeName: 'me', conditions: { ready: true } },
      { addresses: ['10.1.1.2'], nodeName: 'peer', conditions: { ready: true } },
      { addresses: ['10.1.1.3'], nodeName: 'peer\u001b[31m', conditions: { ready: false } },
    ],
  });
}

test(
  'svc tells of each address who may come, which endpoints there are and why others are not, from the kernel as it is',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await shop(node);
    await node.startReady();
    const args = { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=shop-0' };
    const server = await node.addPod('server', { env: args });
    assert.equal(server.addresses[0], '10.1.0.2');
    await node.settled();
    const listening = net.createServer((socket) => void socket.on('error', () => {}));
    listening.listen({ fd: listenTcp(server.ns.ns, IpAddr.parse('10.1.0.2'), 8080) });
    await once(listening, 'listening');
    // Another machine, which has the server by policy Local alone: its address is kept.
    const client = await connectTcp(node.peer.ns, IpAddr.parse('192.0.2.1'), 30_080, { timeoutMs: 5000 });
    try {
      const { code, stdout, stderr } = await svc(node, 'shop', '--no-color');
      assert.deepEqual([code, stderr], [0, ''], stdout);
      const told = lines(stdout);
      for (const line of [
        'default/shop  LoadBalancer  for clients of me',
        "externalTrafficPolicy  Local: clients from outside get endpoints on this node, which see the client's address",
        'session affinity  a client stays with its endpoint until it made no connection for 10800 s',
        "source ranges  the load balancer's addresses are for 10.0.0.0/8 only",
        'not taken  203.0.113.9: externalIPs are off: services.externalIpCidrs of the agent allows none (SA17)',
        'PORT http 80/TCP IPv4',
        'TO  WHICH IS  FROM A POD HERE  FROM THE NODE  FROM OUTSIDE  OPEN  ENDED',
        "10.96.0.90:80  ClusterIP  any of 2, address kept  any of 2, node's address  any of 2, node's address  0  0",
        "198.51.100.1:80  load balancer  any of 2, address kept *  any of 2, node's address *  any of 1 here, address kept *  0  0",
        "192.0.2.1:30080  node port  any of 2, address kept  any of 2, node's address  any of 1 here, address kept  1  0",
        'ENDPOINT  POD  NODE  STATE  CHOSEN  OPEN  ENDED  CLIENTS  WHY NOT',
        '10.1.0.2:8080  shop-0  me  ready  yes  1  0  1',
        '10.1.1.2:8080  -  peer  ready  not from outside  0  0  0  it is on peer, not on this node',
        '10.1.1.3:8080  -  peer\\x1b[31m  not ready  no  0  0  0  it is not ready',
      ])
        assert.ok(told.includes(line), `${line}\nis not in\n${told.join('\n')}`);
      const count = /KERNEL of me: (\d+) elements, all as planned/.exec(stdout)!;

      const wide = lines((await svc(node, 'shop', '-o', 'wide', '--no-color')).stdout);
      const elements = wide.filter((line) => /^\S+ {2}.* {2}held {2}\S/.test(line));
      assert.equal(elements.length, Number(count[1]));
      const listed = run(node.ns.path, 'nft', 'list', 'table', 'inet', 'podnet').replaceAll(/\s+/g, ' ');
      for (const line of elements) assert.ok(listed.includes(line.split('  ')[1]!), `nft lists ${line}`);

      const { nodes } = JSON.parse((await svc(node, 'shop', '-o', 'json')).stdout) as { nodes: ServiceReport[] };
      assert.deepEqual(
        [nodes.length, nodes[0]!.state, nodes[0]!.ports[0]!.endpoints[2]!.any],
        [1, 'done', { code: 'not-ready', why: 'it is not ready' }],
      );
      assert.deepEqual(parse((await svc(node, 'shop', '-o', 'yaml')).stdout), { nodes });

      const web = lines((await svc(node, 'web', '--no-color')).stdout);
      assert.ok(web.includes('PORT udp 80/UDP IPv6'), web.join('\n'));
    } finally {
      client.destroy();
      listening.close();
    }
    const slice = await node.api.get(EndpointSlices, 'shop-1', 'default');
    await node.api.update(EndpointSlices, { ...slice, endpoints: slice.endpoints!.slice(1) });
    await eventually(async () => {
      const told = lines((await svc(node, 'shop', '--no-color')).stdout);
      assert.ok(
        told.some((line) => /^0 open, 1 ended, 0 unanswered still at 10\.1\.0\.2:8080, /.test(line)),
        told.join('\n'),
      );
      assert.ok(
        told.includes('dropped: externalTrafficPolicy is Local, there are endpoints elsewhere and none on this node (SD7)'),
      );
    });
  },
);

test(
  'svc without a name lists Services with what clients may not expect; one that is not there, and an agent that is silent, are told',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const silent = await svc(node, 'web');
    assert.equal(silent.code, 1);
    assert.match(silent.stderr, /^podnet: .*status\.sock does not answer: /);
    assert.equal((await svc(node)).code, 1);
    await shop(node);
    await node.api.create(Services, {
      metadata: { name: 'app', namespace: 'blue' },
      spec: { clusterIP: 'None', clusterIPs: ['None'] },
    });
    await node.startReady();
    const { stdout } = await svc(node, '--no-color');
    assert.deepEqual(lines(stdout).slice(0, 4), [
      'NAMESPACE  NAME  TYPE  ADDRESSES  PORTS  USABLE  STATE',
      'blue  app  ClusterIP  -  -  -  headless',
      'default  shop  LoadBalancer  10.96.0.90,198.51.100.1  80:30080/TCP  2/3  203.0.113.9 is not taken: externalIPs are off: services.externalIpCidrs of the agent allows none (SA17)',
      'default  web  ClusterIP  10.96.0.80,fd96::80  80/TCP,80/UDP  4/4  ok',
    ]);
    const { services } = JSON.parse((await svc(node, '-n', 'blue', '-o', 'json')).stdout) as ServiceList;
    assert.deepEqual(
      services.map(({ name, noDataPath }) => [name, noDataPath?.split(':')[0]]),
      [['app', 'headless']],
    );
    const { code, stderr } = await svc(node, 'nix', '-n', 'blue');
    assert.deepEqual(
      [code, stderr.trim()],
      [2, 'podnet: there is no Service blue/nix that podnet serves; all that there are: podnet svc'],
    );
  },
);

test(
  'svc of a lab: the first node in full with the names of pods, a line for each other, or the node that is asked for',
  needsRoot,
  async () => {
    const { lab } = ownLab('svc');
    await succeeds('lab', 'up', '--nodes', '2', '--name', lab, '--apply', example('guestbook.yaml'));
    try {
      const told = lines(await succeeds('svc', 'frontend', '--lab', lab));
      assert.ok(told[0]!.endsWith('for clients of node-1'), told[0]);
      assert.equal(
        told.filter((line) => /^10\.244\.\d+\.\d+:\d+ {2}frontend-\S+ {2}node-[12] {2}ready {2}yes {2}\d+ {2}\d+$/.test(line))
          .length,
        3,
        told.join('\n'),
      );
      assert.ok(
        told.some((line) => /^node-2 {2}any of 3, address kept {2}\d+ {2}\d+ {2}as planned$/.test(line)),
        told.join('\n'),
      );
      assert.match(await succeeds('svc', 'frontend', '--lab', lab, '--node', 'node-2'), /for clients of node-2/);
      assert.match(
        await succeeds('svc', 'kube-dns', '-n', 'kube-system', '--lab', lab),
        /answered here: this node's own DNS answers/,
      );
      const wrong = await podnet('svc', '--lab', lab, '--node', 'node-3');
      assert.deepEqual(
        [wrong.code, wrong.stderr.trim()],
        [2, `podnet: the lab "${lab}" has no node "node-3"; it has node-1, node-2`],
      );
    } finally {
      await succeeds('lab', 'down', '--name', lab);
    }
  },
);
