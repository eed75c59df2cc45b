import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritableSysctl, readSysctl, writeSysctl } from '../../kernel/sysctl.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { planConntrackLimits } from './conntrack-limits.ts';

const folder = 'net/netfilter/nf_conntrack_';
const planned = (cores: number, now: Record<string, number | undefined>): Record<string, number> =>
  Object.fromEntries(
    planConntrackLimits(cores, (name) => now[name.slice(folder.length)]).map(({ name, to }) => [name.slice(folder.length), to]),
  );
const timeouts = { tcp_timeout_established: 432_000, tcp_timeout_close_wait: 60 };

test("SD28: limits follow the machine's cores, with a bucket for four connections, and the kernel's own timeouts are replaced", () => {
  const after = { tcp_timeout_established: 86_400, tcp_timeout_close_wait: 3600 };
  assert.deepEqual(planned(1, { max: 65_536, buckets: 16_384, ...timeouts }), { max: 131_072, buckets: 32_768, ...after });
  assert.deepEqual(planned(64, { max: 262_144, buckets: 262_144, ...timeouts }), { max: 2_097_152, buckets: 524_288, ...after });
});

test('SD28: what an administrator raised or chose stays, and what is right is not written', () => {
  assert.deepEqual(
    planned(2, { max: 4_000_000, buckets: 1_000_000, tcp_timeout_established: 1800, tcp_timeout_close_wait: 7200 }),
    {},
  );
  assert.deepEqual(
    planned(2, { max: 131_072, buckets: 32_768, tcp_timeout_established: 86_400, tcp_timeout_close_wait: 3600 }),
    {},
  );
  assert.deepEqual(planned(2, { max: 0, buckets: 65_536 }), {}, 'there is no limit');
});

test("SD28: what is the machine's is no namespace's to set, and what the kernel lacks is nobody's", () => {
  assert.deepEqual(planned(64, timeouts), { tcp_timeout_established: 86_400, tcp_timeout_close_wait: 3600 });
  assert.deepEqual(planned(64, {}), {});
});

const seconds = ({ ns }: TestNode, name: string): number => Number(readSysctl(ns.ns, `${folder}tcp_timeout_${name}`));

test(
  "SD28: a node's connections are remembered for as long as planned; a chosen time stays, and the machine's limits are left alone",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    writeSysctl(node.ns.ns, `${folder}tcp_timeout_close_wait`, 500);
    const max = readSysctl(undefined, `${folder}max`);
    assert.equal(isWritableSysctl(node.ns.ns, `${folder}max`), false, 'the namespace of a node of the lab cannot change it');
    await node.startReady();
    await eventually(() => assert.equal(seconds(node, 'established'), 86_400));
    assert.equal(seconds(node, 'close_wait'), 500);
    assert.equal(readSysctl(undefined, `${folder}max`), max);
    assert.deepEqual(
      node.status().warnings.filter((text) => text.includes('nf_conntrack')),
      [],
    );
  },
);

test('SD28: services.conntrackLimits false leaves conntrack as it is', needsRoot, async () => {
  await using node = await TestNode.make({ services: { conntrackLimits: false, healthPort: 0 } });
  const before = seconds(node, 'established');
  assert.notEqual(before, 86_400, 'there is something to leave alone');
  await node.startReady();
  await eventually(() => assert.ok(node.status().reconciler.fullChecks > 0));
  assert.equal(seconds(node, 'established'), before);
});
