import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ApiError, KubeObject } from '../../kube/api.ts';
import { apiVersionOf, qualifiedName } from '../../kube/resources.ts';
import type { Json, StoredObject } from '../object.ts';
import { type ApiResource, servedResources } from '../resources.ts';
import { toTable } from '../tables/index.ts';
import { samples } from '../testkit/samples.ts';
import { apiForTests } from '../testkit/server.ts';

const stored = servedResources.filter(({ verbs }) => verbs.length > 1);
const names: Record<string, string> = { ipaddresses: '10.96.200.200', baselineadminnetworkpolicies: 'default' };
const nameOf = (resource: ApiResource): string => names[resource.plural] ?? 'sample';
/** The others have a strategic merge. */
const isCustom = ({ group }: ApiResource): boolean => group === 'policy.networking.k8s.io';

describe('every verb of every kind', () => {
  const api = apiForTests();

  test('there is a sample of every kind that is stored, and none of others', () => {
    assert.deepEqual(
      Object.keys(samples).sort(),
      stored.map((resource) => `${qualifiedName(resource)}/${resource.version}`).sort(),
    );
  });

  for (const resource of stored) {
    const namespace = resource.namespaced ? 'default' : undefined;
    const name = nameOf(resource);
    test(`${qualifiedName(resource)} ${resource.version}: create, get, list, update, three patches, apply, watch, table, delete`, async () => {
      const sample = samples[`${qualifiedName(resource)}/${resource.version}`]!;
      const metadata = { name, ...(namespace && { namespace }) };
      const made = (await api.create(resource, { metadata, ...sample } as KubeObject)) as StoredObject;
      assert.deepEqual([made.apiVersion, made.kind], [apiVersionOf(resource), resource.kind]);
      for (const [field, value] of Object.entries(sample))
        if (field !== 'stringData' && field !== 'spec') assert.deepEqual(made[field], value, field);
      assert.deepEqual(await api.get(resource, name, namespace), made);
      const { items, metadata: list } = await api.list(resource, { namespace, fieldSelector: `metadata.name=${name}` });
      assert.deepEqual(items, [made]);

      const events: string[] = [];
      const watch = api.watch(resource, ({ type }) => events.push(type), {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        resourceVersion: list.resourceVersion,
        onEnd: (error) => events.push(String(error)),
      });
      // What was read and written back is no change: else no client would ever come to rest.
      assert.deepEqual(await api.update(resource, made), made);
      const label = (key: string): Json => ({ metadata: { labels: { [key]: 'x' } } });
      await api.patch(resource, name, namespace, label('merge'), 'merge');
      await api.patch(resource, name, namespace, label('strategic'), isCustom(resource) ? 'merge' : 'strategic');
      await api.patch(resource, name, namespace, [{ op: 'add', path: '/metadata/labels/json', value: 'x' }], 'json');
      const config = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...label('apply') };
      const last = await api.patch(resource, name, namespace, config, 'apply', { fieldManager: 'applier' });
      const { 'kubernetes.io/metadata.name': _name, a: _a, ...labels } = last.metadata.labels ?? {};
      assert.deepEqual(labels, { merge: 'x', strategic: 'x', json: 'x', apply: 'x' });
      assert.equal(last.metadata.generation, made.metadata.generation, 'labels are nothing that is asked for');
      if (resource.subresources.includes('status')) await api.update(resource, last, { subresource: 'status' });

      const table = toTable(resource, [last as StoredObject], {
        version: 'v1',
        include: 'Metadata',
        nowMs: Date.now(),
        headers: true,
        metadata: {},
      });
      const [{ cells }] = table.rows as [{ cells: unknown[] }];
      assert.equal(cells.length, (table.columnDefinitions as unknown[]).length);
      assert.ok(
        cells.every((cell) => cell !== undefined && cell !== null),
        JSON.stringify(cells),
      );

      await api.delete(resource, name, namespace, { propagationPolicy: 'Background' });
      if (resource.kind === 'Namespace') {
        const going = (await api.get(resource, name)) as StoredObject;
        assert.equal(going.status?.phase, 'Terminating');
        await api.update(resource, { ...going, spec: {} } as KubeObject, { subresource: 'finalize' });
      }
      await assert.rejects(api.get(resource, name, namespace), (error: ApiError) => error.code === 404);
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      watch.close();
      const wanted =
        resource.kind === 'Namespace'
          ? ['MODIFIED', 'MODIFIED', 'MODIFIED', 'MODIFIED', 'MODIFIED', 'DELETED']
          : ['MODIFIED', 'MODIFIED', 'MODIFIED', 'MODIFIED', 'DELETED'];
      assert.deepEqual(events, wanted);
    });
  }
});
