import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeLease, encodeLease } from '../ipam/lease.ts';
import { Nodes } from '../kube/resources.ts';
import { ip, run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { Chain } from './testkit/chain.ts';
import type { CniAnswer, CniCall } from './testkit/cni.ts';
import { eventually, TestNode } from './testkit/node.ts';

/** Each statement of the CNI specification 1.1.0 (CNI1 to CNI15) by the executable and an agent that programs the kernel. More of them: cni.test.ts. */

const versions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
const leases = (node: TestNode): string[] => readdirSync(node.config.stateDir).filter((name) => name.endsWith('.json'));
const podLinks = (node: TestNode): string[] =>
  ip<{ ifname: string }>(node.ns.path, 'link')
    .map(({ ifname }) => ifname)
    .filter((name) => /^pod[0-9a-f]{8}$/.test(name));

const ok: CniAnswer = { code: 0, json: {} };

/** Exit code 1, and an error as CNI2 has it. @returns its text */
function failed({ code, json }: CniAnswer, expected: number, what: string): string {
  assert.deepEqual([code, json.code], [1, expected], `${what}: ${JSON.stringify(json)}`);
  assert.equal(typeof json.cniVersion, 'string', what);
  assert.ok(typeof json.msg === 'string' && json.msg !== '', what);
  assert.ok(json.details === undefined || typeof json.details === 'string', what);
  return String(json.msg);
}

async function nothingIsLeft(node: TestNode): Promise<void> {
  await eventually(() => assert.deepEqual(podLinks(node), []));
  assert.deepEqual(leases(node), []);
  assert.equal(ip(node.ns.path, 'route', 'show', 'root', '10.1.0.0/24', 'type', 'unicast').length, 0);
}

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

for (const types of [
  ['podnet', 'after'],
  ['before', 'podnet'],
  ['before', 'podnet', 'after'],
])
  test(
    `CNI5, CNI8, CNI12: in the chain ${types.join(', ')} each plugin gets what came before, and DEL goes the other way`,
    needsRoot,
    async () => {
      await using node = await TestNode.make();
      await node.startReady();
      const chain = new Chain(node.config.cni.binDir, types);
      const { path } = node.world.namespace('a');
      const pod = { containerId: 'a', netns: path };
      const { code, json } = await chain.call({ command: 'ADD', ...pod });
      assert.equal(code, 0, JSON.stringify(json));
      const names = (json.interfaces as { name: string }[]).map(({ name }) => name.replace(/^pod[0-9a-f]{8}$/, 'host'));
      assert.deepEqual(
        names,
        types.flatMap((type) => (type === 'podnet' ? ['host', 'eth0'] : [`tag-${type}`])),
      );
      // Each address belongs to the pod's end, wherever that is in the list now.
      assert.deepEqual(
        (json.ips as { interface: number; address: string }[]).map((one) => [names[one.interface], one.address]),
        [
          ['eth0', '10.1.0.2/32'],
          ['eth0', 'fd01::2/128'],
        ],
      );
      assert.deepEqual(await chain.call({ command: 'CHECK', ...pod }), ok, 'what others added is no fault');
      assert.deepEqual(
        await chain.call({ command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] } }),
        ok,
      );
      assert.deepEqual(await chain.call({ command: 'STATUS' }), ok);
      run(path, 'ping', '-c1', '-W5', '192.0.2.2');
      assert.deepEqual(await chain.call({ command: 'DEL', ...pod }), ok);
      assert.deepEqual(await chain.call({ command: 'DEL', ...pod }), ok);
      for (const type of types.filter((one) => one !== 'podnet')) {
        const calls = chain.calls(type);
        assert.deepEqual(
          calls.map(({ command }) => command),
          ['ADD', 'CHECK', 'GC', 'STATUS', 'DEL', 'DEL'],
        );
        assert.equal(calls[0]!.prevResult === undefined, types.indexOf(type) === 0);
        assert.deepEqual(calls[4]!.prevResult, json);
      }
      await nothingIsLeft(node);
    },
  );

