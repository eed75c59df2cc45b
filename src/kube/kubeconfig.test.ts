import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inCluster, KubeconfigError, loadKubeconfig, parseKubeconfig } from './kubeconfig.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const config = (user: object, cluster: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'lab',
    contexts: [{ name: 'lab', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
    clusters: [
      { name: 'c', cluster: { server: 'https://127.0.0.1:6443', 'certificate-authority-data': base64('CA'), ...cluster } },
    ],
    users: [{ name: 'u', user }],
  });

describe('kubeconfig', () => {
  test('certificates inside of the file, the context’s namespace and a token are read', () => {
    const certificates = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };
    const connection = parseKubeconfig(config({ ...certificates, token: 'secret' }, { 'tls-server-name': 'api' }), 'x');
    const { token, ...rest } = connection;
    assert.deepEqual(rest, {
      server: 'https://127.0.0.1:6443',
      ca: 'CA',
      certificate: 'CERT',
      key: 'KEY',
      serverName: 'api',
      namespace: 'shop',
    });
    assert.equal(token?.(), 'secret');
  });

  test('files are found relative to the kubeconfig', () => {
    const directory = mkdtempSync(join(tmpdir(), 'podnet-kubeconfig-'));
    try {
      writeFileSync(join(directory, 'c.pem'), 'CERT');
      writeFileSync(join(directory, 'k.pem'), 'KEY');
      writeFileSync(join(directory, 'config'), config({ 'client-certificate': 'c.pem', 'client-key': 'k.pem' }));
      assert.equal(loadKubeconfig(join(directory, 'config')).key, 'KEY');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('what cannot work is told with the file, the value and the way out', () => {
    const faults: [text: string, message: RegExp][] = [
      ['a: [', /kubeconfig \/k is not YAML/],
      ['', /is empty/],
      [JSON.stringify({ kind: 'Config' }), /names no current-context; set one with/],
      [config({ exec: { command: 'aws' } }), /authenticates user "u" by "exec".*use a client certificate or a token/],
      [config({ 'client-certificate-data': base64('x') }), /without its key/],
      [config({ 'client-certificate': 'gone.pem' }), /names the file gone\.pem as client-certificate, which cannot be read/],
      [config({}, { server: 'localhost' }), /has the server "localhost"; expected https/],
      [config({}).replace('"name":"c"', '"name":"d"'), /no entry "c" in clusters \(it has: d\)/],
    ];
    for (const [text, message] of faults)
      assert.throws(
        () => parseKubeconfig(text, '/k'),
        (error: Error) => error instanceof KubeconfigError && message.test(error.message),
        String(message),
      );
    assert.throws(() => loadKubeconfig('/nonexistent'), /cannot read the kubeconfig \/nonexistent/);
    assert.throws(() => parseKubeconfig(config({}), '/k', 'prod'), /no entry "prod" in contexts \(it has: lab\)/);
  });

  test('F17: in a pod the service account is used, its rotated token and CA too, and IPv6 hosts are bracketed', () => {
    const directory = mkdtempSync(join(tmpdir(), 'podnet-account-'));
    let now = 0;
    try {
      writeFileSync(join(directory, 'ca.crt'), 'CA');
      writeFileSync(join(directory, 'token'), 'one\n');
      const connection = inCluster({ KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' }, directory, () => now);
      assert.equal(connection.server, 'https://[fd00::1]:443');
      assert.equal(connection.token?.(), 'one');
      writeFileSync(join(directory, 'token'), 'rotated');
      writeFileSync(join(directory, 'ca.crt'), 'another CA');
      now += 60_000;
      assert.equal(connection.token?.(), 'rotated');
      assert.deepEqual(connection.trust?.(), { ca: 'another CA' });
      // In the midst of a rotation a file may be away.
      rmSync(join(directory, 'token'));
      now += 60_000;
      assert.equal(connection.token?.(), 'rotated');
      assert.throws(() => inCluster({}, directory), /not in a pod/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
