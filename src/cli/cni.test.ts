import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { callCni } from '../agent/testkit/cni.ts';
import { eventually, TestNode } from '../agent/testkit/node.ts';
import { dockerIpv4, dockerIpv6 } from '../foreign/testkit/layouts.ts';
import { Nodes } from '../kube/resources.ts';
import { podnetExecutable } from '../lab/supervisor.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';

interface Ended {
  status: number;
  stdout: string;
  stderr: string;
}

/** Beside the agent, which lives in this process. */
const end = (file: string, args: readonly string[], env = process.env): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(file, args, { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });

/** The command on the node, in its directories. */
function cni(node: TestNode, command: 'install' | 'remove', ...more: string[]): Promise<Ended> {
  const { binDir, confDir, socketPath } = node.config.cni;
  const places = ['--bin-dir', binDir, '--conf-dir', confDir, ...(command === 'install' ? ['--socket', socketPath] : [])];
  return end('nsenter', [`--net=${node.ns.path}`, process.execPath, podnetExecutable, 'cni', command, ...places, ...more]);
}

/** Lines of the answer, by the last part of the file's name. */
const told = ({ stdout }: Ended): Record<string, string> =>
  Object.fromEntries(
    stdout
      .split('\n')
      .slice(1)
      .filter(Boolean)
      .map((line) => [line.split(/\s+/)[0]!.split('/').at(-1)!, line.replace(/^\S+\s+/, '')]),
  );

/** The directories of the node, made, with what others have there. */
function others(node: TestNode, files: Record<string, string>): Record<string, string> {
  const { binDir, confDir } = node.config.cni;
  for (const directory of [binDir, confDir]) mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(`${node.world.directory}/state/${name}`, text);
  return files;
}

const unchanged = (node: TestNode, files: Record<string, string>): void => {
  for (const [name, text] of Object.entries(files))
    assert.equal(readFileSync(`${node.world.directory}/state/${name}`, 'utf8'), text);
};

test(
  'CNI14: install puts the executable in place without an agent, and the configuration only when ADD can be served',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const { binDir, confDir } = node.config.cni;
    const list = `${confDir}/10-podnet.conflist`;
    const first = await cni(node, 'install');
    assert.equal(first.status, 0, first.stderr);
    const { podnet, loopback, '10-podnet.conflist': conflist } = told(first);
    assert.deepEqual([podnet, loopback], ['written', 'written']);
    assert.match(
      conflist!,
      /^left: not written now, but by the agent once pods can be attached: podnet's agent is not running on this node/,
    );
    assert.deepEqual(readdirSync(binDir).sort(), ['loopback', 'podnet']);
    assert.equal(lstatSync(`${binDir}/podnet`).mode & 0o777, 0o755);
    assert.equal((await callCni(`${binDir}/loopback`, { command: 'VERSION' })).code, 0);
    assert.throws(() => statSync(list));

    await node.api.delete(Nodes, 'me');
    await node.start();
    await eventually(async () =>
      assert.match(told(await cni(node, 'install'))['10-podnet.conflist']!, /there is no Node me in the API/),
    );
    assert.throws(() => statSync(list));

    await node.setNode('me', ['192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']);
    await node.settled();
    // A directory that the agent does not write to.
    const second = ['--conf-dir', `${confDir}-2`];
    assert.deepEqual(told(await cni(node, 'install', ...second)), {
      podnet: 'as it should be',
      loopback: 'as it should be',
      '10-podnet.conflist': 'written',
    });
    const facts = (): unknown[] => {
      const { ino, mode } = statSync(`${confDir}-2/10-podnet.conflist`);
      return [ino, mode & 0o777, readdirSync(`${confDir}-2`)];
    };
    const before = facts();
    assert.deepEqual(before.slice(1), [0o644, ['10-podnet.conflist']]);
    assert.equal(told(await cni(node, 'install', ...second))['10-podnet.conflist'], 'as it should be');
    assert.deepEqual(facts(), before);
  },
);

test('CNI14: an agent that starts again leaves the configuration and the executable as they are', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { binDir, confDir } = node.config.cni;
  const inodes = (): number[] => [`${binDir}/podnet`, `${confDir}/10-podnet.conflist`].map((file) => statSync(file).ino);
  const before = inodes();
  await node.stop();
  assert.deepEqual(inodes(), before, 'without an agent');
  await node.startReady();
  assert.deepEqual(inodes(), before);
});

