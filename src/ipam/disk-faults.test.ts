import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { type Files, realFiles } from './files.ts';
import { Ipam, type IpamError } from './index.ts';
import { Directory, dual, fault, key, text } from './testkit/directory.ts';

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

test('F23: a directory that is read-only or gone is seen before a lease is to be written to it, and a gone one comes back with all leases', () => {
  using directory = new Directory();
  let why: string | undefined;
  const files: Files = {
    ...realFiles,
    mayWrite(path) {
      if (why !== undefined) throw Object.assign(new Error(`${why}: read-only file system, access '${path}'`), { code: why });
      realFiles.mayWrite(path);
    },
    write(file, contents) {
      if (why !== undefined) throw Object.assign(new Error(`${why}: read-only file system, open '${file}'`), { code: why });
      realFiles.write(file, contents);
    },
  };
  using ipam = new Ipam(directory.path, { files });
  ipam.setRanges(dual);
  const lease = ipam.allocate(key('a'));
  assert.equal(ipam.lookForFault(), undefined);
  why = 'EROFS';
  assert.equal(ipam.storageFault(), undefined, 'nobody looked');
  assert.match(ipam.lookForFault()!, /^\S+: EROFS: read-only file system$/);
  why = undefined;
  assert.equal(ipam.storageFault(), undefined);

  fs.rmSync(directory.path, { recursive: true });
  assert.equal(ipam.lookForFault(), undefined);
  assert.throws(() => new Ipam(directory.path), fault('locked', /another agent/));
  ipam[Symbol.dispose]();
  using next = new Ipam(directory.path);
  assert.deepEqual(next.leases().map(text), [text(lease)]);
});