test('CNI5: what a plugin before podnet made is passed on whole, in every version', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  for (const cniVersion of versions) {
    const { path } = node.world.namespace(`v${cniVersion}`);
    const prevResult = {
      cniVersion,
      interfaces: [{ name: 'net9', mac: '02:00:00:00:00:01', sandbox: path }],
      ips: [
        {
          ...(cniVersion.startsWith('0.') ? { version: '4' } : {}),
          address: '192.168.7.7/24',
          gateway: '192.168.7.1',
          interface: 0,
        },
      ],
      routes: [{ dst: '192.168.0.0/16', gw: '192.168.7.1' }],
      dns: { domain: 'example.org' },
    };
    const { code, json } = await node.cni({
      command: 'ADD',
      containerId: `v${cniVersion}`,
      netns: path,
      config: { cniVersion, prevResult },
    });
    assert.equal(code, 0, JSON.stringify(json));
    const first = (key: string): unknown => (json[key] as unknown[])[0];
    assert.deepEqual(
      [first('interfaces'), first('ips'), first('routes'), json.dns],
      [prevResult.interfaces[0], prevResult.ips[0], prevResult.routes[0], prevResult.dns],
    );
    assert.deepEqual(
      (json.ips as { interface: number }[]).slice(1).map((one) => one.interface),
      [2, 2],
    );
  }
});

test('CNI6: DEL succeeds with whatever is left, and with whatever it is given', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  writeFileSync(`${node.world.directory}/file`, '');
  const ways: Record<string, Partial<CniCall>> = {
    whole: {},
    'no-netns': { netns: undefined },
    'empty-netns': { netns: '' },
    'gone-netns': { netns: '/run/netns/podnet-test-gone' },
    'file-netns': { netns: `${node.world.directory}/file` },
    'relative-netns': { netns: 'x' },
    'no-path': { env: { CNI_PATH: undefined } },
    'bad-prevresult': { config: { prevResult: 'hello' } },
    'bad-wishes': { config: { runtimeConfig: { ips: 'x', infinibandGUID: 'c2' } } },
    'bad-args': { env: { CNI_ARGS: 'Unknown=1;x' } },
    'old-version': { config: { cniVersion: '0.3.0' } },
  };
  for (const [containerId, way] of Object.entries(ways)) {
    const { ns } = await node.addPod(containerId);
    const del = { command: 'DEL', containerId, netns: ns.path, ...way };
    assert.deepEqual(await node.cni(del), ok, containerId);
    assert.deepEqual(await node.cni(del), ok, `${containerId}, repeated`);
    assert.deepEqual(leases(node), [], containerId);
  }
  assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'never-added', netns: '/run/none' }), ok);
  await nothingIsLeft(node);
});

test(
  'CNI6, CRI7, F26: after a reboot DEL succeeds, all addresses are free, and new containers are served at once',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    for (const name of ['a', 'b']) await node.addPod(name);
    await node.stop();
    // What a reboot leaves: the leases, of another boot; no links, no namespaces.
    for (const link of podLinks(node)) run(node.ns.path, 'ip', 'link', 'del', link);
    for (const name of leases(node)) {
      const file = `${node.config.stateDir}/${name}`;
      writeFileSync(file, encodeLease({ ...decodeLease(readFileSync(file, 'utf8')), boot: 'another' }));
    }
    await node.startReady();
    assert.deepEqual(leases(node), []);
    assert.deepEqual(node.status().problems, []);
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a', netns: '/run/netns/gone' }), ok);
    const { addresses } = await node.addPod('a2');
    assert.equal(addresses.length, 2);
    assert.deepEqual(
      await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'a2', ifname: 'eth0' }] } }),
      ok,
    );
    assert.equal(leases(node).length, 1);
  },
);

