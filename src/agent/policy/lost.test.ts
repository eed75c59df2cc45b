import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, ApiError, type KubeObject, type Resource } from '../../kube/api.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';

const denyAll: NetworkPolicySpec = { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress', 'Egress'] };

/** An API that loses all objects of a kind for a while, and nobody hears of their end: lists are empty, and watches begin anew. */
function losing(api: Api) {
  const watches = new Map<(error: Error) => void, string>();
  let lost: string | undefined;
  const shown = Object.create(api, {
    list: {
      value: async (resource: Resource<KubeObject>, options: never) => {
        const list = await api.list(resource, options);
        return resource.plural === lost ? { ...list, items: [] } : list;
      },
    },
    watch: {
      value: (...[resource, onEvent, options]: Parameters<Api['watch']>) => {
        const end = (error?: Error): void => {
          watches.delete(end);
          options.onEnd(error);
        };
        watches.set(end, resource.plural);
        const isLost = resource.plural === lost;
        const stream = api.watch(resource, (event) => (isLost && event.type !== 'BOOKMARK' ? undefined : onEvent(event)), { ...options, onEnd: end });
        return { close: () => (watches.delete(end), stream.close()) };
      },
    },
  }) as Api;
  const lose = (plural: string | undefined): void => {
    const all = [lost, plural];
    lost = plural;
    for (const [end, of] of [...watches]) if (all.includes(of)) end(new ApiError(410, 'Expired', 'too old resource version'));
  };
  return { shown, lose };
}

for (const plural of ['networkpolicies', 'pods', 'namespaces'])
  test(`F13, P2: an API that tells of no ${plural} any more all at once opens nothing while it is doubted, and says so`, needsRoot, async () => {
    await using it = await PolicyNode.make();
    const { node } = it;
    const { shown, lose } = losing(node.api);
    await it.policy('deny', denyAll);
    await node.startReady(shown);
    using _echo = await Echo.start(node.peer.ns, echoPort);
    const shut = await it.pod('shut', { labels: { app: 'shut' } });
    const open = await it.pod('open');
    const reach = () => Promise.all([shut, open].map((pod) => it.hears(pod, it.neighbour)));
    assert.deepEqual(await reach(), [noWay, everyWay]);
    const before = node.ruleset();
    lose(plural);
    await eventually(() => assert.ok(node.log.some((line) => line.includes(`list ${plural}: the server has none, where there were`)), node.log.join('\n')));
    await sleep(500);
    assert.deepEqual(node.ruleset(), before, 'nothing is written');
    assert.deepEqual(await reach(), [noWay, everyWay]);
    lose(undefined);
    await eventually(() => assert.deepEqual(node.status().sources.flatMap(({ error }) => error ?? []), []));
    assert.deepEqual(await reach(), [noWay, everyWay]);
  });
