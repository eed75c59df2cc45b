import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { type Files, realFiles } from './files.ts';
import { hostLocalLeases, Ipam, type IpamError, type IpamOptions, type Lease, type LeaseKey } from './index.ts';

const dual = ['10.244.1.0/28', 'fd00:10:244:1::/64'].map(Prefix.parse);
const key = (containerId: string, network = 'podnet', ifname = 'eth0'): LeaseKey => ({ network, containerId, ifname });
const text = (lease: Lease | undefined): string => lease?.addresses.join(' ') ?? 'none';

class Directory implements Disposable {
  readonly path = fs.mkdtempSync(path.join(os.tmpdir(), 'podnet-ipam-'));

  open(ranges = dual, options: IpamOptions = {}): Ipam {
    const ipam = new Ipam(this.path, options);
    ipam.setRanges(ranges);
    return ipam;
  }

  files(): string[] {
    return fs.readdirSync(this.path).sort();
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.path, { recursive: true, force: true });
  }
}

const fault = (name: string, message: RegExp) => (error: unknown) =>
  (error as IpamError).fault === name && message.test((error as Error).message);

test('a container gets one address of each family, and the same key none again', () => {
  using directory = new Directory();
  using ipam = directory.open();
  assert.equal(text(ipam.allocate(key('a'))), '10.244.1.2 fd00:10:244:1::2');
  assert.equal(text(ipam.allocate(key('b'))), '10.244.1.3 fd00:10:244:1::3');
  assert.throws(() => ipam.allocate(key('a')), fault('exists', /container a has 10\.244\.1\.2 and fd00:10:244:1::2 for eth0/));
  assert.equal(text(ipam.allocate(key('a', 'other'))), '10.244.1.4 fd00:10:244:1::4');
  assert.equal(text(ipam.get(key('a'))), '10.244.1.2 fd00:10:244:1::2');
});

test('CNI7: a release takes back only the addresses of its own container, and a second one is success', () => {
  using directory = new Directory();
  using ipam = directory.open();
  ipam.allocate(key('old'));
  ipam.allocate(key('new'));
  assert.equal(text(ipam.release(key('old'))), '10.244.1.2 fd00:10:244:1::2');
  assert.equal(ipam.release(key('old')), undefined);
  assert.equal(ipam.release(key('new', 'podnet', 'net1')), undefined);
  assert.equal(text(ipam.get(key('new'))), '10.244.1.3 fd00:10:244:1::3');
});

test('a second agent is refused without a trace, even between the writing of a lease and its rename', () => {
  using directory = new Directory();
  let refused = 0;
  const write: Files['write'] = (file, contents) => {
    realFiles.write(file, contents);
    assert.throws(() => directory.open(), fault('locked', /another agent has the leases/));
    refused++;
  };
  using ipam = directory.open(dual, { files: { ...realFiles, write } });
  assert.equal(text(ipam.allocate(key('a'))), '10.244.1.2 fd00:10:244:1::2');
  assert.ok(refused > 0);
});

test('leases that cannot be read lock nobody out', () => {
  using directory = new Directory();
  const list: Files['list'] = () => {
    throw new Error('EIO');
  };
  assert.throws(() => directory.open(dual, { files: { ...realFiles, list } }), fault('storage', /cannot be read: EIO/));
  directory.open()[Symbol.dispose]();
});

test('leases, notes and the order of reuse survive a restart', () => {
  using directory = new Directory();
  {
    using ipam = directory.open();
    ipam.allocate(key('a'), { pod: 'default/web-0' });
    ipam.allocate(key('b'));
    ipam.release(key('b'));
  }
  using ipam = directory.open();
  assert.deepEqual(ipam.get(key('a'))?.notes, { pod: 'default/web-0' });
  assert.equal(text(ipam.allocate(key('c'))), '10.244.1.4 fd00:10:244:1::4', 'the address of b is not reused at once');
});

