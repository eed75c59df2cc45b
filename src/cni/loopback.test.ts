import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NetNs } from '../kernel/netns.ts';
import { ip } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { writeExecutable } from './executable/emit.ts';
import { addName, removeName } from './executable/names.ts';
import { type Attachments, answer } from './verbs.ts';
import { supportedVersions } from './version.ts';

const nobody = new Proxy({} as Attachments, {
  get: (_, name) => () => assert.fail(`${String(name)} of the network was called for loopback`),
});

/** As the executable sends it. */
async function call(command: string, netns: string | undefined, config: Record<string, unknown> = {}) {
  const env = { CNI_COMMAND: command, CNI_CONTAINERID: 'c1', CNI_IFNAME: 'lo', CNI_PATH: '/opt/cni/bin', CNI_NETNS: netns };
  const strings = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}\0`]));
  const stdin = JSON.stringify({ cniVersion: '0.3.1', name: 'cni-loopback', type: 'loopback', ...config });
  const reply = await answer(Buffer.from(`${strings.join('')}\0${stdin}`), nobody);
  return { exitCode: reply.exitCode, json: JSON.parse(reply.stdout || '{}') as Record<string, unknown> };
}

/** A namespace as runtimes make it: `lo` is down. */
function namespace(t: { after(fn: () => void): void }): string {
  const path = join(mkdtempSync(join(tmpdir(), 'podnet-test-cni-')), 'ns');
  NetNs.create(path)[Symbol.dispose]();
  t.after(() => {
    NetNs.remove(path);
    rmSync(join(path, '..'), { recursive: true });
  });
  return path;
}

const isUp = (path: string): boolean => (ip<{ flags: string[] }>(path, 'link', 'show', 'lo')[0]?.flags ?? []).includes('UP');

for (const version of supportedVersions) {
  test(`CNI11: ADD of loopback brings lo up and answers in version ${version}`, needsRoot, async (t) => {
    const netns = namespace(t);
    assert.equal(isUp(netns), false);
    const { exitCode, json } = await call('ADD', netns, { cniVersion: version });
    assert.equal(exitCode, 0);
    assert.equal(isUp(netns), true);
    assert.equal(json.cniVersion, version);
    assert.deepEqual(json.interfaces, [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: netns }]);
    const family = (text: string): object => (version < '1' ? { version: text } : {});
    assert.deepEqual(json.ips, [
      { ...family('4'), address: '127.0.0.1/8', interface: 0 },
      { ...family('6'), address: '::1/128', interface: 0 },
    ]);
  });
}

test('CNI5: loopback after another plugin hands on what that one made', needsRoot, async (t) => {
  const netns = namespace(t);
  const prevResult = { cniVersion: '0.4.0', interfaces: [{ name: 'eth0', sandbox: netns }], ips: [], routes: [], dns: {} };
  const { json } = await call('ADD', netns, { cniVersion: '0.4.0', prevResult });
  assert.deepEqual(json.interfaces, prevResult.interfaces);
  assert.equal(isUp(netns), true);
});

test('CNI6: DEL of loopback succeeds twice, without a namespace and with one that is gone', needsRoot, async (t) => {
  const netns = namespace(t);
  await call('ADD', netns);
  for (const path of [netns, netns, undefined, '', '/run/netns/podnet-test-gone'])
    assert.deepEqual(await call('DEL', path), { exitCode: 0, json: {} });
});

test('CNI8: CHECK of loopback notices that lo is down', needsRoot, async (t) => {
  const netns = namespace(t);
  assert.equal((await call('CHECK', netns, { cniVersion: '0.4.0' })).json.code, 102);
  await call('ADD', netns);
  assert.equal((await call('CHECK', netns, { cniVersion: '0.4.0' })).exitCode, 0);
});

test('T25: loopback takes nothing for a namespace that is none', needsRoot, async () => {
  const { exitCode, json } = await call('ADD', '/etc/hostname');
  assert.equal(exitCode, 1);
  assert.equal(json.code, 4);
  assert.match(String(json.msg), /\/etc\/hostname is no network namespace/);
});

test('STATUS and GC of loopback have nothing to say', async () => {
  const config = { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] };
  for (const command of ['STATUS', 'GC']) assert.deepEqual(await call(command, undefined, config), { exitCode: 0, json: {} });
});

test('CNI14: the name loopback is given once, and taken away only where it is its own', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'podnet-test-names-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const [executable, loopback] = [join(directory, 'podnet'), join(directory, 'loopback')];
  writeExecutable(executable, { arch: 'x64', socketPath: '/run/a.sock' });
  const podnet = readFileSync(executable);
  assert.deepEqual([addName(directory, 'loopback'), addName(directory, 'loopback')], ['written', 'unchanged']);
  assert.deepEqual(readFileSync(loopback), podnet);
  // As cp does it: into the file that is there.
  writeFileSync(loopback, 'the reference plugin');
  assert.deepEqual(readFileSync(executable), podnet, 'it is no link to the executable');
  assert.deepEqual([addName(directory, 'loopback'), removeName(directory, 'loopback')], ['foreign', false]);
  assert.equal(readFileSync(loopback, 'utf8'), 'the reference plugin');

  rmSync(loopback);
  for (const before of ['an older executable', 'a link, as podnet made it before']) {
    if (before.startsWith('a link')) symlinkSync('podnet', loopback);
    else writeExecutable(loopback, { arch: 'x64', socketPath: '/run/older.sock' });
    assert.equal(addName(directory, 'loopback'), 'written', before);
    assert.deepEqual(readFileSync(loopback), podnet, before);
    assert.deepEqual([removeName(directory, 'loopback'), removeName(directory, 'loopback')], [true, false]);
  }
  symlinkSync('/opt/other', join(directory, 'other'));
  assert.deepEqual([addName(directory, 'other'), removeName(directory, 'other')], ['foreign', false]);
  assert.equal(readlinkSync(join(directory, 'other')), '/opt/other');
  assert.deepEqual(readdirSync(directory).sort(), ['other', 'podnet']);
});
