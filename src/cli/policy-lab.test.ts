import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../controllers/harness.ts';
import { NetNs } from '../kernel/netns.ts';
import { connectTcp } from '../kernel/sockets.ts';
import { Namespaces, NetworkPolicies, Services } from '../kube/resources.ts';
import { podsOf } from '../lab/node-client.ts';
import { tableOfNode } from '../lab/node-kernel.ts';
import { example, ownLab, podnet, succeeds } from '../lab/testkit/podnet.ts';
import { adminClient } from '../lab/up.ts';
import { IpAddr } from '../net/ip.ts';
import type { ElementChange, Prediction } from '../predict/index.ts';
import type { NodeNetwork } from '../reconcile/index.ts';
import { needsRoot } from '../testing/root.ts';

const textOf = ({ verb, name, key, data }: ElementChange): string => [verb, name, key, data].join(' ');

/** What differs between two states of a kernel's table, found without any of podnet's diffs. */
const differs = (before: NodeNetwork, after: NodeNetwork): string[] =>
  [...new Set([...before.keys(), ...after.keys()])]
    .flatMap((key) => {
      const [was, is] = [before.get(key), after.get(key)];
      const item = is ?? was;
      if (item?.kind !== 'nft-element' || (was?.kind === 'nft-element' && is?.kind === 'nft-element' && was.data === is.data))
        return [];
      return textOf({
        verb: was && is ? 'replace' : is ? 'add' : 'delete',
        kind: 'element',
        name: item.set,
        key: item.key,
        data: item.data,
      });
    })
    .sort();