test('exhaustion says how many are in use and who holds some, and changes nothing', () => {
  using directory = new Directory();
  using ipam = directory.open([Prefix.parse('fd00::/64'), Prefix.parse('10.244.1.0/29')]);
  for (let i = 0; i < 5; i++) ipam.allocate(key(`c${i}`), { pod: `default/web-${i}` });
  const files = directory.files().filter((name) => name !== 'cursor');
  assert.throws(
    () => ipam.allocate(key('more')),
    fault(
      'exhausted',
      /no address is left in 10\.244\.1\.0\/29: 5 of 5 are in use, e\.g\. 10\.244\.1\.2 by default\/web-0, .*larger pod CIDR/,
    ),
  );
  assert.deepEqual(
    directory.files().filter((name) => name !== 'cursor'),
    files,
  );
  assert.deepEqual(
    ipam.use().map(({ used }) => used),
    [5, 5],
    'the IPv6 address went back',
  );
  ipam.release(key('c3'));
  assert.match(text(ipam.allocate(key('more'))), /10\.244\.1\.5/);
});

test('a node without pod CIDRs says so', () => {
  using directory = new Directory();
  using ipam = directory.open([]);
  assert.throws(() => ipam.allocate(key('a')), fault('no-range', /no pod CIDR yet/));
});

test('PC6: after a change of the pod CIDR old leases stay until released, new ones come from the new range alone', () => {
  using directory = new Directory();
  using ipam = directory.open([Prefix.parse('10.244.1.0/24')]);
  ipam.allocate(key('old'));
  ipam.setRanges([Prefix.parse('10.244.7.0/24')]);
  assert.equal(text(ipam.allocate(key('new'))), '10.244.7.2');
  assert.deepEqual(ipam.outOfRange().map(text), ['10.244.1.2']);
  ipam.release(key('old'));
  assert.deepEqual(ipam.outOfRange(), []);
  ipam.setRanges([Prefix.parse('10.244.1.0/24')]);
  assert.equal(text(ipam.allocate(key('again'))), '10.244.1.3', 'the cursor of a range that comes back went on');
});

test('CRI7: leases of an earlier boot are dropped, those of this one stay', () => {
  using directory = new Directory();
  const boot = (id: string): IpamOptions => ({ boot: { id, startedMs: Date.now() - 1000 } });
  {
    using ipam = directory.open(dual, boot('one'));
    ipam.allocate(key('a'));
  }
  {
    using ipam = directory.open(dual, boot('one'));
    assert.equal(ipam.leases().length, 1);
  }
  using ipam = directory.open(dual, boot('two'));
  assert.equal(ipam.leases().length, 0);
  assert.deepEqual(directory.files(), ['cursor']);
});

test('CNI10: stale names what GC shall release, of one network only', () => {
  using directory = new Directory();
  using ipam = directory.open();
  for (const k of [key('a'), key('b'), key('a', 'other')]) ipam.allocate(k);
  assert.deepEqual(
    ipam.stale('podnet', [key('b'), key('unknown')]).map((lease) => lease.key),
    [key('a')],
  );
});

test('a lease that cannot be read is reported and keeps its addresses from others, until it is discarded', () => {
  using directory = new Directory();
  {
    using ipam = directory.open();
    ipam.allocate(key('a'));
    ipam.allocate(key('b'));
  }
  const file = '10.244.1.2_fd00:10:244:1::2.json';
  const good = fs.readFileSync(path.join(directory.path, file), 'utf8');
  for (const [contents, why] of [
    ['', /empty/],
    [good.slice(0, 40), /not JSON/],
    [good.replace('"containerId":"a"', '"containerId":"x"'), /checksum/],
    [good.replace('"version":1', '"version":2'), /checksum/],
  ] as const) {
    fs.writeFileSync(path.join(directory.path, file), contents);
    using ipam = directory.open();
    assert.equal(ipam.damaged().length, 1);
    assert.match(ipam.damaged()[0]!.why, why);
    const given = Array.from({ length: 11 }, (_, i) => text(ipam.allocate(key(`n${i}`))));
    assert.ok(!given.some((addresses) => /10\.244\.1\.2 |::2$/.test(addresses)), given.join());
    assert.throws(
      () => ipam.allocate(key('more')),
      fault('exhausted', /13 of 13 are in use, 1 of them by leases that cannot be read/),
    );
    for (let i = 0; i < 11; i++) ipam.release(key(`n${i}`));
  }
  using ipam = directory.open();
  ipam.discardDamaged(file);
  assert.deepEqual(ipam.damaged(), []);
  assert.ok(!fs.existsSync(path.join(directory.path, file)));
});

