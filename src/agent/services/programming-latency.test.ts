import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change } from '../../kube/informer.ts';
import { EndpointSlices } from '../../kube/resources.ts';
import type { EndpointSlice } from '../../kube/types.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { sliceView } from '../watch/views.ts';
import { ProgrammingLatency, triggerAnnotation } from './programming-latency.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const sliceAt = (trigger: string | undefined): EndpointSlice =>
  sliceView({
    metadata: {
      ...{ namespace: 'default', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
      ...(trigger === undefined ? {} : { annotations: { [triggerAnnotation]: trigger, other: 'x' } }),
    },
    ...{ addressType: 'IPv4', endpoints: [] },
  });
const at = (ms: number): string => new Date(start + ms).toISOString();
const change = (key: string, trigger: string | undefined, previous?: string): Change<EndpointSlice> => ({
  ...{ type: previous === undefined ? 'added' : 'modified', key, object: sliceAt(trigger) },
  ...(previous === undefined ? {} : { previous: sliceAt(previous) }),
});

/** With a clock that is set by hand. */
function clocked(): { latency: ProgrammingLatency; set: (ms: number) => void } {
  let now = start;
  return { latency: new ProgrammingLatency(() => now), set: (ms) => void (now = start + ms) };
}

test('SD29: the time from a change to the kernel counts from the trigger, and from hearing of it', () => {
  const { latency, set } = clocked();
  assert.deepEqual(latency.status(), { changes: 0 });
  set(150);
  latency.heard([change('default/web-1', at(100))]);
  set(160);
  latency.heard([change('default/web-1', at(155), at(100)), change('default/web-2', at(140))]);
  assert.equal(latency.status().changes, 0, 'the kernel does not hold them yet');
  set(1170);
  latency.written();
  latency.written();
  assert.deepEqual(latency.status(), {
    changes: 2,
    sinceTrigger: { last: 1030, p50: 1030, p99: 1070, max: 1070, overSecond: 2 },
    sinceHeard: { last: 1010, p50: 1010, p99: 1020, max: 1020, overSecond: 2 },
  });
});

test('SD29: what was changed before the start, is gone, says no time or none that is newer, is not counted; a clock ahead makes no time negative', () => {
  const { latency, set } = clocked();
  set(50);
  const none: (string | undefined)[] = [undefined, 'yesterday', '', at(-1)];
  latency.heard(none.map((trigger, i) => change(`default/web-${i}`, trigger)));
  latency.heard([change('default/web-9', at(40), at(40))]);
  latency.heard([{ ...change('default/web-8', at(40)), type: 'deleted' }]);
  latency.written();
  assert.deepEqual(latency.status(), { changes: 0 });
  latency.heard([change('default/web-9', at(60), at(40))]);
  latency.written();
  assert.equal(latency.status().sinceTrigger?.last, 0);
});

test('SD29: percentiles are of the latest thousand changes, the maximum of all', () => {
  const { latency, set } = clocked();
  for (const took of [9000, ...Array.from({ length: 1000 }, (_, i) => i + 1)]) {
    latency.heard([change('default/web-1', at(0), at(-1))]);
    set(took);
    latency.written();
  }
  assert.deepEqual(latency.status().sinceTrigger, { last: 1000, p50: 500, p99: 990, max: 9000, overSecond: 1 });
});

test('SD29: an agent tells how long a change of endpoints took to the kernel', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  assert.deepEqual(node.status().programming, { changes: 0 });
  const name = 'web-late';
  const labels = { 'kubernetes.io/service-name': 'web' };
  const annotations = { [triggerAnnotation]: new Date().toISOString() };
  await node.api.create(EndpointSlices, {
    ...{ metadata: { name, namespace: 'default', labels, annotations }, addressType: 'IPv4' },
    ports: [{ name: 'tcp', protocol: 'TCP', port: 8080 }],
    endpoints: [{ addresses: ['10.1.1.9'], conditions: { ready: true, serving: true } }],
  });
  const { sinceTrigger, sinceHeard } = await eventually(() => {
    const { programming } = node.status();
    assert.equal(programming?.changes, 1);
    return programming;
  });
  assert.ok(node.ruleset().some((line) => line.startsWith('element of slots4') && line.includes('10.1.1.9')));
  assert.ok(sinceHeard!.last <= sinceTrigger!.last, JSON.stringify({ sinceHeard, sinceTrigger }));
});