test(
  "CNI14: remove takes what is podnet's by its content, names what it leaves, and works twice and without an agent",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const { binDir, confDir } = node.config.cni;
    const foreign = others(node, {
      'net.d/05-other.conflist': 'not JSON',
      'net.d/99-x.conf': '{"name":"x"}',
      'bin/loopback': 'ref',
      'bin/bridge': 'ref',
    });
    await node.startReady();
    await node.stop();
    writeFileSync(`${binDir}/.podnet.0123abcd.tmp`, 'a killed writer');
    const first = await cni(node, 'remove');
    assert.equal(first.status, 0, first.stderr);
    assert.deepEqual(told(first), {
      '10-podnet.conflist': 'removed',
      loopback: "left: it is not podnet's: it is another plugin",
      podnet: 'removed',
    });
    assert.deepEqual(
      [readdirSync(binDir).sort(), readdirSync(confDir).sort()],
      [
        ['bridge', 'loopback'],
        ['05-other.conflist', '99-x.conf'],
      ],
    );
    unchanged(node, foreign);
    const second = await cni(node, 'remove');
    assert.equal(second.status, 0);
    assert.deepEqual([told(second).podnet, told(second)['10-podnet.conflist']], ['was not there', 'was not there']);
  },
);

test("F42: remove takes podnet's rules out of Docker's chain, and leaves all others there", needsRoot, async () => {
  await using node = await TestNode.make({ foreignFirewall: 'allow' });
  await node.startReady();
  for (const command of [...dockerIpv4, ...dockerIpv6]) run(node.ns.path, 'sh', '-c', command);
  const rules = (): string => ['iptables-nft', 'ip6tables-nft'].map((tool) => run(node.ns.path, tool, '-S')).join('');
  await eventually(() => assert.equal(rules().match(/--comment podnet -j ACCEPT/g)?.length, 4));
  await node.stop();
  const outcome = told(await cni(node, 'remove'));
  assert.match(outcome.table ?? '', /^ip6? filter chain DOCKER-USER +removed$/);
  assert.doesNotMatch(rules(), /podnet/);
  assert.equal(rules().match(/^-A DOCKER-USER -j RETURN$/gm)?.length, 2);
  assert.equal(told(await cni(node, 'remove')).table, undefined, 'there is nothing left to remove');
});