test("CNI7: DEL of a pod's former container never takes what its new one has", needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const args = { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0' };
  const { path } = node.world.namespace('old');
  assert.equal((await node.cni({ command: 'ADD', containerId: 'old', netns: path, env: args })).code, 0);
  const fresh = node.world.namespace('fresh').path;
  const { json } = await node.cni({ command: 'ADD', containerId: 'fresh', netns: fresh, env: args });
  // The runtime deletes the former one late, with a path that may be anybody's by now.
  for (let i = 0; i < 2; i++)
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'old', netns: fresh, env: args }), ok);
  assert.deepEqual(
    await node.cni({ command: 'DEL', containerId: 'fresh', ifname: 'net1', netns: fresh }),
    ok,
    'another interface',
  );
  assert.deepEqual(
    await node.cni({ command: 'DEL', containerId: 'fresh', netns: fresh, config: { name: 'other' } }),
    ok,
    'another network',
  );
  assert.deepEqual(await node.cni({ command: 'CHECK', containerId: 'fresh', netns: fresh, config: { prevResult: json } }), ok);
  for (const address of ['10.1.0.3', 'fd01::3']) run(node.ns.path, 'ping', '-c1', '-W5', address);
  assert.deepEqual(leases(node), ['10.1.0.3_fd01::3.json']);
});

for (const attach of ['routed', 'bridge'] as const)
  test(`CNI8: CHECK notices each thing that is missing, in the pod and on the node (${attach})`, needsRoot, async () => {
    await using node = await TestNode.make({ attach });
    await node.startReady();
    const { ns, result } = await node.addPod('a');
    const pod = ns.path;
    const check = { command: 'CHECK', containerId: 'a', netns: pod, config: { prevResult: result } };
    const link = podLinks(node)[0]!;
    assert.deepEqual(await node.cni(check), ok, 'right after ADD');
    const by = attach === 'bridge' ? 'cbr0' : link;
    const mac = '0a:58:0a:01:00:02';
    // What the node holds is mended by itself, so it is asked before the agent hears of the loss.
    const onNode: readonly (readonly [why: RegExp, ...command: string[]])[] = [
      [/10\.1\.0\.2\/32/, 'ip', 'route', 'del', '10.1.0.2/32', 'dev', by],
      [/fd01::2\/128/, 'ip', '-6', 'route', 'del', 'fd01::2/128', 'dev', by],
      [/10\.1\.0\.2/, 'ip', 'neigh', 'del', '10.1.0.2', 'dev', by],
      [/is down/, 'ip', 'link', 'set', link, 'down'],
    ];
    for (const [why, ...command] of onNode) {
      await eventually(async () => assert.deepEqual(await node.cni(check), ok));
      await node.settled();
      // So that the kernel is read for the next one.
      await new Promise((resolve) => setTimeout(resolve, 550));
      run(node.ns.path, ...(command as [string, ...string[]]));
      assert.match(failed(await node.cniAtOnce(check), 102, command.join(' ')), why);
    }
    await eventually(async () => assert.deepEqual(await node.cni(check), ok), 30_000);
    // The rules of the pod's door: the table has an owner, so that nobody else can take them away.
    const element = `{ "${by}" . ${mac} . 10.1.0.2 }`;
    assert.throws(
      () => run(node.ns.path, 'nft', 'delete', 'element', 'inet', 'podnet', 'door-guests4', element),
      /Operation not permitted/,
    );
    const inPod: readonly (readonly [why: RegExp, undo: readonly string[] | undefined, ...command: string[]])[] = [
      [/lost its address 10\.1\.0\.2/, undefined, 'ip', 'address', 'flush', 'dev', 'eth0', 'to', '10.1.0.2'],
      [/lost its address fd01::2/, undefined, 'ip', '-6', 'address', 'flush', 'dev', 'eth0', 'to', 'fd01::2'],
      [/the default route via .* is gone/, undefined, 'ip', '-6', 'route', 'del', 'default'],
      [/has the MAC 02:/, undefined, 'ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:09'],
      [/eth0 is down/, undefined, 'ip', 'link', 'set', 'eth0', 'down'],
      [/no interface eth0/, undefined, 'ip', 'link', 'del', 'eth0'],
    ];
    for (const [why, , ...command] of inPod) {
      run(pod, ...(command as [string, ...string[]]));
      assert.match(failed(await node.cni(check), 102, command.join(' ')), why);
    }
    assert.match(failed(await node.cni({ ...check, containerId: 'b' }), 102, 'no lease'), /container b has no lease for eth0/);
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a' }), ok);
    assert.match(failed(await node.cni(check), 102, 'its lease is gone'), /container a has no lease/);
  });