test('two files that claim one address or one container: the second is quarantined', () => {
  using directory = new Directory();
  {
    using ipam = directory.open();
    ipam.allocate(key('a'));
  }
  fs.copyFileSync(path.join(directory.path, '10.244.1.2_fd00:10:244:1::2.json'), path.join(directory.path, '10.244.1.9.json'));
  using ipam = directory.open();
  assert.deepEqual(
    ipam.damaged().map((d) => d.file),
    ['10.244.1.9.json'],
  );
  assert.equal(text(ipam.get(key('a'))), '10.244.1.2 fd00:10:244:1::2');
});

test('F25: an address that a lease which cannot be read keeps back stays back when another lease of it is released', () => {
  using directory = new Directory();
  {
    using ipam = directory.open();
    ipam.allocate(key('a'));
  }
  fs.writeFileSync(path.join(directory.path, '10.244.1.2_fd00:10:244:1::9.json'), '');
  using ipam = directory.open();
  ipam.release(key('a'));
  assert.deepEqual(
    ['10.244.1.2', 'fd00:10:244:1::9', 'fd00:10:244:1::2'].map((address) => ipam.isFree(IpAddr.parse(address))),
    [false, false, true],
  );
});

test('a second agent on the same leases is refused', () => {
  using directory = new Directory();
  using first = directory.open();
  assert.equal(first.leases().length, 0);
  assert.throws(() => directory.open(), fault('locked', /another agent has the leases/));
});

test('a disk that is full fails the allocation and takes no address', () => {
  using directory = new Directory();
  let full = false;
  const files: Files = {
    ...realFiles,
    write(file, contents) {
      if (full) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      realFiles.write(file, contents);
    },
  };
  using ipam = directory.open(dual, { files });
  full = true;
  assert.throws(() => ipam.allocate(key('a')), fault('storage', /ENOSPC/));
  full = false;
  assert.equal(ipam.use()[0]!.used, 0);
  assert.equal(ipam.leases().length, 0);
  ipam.allocate(key('a'));
});

class Killed extends Error {}

/** Does `steps` steps and stops in the next: before it, or half-way through when it writes. Everything after is refused too: the process is gone. */
function dying(steps: number, torn: boolean): Files {
  let left = steps;
  const step = <A extends unknown[], R>(fn: (...args: A) => R, half?: (...args: A) => void) => {
    return (...args: A): R => {
      if (left-- > 0) return fn(...args);
      if (left === -1 && torn) half?.(...args);
      throw new Killed();
    };
  };
  return {
    ...realFiles,
    write: step(realFiles.write, (file, contents) => fs.writeFileSync(file, contents.slice(0, contents.length / 2))),
    rename: step(realFiles.rename, realFiles.rename),
    remove: step(realFiles.remove, realFiles.remove),
  };
}

test('killed at any step, also half-way through a write, no address is ever given twice and no lease of a running pod is lost', () => {
  for (const torn of [false, true]) {
    for (let steps = 0; steps < 24; steps++) {
      using directory = new Directory();
      /** What the runtime was told; it may have been told less than was done. */
      const running = new Map<string, string>();
      const before = new Ipam(directory.path);
      before.setRanges(dual);
      running.set('a', text(before.allocate(key('a'))));
      before[Symbol.dispose]();
      const ipam = new Ipam(directory.path, { files: dying(steps, torn) });
      let killed = false;
      try {
        ipam.setRanges(dual);
        for (const id of ['b', 'c', 'd']) running.set(id, text(ipam.allocate(key(id))));
        for (const id of ['b', 'a']) {
          running.delete(id); // the pod is gone before its address is given back
          ipam.release(key(id));
        }
        running.set('e', text(ipam.allocate(key('e'))));
      } catch (error) {
        assert.ok(error instanceof Killed || (error as Error).cause instanceof Killed, String(error));
        killed = true;
      }
      ipam[Symbol.dispose]();
      using after = directory.open();
      assert.deepEqual(after.damaged(), [], 'a kill damages nothing');
      for (const [id, addresses] of running) assert.equal(text(after.get(key(id))), addresses, `${id} after ${steps} steps`);
      const given = new Set([...after.leases().map(text)]);
      assert.equal(given.size, after.leases().length);
      for (let i = 0; i < 8; i++) {
        const fresh = text(after.allocate(key(`new${i}`)));
        assert.ok(!given.has(fresh), `${fresh} was given twice`);
        given.add(fresh);
      }
      assert.ok(!directory.files().some((name) => name.startsWith('.tmp')), 'no temporary file stays');
      if (!killed) assert.ok(steps > 10);
    }
  }
});