test(
  "CNI14: a foreign file with the executable's name is neither replaced nor started nor removed, by nobody",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const { binDir } = node.config.cni;
    const file = `${binDir}/podnet`;
    const script = `#!/bin/sh\necho started >> ${binDir}/witness\n`;
    others(node, { 'bin/podnet': script });
    chmodSync(file, 0o755);
    const install = await cni(node, 'install');
    assert.equal(install.status, 3);
    assert.match(install.stderr, /^podnet: \S+\/bin\/podnet is not podnet's: it is no ELF file\n {2}Fix: move it away, /);
    assert.match(told(await cni(node, 'remove')).podnet!, /^left: it is not podnet's: it is no ELF file/);
    await assert.rejects(node.start(), /bin\/podnet is not podnet's/);
    assert.equal(readFileSync(file, 'utf8'), script);
    assert.deepEqual(readdirSync(binDir), ['podnet']);
    rmSync(file);
    symlinkSync(process.execPath, file);
    assert.match((await cni(node, 'install')).stderr, /it is a symbolic link to /);
    assert.ok(lstatSync(file).isSymbolicLink());
  },
);

test('a folder or a FIFO in the place of a configuration is named, and nobody waits for it', needsRoot, async () => {
  await using node = await TestNode.make();
  const { confDir } = node.config.cni;
  mkdirSync(`${confDir}/10-podnet.conflist`, { recursive: true });
  mkdirSync(`${confDir}/00-folder.conf`);
  await node.startReady();
  assert.match(node.status().problems.join('\n'), /10-podnet\.conflist is not podnet's: it is no regular file/);
  const { status, stderr } = await cni(node, 'install');
  assert.match(stderr, /10-podnet\.conflist is not podnet's: it is no regular file/);
  assert.equal(status, 3);
  rmSync(`${confDir}/10-podnet.conflist`, { recursive: true });
  run(node.ns.path, 'mkfifo', `${confDir}/05-fifo.conf`);
  const { stderr: second } = await cni(node, 'install');
  assert.match(second, /^podnet: runtimes take \S+\/05-fifo\.conf and not/);
  assert.doesNotMatch(second, /00-folder/);
});

test('a configuration that sorts first is named and left alone, exit code 1', needsRoot, async () => {
  await using node = await TestNode.make();
  const foreign = others(node, {
    'net.d/05-other.conflist': '{"cniVersion":"1.0.0","name":"other","plugins":[{"type":"bridge"}]}',
    'net.d/20-late.conf': '{}',
  });
  await node.startReady();
  const { status, stderr } = await cni(node, 'install');
  assert.match(
    stderr,
    /^podnet: runtimes take \S+\/05-other\.conflist \(network "other"\) and not 10-podnet\.conflist, since it sorts first: [^\n]+\n$/,
  );
  assert.equal(status, 1);
  unchanged(node, foreign);
});

test("an own list of an admin under podnet's name stays, whoever would write or remove it", needsRoot, async () => {
  await using node = await TestNode.make();
  const foreign = others(node, {
    'net.d/10-podnet.conflist': '{"cniVersion":"1.0.0","name":"podnet","plugins":[{"type":"podnet"},{"type":"tuning"}]}',
  });
  await node.startReady();
  await eventually(() =>
    assert.match(node.log.join('\n'), /10-podnet\.conflist is not podnet's: its plugins are podnet, tuning, not podnet alone/),
  );
  assert.match(
    node.status().problems.join('\n'),
    /cannot write the network's configuration to \S+: \S+10-podnet\.conflist is not podnet's/,
  );
  assert.equal(node.log.filter((line) => line.includes('10-podnet.conflist')).length, 1, 'logged once');
  const { status, stderr } = await cni(node, 'install');
  assert.match(stderr, /its plugins are podnet, tuning, not podnet alone/);
  assert.equal(status, 3);
  await node.stop();
  assert.match(told(await cni(node, 'remove'))['10-podnet.conflist']!, /^left: .*podnet, tuning/);
  unchanged(node, foreign);
});

test('remove is refused while pods are attached or the agent runs, exit code 1, and done with --force', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  assert.match(
    (await cni(node, 'remove')).stderr,
    /^podnet: podnet's agent runs on this node and would put the plugin back\. Stop it first/,
  );
  await node.addPod('a');
  await node.stop();
  const refused = await cni(node, 'remove');
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /^podnet: 1 pod of podnet's on this node: the runtime needs the plugin and its configuration to end them\. Drain the node/,
  );
  assert.deepEqual(readdirSync(node.config.cni.binDir).sort(), ['loopback', 'podnet']);
  assert.equal((await cni(node, 'remove', '--force')).status, 0);
  assert.deepEqual(readdirSync(node.config.cni.binDir), []);
});

test('CNI14: on a full disk what is there stays whole, nothing half is left, exit code 3', needsRoot, async () => {
  await using node = await TestNode.make();
  const { binDir, confDir, socketPath } = node.config.cni;
  await node.startReady();
  const good = readFileSync(`${confDir}/10-podnet.conflist`, 'utf8');
  const old = good.replace('"1.0.0"', '"0.4.0"');
  // In a mount namespace of its own: room for so many files more than those that are there. Each size stops the writer elsewhere.
  for (const files of [0, 1, 2]) {
    const script = `mount -t tmpfs -o nr_inodes=$((5 + ${files})) tmpfs ${node.world.directory}/state/full && cd ${node.world.directory}/state/full && mkdir bin net.d &&
      printf %s "$OLD" > net.d/10-podnet.conflist && : > bin/bridge && { "$@"; echo $?; ls -A bin net.d; cat net.d/10-podnet.conflist; }`;
    const full = `${node.world.directory}/state/full`;
    mkdirSync(full, { recursive: true });
    const args = ['cni', 'install', '--bin-dir', `${full}/bin`, '--conf-dir', `${full}/net.d`, '--socket', socketPath];
    const command = ['unshare', '--mount', 'sh', '-c', script, 'sh', process.execPath, podnetExecutable, ...args];
    const { stdout, stderr } = await end('nsenter', [`--net=${node.ns.path}`, ...command], { ...process.env, OLD: old });
    assert.match(stderr, /^podnet: nothing was left half done: ENOSPC: [^\n]+\n {2}Fix: /, `${files}: ${stdout}`);
    assert.match(stdout, /^3\n/m);
    // What stays although it failed is told.
    const written = [...stdout.matchAll(/^\S+\/bin\/(\S+) +written$/gm)].map(([, name]) => name);
    assert.deepEqual(written, ['podnet', 'loopback'].slice(0, files));
    assert.doesNotMatch(stdout, /\.tmp/);
    assert.ok(stdout.endsWith(old), stdout);
  }
  run(node.ns.path, 'test', '-x', `${binDir}/podnet`);
});

test('what cannot be is told in one sentence, exit code 2', () => {
  for (const [args, sentence] of [
    [['install', '--bin-dir', 'bin'], '--bin-dir must be an absolute path, not "bin"'],
    [['remove', '--conf-dir', ''], '--conf-dir must be an absolute path, not ""'],
    [['install', '--network', 'a/b'], '--network "a/b" cannot name a network: use letters, digits, _ . and -'],
    [['install', '--socket', `/${'x'.repeat(107)}`], "--socket has 108 bytes; a unix socket's path may have 107"],
  ] as const) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [podnetExecutable, 'cni', ...args], { encoding: 'utf8' });
    assert.deepEqual([status, stdout, stderr], [2, '', `podnet: ${sentence}\n`]);
  }
});
