import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { podnetExecutable } from '../lab/supervisor.ts';

const folder = mkdtempSync(join(tmpdir(), 'podnet-test-policy-'));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

const shop = file(
  'shop.yaml',
  `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: frontend, namespace: shop}
spec: {replicas: 3, template: {metadata: {labels: {app: frontend}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {selector: {app: db}, ports: [{port: 3306, targetPort: sql}]}}
- {apiVersion: v1, kind: Service, metadata: {name: none, namespace: shop}, spec: {selector: {app: none}, ports: [{port: 80}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: tool}, spec: {containers: [{name: c}]}}
- {apiVersion: example.org/v1, kind: Gadget, metadata: {name: other}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: frontend}}}]
    ports: [{port: sql}]
  - from: [{ipBlock: {cidr: 192.168.0.0/16, except: [192.168.7.0/24]}}]
    ports: [{port: 9000, endPort: 9010}]
`,
);
const deny = file(
  'deny.yaml',
  'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n',
);

/** As a person without rights, where the test is one who can become that. */
const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
spawnSync('chmod', ['-R', 'a+rX', folder]);

function podnet(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [podnetExecutable, ...args], { encoding: 'utf8', cwd: '/', timeout: 60_000, ...nobody });
}
const check = (from: string, to: string, ...more: string[]) =>
  podnet('policy', 'check', '--from', from, '--to', to, '-f', shop, ...more);

test('policy check tells the verdict, and the very policy, rule, peer and port that gave it; exit code 0 or 1', () => {
  const allowed = check('shop/frontend', 'shop/db:5432');
  assert.equal(
    allowed.stdout,
    `ALLOWED   shop/frontend-1, shop/frontend-2 → shop/db-0   TCP 5432
  ✓ egress of shop/frontend-1, shop/frontend-2: no policy isolates its egress
  ✓ ingress of shop/db-0: allowed by NetworkPolicy shop/db, spec.ingress[0], peer from[0], port TCP "sql"
`,
  );
  assert.deepEqual([allowed.status, allowed.stderr], [0, '']);
  const denied = check('tool', 'shop/db:5432');
  assert.equal(
    denied.stdout,
    `DENIED   default/tool → shop/db-0   TCP 5432
  ✓ egress of default/tool: no policy isolates its egress
  ✗ ingress of shop/db-0: default deny: isolated by NetworkPolicy shop/db, none of its 2 rules matched
      NetworkPolicy shop/db, spec.ingress[0]: the source is none of its peers
      NetworkPolicy shop/db, spec.ingress[1]: the source is none of its peers
`,
  );
  assert.equal(denied.status, 1);
});

test('policy check asks pods, workloads, named ports, addresses of both families, Services behind their translation, and pings', () => {
  const status = (from: string, to: string, ...more: string[]) => check(from, to, ...more).status;
  assert.equal(status('frontend-1', 'db:sql', '-n', 'shop'), 0);
  assert.equal(status('shop/frontend', 'svc/shop/db:3306'), 0);
  assert.equal(status('tool', 'svc/shop/db:3306'), 1);
  assert.match(check('tool', 'svc/db:3306', '-n', 'shop').stderr, /no pod or workload shop\/tool/);
  assert.deepEqual(
    ['192.168.1.1', '192.168.7.1', '2001:db8::1'].map((from) => status(from, 'shop/db:9005')),
    [0, 1, 1],
  );
  assert.deepEqual(
    ['9000', '9010', '9011'].map((port) => status('192.168.1.1', `shop/db:${port}`)),
    [0, 0, 1],
  );
  assert.equal(status('shop/db', 'svc/kube-system/kube-dns:53', '--protocol', 'udp'), 0);
  assert.equal(status('shop/db', '[2001:db8::1]:443'), 0);
  assert.equal(status('shop/db', '203.0.113.1:443', '--protocol', 'udp'), 0);
  assert.equal(status('shop/frontend', 'shop/db', '--protocol', 'icmp'), 1);
  assert.equal(status('shop/db', 'shop/frontend', '--protocol', 'icmp'), 0);
});