test(
  'CNI8: CHECK judges by prevResult: an address in it that is not leased, or a leased one that it lacks',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { ns, result } = await node.addPod('a');
    const ask = async (change: Record<string, unknown>): Promise<string> => {
      const config = { prevResult: { ...result, ...change } };
      return failed(await node.cni({ command: 'CHECK', containerId: 'a', netns: ns.path, config }), 102, JSON.stringify(change));
    };
    const [ipv4, ipv6] = result.ips as { address: string }[];
    assert.match(
      await ask({ routes: [...(result.routes as unknown[]), { dst: '198.51.100.0/24' }] }),
      /no route to 198\.51\.100\.0\/24/,
    );
    run(ns.path, 'ip', 'route', 'add', '198.51.100.0/24', 'dev', 'eth0');
    run(ns.path, 'ip', 'address', 'add', '10.1.0.99/32', 'dev', 'eth0');
    const more = {
      ips: [...(result.ips as unknown[]), { address: '10.1.0.99/32', interface: 1 }],
      routes: [{ dst: '198.51.100.0/24' }],
    };
    const asked = { command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: { ...result, ...more } } };
    assert.deepEqual(await node.cni(asked), ok, 'what a later plugin added is there');
    assert.match(await ask({ ips: [ipv4] }), /prevResult does not have fd01::2/);
    assert.match(await ask({ ips: [ipv4, ipv6, { ...ipv4, address: '10.1.0.9/32' }] }), /10\.1\.0\.9/);
    assert.match(await ask({ interfaces: [(result.interfaces as unknown[])[0]] }), /no interface eth0/);
  },
);

test(
  'CNI9: STATUS tells 50 before the node could serve, 51 when it could before; every other verb is served as far as can be',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.api.delete(Nodes, 'me');
    await node.start();
    await eventually(async () =>
      assert.match(failed(await node.cni({ command: 'STATUS' }), 50, 'no Node'), /there is no Node me in the API/),
    );
    await node.setNode('me', ['192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']);
    await node.settled();
    assert.deepEqual(await node.cni({ command: 'STATUS' }), ok);
    const { ns, result } = await node.addPod('a');
    // Other nodes forget the way to a node that is deleted: pods may have lost connections.
    await node.api.delete(Nodes, 'me');
    await eventually(async () =>
      assert.match(failed(await node.cni({ command: 'STATUS' }), 51, 'deleted'), /there is no Node me in the API/),
    );
    assert.equal((await node.cni({ command: 'VERSION' })).code, 0);
    assert.deepEqual(await node.cni({ command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: result } }), ok);
    assert.deepEqual(
      await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] } }),
      ok,
    );
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a', netns: ns.path }), ok);
    await nothingIsLeft(node);
  },
);