test('a process killed with SIGKILL in the middle of its work leaves leases that can all be read', async () => {
  using directory = new Directory();
  const module = new URL('./index.js', import.meta.url).href;
  const prefix = new URL('../net/prefix.js', import.meta.url).href;
  const script = `
    const { Ipam } = await import(${JSON.stringify(module)}); const { Prefix } = await import(${JSON.stringify(prefix)});
    const ipam = new Ipam(process.argv[1]); ipam.setRanges([Prefix.parse('10.244.0.0/16')]);
    for (let i = 0; ; i++) { ipam.allocate({ network: 'n', containerId: process.argv[2] + i, ifname: 'eth0' }); if (i % 2) ipam.release({ network: 'n', containerId: process.argv[2] + (i - 1), ifname: 'eth0' }); if (i === 40) process.stdout.write('x'); }`;
  for (const round of ['a', 'b', 'c']) {
    const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script, directory.path, round], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    using ipam = directory.open([Prefix.parse('10.244.0.0/16')]);
    assert.deepEqual(ipam.damaged(), []);
    assert.ok(ipam.leases().length >= 20);
    const addresses = ipam.leases().map(text);
    assert.equal(new Set(addresses).size, addresses.length);
  }
});

test('model: whatever is allocated, released, restarted and re-ranged, addresses are unique, in range and found again', () => {
  const command = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), id: fc.integer({ min: 0, max: 12 }) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('release' as const), id: fc.integer({ min: 0, max: 12 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('range' as const), third: fc.integer({ min: 1, max: 2 }) }) },
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      using directory = new Directory();
      let ranges = ['10.244.1.0/29', 'fd00:0:0:1::/64'].map(Prefix.parse);
      let ipam = directory.open(ranges);
      const model = new Map<number, string>();
      try {
        for (const c of commands) {
          if (c.do === 'restart') {
            ipam[Symbol.dispose]();
            ipam = directory.open(ranges);
          } else if (c.do === 'range') {
            ranges = [`10.244.${c.third}.0/29`, `fd00:0:0:${c.third}::/64`].map(Prefix.parse);
            ipam.setRanges(ranges);
          } else if (c.do === 'release') {
            assert.equal(text(ipam.release(key(`c${c.id}`))), model.get(c.id) ?? 'none');
            model.delete(c.id);
          } else {
            const used = [...model.values()].filter((addresses) =>
              addresses.startsWith(String(ranges[0]!.address).slice(0, -1)),
            ).length;
            const add = (): Lease => ipam.allocate(key(`c${c.id}`));
            if (model.has(c.id)) assert.throws(add, fault('exists', /./));
            else if (used === 5) assert.throws(add, fault('exhausted', /./));
            else {
              const lease = add();
              lease.addresses.forEach((address, i) => assert.ok(ranges[i]!.contains(address)));
              for (const taken of model.values())
                for (const address of lease.addresses) assert.ok(!taken.split(' ').includes(`${address}`));
              model.set(c.id, text(lease));
            }
          }
          assert.deepEqual(
            new Map(ipam.leases().map((l) => [l.key.containerId, text(l)])),
            new Map(Array.from(model, ([id, a]) => [`c${id}`, a])),
          );
        }
      } finally {
        ipam[Symbol.dispose]();
      }
    }),
    { numRuns: 60 },
  );
});

type Fault = 'ENOSPC' | 'EIO' | 'EROFS' | 'EACCES';
const operations = ['makeDirectory', 'list', 'read', 'write', 'rename', 'remove', 'facts'] as const;

