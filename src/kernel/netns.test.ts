import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { needsRoot } from '../testing/root.ts';
import { isExists, isNotFound, KernelError } from './errors.ts';
import { openFds, traceFds } from './fd.ts';
import { NetNs } from './netns.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';

const directory = `/tmp/podnet-test-kernel-${process.pid}`;
before(() => {
  traceFds();
  mkdirSync(directory);
});
after(() => {
  rmSync(directory, { recursive: true });
  // Home stays open for the life of the thread.
  assert.deepEqual(
    openFds().filter(({ what }) => what !== '/proc/thread-self/ns/net'),
    [],
  );
});

const mounts = (): string => readFileSync('/proc/self/mounts', 'utf8');

test('a namespace lives on its path until it is removed, and ip can use it', needsRoot, () => {
  const path = `${directory}/a`;
  {
    using ns = NetNs.create(path);
    using home = NetNs.current();
    assert.notEqual(ns.inode, home.inode);
    using again = NetNs.open(path);
    assert.ok(again.equals(ns));
    const links = execFileSync('nsenter', [`--net=${path}`, 'ip', '-j', 'link'], { encoding: 'utf8' });
    assert.ok((JSON.parse(links) as { ifname: string }[]).some(({ ifname }) => ifname === 'lo'));
    assert.match(mounts(), new RegExp(path));
  }
  NetNs.remove(path);
  assert.ok(!existsSync(path));
  assert.doesNotMatch(mounts(), new RegExp(path));
  NetNs.remove(path);
});

test('entering is undone even when the function throws, and calls nest', needsRoot, () => {
  using home = NetNs.current();
  const inode = (): bigint => {
    using current = NetNs.current();
    return current.inode;
  };
  using a = NetNs.create(`${directory}/a`);
  using b = NetNs.create(`${directory}/b`);
  const seen = a.enter(() => [inode(), b.enter(inode), inode()]);
  assert.deepEqual(seen, [a.inode, b.inode, a.inode]);
  assert.throws(
    () =>
      a.enter((): void => {
        throw new Error('inside');
      }),
    /inside/,
  );
  // A namespace made from inside another one comes back to it.
  const path = `${directory}/c`;
  assert.equal(
    a.enter(() => {
      NetNs.create(path)[Symbol.dispose]();
      return inode();
    }),
    a.inode,
  );
  assert.equal(inode(), home.inode);
  for (const name of ['a', 'b', 'c']) NetNs.remove(`${directory}/${name}`);
});

test('the namespace that one is in is entered without root, from the inside of others too', () => {
  using home = NetNs.current();
  const nested = (): number => home.enter(() => 7);
  assert.equal(home.enter(nested), 7);
});

test('making a namespace where something is already fails and leaves that alone', needsRoot, () => {
  const path = `${directory}/taken`;
  writeFileSync(path, 'mine');
  assert.throws(() => NetNs.create(path), isExists);
  assert.equal(readFileSync(path, 'utf8'), 'mine');
});

test('only network namespaces are opened', needsRoot, () => {
  const why = /not a network namespace/;
  assert.throws(() => NetNs.open('/proc/self/ns/mnt'), why);
  assert.throws(() => NetNs.open('/etc/passwd'), why);
  assert.throws(() => NetNs.open(directory), why);
  assert.throws(() => NetNs.open(`${directory}/absent`), isNotFound);
  using own = NetNs.ofPid(process.pid);
  using current = NetNs.current();
  assert.ok(own.equals(current));
});

test('sysctls are those of the namespace', needsRoot, () => {
  const path = `${directory}/sysctl`;
  using ns = NetNs.create(path);
  const name = 'net/ipv4/conf/lo/forwarding';
  const host = readSysctl(undefined, name);
  const other = host === '0' ? '1' : '0';
  writeSysctl(ns, name, other);
  assert.equal(readSysctl(ns, name), other);
  assert.equal(readSysctl(undefined, name), host);
  assert.throws(
    () => readSysctl(ns, 'net/ipv4/conf/absent/forwarding'),
    (error) => isNotFound(error) && error.message.includes('net/ipv4/conf/absent/forwarding'),
  );
  assert.throws(() => writeSysctl(ns, 'net/ipv4/absent', 1), isNotFound);
  assert.throws(() => writeSysctl(ns, 'net/ipv4/ip_default_ttl', 'x'), KernelError);
  assert.throws(() => readSysctl(ns, 'net/../../etc/passwd'), SyntaxError);
  NetNs.remove(path);
});
