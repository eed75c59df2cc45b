import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import type { Api } from '../../kube/api.ts';
import { type Connection, parseKubeconfig } from '../../kube/kubeconfig.ts';
import { ConfigMaps, Namespaces, Pods, RoleBindings, Roles, ServiceAccounts } from '../../kube/resources.ts';
import type { ServiceAccount } from '../../kube/types.ts';
import { CertificateAuthority } from '../pki/certificates.ts';
import { TestServer } from '../testkit/server.ts';

interface Reply {
  code: number;
  headers: IncomingHttpHeaders;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server said
  json: any;
}

type Options = https.RequestOptions & { body?: string | Buffer };

/** A node's runner: answers logs, and echoes what comes after an upgrade. */
function runner(): http.Server {
  const server = http.createServer((request, response) => {
    if (request.url?.includes('missing'))
      response.writeHead(400).end('container "c" in pod "p" is waiting to start: ContainerCreating');
    else response.end(`logs of ${request.url}`);
  });
  server.on('upgrade', (request, socket: Duplex) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade}\r\nConnection: Upgrade\r\n\r\n`);
    socket.write(
      `${request.method} ${request.url} ${request.headers['sec-websocket-protocol']} ${request.headers.authorization}\n`,
    );
    socket.pipe(socket);
  });
  return server;
}

describe('HTTP', () => {
  let server: TestServer;
  let api: Api;
  let admin: Connection;
  const node = runner();
  before(async () => {
    node.listen(0, '127.0.0.1');
    await once(node, 'listening');
    const { port } = node.address() as net.AddressInfo;
    server = await TestServer.start({
      dialNode: async (name) => {
        if (name === 'away') throw new Error('connect ENOENT runner.sock');
        const socket = net.connect(port, '127.0.0.1');
        await once(socket, 'connect');
        return socket;
      },
      tokens: new Map([['secret-of-the-lab', { name: 'lab', groups: ['system:masters'] }]]),
    });
    api = server.api.localApi('test');
    admin = parseKubeconfig(server.kubeconfig(), 'test');
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    node.close();
    node.closeAllConnections();
  });

  const credentials = ({ certificate, key }: Connection): https.RequestOptions => ({ cert: certificate, key });
  const anonymous = (path: string, { body, ...options }: Options = {}): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const request = https.request(`${server.url}${path}`, { ca: admin.ca, agent: false, ...options }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          let json: unknown;
          try {
            json = JSON.parse(text);
          } catch {
            // Not everything is JSON.
          }
          resolve({ code: response.statusCode!, headers: response.headers, text, json });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  const ask = (path: string, options: Options = {}): Promise<Reply> => anonymous(path, { ...credentials(admin), ...options });
  const post = (path: string, value: unknown, options: Options = {}): Promise<Reply> =>
    ask(path, {
      method: 'POST',
      body: JSON.stringify(value),
      ...options,
      headers: { 'content-type': 'application/json', ...options.headers },
    });
  const bearer = (token: string): Options => ({ headers: { authorization: `Bearer ${token}` } });
  const maps = '/api/v1/namespaces/default/configmaps';

  test('who has no name, a wrong token or a certificate of another CA is told 401, and nothing else', async () => {
    const stranger = CertificateAuthority.create('other').issueClient({ commonName: 'admin', organizations: ['system:masters'] });
    const attempts: Options[] = [
      {},
      bearer('wrong'),
      bearer('a.b.c'),
      { headers: { authorization: 'Basic YTpi' } },
      { cert: stranger.certificate, key: stranger.key },
    ];
    for (const options of attempts)
      for (const path of ['/api', '/version', maps, '/openapi/v2', '/nonsense']) {
        const { code, json } = await anonymous(path, options);
        assert.deepEqual([code, json.reason, json.message], [401, 'Unauthorized', 'Unauthorized'], path);
      }
    assert.equal((await anonymous('/healthz')).text, 'ok');
  });

  test('a token of the lab and a token of a service account say who asks; the latter dies with the account', async () => {
    assert.equal((await anonymous(maps, bearer('secret-of-the-lab'))).code, 200);
    await api.create(ServiceAccounts, { metadata: { name: 'robot', namespace: 'default' } });
    const request = { metadata: { name: 'robot', namespace: 'default' }, spec: { audiences: [] } };
    const { status } = (await api.create(ServiceAccounts, request as ServiceAccount, { subresource: 'token' })) as unknown as {
      status: { token: string };
    };
    const { code, json } = await anonymous(maps, bearer(status.token));
    assert.equal(code, 403);
    assert.equal(
      json.message,
      'configmaps is forbidden: User "system:serviceaccount:default:robot" cannot list resource "configmaps" in API group "" in the namespace "default"',
    );
    await api.create(Roles, {
      metadata: { name: 'reader', namespace: 'default' },
      rules: [{ verbs: ['list'], apiGroups: [''], resources: ['configmaps'] }],
    });
    await api.create(RoleBindings, {
      metadata: { name: 'reader', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'robot', namespace: 'default' }],
    });
    assert.equal((await anonymous(maps, bearer(status.token))).code, 200);
    assert.equal((await anonymous('/api/v1/secrets', bearer(status.token))).code, 403);
    await api.delete(ServiceAccounts, 'robot', 'default');
    assert.equal((await anonymous(maps, bearer(status.token))).code, 401);
  });

  test('a node may read all, write its pods and leases, and touch nothing else', async () => {
    const kubelet = credentials(parseKubeconfig(server.kubeconfig('system:node:n1', ['system:nodes']), 'test'));
    assert.equal((await anonymous('/api/v1/pods', kubelet)).code, 200);
    const { code, json } = await anonymous('/api/v1/namespaces/default/secrets', { ...kubelet, method: 'DELETE' });
    assert.deepEqual([code, json.reason], [403, 'Forbidden']);
  });

  test('what is not served is 404, what cannot be done is 405, what is not understood is 415 or 406', async () => {
    for (const path of [
      '/api/v1/nonsense',
      '/api/v2/pods',
      '/apis/none/v1/x',
      '/foo',
      '/api/v1/namespaces/default/pods/p/nonsense',
      '/api/v1/pods/name',
      '/api/v1/namespaces/x/nodes',
    ])
      assert.deepEqual([(await ask(path)).code, path], [404, path]);
    assert.equal((await ask('/api/v1/namespaces', { method: 'DELETE' })).code, 405);
    assert.equal((await post('/version', {})).code, 405);
    assert.equal((await ask(maps, { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } })).code, 415);
    assert.equal(
      (await ask(`${maps}/x`, { method: 'PATCH', body: '{}', headers: { 'content-type': 'application/json' } })).code,
      415,
    );
    assert.equal((await ask(maps, { headers: { accept: 'application/vnd.kubernetes.protobuf' } })).code, 406);
    assert.equal((await ask('/api/v1/namespaces/%zz/pods')).code, 400);
  });

  test('a body of more than 3 MiB is refused, one that is no JSON too, and the server lives on', async () => {
    const large = await post(maps, { metadata: { name: 'x' }, data: { a: 'y'.repeat(3 * 1024 * 1024) } }).catch(
      (error: NodeJS.ErrnoException) => error.code,
    );
    // The answer may come while the body is still on its way.
    if (typeof large === 'object')
      assert.deepEqual([large.code, large.json.message], [413, 'Request entity too large: limit is 3145728']);
    else assert.ok(large === 'EPIPE' || large === 'ECONNRESET', large);
    assert.equal((await ask(maps, { method: 'POST', body: '{"a":', headers: { 'content-type': 'application/json' } })).code, 400);
    assert.equal((await ask('/readyz')).text, 'ok');
  });

  test('Strict finds unknown and duplicate fields, Warn tells of them in headers, Ignore is silent', async () => {
    const body = '{"metadata":{"name":"NAME"},"data":{"a":"1","a":"2"},"foo":1,"metadata2":{}}';
    const send = (name: string, validation: string) =>
      ask(`${maps}?fieldValidation=${validation}`, {
        method: 'POST',
        body: body.replace('NAME', name),
        headers: { 'content-type': 'application/json' },
      });
    const strict = await send('strict', 'Strict');
    assert.deepEqual(
      [strict.code, strict.json.message],
      [
        400,
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "foo", unknown field "metadata2", duplicate field "data.a"',
      ],
    );
    const warn = await send('warn', 'Warn');
    assert.deepEqual([warn.code, warn.json.data], [201, { a: '2' }]);
    assert.match(String(warn.headers.warning), /299 - "unknown field \\"foo\\"".*299 - "duplicate field \\"data\.a\\""/);
    assert.equal((await send('ignore', 'Ignore')).headers.warning, undefined);
  });

  test('wrong types are told in the words of the real server', async () => {
    const cases: [spec: object, text: string][] = [
      [
        { ports: [{ port: '80' }] },
        'json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32',
      ],
      [{ ports: {} }, 'json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort'],
      [{ selector: { a: 1 } }, 'json: cannot unmarshal number into Go struct field ServiceSpec.spec.selector of type string'],
    ];
    for (const [spec, text] of cases) {
      const { code, json } = await post('/api/v1/namespaces/default/services', { metadata: { name: 'x' }, spec });
      assert.deepEqual([code, json.message], [400, `Service in version "v1" cannot be handled as a Service: ${text}`]);
    }
  });

  test('namespaces: missing ones are 404, going ones 403, and a name in the body must be that of the URL', async () => {
    assert.equal(
      (await post('/api/v1/namespaces/nowhere/configmaps', { metadata: { name: 'x' } })).json.message,
      'namespaces "nowhere" not found',
    );
    await api.create(Namespaces, { metadata: { name: 'going' } });
    await api.delete(Namespaces, 'going');
    const { code, json } = await post('/api/v1/namespaces/going/configmaps', { metadata: { name: 'x' } });
    assert.deepEqual(
      [code, json.message],
      [403, 'configmaps "x" is forbidden: unable to create new content in namespace going because it is being terminated'],
    );
    assert.equal(
      (await post(maps, { metadata: { name: 'x', namespace: 'other' } })).json.message,
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  });

  test('discovery is aggregated for those who can read it, and in pieces for the others', async () => {
    const aggregated = await ask('/apis', {
      headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json' },
    });
    assert.equal(aggregated.headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
    const resources = aggregated.json.items.flatMap((group: { versions: { resources: unknown[] }[] }) =>
      group.versions.flatMap((version) => version.resources),
    ).length;
    const { json } = await ask('/apis');
    let legacy = 0;
    for (const { versions } of json.groups)
      for (const { groupVersion } of versions)
        legacy += (await ask(`/apis/${groupVersion}`)).json.resources.filter(
          ({ name }: { name: string }) => !name.includes('/'),
        ).length;
    assert.equal(legacy, resources);
    assert.ok((await ask('/api/v1')).json.resources.some(({ name }: { name: string }) => name === 'pods/eviction'));
  });

  test('OpenAPI v3 is kept by clients for ever under its hash, v2 is protobuf', async () => {
    const { json } = await ask('/openapi/v3');
    const { headers } = await ask(json.paths['apis/apps/v1'].serverRelativeURL);
    assert.equal(headers['cache-control'], 'public, immutable');
    assert.ok(headers.etag && Date.parse(headers.expires!) > Date.now());
    assert.equal((await ask('/openapi/v3/apis/apps/v1')).headers['cache-control'], 'no-cache, private');
    assert.equal(
      (await ask('/openapi/v2')).headers['content-type'],
      'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
    );
  });

  test('a Table has what kubectl prints, also in a watch, with column definitions once', async () => {
    const accept = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };
    await api.create(ConfigMaps, { metadata: { name: 'table', namespace: 'default' }, data: { a: '1', b: '2' } });
    const { json } = await ask(`${maps}?fieldSelector=metadata.name%3Dtable`, accept);
    assert.deepEqual(
      [json.kind, json.rows[0].cells.slice(0, 2), json.rows[0].object.kind],
      ['Table', ['table', 2], 'PartialObjectMetadata'],
    );
    await api.patch(ConfigMaps, 'table', 'default', { data: { c: '3' } }, 'merge');
    const { text } = await ask(
      `${maps}?watch=1&timeoutSeconds=1&resourceVersion=${json.metadata.resourceVersion - 1}&fieldSelector=metadata.name%3Dtable`,
      accept,
    );
    const events = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      events.map(({ type, object }) => [type, object.rows[0].cells[1], object.columnDefinitions.length > 0]),
      [
        ['ADDED', 2, true],
        ['MODIFIED', 3, false],
      ],
    );
  });

  test('WatchList: present objects, the bookmark that ends them, then changes; too old is an ERROR event', async () => {
    const { text } = await ask(
      `${maps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1`,
    );
    const events = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const end = events.findIndex(({ type }) => type === 'BOOKMARK');
    assert.equal(events[end].object.metadata.annotations['k8s.io/initial-events-end'], 'true');
    assert.ok(events.slice(0, end).every(({ type }) => type === 'ADDED'));
    const old = await ask(`${maps}?watch=1&resourceVersion=1`);
    const { type, object } = JSON.parse(old.text) as { type: string; object: { code: number; reason: string } };
    assert.deepEqual([type, object.code, object.reason], ['ERROR', 410, 'Expired']);
    const future = JSON.parse((await ask(`${maps}?watch=1&resourceVersion=99999999999999`)).text);
    assert.deepEqual(
      [future.type, future.object.code, future.object.details.causes[0].reason],
      ['ERROR', 504, 'ResourceVersionTooLarge'],
    );
    assert.equal((await ask(`${maps}?watch=1&sendInitialEvents=true`)).code, 422);
  });

  test('deletecollection takes what the selector matches', async () => {
    for (const name of ['one', 'two', 'three'])
      await api.create(ConfigMaps, { metadata: { name, namespace: 'default', labels: { group: name === 'three' ? 'b' : 'a' } } });
    const { json } = await ask(`${maps}?labelSelector=group%3Da`, { method: 'DELETE' });
    assert.deepEqual(
      json.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
      ['one', 'two'],
    );
    assert.equal((await ask(`${maps}/three`)).code, 200);
  });

  describe('streams of pods', () => {
    before(async () => {
      const pod = (name: string, nodeName: string | undefined, ...containers: string[]) =>
        api.create(Pods, {
          metadata: { name, namespace: 'default' },
          spec: { nodeName, containers: containers.map((one) => ({ name: one, image: 'x' })) },
        });
      await pod('p', 'n1', 'c');
      await pod('two', 'n1', 'a', 'b');
      await pod('nowhere', undefined, 'c');
      await pod('away', 'away', 'c');
      await pod('missing', 'n1', 'c');
    });
    const pods = '/api/v1/namespaces/default/pods';

    test('logs come from the node, of the container asked for', async () => {
      assert.equal((await ask(`${pods}/p/log?tailLines=5`)).text, 'logs of /containerLogs/default/p/c?tailLines=5');
      assert.equal(
        (await ask(`${pods}/two/log?container=b&follow=true`)).text,
        'logs of /containerLogs/default/two/b?follow=true',
      );
      assert.deepEqual(await ask(`${pods}/nowhere/log`).then(({ code, text }) => [code, text]), [200, '']);
    });

    test('errors have the real server’s words', async () => {
      const message = async (path: string): Promise<string> => (await ask(`${pods}${path}`)).json.message;
      assert.equal(await message('/two/log'), 'a container name must be specified for pod two, choose one of: [a b]');
      assert.equal(await message('/p/log?container=x'), 'container x is not valid for pod p');
      assert.equal(await message('/nowhere/exec?command=x'), 'pod nowhere does not have a host assigned');
      assert.equal(await message('/missing/log'), 'container "c" in pod "p" is waiting to start: ContainerCreating');
      assert.match(await message('/away/log'), /error dialing backend: connect ENOENT runner\.sock/);
      assert.equal(await message('/p/exec?command=x'), 'Upgrade request required');
    });

    const upgrade = (path: string, options: Options = {}): Promise<{ socket: Duplex; head: string } | http.IncomingMessage> =>
      new Promise((resolve, reject) => {
        const headers = {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-protocol': 'SPDY/3.1+portforward.k8s.io',
          ...options.headers,
        };
        const request = https.request(`${server.url}${path}`, { ca: admin.ca, agent: false, ...options, headers });
        request.on('upgrade', (_response, socket, head) => resolve({ socket, head: head.toString() }));
        request.on('response', resolve);
        request.on('error', reject);
        request.end();
      });

    test('an upgrade reaches the node as it came, without the credential, and bytes go both ways', async () => {
      const { socket, head } = (await upgrade(`${pods}/p/exec?command=a&command=b%20c&stdin=true&container=c`, {
        headers: { authorization: 'Bearer secret-of-the-lab' },
      })) as { socket: Duplex; head: string };
      let text = head;
      while (!text.includes('\n')) text += String((await once(socket, 'data'))[0]);
      assert.equal(text, 'GET /exec/default/p/c?command=a&command=b+c&stdin=true SPDY/3.1+portforward.k8s.io undefined\n');
      socket.write('ping');
      assert.equal(String((await once(socket, 'data'))[0]), 'ping');
      socket.destroy();
    });

    test('an upgrade that may not be is refused in plain HTTP', async () => {
      const refused = async (path: string, options: Options = credentials(admin)): Promise<number | undefined> => {
        const answer = await upgrade(path, options);
        if (!('statusCode' in answer)) throw new Error('upgraded');
        answer.resume();
        return answer.statusCode;
      };
      assert.equal(await refused(`${pods}/p/exec`, {}), 401);
      assert.equal(await refused(`${pods}/nobody/exec`), 404);
      assert.equal(await refused(`${pods}/nowhere/exec`), 400);
      assert.equal(await refused(`${pods}/away/exec`), 500);
      assert.equal(await refused(maps), 400);
    });
  });
});
