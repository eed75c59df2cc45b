import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import type { CniCall } from '../testkit/cni.ts';
import { failed, leases, nothingIsLeft, ok, podLinks, versions } from '../testkit/cni-spec.ts';
import { TestNode } from '../testkit/node.ts';

/** Statements of the CNI specification 1.1.0 by the executable and an agent that programs the kernel: what is asked and answered. The others: cni-spec-….test.ts, cni.test.ts. */

for (const cniVersion of versions)
  test(
    `CNI1, CNI11, CNI12: a network of version ${cniVersion}: VERSION, ADD, CHECK and DEL in its format`,
    needsRoot,
    async () => {
      await using node = await TestNode.make();
      await node.startReady();
      const { path } = node.world.namespace('a');
      const pod = { containerId: 'a', netns: path };
      const said = await node.cni({ command: 'VERSION', config: { cniVersion } });
      assert.deepEqual(said, { code: 0, json: { cniVersion, supportedVersions: [...versions] } });

      const { code, json } = await node.cni({
        command: 'ADD',
        ...pod,
        config: { cniVersion, dns: { nameservers: ['10.96.0.10'] } },
      });
      assert.equal(code, 0, JSON.stringify(json));
      const isOld = cniVersion.startsWith('0.');
      const mtu = cniVersion === '1.1.0' ? { mtu: 1500 } : {};
      const [host] = json.interfaces as { name: string }[];
      assert.deepEqual(json, {
        cniVersion,
        interfaces: [
          { name: podLinks(node)[0], mac: 'ee:ee:ee:ee:ee:ee', ...mtu },
          { name: 'eth0', mac: '0a:58:0a:01:00:02', sandbox: path, ...mtu },
        ],
        ips: [
          { ...(isOld ? { version: '4' } : {}), address: '10.1.0.2/32', gateway: '169.254.1.1', interface: 1 },
          { ...(isOld ? { version: '6' } : {}), address: 'fd01::2/128', gateway: 'fe80::1', interface: 1 },
        ],
        routes: [
          { dst: '0.0.0.0/0', gw: '169.254.1.1' },
          { dst: '::/0', gw: 'fe80::1' },
        ],
        dns: { nameservers: ['10.96.0.10'] },
      });
      assert.match(host!.name, /^pod/);

      const check = await node.cni({ command: 'CHECK', ...pod, config: { cniVersion, prevResult: json } });
      if (cniVersion < '0.4.0') assert.match(failed(check, 1, 'CHECK'), new RegExp(`${cniVersion} has no CHECK`));
      else assert.deepEqual(check, ok);
      for (const command of ['STATUS', 'GC']) {
        const answer = await node.cni({
          command,
          config: { cniVersion, 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] },
        });
        if (cniVersion === '1.1.0') assert.deepEqual(answer, ok, command);
        else assert.match(failed(answer, 1, command), new RegExp(`${cniVersion} has no ${command}`));
      }
      assert.deepEqual(await node.cni({ command: 'DEL', ...pod, config: { cniVersion, prevResult: json } }), ok);
      await nothingIsLeft(node);
    },
  );

