import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeApi } from '../../kube/fake.ts';
import { EndpointSlices, Services } from '../../kube/resources.ts';
import { Sources } from './sources.ts';

test('SA20: Services of another proxy, and what belongs to headless ones, never come to the agent; when the label goes they do', async () => {
  const api = new FakeApi();
  const labels: Record<string, Record<string, string> | undefined> = {
    plain: undefined,
    theirs: { 'service.kubernetes.io/service-proxy-name': 'other' },
    empty: { 'service.kubernetes.io/service-proxy-name': '' },
    headless: { 'service.kubernetes.io/headless': '' },
  };
  for (const [name, own] of Object.entries(labels)) {
    const metadata = { name, namespace: 'default', labels: own };
    await api.create(Services, { metadata, spec: { ports: [{ port: 80 }] } });
    await api.create(EndpointSlices, {
      metadata: { ...metadata, labels: { ...own, 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      endpoints: [],
    });
  }
  using sources = new Sources(api, 'me', (kind, error) => assert.fail(`${kind}: ${error.message}`));
  sources.start();
  await sources.synced;
  assert.deepEqual(
    sources.services.list().map(({ metadata }) => metadata.name),
    ['plain'],
  );
  assert.ok(!sources.slices.list().some(({ metadata }) => metadata.name === 'headless'));
  const written = await api.patch(
    Services,
    'theirs',
    'default',
    { metadata: { labels: { 'service.kubernetes.io/service-proxy-name': null } } },
    'merge',
  );
  await sources.services.hasSeen(written.metadata.resourceVersion);
  assert.deepEqual(
    sources.services
      .list()
      .map(({ metadata }) => metadata.name)
      .sort(),
    ['plain', 'theirs'],
  );
});