test('what is not there, or said wrongly, is told with what there is; exit code 2', () => {
  const wrong: [from: string, to: string, message: string | RegExp, ...more: string[]][] = [
    ['shop/x', 'shop/db:5432', 'there is no pod or workload shop/x; pods there: db-0, frontend-1, frontend-2'],
    ['x/y', 'shop/db:5432', 'there is no pod or workload x/y; pods are in default, kube-system, shop'],
    ['tool', 'shop/db', '"shop/db" has no port; write shop/db:PORT'],
    ['tool', 'shop/db:70000', '70000 is no port: they go from 1 to 65535'],
    ['tool', 'shop/db:http', 'shop/db-0 has no TCP port called "http"; it has sql (5432)'],
    ...['0', '-1', '80.5', '65536'].map((port): [string, string, string] => ['tool', `shop/db:${port}`, `${port} is no port: they go from 1 to 65535`]),
    ['tool', 'shop/db:', '"shop/db:" has no port; write shop/db:PORT'],
    ['tool', '192.0.2.1:https', '"https": only containers have ports with names, 192.0.2.1 has none; name its number'],
    ['tool', '2001:db8::1', '"2001:db8::1" has no port; with a port an IPv6 address is in brackets: [2001:db8::1]:PORT'],
    ['tool', '[2001:db8::1]', '"[2001:db8::1]" has no port; write [2001:db8::1]:PORT'],
    ['tool', '[2001:db8::1:443', '"[2001:db8::1" is no IP address'],
    ['10.0.0.300', 'shop/db:80', '"10.0.0.300" is no IP address'],
    ['fe80::1%eth0', 'shop/db:80', '"fe80::1%eth0" is no IP address: leave out the zone'],
    ['10.0.0.0/8', 'shop/db:80', '"10.0.0.0/8" is a network; ask for one of its addresses'],
    ['shop/frontend:80', 'shop/db:80', '"shop/frontend:80": whoever opens a connection is named without a port'],
    ['shop/', 'shop/db:80', '"shop/" is neither NAMESPACE/POD nor node/NAME nor an address'],
    ['tool', 'svc/shop/x:80', 'there is no Service shop/x; there are shop/db, shop/none, kube-system/kube-dns'],
    ['tool', 'svc/shop/db:80', 'Service db has no port TCP 80; it has TCP 3306'],
    ['tool', 'svc/shop/none:80', 'Service shop/none leads to no pod: nothing that it selects serves port 80'],
    ['node/n1', 'shop/db:80', 'there is no node n1; there are none'],
    ['tool', 'shop/db:80', 'ICMP has no ports: leave out ":80"', '--protocol', 'icmp'],
    ['a/b/c', 'shop/db:80', '"a/b/c" is neither NAMESPACE/POD nor node/NAME nor an address'],
  ];
  for (const [from, to, message, ...more] of wrong) {
    const { status, stderr, stdout } = check(from, to, ...more);
    assert.deepEqual([status, stderr, stdout], [2, `podnet: ${message}\n`, '']);
  }
  assert.equal(podnet('policy', 'check', '--from', 'a', '--to', 'b:1', '-f', '/nowhere').status, 2);
  const { status, stderr } = podnet('policy', 'matrix', '--lab', 'nowhere');
  assert.ok(status === 2 || status === 3, stderr);
  assert.match(stderr, /or name manifests that hold what is there, with -f\n$/);
});

