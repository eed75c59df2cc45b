import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { Prefix } from '../net/prefix.ts';
import { type Files, realFiles } from './files.ts';
import { Ipam, type Lease } from './index.ts';
import { Directory, dual, fault, key, text } from './testkit/directory.ts';

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

test('F6, P7: killed at any step, also half-way through a write, no address is ever given twice and no lease of a running pod is lost', () => {
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
              for (const [i, address] of lease.addresses.entries()) assert.ok(ranges[i]!.contains(address));
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
