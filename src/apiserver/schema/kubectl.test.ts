import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kubectlBinaries, needsTool, requireTool, type Tool } from '../../testing/tools.ts';
import { loadSchema } from './index.ts';
import { OpenApi, openApiV2ContentType, type ServedResource } from './openapi.ts';

const resources: ServedResource[] = [
  { group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true, subresources: ['status'] },
  {
    group: 'apps',
    version: 'v1',
    plural: 'deployments',
    kind: 'Deployment',
    namespaced: true,
    subresources: ['scale', 'status'],
  },
];
const openApi = new OpenApi(loadSchema(), resources);

const deployment = (image: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'shop', namespace: 'default' },
  spec: {
    selector: { matchLabels: { app: 'shop' } },
    template: {
      metadata: { labels: { app: 'shop' } },
      spec: {
        containers: [
          { name: 'web', image, ports: [{ containerPort: 80 }] },
          { name: 'log', image: 'log:1' },
        ],
      },
    },
  },
});
/** As the server holds it: what was applied last stands in an annotation. */
const live = () => {
  const object = deployment('web:1');
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) };
  return { ...object, metadata: { ...object.metadata, annotations } };
};

const list = (groupVersion: string) => ({
  kind: 'APIResourceList',
  groupVersion,
  resources: resources
    .filter(({ group, version }) => groupVersion === (group ? `${group}/${version}` : version))
    .map(({ plural, kind, namespaced }) => ({
      name: plural,
      singularName: '',
      namespaced,
      kind,
      verbs: ['get', 'list', 'patch', 'create'],
    })),
});
const apps = { groupVersion: 'apps/v1', version: 'v1' };
const answers: Record<string, object> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [{ name: 'apps', versions: [apps], preferredVersion: apps }] },
  '/api/v1': list('v1'),
  '/apis/apps/v1': list('apps/v1'),
  '/version': { major: '1', minor: '36', gitVersion: 'v1.36.0' },
};

const suite = (tool: Tool): void => {
  const directory = mkdtempSync(path.join(tmpdir(), 'podnet-test-schema-'));
  const patches: { type: string; query: URLSearchParams; body: unknown }[] = [];
  const seen: string[] = [];
  const server = http.createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://api');
    seen.push(`${request.method} ${pathname}`);
    const json = (body: object): unknown =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const document = openApi.v3(pathname.replace('/openapi/v3/', ''));
    if (pathname === '/openapi/v2') response.writeHead(200, { 'content-type': openApiV2ContentType }).end(openApi.v2());
    else if (pathname === '/openapi/v3') json(openApi.index());
    else if (document)
      response.writeHead(200, { 'content-type': 'application/json', etag: `"${document.hash}"` }).end(document.body);
    else if (pathname === '/apis/apps/v1/namespaces/default/deployments/shop') {
      if (request.method === 'PATCH') {
        let body = '';
        for await (const chunk of request) body += String(chunk);
        patches.push({ type: request.headers['content-type']!, query: searchParams, body: JSON.parse(body) });
      }
      json(live());
    } else if (answers[pathname]) json(answers[pathname]);
    else response.writeHead(404).end();
  });
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.close();
    server.closeAllConnections();
    rmSync(directory, { recursive: true });
  });
  const kubectl = async (args: string[], stdin = ''): Promise<string> => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const all = ['--server', url, '--kubeconfig', '/dev/null', '--cache-dir', path.join(directory, 'cache'), ...args];
    const child = spawn(requireTool(tool), all, { env: { PATH: process.env.PATH, HOME: directory } });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.stdin.end(stdin);
    const [code] = await once(child, 'close');
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${err}`);
    return out;
  };
  const options = { timeout: 60_000, ...needsTool(tool) };

  test('explain shows documentation, types and what is required', options, async () => {
    const text = await kubectl(['explain', 'pod.spec.containers.ports']);
    assert.match(text, /containerPort\s+<integer> ?-required-/);
    assert.match(text, /Number of port to expose on the pod's IP address/);
    assert.match(await kubectl(['explain', 'pod.spec.volumes.emptyDir.sizeLimit']), /<Quantity>|<string>/);
    assert.match(await kubectl(['explain', 'deployments', '--recursive']), /maxSurge\s+<(IntOrString|string)>/);
  });

  test('apply sends a strategic merge patch of what changed, lists merged by their keys', options, async () => {
    patches.length = 0;
    await kubectl(['apply', '-f', '-'], JSON.stringify(deployment('web:2')));
    assert.equal(patches.length, 1);
    const [{ type, body } = { type: '', body: undefined }] = patches;
    assert.equal(type, 'application/strategic-merge-patch+json');
    const { spec } = body as { spec: { template: { spec: unknown } } };
    assert.deepEqual(spec.template.spec, {
      '$setElementOrder/containers': [{ name: 'web' }, { name: 'log' }],
      containers: [{ name: 'web', image: 'web:2' }],
    });
  });

  test('apply finds in the documents that the server can do a dry run', options, async () => {
    patches.length = 0;
    await kubectl(['apply', '--dry-run=server', '-f', '-'], JSON.stringify(deployment('web:3')));
    assert.equal(patches[0]?.query.get('dryRun'), 'All');
  });

  test('the document that this kubectl understands is the only kind it asks for', options, () => {
    const asked = (text: string): boolean => seen.some((request) => request.startsWith(`GET ${text}`));
    assert.deepEqual(
      [asked('/openapi/v2'), asked('/openapi/v3/apis/apps/v1')],
      tool.name === 'kubectl 1.20' ? [true, false] : [false, true],
    );
  });
};

for (const tool of kubectlBinaries()) describe(tool.name, () => suite(tool));