test('what no API would take, and manifests without pods, are told by name; exit code 2 where there is nothing to tell', () => {
  const pod = (metadata: string, spec = '{}'): string => `{apiVersion: v1, kind: Pod, metadata: ${metadata}, spec: ${spec}}`;
  const wrong: [text: string, message: string][] = [
    [pod('{name: [1]}'), 'Pod: metadata.name is [1], not a text'],
    [pod('{name: 7}'), 'Pod: metadata.name is 7, not a text: write it in quotes'],
    [pod('{name: a, labels: {version: 1.10}}'), 'Pod: metadata.labels.version is 1.1, not a text: write it in quotes'],
    [pod('{name: a, labels: {canary: yes}}'), 'Pod: metadata.labels.canary is true, not a text: write it in quotes'],
    [pod('{name: a, labels: [x]}'), 'Pod: metadata.labels is ["x"], not a mapping'],
    [pod('{name: a}', '7'), 'Pod: spec is 7, not a mapping'],
  ];
  for (const [text, message] of wrong) {
    const path = file('wrong.yaml', text);
    assert.deepEqual([podnet('policy', 'matrix', '-f', path).stderr, podnet('diff', '-f', path, '-f', shop).status], [`podnet: ${path}:1: ${message}\n`, 2]);
  }
  const matrix = podnet('policy', 'matrix', '-f', deny);
  assert.deepEqual(
    [matrix.status, matrix.stderr],
    [0, 'podnet: there are neither pods nor what makes them (Deployments, ...): no policy is about anybody\n'],
  );
  const explained = podnet('policy', 'explain', '-f', deny, 'web');
  assert.deepEqual(
    [explained.status, explained.stderr],
    [2, 'podnet: there is no pod or workload default/web: there are neither pods nor what makes them (Deployments, ...)\n'],
  );
  const deep = podnet('policy', 'explain', '-f', shop, 'shop/db/x');
  assert.deepEqual([deep.status, deep.stderr], [2, 'podnet: "shop/db/x" is no pod; write NAMESPACE/POD, or NAMESPACE/WORKLOAD for the first of its pods\n']);
});

test('what cannot be an object of its kind is told by path and value; exit code 2, and no stack', () => {
  const of = (kind: string, rest: string, apiVersion = 'v1'): string => `{apiVersion: ${apiVersion}, kind: ${kind}, metadata: {name: a}, ${rest}}`;
  const wrong: [text: string, message: string][] = [
    [of('Pod', 'spec: {containers: [{ports: [{containerPort: abc}]}]}'), 'Pod a: spec.containers[0].ports[0].containerPort is "abc", not a whole number'],
    [of('Pod', 'spec: {containers: [{ports: [{containerPort: 70000}]}]}'), 'Pod a: spec.containers[0].ports[0].containerPort is 70000, not a port: they go from 1 to 65535'],
    [of('Pod', 'spec: {containers: {name: c}}'), 'Pod a: spec.containers is {"name":"c"}, not a list'],
    [of('Pod', 'spec: {containers: [~]}'), 'Pod a: spec.containers[0] is null, not a mapping'],
    [of('Pod', 'status: {podIPs: [{ip: 10.0.0}]}'), 'Pod a: status.podIPs[0].ip is "10.0.0", not an IP address'],
    [of('Service', 'spec: {selector: [a]}'), 'Service a: spec.selector is ["a"], not a mapping'],
    [of('Service', 'spec: {selector: {app: 7}}'), 'Service a: spec.selector.app is 7, not a text: write it in quotes'],
    [of('Service', 'spec: {clusterIP: nonsense}'), 'Service a: spec.clusterIP is "nonsense", not an IP address'],
    [of('Node', 'status: {addresses: {type: InternalIP}}'), 'Node a: status.addresses is {"type":"InternalIP"}, not a list'],
    [of('Node', 'spec: {podCIDRs: [10.0.0.0/99]}'), 'Node a: spec.podCIDRs[0] is "10.0.0.0/99", not a CIDR'],
    [of('Deployment', 'spec: {replicas: three}', 'apps/v1'), 'Deployment a: spec.replicas is "three", not a whole number'],
    ['{apiVersion: v1, kind: Pod, metadata: {generateName: web-}}', 'Pod has metadata.generateName "web-" and no name, which the API makes up when it is created; give it metadata.name'],
    ['{apiVersion: v1, kind: Pod, metadata: [a]}', 'Pod: metadata is ["a"], not a mapping'],
    ['{apiVersion: v1, kind: List, items: [~]}', 'List: items[0] is null, not a mapping'],
    ['{apiVersion: v1, kind: List, items: {a: b}}', 'List: items is {"a":"b"}, not a list'],
    ['{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: &a {b: *a}}', 'an alias (*) stands for something that it is a part of; write it out'],
  ];
  for (const [text, message] of wrong) {
    const path = file('misfit.yaml', text);
    const { status, stderr } = podnet('policy', 'matrix', '-f', path);
    assert.deepEqual([stderr, status], [`podnet: ${path}:1: ${message}\n`, 2], text);
  }
  const deep = join(folder, 'deep');
  mkdirSync(join(deep, 'inner'), { recursive: true });
  const { status, stderr } = podnet('policy', 'matrix', '-f', deep);
  assert.deepEqual([status, stderr], [2, `podnet: ${deep} holds no .yaml, .yml or .json file; folders in it are not looked into (inner): name them\n`]);
});

