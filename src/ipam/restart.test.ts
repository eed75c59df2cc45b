import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { type Files, realFiles } from './files.ts';
import type { IpamOptions } from './index.ts';
import { Directory, dual, fault, key, text } from './testkit/directory.ts';

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
