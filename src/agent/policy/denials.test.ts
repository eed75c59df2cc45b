import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Events, Namespaces } from '../../kube/resources.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { getJson } from '../../unix/http.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';
import type { DenialList } from './denial-book.ts';
import { logDenialsAnnotation } from './denials.ts';

const annotate = (it: PolicyNode, namespace: string, value: string | null): Promise<unknown> =>
  it.node.api.patch(Namespaces, namespace, undefined, { metadata: { annotations: { [logDenialsAnnotation]: value } } }, 'merge');
const told = (it: PolicyNode): Promise<DenialList> => getJson(it.node.config.statusSocket, '/denials');
const table = (it: PolicyNode): string => run(it.node.ns.path, 'nft', 'list', 'table', 'inet', 'podnet');
const logged = (it: PolicyNode): string[] =>
  [.../set logged[46] \{[^}]*elements = \{([^}]*)\}/g[Symbol.matchAll](table(it))].map(([, one]) => one!.trim());

test(
  'denials of a namespace that asks for it are told with policy and rule: in the log, as Events, to who asks; of no other',
  needsRoot,
  async () => {
    await using it = await PolicyNode.start();
    await annotate(it, 'shop', 'true');
    const rule = { from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 1 }] };
    await it.policy(
      'db',
      { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'], ingress: [rule, rule] },
      'shop',
    );
    await it.policy('deny', { podSelector: { matchLabels: { app: 'quiet' } }, policyTypes: ['Ingress'] });
    const db = await it.pod('db', { namespace: 'shop', labels: { app: 'db' } });
    const quiet = await it.pod('quiet', { labels: { app: 'quiet' } });
    const client = await it.pod('client');
    using _db = await Echo.start(db.ns.ns, echoPort);
    await eventually(() => assert.equal(logged(it).length, 2));
    assert.equal(await it.hears(client, db), noWay);
    assert.equal(await it.hears(client, quiet), noWay);
    const why = 'default deny: isolated by NetworkPolicy shop/db, none of its 2 rules matched';
    await eventually(async () => {
      const { denials } = await told(it);
      // Both families are one: who is denied what does not depend on it.
      assert.deepEqual(
        denials.map(({ protocol, from, to, port, why: text }) => [protocol, from, to, port, text]).sort(),
        ['TCP', 'UDP'].map((protocol) => [protocol, 'default/client', 'shop/db', echoPort, why]),
      );
    });
    const { node, namespaces, denials } = await told(it);
    assert.deepEqual([node, namespaces], ['me', ['shop']]);
    assert.ok(denials.every(({ packets }) => packets >= 1));
    const events = (await it.node.api.list(Events)).items.filter(({ reason }) => reason === 'NetworkPolicyDenied');
    assert.deepEqual(
      events
        .map(({ type, message, involvedObject }) => [type, `${involvedObject.namespace}/${involvedObject.name}`, message])
        .sort(),
      ['TCP', 'UDP'].map((protocol) => [
        'Warning',
        'shop/db',
        `${protocol} default/client -> shop/db:${echoPort} denied: ${why}`,
      ]),
    );

    // What the pod itself may not do, and nothing once nobody asks for it.
    await it.policy('out', { podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Egress'] }, 'shop');
    await eventually(async () => {
      await it.hears(db, it.neighbour, { timeoutMs: 200 });
      const { denials: now } = await told(it);
      const own = now.filter(
        ({ from, to, why: text }) =>
          from === 'shop/db' && to === 'node peer' && text.includes('NetworkPolicy shop/out, which has no rules'),
      );
      // Both, or the second one might be told of later, when nobody asks for it any more.
      assert.deepEqual(own.map(({ protocol }) => protocol).sort(), ['TCP', 'UDP'], JSON.stringify(now));
    });
    await annotate(it, 'shop', null);
    await eventually(() => assert.deepEqual(logged(it), []));
    const before = (await told(it)).denials.length;
    assert.equal(await it.hears(client, db, { port: echoPort + 1 }), noWay);
    assert.equal((await told(it)).denials.length, before);
    assert.doesNotMatch(table(it), new RegExp(`(tcp|udp) \\. ${echoPort + 1} `));
  },
);

test('logging denials lets nothing through, and what is allowed goes on', needsRoot, async () => {
  await using it = await PolicyNode.start();
  await it.policy('db', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
  });
  const db = await it.pod('db', { labels: { app: 'db' } });
  const [web, other] = [await it.pod('web', { labels: { app: 'web' } }), await it.pod('other')];
  using _db = await Echo.start(db.ns.ns, echoPort);
  for (const value of ['true', null, 'true']) {
    await annotate(it, 'default', value);
    await eventually(() => assert.equal(logged(it).length, value ? 2 : 0));
    assert.deepEqual([await it.hears(web, db, { timeoutMs: 5000 }), await it.hears(other, db)], [everyWay, noWay]);
  }
});
