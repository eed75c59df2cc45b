import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, test } from 'node:test';
import { ApiError } from './api.ts';
import { type ClientOptions, KubeClient } from './client.ts';
import { parseKubeconfig } from './kubeconfig.ts';
import { LineSplitter } from './lines.ts';
import { Pods } from './resources.ts';

/** A server that answers as the test says, and a client of it. */
async function serve(answer: http.RequestListener, options: ClientOptions = {}, token?: () => string) {
  const server = http.createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new KubeClient({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix/`, token }, options);
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const ended = (client: KubeClient): Promise<Error | undefined> =>
  new Promise((resolve) => client.watch(Pods, () => {}, { onEnd: resolve }));

describe('KubeClient', () => {
  test('paths keep the server’s prefix, names are escaped, the token of now is sent', async () => {
    const seen: string[] = [];
    let token = 'one';
    await using s = await serve(
      (request, response) => {
        seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
        response.end('{}');
      },
      {},
      () => token,
    );
    await s.client.get(Pods, 'a/b', 'shop');
    token = 'two';
    await s.client.list(Pods, { labelSelector: 'a in (b,c)', limit: 5 });
    assert.deepEqual(seen, [
      'GET /prefix/api/v1/namespaces/shop/pods/a%2Fb Bearer one',
      'GET /prefix/api/v1/pods?labelSelector=a+in+%28b%2Cc%29&limit=5 Bearer two',
    ]);
  });

  test('a Status becomes an ApiError with its code, reason and details', async () => {
    const status = { kind: 'Status', code: 409, reason: 'Conflict', message: 'no', details: { name: 'p' } };
    await using s = await serve((_, response) => response.writeHead(409).end(JSON.stringify(status)));
    await assert.rejects(s.client.get(Pods, 'p', 'shop'), (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual([error.code, error.reason, error.message, error.details], [409, 'Conflict', 'no', { name: 'p' }]);
      return true;
    });
  });

  test('an answer that is no Status is told with its beginning', async () => {
    await using s = await serve((_, response) => response.writeHead(502).end('<html>bad gateway'));
    await assert.rejects(
      s.client.get(Pods, 'p', 'shop'),
      /GET \/api\/v1\/namespaces\/shop\/pods\/p: the server answered 502: <html>bad gateway/,
    );
  });

  test('F16: 429 with Retry-After is tried again, and given up in the end', async () => {
    let requests = 0;
    await using s = await serve((_, response) => {
      requests++;
      response.writeHead(requests === 2 ? 200 : 429, { 'retry-after': '0' }).end('{}');
    });
    await s.client.get(Pods, 'p', 'shop');
    assert.equal(requests, 2);
    await assert.rejects(s.client.get(Pods, 'p', 'shop'), ApiError);
    assert.equal(requests, 6);
  });

  test('a server that is not there, or does not answer, is told with its address', async () => {
    const s = await serve(() => {}, { timeoutMs: 30 });
    await assert.rejects(
      s.client.get(Pods, 'p', 'shop'),
      /GET http:\/\/127\.0\.0\.1:\d+\/api\/v1\/namespaces\/shop\/pods\/p: no answer within 0.03 s/,
    );
    await s[Symbol.asyncDispose]();
    await assert.rejects(s.client.get(Pods, 'p', 'shop'), /ECONNREFUSED/);
  });

  test('F15: a watch that is silent for too long ends with an error, one that is cut as well, one that ends cleanly without', async () => {
    let mode: 'silent' | 'cut' | 'clean' | 'half' | 'refused' = 'silent';
    await using s = await serve(
      (_, response) => {
        if (mode === 'refused')
          return void response
            .writeHead(403)
            .end(JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', message: 'pods is forbidden' }));
        response.writeHead(200);
        response.flushHeaders();
        if (mode === 'cut') setImmediate(() => response.socket?.resetAndDestroy());
        if (mode === 'clean') response.end('{"type":"BOOKMARK","object":{"metadata":{}}}\n');
        if (mode === 'half') response.end('{"type":"BOOK');
      },
      { watchIdleMs: 30 },
    );
    assert.match((await ended(s.client))?.message ?? '', /not a byte for 0.03 s/);
    mode = 'cut';
    assert.ok((await ended(s.client)) instanceof Error);
    mode = 'half';
    assert.match((await ended(s.client))?.message ?? '', /ended within an event/);
    mode = 'clean';
    assert.equal(await ended(s.client), undefined);
    mode = 'refused';
    assert.equal(((await ended(s.client)) as ApiError).code, 403);
  });
});

describe('KubeClient over TLS', () => {
  const certificate = (folder: string, name: string): { key: string; cert: string } => {
    const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)];
    const options = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -addext subjectAltName=IP:127.0.0.1';
    execFileSync('openssl', ['req', ...options.split(' '), '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  };

  test('F17: a CA and a client certificate that are rotated in their files are used without a restart', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'podnet-test-rotation-'));
    const [one, two] = [certificate(folder, 'one'), certificate(folder, 'two')];
    const files = { ca: join(folder, 'ca.crt'), cert: join(folder, 'client.crt'), key: join(folder, 'client.key') };
    const rotate = ({ key, cert }: typeof one): void => {
      for (const [file, text] of [[files.ca, cert], [files.cert, cert], [files.key, key]] as const) writeFileSync(file, text);
    };
    const seen: string[] = [];
    const server = https.createServer({ ...one, requestCert: true, rejectUnauthorized: false }, (request, response) => {
      const { subject } = (request.socket as TLSSocket).getPeerCertificate();
      seen.push(`${subject?.CN}`);
      if (request.url?.includes('watch')) response.writeHead(200).flushHeaders();
      else response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      rotate(one);
      let now = 0;
      const kubeconfig = [
        'current-context: lab',
        'contexts: [{name: lab, context: {cluster: lab, user: me}}]',
        `clusters: [{name: lab, cluster: {server: "https://127.0.0.1:${(server.address() as AddressInfo).port}", certificate-authority: ca.crt}}]`,
        'users: [{name: me, user: {client-certificate: client.crt, client-key: client.key}}]',
      ].join('\n');
      using client = new KubeClient(parseKubeconfig(kubeconfig, join(folder, 'kubeconfig'), undefined, () => now));
      await client.get(Pods, 'p', 'shop');
      let watchEnd: Error | undefined | 'open' = 'open';
      client.watch(Pods, () => {}, { onEnd: (error) => (watchEnd = error) });
      while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      server.setSecureContext(two);
      server.closeIdleConnections();
      await assert.rejects(client.get(Pods, 'p', 'shop'), /self.signed|certificate/i, 'the server is another one by now');
      writeFileSync(files.cert, two.cert);
      now += 60_000;
      await assert.rejects(client.get(Pods, 'p', 'shop'), /self.signed|certificate/i, 'half of a rotation');
      rotate(two);
      now += 60_000;
      await client.get(Pods, 'p', 'shop');
      assert.deepEqual(seen, ['one', 'one', 'two']);
      assert.equal(watchEnd, 'open', 'what goes on goes on');
    } finally {
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true });
    }
  });

  test('F15: of a connection that swallows everything the kernel knows within a minute, over TLS too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'podnet-test-silent-'));
    const tls = certificate(folder, 'silent');
    for (const server of [http.createServer(), https.createServer(tls)]) {
      server.on('request', (_, response: http.ServerResponse) => response.writeHead(200).flushHeaders());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const scheme = server instanceof https.Server ? 'https' : 'http';
      using client = new KubeClient({ server: `${scheme}://127.0.0.1:${port}`, ca: tls.cert });
      client.watch(Pods, () => {}, { onEnd: () => {} });
      await new Promise((resolve) => server.once('request', resolve));
      // ss tells the timer: keepalive, and when it is due.
      const told = execFileSync('ss', ['-tnoH', 'state', 'established', 'dport', '=', `:${port}`], { encoding: 'utf8' });
      const seconds = /timer:\(keepalive,(\d+)(?:\.\d+)?sec/.exec(told)?.[1];
      assert.ok(seconds !== undefined && Number(seconds) <= 30, `${scheme}: ${told}`);
      server.closeAllConnections();
      server.close();
    }
    rmSync(folder, { recursive: true });
  });
});

describe('LineSplitter', () => {
  test('F16: gives the same lines however the bytes are cut', () => {
    const text = 'eins\nzwei zwölf\n\n日本語\n';
    const bytes = Buffer.from(text);
    for (let size = 1; size <= bytes.length; size++) {
      const lines: string[] = [];
      const splitter = new LineSplitter((line) => lines.push(line.toString()));
      for (let at = 0; at < bytes.length; at += size) splitter.write(bytes.subarray(at, at + size));
      assert.deepEqual(lines, ['eins', 'zwei zwölf', '', '日本語'], `chunks of ${size}`);
      assert.equal(splitter.pendingBytes, 0);
    }
  });
});
