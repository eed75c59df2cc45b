import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigMaps } from '../kube/resources.ts';
import { podnetExecutable } from '../lab/supervisor.ts';
import { leftSince, ownLab, stateOf, succeeds } from '../lab/testkit/podnet.ts';
import { adminClient } from '../lab/up.ts';
import { needsRoot } from '../testing/root.ts';
import { kubectlBinaries } from '../testing/tools.ts';

const folder = mkdtempSync(join(tmpdir(), 'podnet-test-bad-'));
after(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const run = (command: string, args: string[], uid?: number) =>
  spawnSync(command, args, { encoding: 'utf8', timeout: 120_000, uid, gid: uid, cwd: '/' });
const podnet = (...args: string[]) => run(process.execPath, [podnetExecutable, ...args]);

const named = (text: string): RegExp =>
  new RegExp(`^podnet: ${text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('FOLDER', folder)}\\n$`);

const mistakes: readonly (readonly [args: string[], sentence: string])[] = [
  [
    ['--apply', file('yaml.yaml', 'kind: Pod\nmetadata: {name: a\nspec: {}\n')],
    'FOLDER/yaml.yaml:3: Flow map in block collection must be sufficiently indented and end with a }',
  ],
  [
    ['--apply', file('kind.yaml', 'apiVersion: example.org/v1\nkind: Gadget\nmetadata: {name: a}\n')],
    'FOLDER/kind.yaml:1: no kind "Gadget" in example.org/v1: install the API that it belongs to, or leave it out',
  ],
  [
    ['--apply', file('group.yaml', '\n\napiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n')],
    'FOLDER/group.yaml:3: no kind "Deployment" in v1: did you mean apiVersion apps/v1?',
  ],
  [
    ['--apply', file('escape.yaml', 'apiVersion: v1\nkind: "\\e]0;owned\\a"\nmetadata: {name: a}\n')],
    'FOLDER/escape.yaml:1: no kind "\\x1b]0;owned\\x07" in v1: install the API that it belongs to, or leave it out',
  ],
  [['--apply', file('empty.yaml', '# nothing\n')], 'FOLDER/empty.yaml holds no object; leave it out'],
  [['--apply', '/nowhere.yaml'], 'cannot read /nowhere.yaml: there is no such file'],
  [['-f', '/nowhere.yaml'], 'cannot read /nowhere.yaml: there is no such file'],
  [
    ['-f', file('lab.yaml', 'nodes: 2\nipfamily: dual\n')],
    'the lab file has an unknown field "ipfamily"; known are name, nodes, links, ipFamily, attach, backend, podCidrs, serviceCidrs, clusterDomain, loadBalancerPools, nonMasqueradeCidrs, mtu, images, upstreamDns',
  ],
  [
    ['-f', file('broken.yaml', 'nodes: {a: 1\n')],
    'FOLDER/broken.yaml:2: Flow map in block collection must be sufficiently indented and end with a }',
  ],
  [['--nodes', 'x'], '--nodes must be a whole number from 1 to 64, not "x"'],
  [['--nodes', '-1'], '--nodes must be a whole number from 1 to 64, not "-1"'],
  [['--links', '1.5'], '--links must be a whole number from 1 to 8, not "1.5"'],
  [['--ip-family', 'v4'], '--ip-family must be one of ipv4, ipv6, dual, not "v4"'],
  [['--backend', 'ipip'], '--backend must be one of auto, direct, vxlan, not "ipip"'],
  [['--attach', 'macvlan'], '--attach must be one of routed, bridge, not "macvlan"'],
  [['--timeout', 'soon'], '--timeout must be a whole number of seconds from 1 on, not "soon"'],
  [['--timeout', '0'], '--timeout must be a whole number of seconds from 1 on, not "0"'],
  [['--name', 'my-lab'], '"my-lab" cannot name a lab: use lower-case letters and digits'],
];

for (const [args, sentence] of mistakes)
  test(`lab up ${args.join(' ').replace(folder, '')}: one sentence, exit code 2, nothing made`, () => {
    const { status, stdout, stderr } = podnet(
      'lab',
      'up',
      ...(args.includes('--name') ? [] : ['--name', `bad${process.pid}`]),
      ...args,
    );
    assert.match(stderr, named(sentence));
    assert.deepEqual([status, stdout], [2, '']);
  });

test('every command tells a name that cannot be, and a lab that is not there', needsRoot, () => {
  for (const command of [['lab', 'down'], ['status'], ['ipam', 'ls'], ['verify'], ['kubectl']])
    assert.match(
      podnet(...command, '--name', 'A').stderr,
      named('"A" cannot name a lab: use lower-case letters and digits'),
      command.join(' '),
    );
  for (const command of ['status', 'verify', 'kubectl']) {
    const { status, stderr } = podnet(command, '--name', 'nothere');
    assert.match(stderr, named('no lab "nothere" is there; make it with: podnet lab up --name nothere'));
    assert.equal(status, 2);
  }
});

/** uid of nobody, when this is root; otherwise whoever runs the tests is ordinary enough. */
const ordinary = process.getuid?.() === 0 ? 65534 : undefined;
const readable = run('/usr/bin/test', ['-r', podnetExecutable], ordinary).status === 0;

test('without root each command that needs it says so in one sentence, and ends with 3', {
  skip: !readable && 'nobody cannot read this folder',
}, () => {
  for (const command of [
    ['lab', 'up'],
    ['lab', 'down'],
    ['lab', 'list'],
    ['status'],
    ['ipam', 'ls'],
    ['cni', 'install'],
    ['cni', 'remove'],
    ['verify'],
    ['kubectl', 'get', 'pods'],
  ]) {
    const { status, stderr } = run(process.execPath, [podnetExecutable, ...command], ordinary);
    assert.match(stderr, /^podnet: [^\n]+; you are uid \d+\n {2}Fix: run it with sudo\n$/, command.join(' '));
    assert.equal(status, 3);
  }
});

test('a file system without room is told with the fix, exit code 3, and leaves nothing', needsRoot, () => {
  // In a mount namespace of its own: /run has room for so many files. tmpfs counts its root as one.
  for (const files of [1, 2, 3, 4, 6, 8]) {
    const script =
      'mount -t tmpfs -o size=1m,nr_inodes=$0 tmpfs /run && { "$@"; code=$?; find /run -mindepth 2 >&2; exit $code; }';
    const lab = [process.execPath, podnetExecutable, 'lab', 'up', '--name', `full${process.pid}`];
    const { status, stderr } = run('unshare', ['--mount', 'sh', '-c', script, String(files), ...lab]);
    assert.match(stderr, /^podnet: a file system is full: [^\n]+\n {2}Fix: free some on \/run; [^\n]+\n$/, `${files} files`);
    assert.equal(status, 3);
  }
});

test('a read-only /run is told with the fix, exit code 3', needsRoot, () => {
  for (const command of ['up', 'down']) {
    const lab = [process.execPath, podnetExecutable, 'lab', command, '--name', `ro${process.pid}`];
    const { status, stderr } = run('unshare', [
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs tmpfs /run && mkdir /run/netns /run/podnet && mount -o remount,ro /run && exec "$@"',
      'sh',
      ...lab,
    ]);
    assert.match(stderr, /^podnet: a file system is read-only: [^\n]+\n {2}Fix: [^\n]+\n$/, command);
    assert.equal(status, 3);
  }
});

test('what the API refuses is told with file and line; the rest is applied, and the lab goes on', needsRoot, async () => {
  const names = ownLab('refused');
  const before = stateOf(names);
  const manifests = [
    'apiVersion: v1\nkind: Service\nmetadata: {name: field}\nspec: {prots: [{port: 80}]}\n',
    'apiVersion: v1\nkind: Service\nmetadata: {name: port}\nspec: {ports: [{port: 70000, targetPort: 80}]}\n',
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: type}\nspec: {replicas: three}\n',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n',
  ].join('---\n');
  try {
    const { status, stderr } = podnet(
      'lab',
      'up',
      '--name',
      names.lab,
      '--nodes',
      '1',
      '--apply',
      file('refused.yaml', manifests),
    );
    assert.equal(status, 1);
    const [head, ...lines] = stderr.trimEnd().split('\n');
    assert.equal(head, 'podnet: the API refused:');
    const at = (line: number, rest: string): RegExp => new RegExp(`^ {2}${folder}/refused\\.yaml:${line}: .*${rest}`);
    for (const [i, wanted] of [at(1, 'prots'), at(6, '70000: must be between 1 and 65535'), at(11, 'replicas')].entries())
      assert.match(lines[i] ?? '', wanted);
    assert.equal(lines.length, 3);
    assert.match(await succeeds('status', '--name', names.lab), /node-1 .* ok/);
    using client = adminClient(names);
    assert.equal((await client.get(ConfigMaps, 'good', 'default')).metadata.name, 'good');
    const wanted = [/unknown field "(spec\.)?prots"/, /70000: must be between 1 and 65535/, /replicas/];
    for (const tool of kubectlBinaries().filter(({ present }) => present))
      for (const [number, text] of manifests.split('---\n').slice(0, 3).entries()) {
        const own = ['--kubeconfig', names.kubeconfig, '--cache-dir', join(names.dir, 'kubectl')];
        const applied = run(tool.path, [...own, 'apply', '-f', file('one.yaml', text)]);
        assert.match(applied.stderr, wanted[number]!, tool.name);
        assert.equal(applied.status, 1, tool.name);
      }
    const second = podnet('lab', 'up', '--name', names.lab);
    assert.match(
      second.stderr,
      named(`lab "${names.lab}" runs already; end it with: podnet lab down --name ${names.lab}, or start another with --name`),
    );
    assert.equal(second.status, 2);
    assert.match(await succeeds('status', '--name', names.lab), /node-1 .* ok/);
  } finally {
    await succeeds('lab', 'down', '--name', names.lab);
  }
  assert.deepEqual(await leftSince(before, names), []);
});

test(
  'pods that never become Ready are named with the reason, exit code 1, and the lab stays to be looked at',
  needsRoot,
  async () => {
    const names = ownLab('unready');
    const pod =
      'apiVersion: v1\nkind: Pod\nmetadata: {name: never}\nspec:\n  nodeSelector: {no: where}\n  containers: [{name: c, image: busybox}]\n';
    try {
      const { status, stderr } = podnet(
        'lab',
        'up',
        '--name',
        names.lab,
        '--nodes',
        '1',
        '--timeout',
        '1',
        '--apply',
        file('never.yaml', pod),
      );
      assert.match(stderr, /^podnet: not within 1 s: pods are not Ready: default\/never \(0\/1 nodes are available.*\)\n$/);
      assert.equal(status, 1);
      assert.match(await succeeds('status', '--name', names.lab), /node-1 .* ok/);
    } finally {
      await succeeds('lab', 'down', '--name', names.lab);
    }
  },
);