test('manifests come by standard input too, as lists of kubectl or of an API, with line ends and marks of other systems', () => {
  const pods = { apiVersion: 'v1', kind: 'PodList', items: [{ metadata: { name: 'a', namespace: 'shop' }, spec: {} }, { metadata: { name: 'b', namespace: 'shop' } }] };
  const list = { apiVersion: 'v1', kind: 'List', items: pods.items.map((item) => ({ apiVersion: 'v1', kind: 'Pod', ...item })) };
  const yaml = list.items.map(({ metadata: { name } }) => `---\r\napiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: ${name}\r\n  namespace: shop\r\n`).join('');
  const all = [JSON.stringify(pods), JSON.stringify(list), `\uFEFF${JSON.stringify(list, undefined, 2)}`, yaml, `\uFEFF${yaml}`].map((input) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [podnetExecutable, 'policy', 'matrix', '-o', 'csv', '-f', '-'], { encoding: 'utf8', input });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout;
  });
  assert.ok(all[0]!.includes('\nshop/a,shop/b,all\r\n'), all[0]);
  assert.equal(new Set(all).size, 1);
  const { stderr } = spawnSync(process.execPath, [podnetExecutable, 'policy', 'matrix', '-f', '-'], { encoding: 'utf8', input: 'a: [\n' });
  assert.match(stderr, /^podnet: standard input:2: /);
});

test('more pods than there are addresses to be made up are told in a sentence', () => {
  const items = Array.from({ length: 260 }, (_, i) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: `p${i}` }, spec: { hostNetwork: true } }));
  const { status, stderr } = podnet('policy', 'matrix', '-f', file('many.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items })));
  const sentence = 'there are more nodes without addresses than the 254 of 192.0.2.0/24 that podnet makes up; give them addresses in their status';
  assert.deepEqual([status, stderr], [2, `podnet: ${sentence}\n`]);
});