test('CNI9, F23: STATUS tells that leases cannot be written, and that they can again', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path } = node.world.namespace('a');
  // As a disk that fails: the place of the next lease is taken.
  mkdirSync(`${node.config.stateDir}/.tmp-10.1.0.2_fd01::2.json`);
  mkdirSync(`${node.config.stateDir}/.tmp-cursor`);
  assert.match(failed(await node.cni({ command: 'ADD', containerId: 'a', netns: path }), 5, 'ADD'), /a lease cannot be written/);
  assert.match(failed(await node.cni({ command: 'STATUS' }), 50, 'STATUS'), /leases cannot be written/);
  assert.match(node.status().problems.join('\n'), /no pod can be attached, leases cannot be written to \S+\/leases: EISDIR: [^'.]+; free room/);
  rmSync(`${node.config.stateDir}/.tmp-cursor`, { recursive: true });
  assert.deepEqual(await node.cni({ command: 'STATUS' }), ok);
  assert.deepEqual(node.status().problems, []);
  assert.equal((await node.addPod('b')).addresses[0], '10.1.0.3');
});

test(
  'CNI10: GC takes what is not valid, goes on after an error, reports it at the end, and leaves other networks alone',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    for (const name of ['keep', 'stuck', 'stale']) await node.addPod(name);
    const other = node.world.namespace('other').path;
    const inOther = { containerId: 'keep', ifname: 'net1', netns: other, config: { name: 'other' } };
    assert.equal((await node.cni({ command: 'ADD', ...inOther })).code, 0);
    // A lease that cannot be removed.
    const file = `${node.config.stateDir}/10.1.0.3_fd01::3.json`;
    const contents = readFileSync(file);
    rmSync(file);
    mkdirSync(file);
    const gc = { command: 'GC', config: { 'cni.dev/valid-attachments': [{ containerID: 'keep', ifname: 'eth0' }] } };
    const answer = await node.cni(gc);
    assert.match(failed(answer, 199, 'GC'), /1 attachments could not be deleted/);
    assert.match(String(answer.json.details), /stuck eth0: the lease of 10\.1\.0\.3 and fd01::3 cannot be removed/);
    assert.ok(!leases(node).includes('10.1.0.4_fd01::4.json'), 'stale went all the same');
    rmSync(file, { recursive: true });
    writeFileSync(file, contents);
    assert.deepEqual(await node.cni(gc), ok);
    assert.deepEqual(leases(node).sort(), ['10.1.0.2_fd01::2.json', '10.1.0.5_fd01::5.json']);
    for (const address of ['10.1.0.2', 'fd01::2', '10.1.0.5', 'fd01::5']) run(node.ns.path, 'ping', '-c1', '-W5', address);
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

test("CNI14: foreign configurations are left alone, and nobody ever reads half of podnet's", needsRoot, async () => {
  await using node = await TestNode.make();
  const { confDir } = node.config.cni;
  mkdirSync(confDir, { recursive: true });
  writeFileSync(`${confDir}/05-other.conflist`, 'not even JSON');
  await node.startReady();
  assert.deepEqual(readdirSync(confDir).sort(), ['05-other.conflist', '10-podnet.conflist']);
  assert.equal(readFileSync(`${confDir}/05-other.conflist`, 'utf8'), 'not even JSON');
  assert.equal((JSON.parse(readFileSync(`${confDir}/10-podnet.conflist`, 'utf8')) as { name: string }).name, 'podnet');
});

test(
  'CNI15: ADD and DEL of one container come one after the other, of many at the same time, and nothing is lost',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const pods = Array.from({ length: 12 }, (_, i) => ({ containerId: `p${i}`, netns: node.world.namespace(`p${i}`).path }));
    await Promise.all(
      pods.map(async (pod, i) => {
        const added = node.cni({ command: 'ADD', ...pod });
        if (i % 3 === 0) await node.cni({ command: 'DEL', ...pod });
        await added;
        // An ADD that was killed or given up is always followed by DEL.
        if (i % 3 !== 1) assert.deepEqual(await node.cni({ command: 'DEL', ...pod }), ok);
      }),
    );
    await eventually(() => assert.equal(podLinks(node).length, 4));
    assert.equal(leases(node).length, 4);
    assert.equal(node.status().attachments, 4);
  },
);
