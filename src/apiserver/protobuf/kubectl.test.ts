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
import { decodeProtobuf, protobufContentType } from './index.ts';

/** Every generator of kubectl that sends protobuf; what it prints as JSON with --dry-run=client is what must arrive. */
const generators = [
  'configmap a --from-literal=k=v --from-literal=empty=',
  'secret generic a --from-literal=k=v',
  'secret docker-registry a --docker-username=u --docker-password=p',
  'namespace a',
  'deployment a --image=web --replicas=3 --port=80 -- sh -c true',
  'service clusterip a --tcp=80:8080 --tcp=443:web',
  'service nodeport a --tcp=80 --node-port=30080',
  'service externalname a --external-name=example.com',
  'service loadbalancer a --tcp=5678:8080',
  'job a --image=web -- date',
  'cronjob a --image=web --schedule=*/1 -- date',
  'ingress a --class=nginx --rule=shop.example/path*=web:80,tls=secret',
  'role a --verb=get,list --resource=pods --resource-name=x',
  'rolebinding a --clusterrole=view --serviceaccount=default:x --user=u --group=g',
  'clusterrole a --verb=get --non-resource-url=/healthz',
  'clusterrolebinding a --clusterrole=view --user=u',
  'serviceaccount a',
  'poddisruptionbudget a --selector=app=a --min-available=50%',
  'quota a --hard=cpu=1500m,memory=1.5Gi,pods=3',
  'priorityclass a --value=-10 --description=low --preemption-policy=Never',
];

/** Sent without a dry run of their own: the objects that must arrive. */
const others: Record<string, object> = {
  'create token a --duration=10m --audience=x': { kind: 'TokenRequest', spec: { audiences: ['x'], expirationSeconds: 600 } },
  'auth can-i get pods --subresource=log -n shop': {
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace: 'shop', verb: 'get', resource: 'pods', subresource: 'log' } },
  },
  'auth can-i get /healthz': {
    kind: 'SelfSubjectAccessReview',
    spec: { nonResourceAttributes: { path: '/healthz', verb: 'get' } },
  },
  'auth can-i --list -n shop': { kind: 'SelfSubjectRulesReview', spec: { namespace: 'shop' } },
  'auth whoami': { kind: 'SelfSubjectReview' },
};
const status: Record<string, object> = {
  TokenRequest: { token: 't', expirationTimestamp: '2026-01-01T00:00:00Z' },
  SelfSubjectAccessReview: { allowed: true },
  SelfSubjectRulesReview: { resourceRules: [], nonResourceRules: [], incomplete: false },
  SelfSubjectReview: { userInfo: { username: 'u' } },
};
const podResource = { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get', 'list'] };
const answers: Record<string, object> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
  '/api/v1': { kind: 'APIResourceList', groupVersion: 'v1', resources: [podResource] },
};

/** Without what says nothing: null, {} and [] (Go's JSON writer shows empty structs, the protobuf reader need not). */
function meaningful(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? value.map(meaningful) : undefined;
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  const entries = Object.entries(value).flatMap(([key, item]) => {
    const kept = meaningful(item);
    return kept === undefined ? [] : [[key, kept] as const];
  });
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

const suite = (tool: Tool): void => {
  const directory = mkdtempSync(path.join(tmpdir(), 'podnet-test-protobuf-'));
  let sent: { type: string; object: Record<string, unknown> } | undefined;
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url!, 'http://api');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    let body = answers[pathname] ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
    if (request.method === 'POST') {
      const object = decodeProtobuf(Buffer.concat(chunks));
      sent = { type: request.headers['content-type']!, object };
      body = { ...object, ...(status[object.kind] && { status: status[object.kind] }) };
    }
    response.writeHead('code' in body ? 404 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
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
  const kubectl = async (args: string[]): Promise<string> => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const all = ['--server', url, '--kubeconfig', '/dev/null', '--cache-dir', path.join(directory, 'cache'), ...args];
    const child = spawn(requireTool(tool), all, {
      env: { PATH: process.env.PATH, HOME: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${err}`);
    return out;
  };
  const options = { timeout: 60_000, ...needsTool(tool) };

  for (const generator of generators)
    test(`create ${generator.split(' -')[0]}`, options, async () => {
      const [head = '', tail] = generator.split(' -- ');
      const words = ['create', ...head.split(' ')];
      const rest = tail ? ['--', ...tail.split(' ')] : [];
      const printed = JSON.parse(await kubectl([...words, '--dry-run=client', '-o', 'json', ...rest]));
      await kubectl([...words, ...rest]);
      assert.equal(sent?.type, protobufContentType);
      // What kubectl knows from its own settings only: the namespace.
      const { namespace: _, ...metadata } = printed.metadata;
      const { namespace: __, ...arrived } = sent.object.metadata as Record<string, unknown>;
      assert.deepEqual(meaningful({ ...sent.object, metadata: arrived }), meaningful({ ...printed, metadata }));
    });

  for (const [line, expected] of Object.entries(others))
    test(line, options, async () => {
      await kubectl(line.split(' '));
      assert.equal(sent?.type, protobufContentType);
      // The status is the server's to fill: clients send its zero value.
      const { apiVersion: _, metadata: __, status: ___, ...object } = sent.object;
      assert.deepEqual(meaningful(object), expected);
    });
};

// kubectl 1.20 sends JSON.
for (const tool of kubectlBinaries().filter(({ name }) => name !== 'kubectl 1.20')) describe(tool.name, () => suite(tool));