test('kinds that are not known are told once each, since they may make pods; the last of several objects of one name counts', () => {
  const pod = (app: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: ${app}}}\n`;
  const rollout = (name: string): string => `---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: ${name}}\nspec: {template: {}}\n`;
  const widget = '---\napiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\n---\napiVersion: apps/v1\nkind: Deploymnt\nmetadata: {name: d}\n';
  const two = file('two.yaml', `${pod('a')}${rollout('x')}${rollout('z')}${widget}`);
  const { status, stdout, stderr } = podnet('policy', 'explain', 'web', '-f', two, '-f', file('again.yaml', pod('b')));
  assert.deepEqual([status, stderr], [
    0,
    'podnet: Rollout of argoproj.io/v1alpha1 is not known to podnet: 2 objects left out (x, z), and the pods that they may make\n' +
      'podnet: Deploymnt of apps/v1 is not known to podnet: 1 object left out (d), and the pods that they may make\n',
  ]);
  assert.match(stdout, /labels {3}app=b/);
});

test('policy check as JSON and YAML has policy, rule, peer and misses by their paths', () => {
  const json = JSON.parse(check('shop/frontend-1', 'shop/db:5432', '-o', 'json').stdout);
  assert.deepEqual(json.connections[0].ingress.rule, {
    ...{ policy: 'NetworkPolicy shop/db', rule: 'spec.ingress[0]', action: 'Accept', peer: 'spec.ingress[0].from[0]', port: 0 },
  });
  const yaml = parse(check('tool', 'shop/db:5432', '-o', 'yaml').stdout);
  assert.equal(yaml.allowed, false);
  assert.deepEqual(yaml.connections[0].ingress.isolatedBy, ['NetworkPolicy shop/db']);
  assert.equal(yaml.connections[0].ingress.misses.length, 2);
});

test('policy explain tells what isolates a pod, who reaches it and whom it reaches, and why', () => {
  const { stdout, status } = podnet('policy', 'explain', 'shop/db', '-f', shop);
  assert.equal(status, 0);
  const lines = stdout.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, '  '));
  for (const line of [
    'shop/db-0  StatefulSet/db',
    'INGRESS  isolated',
    'NetworkPolicy shop/db',
    '✓  shop/frontend  TCP 5432  allowed by NetworkPolicy shop/db, spec.ingress[0], peer from[0], port TCP "sql"',
    '✗  shop/frontend  all but TCP 5432  default deny: isolated by NetworkPolicy shop/db, none of its 2 rules matched',
    '✗  default/tool, kube-system/kube-dns, outside, 192.168.7.0/24  all  default deny: isolated by NetworkPolicy shop/db, none of its 2 rules matched',
    'EGRESS  not isolated: what no cluster-wide rule denies is allowed',
  ])
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join('\n')}`);
});

test('policy matrix is a grid with letters for parts, a CSV, or JSON', () => {
  const { stdout } = podnet('policy', 'matrix', '-f', shop, '-n', 'shop');
  assert.deepEqual(
    stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' ').trim()),
    [
      '# FROM \\ TO 1 2 3 4 5 6',
      '1 kube-system/kube-dns · ✗ ✓ ✓ ✓ ✓',
      '2 shop/db ✓ · ✓ ✓ ✓ ✓',
      '3 shop/frontend ✓ a ✓ ✓ ✓ ✓',
      '4 outside ✓ ✗ ✓ · · ·',
      '5 192.168.0.0/16 except 192.168.7.0/24 ✓ b ✓ · · ·',
      '6 192.168.7.0/24 ✓ ✗ ✓ · · ·',
      '',
      '✓ all ✗ nothing · no policy can be about it',
      'a TCP 5432',
      'b TCP 9000-9010',
      '',
    ],
  );
  const csv = podnet('policy', 'matrix', '-f', shop, '-o', 'csv').stdout.split('\r\n');
  assert.equal(csv[0], 'from,to,allowed');
  assert.ok(csv.includes('shop/frontend,shop/db,TCP 5432') && csv.includes('default/tool,shop/db,nothing'));
  const { pairs } = JSON.parse(podnet('policy', 'matrix', '-f', shop, '-o', 'json').stdout);
  const pair = pairs.find(({ from, to }: { from: string; to: string }) => from === 'shop/frontend' && to === 'shop/db');
  assert.deepEqual(pair.ports.ipv6, [{ protocol: 'TCP', from: 5432, to: 5432 }]);
  assert.equal(podnet('policy', 'matrix', '-f', shop, '-n', 'nix').status, 2);
});

test('diff tells what a manifest would open and close; exit code 1 when it does, 0 when not', () => {
  const { stdout, status } = podnet('diff', '-f', deny, '-f', shop);
  const lines = stdout.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, '  '));
  assert.equal(status, 1);
  assert.ok(lines.includes('closed  default/tool  shop/frontend  all  IPv4, IPv6'), stdout);
  assert.ok(!stdout.includes('opened'), stdout);
  const same = podnet('diff', '-f', shop, '-f', shop);
  assert.deepEqual([same.status, same.stdout], [0, 'nothing changes\n']);
  const back = podnet('diff', '--delete', '-f', deny, '-f', shop, '-f', deny, '-o', 'json');
  assert.equal(back.status, 1);
  const { changes } = JSON.parse(back.stdout);
  assert.ok(
    changes.length > 0 &&
      changes.every(({ opened, closed }: { opened: unknown[]; closed: unknown[] }) => opened.length > 0 && closed.length === 0),
  );
  const nothing = podnet('diff', '--delete', '-f', deny, '-f', shop);
  assert.deepEqual([nothing.status, nothing.stderr], [2, `podnet: nothing of ${deny} is there to be deleted\n`]);
});