test(
  'policy and diff without -f ask a running lab: its pods by workload, its Services, its policies; nothing is changed by asking',
  needsRoot,
  async () => {
    const names = ownLab('policy');
    const folder = mkdtempSync(join(tmpdir(), 'podnet-test-policy-'));
    const [file, more] = [join(folder, 'deny.yaml'), join(folder, 'more.yaml')];
    const spec = {
      podSelector: { matchLabels: { app: 'guestbook', tier: 'frontend' } },
      ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }],
    };
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'front', namespace: 'default' },
      spec,
    };
    writeFileSync(file, JSON.stringify(policy));
    try {
      await succeeds('lab', 'up', '--nodes', '1', '--name', names.lab, '--apply', example('guestbook.yaml'));
      const lab = ['--lab', names.lab];
      const through = await succeeds('policy', 'check', ...lab, '--from', 'redis-master', '--to', 'svc/frontend:80');
      assert.match(
        through,
        /^ALLOWED {3}default\/redis-master-\S+ → default\/frontend-\S+, \S+, \S+ {3}TCP 80 {3}through Service default\/frontend/,
      );
      // Nodes answer for cluster DNS themselves; to policies it is the pods of kube-dns.
      const dns = [
        'policy',
        'check',
        ...lab,
        '--from',
        'redis-master',
        '--to',
        'svc/kube-system/kube-dns:53',
        '--protocol',
        'udp',
      ];
      assert.match(await succeeds(...dns), /→ kube-system\/kube-dns {3}UDP 53 /);
      const change = await podnet('diff', ...lab, '-f', file);
      assert.equal(change.code, 1, change.stderr);
      assert.match(change.stdout, /^closed +outside +default\/frontend +all /m);
      assert.match(change.stdout, /^closed +default\/redis-master +default\/frontend +all but TCP 80 /m);
      assert.doesNotMatch(change.stdout, /^opened|node /m);

      // A Service: what is told of it is what the kernel holds when it was applied.
      using client = adminClient(names);
      const service = await client.get(Services, 'frontend', 'default');
      const { resourceVersion: _version, ...metadata } = service.metadata;
      const ports = [...service.spec!.ports!, { name: 'more', port: 8081, targetPort: 80, nodePort: 31_999 }].map((one, at) => ({
        ...one,
        name: `p${at}`,
      }));
      writeFileSync(more, JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec: { ...service.spec, ports } }));
      const table = (): NodeNetwork => tableOfNode(names.node('node-1').netns);
      const held = table();
      const told = JSON.parse((await podnet('diff', ...lab, '-f', more, '-o', 'json')).stdout) as Prediction;
      assert.deepEqual(
        told.nodes.map(({ node, missing }) => [node, missing]),
        [['node-1', 0]],
      );
      assert.ok(told.services[0]!.ways.some(({ verb, to }) => verb === 'opened' && to.endsWith(':8081')));
      await client.update(Services, { ...service, spec: { ...service.spec, ports } });
      await eventually(() => assert.deepEqual(differs(held, table()), told.nodes[0]!.elements.map(textOf).sort()));
      writeFileSync(more, JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 80, protocol: 'ICMP' }] } }));
      const refused = await podnet('diff', ...lab, '-f', more);
      assert.deepEqual([refused.code, refused.stdout], [2, '']);
      assert.match(refused.stderr, /the API would refuse it: Service "frontend" is invalid: .*spec\.ports\[0\]\.protocol/);

      assert.deepEqual((await client.list(NetworkPolicies)).items, []);
      await client.create(NetworkPolicies, policy);
      assert.equal((await podnet('diff', ...lab, '-f', file)).stdout, 'nothing changes\n');
      assert.equal((await podnet('policy', 'check', ...lab, '--from', '203.0.113.1', '--to', 'frontend:80')).code, 1);
      await succeeds('policy', 'check', ...lab, '--from', 'node/node-1', '--to', 'frontend:81');
      // What is denied is told, once the namespace asks for it.
      assert.match((await podnet('policy', 'denials', ...lab)).stderr, /no namespace asks for its denials/);
      await client.patch(
        Namespaces,
        'default',
        undefined,
        { metadata: { annotations: { 'podnet/log-denials': 'true' } } },
        'merge',
      );
      const pods = await podsOf(names.node('node-1').runnerSocket);
      const [asking, server] = ['redis-master', 'frontend'].map((name) => pods.find((pod) => pod.name.startsWith(name))!);
      using ns = NetNs.open(asking!.netns);
      await eventually(async () => {
        await assert.rejects(connectTcp(ns, IpAddr.parse(server!.podIPs[0]!), 81, { timeoutMs: 300 }));
        const { stdout } = await podnet('policy', 'denials', ...lab, '-n', 'default');
        const denied = `TCP default/${asking!.name} -> default/${server!.name}:81 denied: default deny: isolated by NetworkPolicy default/front, its one rule did not match`;
        assert.ok(stdout.includes(`node-1  ${denied}`), stdout);
      }, 30_000);
      assert.match(
        await succeeds('policy', 'explain', ...lab, 'frontend'),
        /INGRESS {3}isolated\n {2}NetworkPolicy default\/front\n/,
      );
      assert.match(
        await succeeds('policy', 'matrix', ...lab, '-o', 'csv'),
        /^default\/redis-replica,default\/frontend,TCP 80\r$/m,
      );
      const noEgress = { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [{ podSelector: {} }] }] };
      await client.create(NetworkPolicies, { ...policy, metadata: { name: 'no-egress', namespace: 'default' }, spec: noEgress });
      assert.equal((await podnet(...dns)).code, 1, 'a default deny stops DNS');
      const to = [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }];
      const allow = { podSelector: {}, policyTypes: ['Egress'], egress: [{ to, ports: [{ protocol: 'UDP', port: 53 }] }] };
      await client.create(NetworkPolicies, { ...policy, metadata: { name: 'dns', namespace: 'default' }, spec: allow });
      assert.match(await succeeds(...dns), /allowed by NetworkPolicy default\/dns, spec.egress\[0\], peer to\[0\], port UDP 53/);
      assert.equal((await podnet('policy', 'matrix', '--lab', 'nowhere')).code, 2);
    } finally {
      await succeeds('lab', 'down', '--name', names.lab);
      rmSync(folder, { recursive: true });
    }
  },
);