test('CNI1, CNI2: what is wrong with a call is told by code and text, in the version that was asked for', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path } = node.world.namespace('a');
  const add: CniCall = { command: 'ADD', containerId: 'a', netns: path };
  const cases: readonly (readonly [change: Partial<CniCall>, code: number, text: RegExp])[] = [
    [{ config: { cniVersion: '2.0.0' } }, 1, /cniVersion is "2\.0\.0"/],
    [{ config: { cniVersion: undefined } }, 1, /cniVersion is undefined/],
    [{ config: { runtimeConfig: { infinibandGUID: 'c2:11' } } }, 2, /infinibandGUID is "c2:11"/],
    [{ command: 'ADDD' }, 4, /CNI_COMMAND is "ADDD"/],
    [{ env: { CNI_COMMAND: undefined } }, 4, /CNI_COMMAND is missing/],
    [{ stdin: '' }, 6, /stdin is not JSON: it is empty/],
    [{ stdin: '{"cniVersion":' }, 6, /stdin is not JSON/],
    [{ stdin: '[]' }, 6, /expected a JSON object/],
    [{ config: { prevResult: { ips: [{ address: 'hello' }] } } }, 6, /ips\[0\]\.address is "hello"/],
    [{ config: { name: '' } }, 7, /name is ""/],
    [{ config: { name: 'a/b' } }, 7, /name is "a\/b"/],
    [{ config: { name: '../../etc' } }, 7, /name is "\.\.\/\.\.\/etc"/],
    [{ command: 'CHECK' }, 7, /prevResult is missing/],
    [{ command: 'GC' }, 7, /valid-attachments is undefined/],
  ];
  for (const [change, code, text] of cases)
    assert.match(failed(await node.cni({ ...add, ...change }), code, JSON.stringify(change)), text);
  const old = await node.cni({ ...add, config: { cniVersion: '0.4.0', runtimeConfig: { deviceID: '0000:00:1f.6' } } });
  failed(old, 2, 'an error of version 0.4.0');
  assert.equal(old.json.cniVersion, '0.4.0');
  await nothingIsLeft(node);
});

test('CNI3: each verb names the variables that it misses, and asks for no more than it needs', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path } = node.world.namespace('a');
  const all = { CNI_CONTAINERID: 'a', CNI_NETNS: path, CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' };
  const none = { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined, CNI_PATH: undefined };
  const required: Record<string, readonly (keyof typeof all)[]> = {
    ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
    DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
    CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
    GC: ['CNI_PATH'],
  };
  for (const [command, names] of Object.entries(required)) {
    for (const name of names)
      for (const value of [undefined, ''])
        assert.match(
          failed(await node.cni({ command, env: { ...all, [name]: value } }), 4, `${command} without ${name}`),
          new RegExp(`${name} is missing for ${command}`),
        );
    const missing = failed(await node.cni({ command, env: none }), 4, command);
    for (const name of names) assert.ok(missing.includes(name), `${missing} names ${name}`);
  }
  for (const command of ['STATUS', 'VERSION']) assert.equal((await node.cni({ command, env: none })).code, 0, command);
  await nothingIsLeft(node);
});