/** From the n-th call of an operation on, or in that alone, the disk says no; a write is torn. */
function failing(operation: (typeof operations)[number], nth: number, code: Fault, forGood: boolean) {
  let calls = 0;
  const state = { files: { ...realFiles }, failed: 0, mended: false };
  const real = realFiles[operation] as (...args: string[]) => unknown;
  Object.assign(state.files, {
    [operation]: (...args: string[]) => {
      calls++;
      if (state.mended || (forGood ? calls < nth : calls !== nth)) return real(...args);
      state.failed++;
      if (operation === 'write' && code === 'ENOSPC') fs.writeFileSync(args[0]!, args[1]!.slice(0, 20));
      throw Object.assign(new Error(`${code}: ${operation} ${args[0]}`), { code });
    },
  });
  return state;
}

test('F23, F24: whichever file operation fails, once or for good, nothing is given that is not on disk, nothing twice, and nothing is lost', () => {
  let injected = 0;
  for (const operation of operations)
    for (const code of ['ENOSPC', 'EIO', 'EROFS', 'EACCES'] as const)
      for (const forGood of [false, true])
        for (let nth = 1; nth < 60; nth++) {
          const what = `${operation} ${nth} ${code} ${forGood ? 'for good' : 'once'}`;
          using directory = new Directory();
          const running = new Map<string, string>();
          {
            using before = directory.open();
            for (const id of ['x', 'y']) running.set(id, text(before.allocate(key(id))));
          }
          const disk = failing(operation, nth, code, forGood);
          let ipam: Ipam | undefined;
          try {
            ipam = new Ipam(directory.path, { files: disk.files });
          } catch (error) {
            assert.equal((error as IpamError).fault, 'storage', what);
          }
          if (ipam) {
            ipam.setRanges(dual);
            for (const id of ['b', 'c', 'd', 'x', 'b', 'e', 'f']) {
              try {
                if (running.has(id)) {
                  ipam.release(key(id));
                  running.delete(id);
                } else {
                  const addresses = text(ipam.allocate(key(id)));
                  assert.ok(![...running.values()].includes(addresses), `${what}: ${addresses} is in use`);
                  running.set(id, addresses);
                }
              } catch (error) {
                // A lease that could not be read at the start is still there, and is nobody's to release.
                assert.equal((error as IpamError).fault, 'storage', `${what}: ${String(error)}`);
              }
              if (id === 'x' && ipam.damaged().length > 0) running.delete('x');
            }
            disk.mended = true;
            assert.equal(ipam.storageFault(), undefined, what);
            ipam[Symbol.dispose]();
          }
          injected += disk.failed;
          using after = directory.open();
          assert.deepEqual(after.damaged(), [], what);
          for (const [id, addresses] of running) assert.equal(text(after.get(key(id))), addresses, `${what}: ${id}`);
          // What a release could not take away is still there to be released, and no more than that.
          assert.ok(after.leases().length >= running.size && after.leases().length <= 7, what);
          for (const lease of after.leases()) after.release(lease.key);
          assert.deepEqual(
            after.use().map(({ used }) => used),
            [0, 0],
            what,
          );
          if (disk.failed === 0) break;
        }
  assert.ok(injected > 300, `only ${injected} faults were injected`);
});

test("F23: leases in a directory that others may write to are refused, and a file that is not podnet's is held back", () => {
  using directory = new Directory();
  {
    using ipam = directory.open();
    ipam.allocate(key('a'));
  }
  fs.chmodSync(directory.path, 0o777);
  assert.throws(() => directory.open(), fault('storage', /has the mode 0777.*chmod 0700/));
  fs.chmodSync(directory.path, 0o700);
  const foreign: Files = {
    ...realFiles,
    facts: (file) => ({ ...realFiles.facts(file), ...(file.endsWith('.json') ? { uid: 4711 } : {}) }),
  };
  {
    using ipam = directory.open(dual, { files: foreign });
    assert.match(ipam.damaged()[0]!.why, /it belongs to user 4711/);
    assert.equal(text(ipam.allocate(key('b'))), '10.244.1.3 fd00:10:244:1::3');
    ipam.release(key('b'));
  }
  const file = path.join(directory.path, '10.244.1.2_fd00:10:244:1::2.json');
  fs.renameSync(file, `${file}.bak`);
  fs.symlinkSync(`${file}.bak`, file);
  using ipam = directory.open();
  assert.match(ipam.damaged()[0]!.why, /no regular file/);
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.2')), false);
});