test('diff tells what clients of a Service would meet, endpoints, and the very elements of each kernel', () => {
  const changed = file(
    'service.yaml',
    `{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop},
      spec: {type: NodePort, clusterIP: 10.96.0.7, selector: {app: db}, ports: [{port: 3306, targetPort: sql, nodePort: 30306}]}}`,
  );
  const fixed = file(
    'fixed.yaml',
    '{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: 10.96.0.7, selector: {app: none}, ports: [{port: 3306, targetPort: sql}]}}',
  );
  const there = ['-f', shop, '-f', fixed];
  const { stdout, status } = podnet('diff', '-f', changed, ...there, '-o', 'wide');
  assert.equal(status, 1);
  assert.match(stdout, /^policies open and close no connection\n\nService shop\/db changed\n {2}type: ClusterIP -> NodePort\n/);
  assert.match(stdout, /^ +opened +ClusterIP 10\.96\.0\.7:3306\/tcp +pod +every node +sent on: any of them/m);
  assert.match(stdout, /^ +opened +node port 192\.0\.2\.1:30306\/tcp /m);
  assert.match(stdout, /^ {2}endpoints of 3306\/tcp, IPv4, on every node: \+10\.244\.\d+\.\d+:5432$/m);
  assert.match(stdout, /^any node, table inet podnet, \d+ changes\n/m);
  assert.match(stdout, /^ {2}\+ service-ips4 \{ 10\.96\.0\.7 \. tcp \. 3306 : 0:2001 \}$/m);
  assert.match(stdout, /^ {2}\+ nodeports4 \{ tcp \. 30306 : 0:2001 \}$/m);
  const { services, nodes } = JSON.parse(
    podnet('diff', '--delete', '-f', changed, '-f', shop, '-f', changed, '-o', 'json').stdout,
  );
  assert.deepEqual([services.length, services[0].verb], [1, 'removed']);
  assert.ok(nodes[0].elements.length > 4 && nodes[0].elements.every(({ verb }: { verb: string }) => verb === 'delete'));
});

test('NP19: what is not understood, and policies of versions or vendors that are not known, are told on standard error', () => {
  const odd = file(
    'odd.yaml',
    `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: odd, namespace: shop}
spec: {podSelector: {}, ingress: [{from: [{serviceSelector: {}}]}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: theirs, namespace: shop}
`,
  );
  const { stderr, status } = check('tool', 'shop/frontend:8080', '-f', odd);
  assert.equal(status, 1);
  assert.deepEqual(stderr.trim().split('\n'), [
    'podnet: CiliumNetworkPolicy theirs of cilium.io/v2 is not known to podnet and is left out',
    'podnet: NetworkPolicy shop/odd, spec.ingress[0].from[0]: unknown field "serviceSelector"; the rule allows nothing',
  ]);
});

test('names in manifests cannot harm a terminal (T40)', () => {
  const evil = file('evil.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: "a\\e[31m"}\nspec: {containers: [{name: c}]}\n');
  for (const args of [
    ['policy', 'matrix', '-f', evil],
    ['policy', 'explain', 'a\u001b[31m', '-f', evil],
    ['policy', 'check', '--from', 'a\u001b[31m', '--to', '203.0.113.1:1', '-f', evil],
  ]) {
    const { stdout, stderr } = podnet(...args);
    assert.ok(stdout.includes('a\\x1b[31m'), stdout + stderr);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it must not be there
    assert.doesNotMatch(stdout, /\u001b/);
  }
});