test(
  'CNI4, T25: no value of the environment leads outside: bad ids, names and paths are refused, and nothing is made',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { path } = node.world.namespace('a');
    const { directory } = node.world;
    writeFileSync(`${directory}/file`, '');
    mkdirSync(`${directory}/folder`);
    run(node.ns.path, 'mkfifo', `${directory}/fifo`);
    run(node.ns.path, 'ln', '-s', node.ns.path, `${directory}/link`);
    const canary = `${directory}/canary`;
    const bad: Record<string, readonly string[]> = {
      CNI_CONTAINERID: [
        '-a',
        '.a',
        '..',
        'a/b',
        '../../etc/passwd',
        'a b',
        'a\n',
        `$(touch ${canary})`,
        `a;touch ${canary}`,
        'ä',
      ],
      CNI_IFNAME: [
        '.',
        '..',
        'a/b',
        '../x',
        'a:b',
        'a b',
        'a\tb',
        'a\u00a0b',
        'a\u2028b',
        'sixteen-bytes-xx',
        'ääääääää',
        ...['eth%d', '%', 'all', 'default', 'e\ufffd', 'lo'],
        `\`touch ${canary}\``,
      ],
      CNI_NETNS: [
        ...[
          'relative/path',
          `${directory}/none`,
          `${directory}/file`,
          `${directory}/folder`,
          `${directory}/fifo`,
          '/dev/null',
          '/dev/zero',
        ],
        // A namespace of another kind, the node's own under two names, and a path that is a command.
        ...['/proc/self/ns/mnt', '/proc/self/ns/user', node.ns.path, `${directory}/link`, `/run/$(touch ${canary})`],
      ],
      CNI_ARGS: ['K8S_POD_NAME', '=x', 'Unknown=1', 'IgnoreUnknown=maybe'],
    };
    for (const [name, values] of Object.entries(bad))
      for (const value of values) {
        const answer = await node.cni({ command: 'ADD', containerId: 'a', netns: path, env: { [name]: value } });
        assert.match(failed(answer, 4, `${name}=${value}`), new RegExp(name), JSON.stringify(answer.json));
      }
    // What is refused is not there: DEL has nothing to do, and must not fail (CNI6).
    for (const name of ['CNI_CONTAINERID', 'CNI_IFNAME'])
      for (const value of bad[name]!)
        assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a', env: { [name]: value } }), ok, `${name}=${value}`);
    assert.equal(existsSync(canary), false);
    // Names come from users, and are no file names.
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=../../x;K8S_POD_NAME=../../../tmp/$(touch ${canary})`;
    const strange = await node.cni({ command: 'ADD', containerId: 'a', netns: path, env: { CNI_ARGS: args } });
    assert.equal(strange.code, 0, JSON.stringify(strange.json));
    assert.deepEqual(leases(node), ['10.1.0.2_fd01::2.json'], 'and no address was spent on what was refused');
    assert.equal((await node.cni({ command: 'DEL', containerId: 'a' })).code, 0);
    assert.equal(existsSync(canary), false);
    await nothingIsLeft(node);
  },
);

test(
  'CNI13: keys of CNI_ARGS that nobody knows are an error unless IgnoreUnknown says so; annotations are taken',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { path } = node.world.namespace('a');
    const add = (CNI_ARGS: string) => node.cni({ command: 'ADD', containerId: 'a', netns: path, env: { CNI_ARGS } });
    for (const args of ['Strange=1', 'K8S_POD_NAME=web;Strange=1', 'Strange=1;IgnoreUnknown=0', 'Strange=1;IgnoreUnknown=false'])
      assert.match(failed(await add(args), 4, args), /CNI_ARGS has Strange/);
    for (const args of [
      'IgnoreUnknown=1;Strange=1',
      'Strange=1;IgnoreUnknown=true',
      'K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=u;K8S_POD_INFRA_CONTAINER_ID=i',
      '',
      // What containerd sends.
      'K8S_POD_INFRA_CONTAINER_ID=a;K8S_POD_UID=1-2;IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web',
    ]) {
      assert.equal((await add(args)).code, 0, args);
      assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a' }), ok);
    }
    // What podman sends for --ip and --mac-address; capabilities go before it.
    const wishes = { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.1.0.77;MAC=02:00:00:00:00:77' };
    for (const [capabilities, address] of [
      [{}, '10.1.0.77'],
      [{ ips: ['10.1.0.88'] }, '10.1.0.88'],
    ] as const) {
      // containerd writes the names of what DNS has large.
      const runtimeConfig = { ...capabilities, dns: { Servers: ['10.96.0.10'], Searches: ['local'] } };
      const { json } = await node.cni({ command: 'ADD', containerId: 'a', netns: path, env: wishes, config: { runtimeConfig } });
      assert.equal((json.ips as { address: string }[])[0]!.address, `${address}/32`);
      assert.equal((json.interfaces as { mac: string }[])[1]!.mac, '02:00:00:00:00:77');
      assert.deepEqual(json.dns, { nameservers: ['10.96.0.10'], search: ['local'] });
      assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a' }), ok);
    }
    for (const args of ['IP=10.1.0.300', 'MAC=hello']) assert.match(failed(await add(args), 7, args), /^CNI_ARGS (IP|MAC) is /);
    const runtimeConfig = { 'io.kubernetes.cri.pod-annotations': { 'example.org/x': 'y' } };
    assert.equal((await node.cni({ command: 'ADD', containerId: 'a', netns: path, config: { runtimeConfig } })).code, 0);
  },
);