test('F23: while leases cannot be written ipam says so, and is well again as soon as they can', () => {
  using directory = new Directory();
  const disk = failing('write', 1, 'EROFS', true);
  using ipam = directory.open(dual, { files: disk.files });
  assert.equal(ipam.storageFault(), undefined);
  assert.throws(() => ipam.allocate(key('a')), fault('storage', /EROFS/));
  assert.match(ipam.storageFault()!, /EROFS/);
  disk.mended = true;
  assert.equal(ipam.storageFault(), undefined);
});

test('T19, F54: what was given back is forgotten by the node before it is given again, many at once', () => {
  using directory = new Directory();
  const forgotten: string[] = [];
  let broken = false;
  using ipam = directory.open([Prefix.parse('10.244.1.0/29')], {
    forget(addresses) {
      if (broken) throw new Error('conntrack is away');
      forgotten.push(addresses.join());
    },
  });
  for (const id of ['a', 'b', 'c', 'd', 'e']) ipam.allocate(key(id));
  ipam.release(key('a'));
  ipam.release(key('b'));
  assert.deepEqual(forgotten, [], 'not one by one');
  let waited = 0;
  const toForget = () => ipam.toForget(() => waited++);
  const elsewhere = toForget();
  assert.equal(elsewhere.addresses.join(), '10.244.1.2,10.244.1.3');
  elsewhere.done();
  const none = toForget();
  assert.deepEqual(none.addresses, []);
  none.done();
  ipam.release(key('c'));
  ipam.release(key('d'));
  for (const id of ['f', 'g']) ipam.allocate(key(id));
  assert.equal(forgotten.length, 0, 'a and b were forgotten already');
  broken = true;
  assert.throws(() => ipam.allocate(key('h')), /conntrack is away/);
  assert.equal(ipam.use()[0]!.used, 3);
  broken = false;
  assert.equal(text(ipam.allocate(key('h'))), '10.244.1.5');
  assert.deepEqual(forgotten, ['10.244.1.4,10.244.1.5'], 'it was next, and could not wait');
  // Given back, under way elsewhere, given and given back again: those who had it last are still to be forgotten.
  ipam.release(key('e'));
  const late = toForget();
  assert.equal(waited, 0);
  const again = late.addresses[0]!;
  assert.equal(text(ipam.allocate(key('i'), {}, [again])), `${again}`);
  assert.equal(waited, 1, 'its new users would be forgotten by a pass that has not ended');
  assert.deepEqual(late.left(), []);
  ipam.release(key('i'));
  late.done();
  assert.deepEqual(toForget().addresses.join(), `${again}`);
});

test('CNI9: it is told that no container can be served exactly when none can, in whichever family, with what is held and what cannot be forgotten', () => {
  using directory = new Directory();
  let refuses = false;
  const forget = (): void => {
    if (refuses) throw new Error('EPERM');
  };
  using ipam = directory.open(['fd00::/64', '10.244.1.0/29'].map(Prefix.parse), { forget });
  const served = (): boolean => {
    try {
      ipam.allocate(key('probe'));
    } catch {
      return false;
    }
    ipam.release(key('probe'));
    return true;
  };
  const agrees = (why: RegExp | undefined): void => {
    if (why) assert.match(ipam.whyFull() ?? '', why);
    else assert.equal(ipam.whyFull(), undefined);
    assert.equal(served(), why === undefined);
  };
  for (const id of ['a', 'b', 'c']) ipam.allocate(key(id));
  agrees(undefined);
  ipam.hold('test', [{ address: IpAddr.parse('10.244.1.5'), why: 'a route' }]);
  ipam.hold('other', [{ address: IpAddr.parse('10.244.1.6'), why: 'a route' }]);
  agrees(/^no address is left in 10\.244\.1\.0\/29: all 5 are in use$/);
  ipam.hold('other', []);
  agrees(undefined);
  refuses = true;
  ipam.toForget(() => {}).failed('EPERM');
  agrees(/4 of 5 are in use, and the connections of the other 1 cannot be deleted: EPERM/);
  ipam.release(key('b'));
  agrees(/3 of 5 are in use, and the connections of the other 2 cannot/);
  refuses = false;
  ipam.toForget(() => {}).done();
  agrees(undefined);
});

