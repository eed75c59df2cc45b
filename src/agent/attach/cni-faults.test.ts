import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Nodes } from '../../kube/resources.ts';
import { ip, run } from '../../testing/judge.ts';
import { changes } from '../../testing/machine.ts';
import { needsRoot } from '../../testing/root.ts';
import type { CniCall } from '../testkit/cni.ts';
import { failed, leases, nothingIsLeft, ok, podLinks } from '../testkit/cni-spec.ts';
import { eventually, TestNode } from '../testkit/node.ts';

/** What runtimes do wrong, and what goes wrong with them: the fault cases F30 to F35. */

/** Nothing of the node changed: kernel and leases. */
const same = (node: TestNode, before: { kernel: string[]; leases: string[] }, what: string): void => {
  assert.deepEqual(changes({ kernel: before.kernel }, { kernel: node.kernel() }), [], what);
  assert.deepEqual(leases(node), before.leases, what);
};
const stateOf = (node: TestNode) => ({ kernel: node.kernel(), leases: leases(node) });

for (const attach of ['routed', 'bridge'] as const)
  test(
    `F30, CNI5: a second ADD of the same attachment is an error, and the first one stays, link, addresses and lease (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const { ns, addresses, result } = await node.addPod('a');
      const elsewhere = node.world.namespace('elsewhere');
      await node.settled();
      const before = stateOf(node);
      const again: readonly (readonly [what: string, call: Partial<CniCall>])[] = [
        ['in the same namespace', { netns: ns.path }],
        ['in another namespace', { netns: elsewhere.path }],
        ['with other wishes', { netns: ns.path, config: { runtimeConfig: { ips: ['10.1.0.99'] } } }],
      ];
      const refuse = async (when: string): Promise<void> => {
        for (const [what, call] of again) {
          const answers = await Promise.all([1, 2].map(() => node.cni({ command: 'ADD', containerId: 'a', ...call })));
          for (const answer of answers) failed(answer, 100, `${what}, ${when}`);
          assert.equal(ip(elsewhere.path, 'link').length, 1, `nothing but lo is there: ${what}, ${when}`);
          const check = { command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: result } };
          assert.deepEqual(await node.cni(check), ok, `${what}, ${when}`);
        }
        await node.settled();
        same(node, before, when);
        for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
      };
      await refuse('while the agent runs');
      await node.stop();
      await node.startReady();
      await refuse('after a restart');
      assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a', netns: ns.path }), ok);
      await nothingIsLeft(node);
    },
  );

test('F31, CNI6, CNI7: DEL of what is not there, or of what others have by now, succeeds and takes nothing', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { ns, addresses, result } = await node.addPod('alive');
  const gone = await node.addPod('gone');
  assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'gone', netns: gone.ns.path }), ok);
  await eventually(() => assert.equal(podLinks(node).length, 1));
  await node.settled();
  const before = stateOf(node);
  const calls: readonly (readonly [what: string, call: Partial<CniCall>])[] = [
    ['never added', { containerId: 'never', netns: gone.ns.path }],
    ['never added, in the namespace of a pod that lives', { containerId: 'never', netns: ns.path }],
    ['a second time', { containerId: 'gone', netns: gone.ns.path }],
    ['with an empty namespace', { containerId: 'gone', netns: '' }],
    ['without a namespace', { containerId: 'gone' }],
    ['with a path that is gone', { containerId: 'gone', netns: '/run/netns/podnet-test-gone' }],
    ['with a path at which a pod that lives is by now', { containerId: 'gone', netns: ns.path }],
    ["with the node's own namespace", { containerId: 'gone', netns: node.ns.path }],
    ['of another interface of the pod that lives', { containerId: 'alive', ifname: 'net1', netns: ns.path }],
    ['of another network of the pod that lives', { containerId: 'alive', netns: ns.path, config: { name: 'other' } }],
  ];
  for (const [what, call] of calls)
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'gone', ...call }), ok, what);
      assert.deepEqual([leases(node), podLinks(node).length], [before.leases, 1], what);
    }
  same(node, before, 'after all of them');
  const check = { command: 'CHECK', containerId: 'alive', netns: ns.path, config: { prevResult: result } };
  assert.deepEqual(await node.cni(check), ok);
  for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);

  // The pod's path leads to another namespace now, which has an eth0 of its own: the lease tells what is the pod's.
  const stranger = node.world.namespace('stranger');
  run(stranger.path, 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
  const links = ip(stranger.path, '-d', 'link');
  assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'alive', netns: stranger.path }), ok);
  assert.deepEqual(ip(stranger.path, '-d', 'link'), links);
  await nothingIsLeft(node);
});

test(
  "F32, T25: a path that is no namespace of a container is refused with code 4, and the node's links stay as they are",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { directory } = node.world;
    writeFileSync(`${directory}/file`, '');
    mkdirSync(`${directory}/folder`);
    symlinkSync(`${directory}/loop-b`, `${directory}/loop-a`);
    symlinkSync(`${directory}/loop-a`, `${directory}/loop-b`);
    symlinkSync(node.ns.path, `${directory}/node`);
    const machine = ip('/proc/self/ns/net', 'link');
    const before = stateOf(node);
    const long = `/${'long/'.repeat(819)}`;
    const paths: Record<string, string> = {
      "the node's own": node.ns.path,
      "the node's own by a symlink": `${directory}/node`,
      "of podnet's own process": `/proc/${process.pid}/ns/net`,
      'of another kind': '/proc/self/ns/uts',
      'a regular file': `${directory}/file`,
      'a folder': `${directory}/folder`,
      'a loop of symlinks': `${directory}/loop-a`,
      'not absolute': '../../x',
      'nothing there': `${directory}/../../x/../y`,
      '4 KiB long': long,
      'longer than any path': `${long}${long}`,
    };
    for (const [what, netns] of Object.entries(paths)) {
      const refused = failed(await node.cni({ command: 'ADD', containerId: 'a', ifname: 'podnet-t', netns }), 4, what);
      assert.match(refused, /CNI_NETNS/, what);
    }
    // No process can have NUL in its environment: who speaks to the socket alone could send it.
    const nul = await node.cniAtOnce({ command: 'ADD', containerId: 'a', netns: `${directory}/file\0/x` });
    failed(nul, 6, 'NUL');
    same(node, before, 'nothing was made');
    assert.deepEqual(
      ip('/proc/self/ns/net', 'link').map(({ ifname }) => ifname),
      machine.map(({ ifname }) => ifname),
    );
  },
);

/** So deep that whoever reads it by recursion runs out of stack. */
const deep = (open: string, close: string): string => open.repeat(100_000) + close.repeat(100_000);

test('F33: whatever a runtime sends is answered with one JSON and the code for it, and costs no address', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const { path } = node.world.namespace('a');
  run(path, 'ip', 'link', 'add', 'there', 'type', 'bridge');
  const config = (fields: string): string => `{"cniVersion":"1.1.0","name":"podnet","type":"podnet"${fields}}`;
  const cases: readonly (readonly [what: string, code: number, call: Partial<CniCall>])[] = [
    ['a name of 16 bytes', 4, { ifname: 'sixteen-bytes-xx' }],
    ['lo', 4, { ifname: 'lo' }],
    ['a path as a name', 4, { ifname: '../x' }],
    ['a name with a line end', 4, { ifname: 'eth0\n' }],
    ['a name that is there', 100, { ifname: 'there' }],
    ['arguments without =', 4, { env: { CNI_ARGS: 'K8S_POD_NAME' } }],
    ['huge arguments without =', 4, { env: { CNI_ARGS: 'x'.repeat(100_000) } }],
    ['an unknown argument', 4, { env: { CNI_ARGS: 'Strange=1' } }],
    ['an unknown argument, twice', 4, { env: { CNI_ARGS: 'Strange=1;Strange=2;IgnoreUnknown=0' } }],
    ['no JSON', 6, { stdin: 'hello' }],
    ['half of a JSON', 6, { stdin: config('').slice(0, -1) }],
    ['two JSONs', 6, { stdin: config('') + config('') }],
    ['bytes that are no UTF-8 and no JSON', 6, { stdin: '\ufffd\ufffe' }],
    ['10 MiB', 6, { stdin: config(`,"x":"${'x'.repeat(10 << 20)}"`) }],
    ['lists in lists', 6, { stdin: deep('[', ']') }],
    ['objects in objects', 6, { stdin: config(`,"prevResult":{"ips":[${deep('{"a":', '}').replace('}', '1}')}]}`) }],
    ['deep where a text belongs', 7, { stdin: config('').replace('"podnet"', deep('[', ']')) }],
    ['a field that nobody reads, deep', 6, { stdin: config(`,"x":${deep('[', ']')}`) }],
    ['a result that is deep', 6, { stdin: config(`,"prevResult":${deep('[', ']')}`) }],
    ['runtimeConfig that is deep', 6, { stdin: config(`,"runtimeConfig":${deep('[', ']')}`) }],
    ['a version that is deep', 1, { stdin: config('').replace('"1.1.0"', deep('[', ']')) }],
    ['a version of tomorrow', 1, { config: { cniVersion: '9.9' } }],
    ['a version that is a number', 1, { config: { cniVersion: 1.1 } }],
    ['a version that is __proto__', 1, { config: { cniVersion: '__proto__' } }],
    ['a name that is a list', 7, { config: { name: ['podnet'] } }],
    ['a name that is __proto__', 7, { config: { name: '__proto__' } }],
    ['a prototype as configuration', 1, { stdin: '{"__proto__":{"cniVersion":"1.1.0","name":"podnet"}}' }],
    ['runtimeConfig that is a number', 6, { config: { runtimeConfig: 7 } }],
    ['portMappings that are a text', 7, { config: { runtimeConfig: { portMappings: 'x' } } }],
    ['a prevResult that is a list', 6, { config: { prevResult: [] } }],
    ['a prevResult whose dns is a text', 6, { config: { prevResult: { dns: 'x' } } }],
    ['ips that are an object', 6, { config: { prevResult: { ips: {} } } }],
    ['interfaces that are texts', 6, { config: { prevResult: { interfaces: ['eth0'] } } }],
    ['routes without destination', 6, { config: { prevResult: { routes: [{}] } } }],
    ['dns that is a text', 6, { config: { dns: 'x' } }],
  ];
  for (const [what, code, call] of cases) failed(await node.cni({ command: 'ADD', containerId: 'a', netns: path, ...call }), code, what);
  assert.deepEqual(leases(node), []);
  assert.deepEqual(podLinks(node), []);

  // What may be odd, and is served.
  const served: readonly (readonly [what: string, call: Partial<CniCall>])[] = [
    ['of keys that come twice the last counts', { env: { CNI_ARGS: 'IgnoreUnknown=0;K8S_POD_NAME=a;K8S_POD_NAME=b;IgnoreUnknown=1;X=y' } }],
    ['unknown arguments, huge', { env: { CNI_ARGS: `IgnoreUnknown=true;X=${'y'.repeat(100_000)}` } }],
    ['keys of prototypes', { stdin: config(',"__proto__":{"name":"x"},"constructor":1,"toString":{},"prevResult":{"__proto__":{"ips":7},"ips":[]}') }],
    ['a megabyte', { stdin: config(`,"x":"${'x'.repeat(1 << 20)}"`) }],
  ];
  for (const [what, call] of served) {
    const { code, json } = await node.cni({ command: 'ADD', containerId: 'a', netns: path, ...call });
    assert.deepEqual([code, json.cniVersion], [0, '1.1.0'], `${what}: ${JSON.stringify(json).slice(0, 300)}`);
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a', netns: path }), ok, what);
  }
  await nothingIsLeft(node);
  assert.ok(node.status().ready);
});

test('F35, CNI15: an ADD whose executable was killed at the time limit of the runtime leaves nothing after DEL', needsRoot, async () => {
  await using node = await TestNode.make();
  // ADD waits: the node is not known.
  await node.api.delete(Nodes, 'me');
  await node.start();
  const names = ['a', 'b', 'c', 'd'];
  const killed = names.map((name) => {
    const { path } = node.world.namespace(name);
    const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: name, CNI_NETNS: path, CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' };
    const child = spawn(`${node.config.cni.binDir}/podnet`, [], { env, stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.end(JSON.stringify({ cniVersion: '1.1.0', name: 'podnet', type: 'podnet' }));
    return child;
  });
  // Whoever asks later is answered later: the calls have come.
  await eventually(async () => assert.equal((await node.cni({ command: 'STATUS' })).code, 1));
  for (const child of killed) child.kill('SIGKILL');
  await Promise.all(killed.map((child) => (child.exitCode ?? child.signalCode) ?? once(child, 'close')));
  // A runtime's DEL comes at once, of some with the namespace gone.
  const path = (name: string): string => `${node.world.directory}/${name}`;
  const deleted = names.slice(0, 3).map((containerId) => node.cni({ command: 'DEL', containerId, netns: path(containerId) }));
  await node.setNode('me', ['192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']);
  assert.deepEqual(await Promise.all(deleted), [ok, ok, ok]);
  await node.settled();
  assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'd', netns: path('d') }), ok, 'a DEL that comes later');
  await nothingIsLeft(node);
  for (const containerId of names) {
    const { code, json } = await node.cni({ command: 'ADD', containerId: `${containerId}2`, netns: path(containerId) });
    assert.equal(code, 0, JSON.stringify(json));
  }
  assert.equal(leases(node).length, 4);
});
