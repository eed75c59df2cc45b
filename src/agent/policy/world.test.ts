import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Api, KubeObject, Resource } from '../../kube/api.ts';
import { ApiError } from '../../kube/api.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, identity, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';

/** An API that does not tell of pods while it is forbidden. */
function forbidding(api: Api): { api: Api; setForbidden(forbidden: boolean): void } {
  let forbidden = false;
  const error = (): Error => new ApiError(403, 'Forbidden', 'pods is forbidden');
  return {
    setForbidden: (now) => void (forbidden = now),
    api: new Proxy(api, {
      get(target, name: keyof Api) {
        const call = (target[name] as (...args: unknown[]) => unknown).bind(target);
        return (...args: unknown[]) => {
          if (!forbidden || (args[0] as Resource<KubeObject>).plural !== 'pods') return call(...args);
          if (name !== 'watch') return Promise.reject(error());
          setImmediate(() => (args[2] as { onEnd(error: Error): void }).onEnd(error()));
          return { close() {} };
        };
      },
    }),
  };
}

test(
  'NP15, P4: while the first policy waits for the pods of the cluster, none is attached, and status says why; then all is in force',
  needsRoot,
  async () => {
    await using it = await PolicyNode.make();
    const { node } = it;
    const { api, setForbidden } = forbidding(node.api);
    await node.startReady(api);
    const before = await it.pod('before');
    using _before = await Echo.start(before.ns.ns, echoPort);
    setForbidden(true);
    for (let i = 0; i < 2; i++) {
      await it.policy('deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
      await eventually(() =>
        assert.deepEqual(node.status().problems, [
          'policies are not in force yet, and no pod can be attached: pods is forbidden',
        ]),
      );
      assert.deepEqual([node.status().policy.enforced, node.status().ready], [false, true]);
      const ns = node.world.namespace(`late-${i}`);
      const { code, json } = await node.cni({
        command: 'ADD',
        containerId: `late-${i}`,
        netns: ns.path,
        ...identity('default', 'late'),
      });
      assert.deepEqual([code, json.code], [1, 11]);
      assert.match(String(json.msg), /the API server has not told of the pods and namespaces of the cluster yet/);
      // A policy that goes meanwhile, and comes again.
      if (i === 0) {
        await it.deletePolicy('deny');
        await eventually(() => assert.deepEqual(node.status().problems, []));
      }
    }
    assert.equal(await it.hears(it.neighbour, before, { timeoutMs: 5000 }), everyWay);
    setForbidden(false);
    await eventually(() => assert.equal(node.status().policy.enforced, true), 60_000);
    await eventually(async () => assert.equal(await it.hears(it.neighbour, before), noWay));
    assert.deepEqual(node.status().problems, []);
  },
);