test('an address that is in use without a lease is given to nobody, until it is in use no more', () => {
  using directory = new Directory();
  using ipam = directory.open([Prefix.parse('10.244.1.0/29')]);
  const hold = (...addresses: string[]) => addresses.map((address) => ({ address: IpAddr.parse(address), why: 'a route' }));
  ipam.allocate(key('a'));
  ipam.hold('routes', hold('10.244.1.2', '10.244.1.3', '192.0.2.1'));
  ipam.hold('host-local', hold('10.244.1.3'));
  assert.equal(text(ipam.allocate(key('b'))), '10.244.1.4');
  assert.deepEqual(
    ipam.held().map(({ address }) => String(address)),
    ['10.244.1.3', '10.244.1.3'],
    "a has a lease, and 192.0.2.1 is none of the pods' addresses",
  );
  ipam.hold('routes', []);
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.3')), false, 'the other still sees it');
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.2')), false, 'it is leased');
  ipam.hold('host-local', []);
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.3')), true);
  ipam.hold('routes', hold('10.244.1.2'));
  ipam.release(key('a'));
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.2')), true, 'the route was that of the lease');
  ipam.hold('routes', hold('10.244.1.2'));
  ipam.setRanges([Prefix.parse('10.244.1.0/28')]);
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.2')), false, 'also in another range');
});

test("leases of host-local's that it made since the boot hold their addresses, with who has them", () => {
  using directory = new Directory();
  assert.deepEqual(hostLocalLeases(path.join(directory.path, 'none'), 0), []);
  const network = path.join(directory.path, 'cbr0');
  fs.mkdirSync(network);
  for (const [name, contents] of [
    ['10.244.1.7', '0123456789abcdef0123\r\neth0'],
    ['fd00::7', ''],
    ['last_reserved_ip.0', '10.244.1.7'],
    ['lock', ''],
    ['10.244.1.8', 'of before the boot'],
  ] as const)
    fs.writeFileSync(path.join(network, name), contents);
  fs.utimesSync(path.join(network, '10.244.1.8'), 1000, 1000);
  fs.writeFileSync(path.join(directory.path, 'stray'), '');
  assert.deepEqual(
    hostLocalLeases(directory.path, Date.now() - 1000).map(({ address, why }) => `${address}: ${why}`),
    [
      `10.244.1.7: host-local's lease ${network}/10.244.1.7 of container 0123456789abc`,
      `fd00::7: host-local's lease ${network}/fd00::7`,
    ],
  );
});

test('F23: a lease for addresses that are seen in use takes the place of one that cannot be read, and can be given its key later', () => {
  using directory = new Directory();
  {
    using ipam = directory.open();
    ipam.allocate(key('a'));
    ipam.allocate(key('b'));
  }
  const file = '10.244.1.2_fd00:10:244:1::2.json';
  fs.writeFileSync(path.join(directory.path, file), 'torn');
  {
    using ipam = directory.open();
    const addresses = ipam.damaged()[0]!.addresses;
    const seen = ipam.restore(key('pod1', 'unknown'), addresses, { link: 'pod1' });
    assert.deepEqual(ipam.damaged(), []);
    assert.throws(() => ipam.restore(key('pod2', 'unknown'), [addresses[0]!], {}), fault('exists', /pod1 has/));
    assert.throws(() => ipam.replace(seen, key('b'), {}), fault('exists', /container b has/));
    ipam.replace(seen, key('a'), { link: 'pod1', pod: 'x/y' });
  }
  using ipam = directory.open();
  assert.deepEqual([text(ipam.get(key('a'))), ipam.get(key('a'))?.notes.pod], ['10.244.1.2 fd00:10:244:1::2', 'x/y']);
  assert.equal(ipam.leases().length, 2);
});
