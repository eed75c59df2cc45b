import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { Ipam, type IpamOptions, type Lease, type LeaseKey } from './index.ts';
import { type DiskState, MemoryFiles, RecordingFiles } from './testkit/crash-disk.ts';

const ranges = ['10.244.1.0/26', 'fd00:10:244:1::/64'].map(Prefix.parse);
const key = (containerId: string): LeaseKey => ({ network: 'podnet', containerId, ifname: 'eth0' });
const addressesOf = (leases: Iterable<Pick<Lease, 'addresses'>>): string[] =>
  [...leases].flatMap(({ addresses }) => addresses.map(String));

/** The lock needs a directory; what is in it is in memory. */
class Directory implements Disposable {
  readonly path = fs.mkdtempSync(path.join(os.tmpdir(), 'podnet-ipam-cut-'));
  [Symbol.dispose](): void {
    fs.rmSync(this.path, { recursive: true, force: true });
  }
}

/** A pod that the runtime was told of, or may have been: its link is in the kernel. */
type Running = Map<string, Lease>;

/** Works on a disk to which nothing is ever certainly written. @returns at each change of it what a power cut could leave, and who ran then */
function cuts(): { state: DiskState; running: Running }[] {
  const files = new RecordingFiles();
  const all: { state: DiskState; running: Running }[] = [];
  const running: Running = new Map();
  using directory = new Directory();
  using ipam = new Ipam(directory.path, { files, boot: { id: 'one', startedMs: 0 } });
  ipam.setRanges(ranges);
  const add = (id: string, ...wanted: string[]): void =>
    void running.set(id, ipam.allocate(key(id), { link: id }, wanted.map(IpAddr.parse)));
  const del = (id: string): void => {
    running.delete(id);
    ipam.release(key(id));
  };
  add('old');
  add('gone');
  files.settle();
  files.onChange = () => {
    const then = new Map(running);
    for (const state of files.crashStates()) all.push({ state: new Map(state), running: then });
  };
  add('a');
  del('gone');
  // An address that came back, in another pair: its former lease has a file of another name.
  add('b', '10.244.1.3');
  del('a');
  add('c', 'fd00:10:244:1::4');
  // And in the same pair, whose file so has another's contents.
  del('b');
  add('d', '10.244.1.3', 'fd00:10:244:1::5');
  return all;
}

/** Takes what it can get. @returns all of it */
function allocateSome(ipam: Ipam, count = 5): string[] {
  return addressesOf(Array.from({ length: count }, (_, i) => ipam.allocate(key(`new-${i}`))));
}

const startOn = (directory: string, state: DiskState, options: IpamOptions): Ipam => {
  const ipam = new Ipam(directory, { files: new MemoryFiles(state, options.boot ? 1_000_000 : 0), ...options });
  ipam.setRanges(ranges);
  return ipam;
};

test('F25: a power cut at any write, whatever of the disk it takes: after the boot no lease is left, and no address is given twice', () => {
  using directory = new Directory();
  const all = cuts();
  for (const { state } of all) {
    // The clock is the disk's, or was set back by the power cut (no battery): what cannot be read is then held back and told.
    for (const startedMs of [2_000_000, 0]) {
      using ipam = startOn(directory.path, state, { boot: { id: 'two', startedMs } });
      assert.deepEqual(ipam.leases(), [], 'no pod outlives a power cut (CRI7)');
      const held = addressesOf(ipam.damaged());
      if (startedMs > 0) assert.deepEqual(held, []);
      const given = allocateSome(ipam);
      assert.equal(new Set([...given, ...held]).size, given.length + new Set(held).size, JSON.stringify([...state]));
    }
  }
  assert.ok(all.length > 1000, `${all.length} states`);
});

test('F25: such states in a real directory are read alike', () => {
  using directory = new Directory();
  for (const { state } of cuts().filter((_, i) => i % 499 === 0)) {
    using real = new Directory();
    for (const [name, text] of state) fs.writeFileSync(path.join(real.path, name), text, { mode: 0o600 });
    for (const id of ['one', 'two']) {
      const boot = { id, startedMs: id === 'one' ? 0 : Date.now() + 120_000 };
      using expected = startOn(directory.path, state, { boot });
      using ipam = new Ipam(real.path, { boot });
      ipam.setRanges(ranges);
      assert.deepEqual(addressesOf(ipam.leases()).sort(), addressesOf(expected.leases()).sort());
      assert.ok(!fs.readdirSync(real.path).some((name) => name.startsWith('.tmp-')));
    }
  }
});

test('F25: a disk that loses its last writes while the pods run on: none loses its address, and each lease that is lost is told or made anew', () => {
  using directory = new Directory();
  for (const { state, running } of cuts()) {
    using ipam = startOn(directory.path, state, { boot: { id: 'one', startedMs: 0 } });
    const isDead = ({ notes }: Lease): boolean => !running.has(notes.link!);
    // As the agent begins: leases of links that have none, then what the kernel shows in use.
    const known = new Set(ipam.leases().map(({ notes }) => notes.link));
    for (const [link, { addresses }] of running)
      if (!known.has(link)) ipam.restore({ network: '?', containerId: link, ifname: '?' }, addresses, { link }, isDead);
    const inUse = addressesOf(running.values());
    ipam.hold(
      'this node',
      inUse.map((text) => ({ address: IpAddr.parse(text), why: 'a route' })),
    );
    for (const [link, { addresses }] of running)
      assert.deepEqual(
        ipam
          .leases()
          .find(({ notes }) => notes.link === link)
          ?.addresses.map(String),
        addresses.map(String),
      );
    // The runtime's GC: what the disk brought back goes.
    for (const lease of ipam.leases().filter(isDead)) ipam.release(lease.key);
    const given = allocateSome(ipam);
    assert.equal(new Set([...given, ...inUse]).size, given.length + inUse.length, JSON.stringify([...state]));
  }
});
