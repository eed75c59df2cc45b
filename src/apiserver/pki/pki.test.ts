import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { loadKubeconfig } from '../../kube/kubeconfig.ts';
import { IpAddr } from '../../net/ip.ts';
import { CertificateAuthority } from './certificates.ts';
import * as der from './der.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { ServiceAccountTokens, TokenError } from './tokens.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'podnet-test-pki-'));
after(() => rmSync(directory, { recursive: true }));
const file = (name: string, text: string): string => {
  const full = path.join(directory, name);
  writeFileSync(full, text, { mode: 0o600 });
  return full;
};
const names = { dns: ['kubernetes.default.svc', 'localhost'], ips: [IpAddr.parse('10.96.0.1'), IpAddr.parse('fd00:96::1')] };
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const needsOpenssl = { skip: hasOpenssl || process.env.CI === 'true' ? false : 'needs the package openssl' };

test('openssl accepts server and client certificates, for their purpose and names only', needsOpenssl, () => {
  const ca = CertificateAuthority.create('podnet test');
  const caFile = file('ca.pem', ca.certificate);
  const server = file('server.pem', ca.issueServer('podnet', names).certificate);
  const client = file('client.pem', ca.issueClient({ commonName: 'admin', organizations: ['system:masters', 'a'] }).certificate);
  const verify = (...args: string[]) =>
    spawnSync('openssl', ['verify', '-x509_strict', '-CAfile', caFile, ...args], { encoding: 'utf8' });
  assert.equal(verify('-purpose', 'sslserver', '-verify_ip', 'fd00:96::1', server).stdout.trim(), `${server}: OK`);
  assert.equal(verify('-purpose', 'sslserver', '-verify_ip', '10.96.0.1', server).status, 0);
  assert.equal(verify('-purpose', 'sslclient', client).status, 0);
  assert.notEqual(verify('-purpose', 'sslclient', server).status, 0);
  assert.notEqual(verify('-verify_ip', '10.96.0.2', server).status, 0);
  const subject = execFileSync('openssl', ['x509', '-noout', '-subject', '-nameopt', 'RFC2253', '-in', client], {
    encoding: 'utf8',
  });
  assert.equal(subject.trim(), 'subject=CN=admin,O=a,O=system:masters');
});

test('a loaded certificate authority goes on where the first one was', () => {
  const first = CertificateAuthority.create('podnet test');
  const second = CertificateAuthority.load(first);
  const client = new X509Certificate(second.issueClient({ commonName: 'node' }).certificate);
  assert.ok(client.verify(new X509Certificate(first.certificate).publicKey));
  const other = CertificateAuthority.create('other');
  assert.throws(
    () => CertificateAuthority.load({ certificate: first.certificate, key: other.key }),
    /key of another certificate/,
  );
  assert.throws(() => CertificateAuthority.load(first.issueClient({ commonName: 'x' })), /not a certificate authority/);
});

test('TLS between a server and a client of one authority shows each who the other is', async () => {
  const ca = CertificateAuthority.create('podnet test');
  const pair = ca.issueServer('podnet', names);
  const server = tls.createServer({
    cert: pair.certificate,
    key: pair.key,
    ca: ca.certificate,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on('secureConnection', (socket) => socket.end(JSON.stringify(socket.getPeerCertificate().subject)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = ca.issueClient({ commonName: 'admin', organizations: ['system:masters'] });
  const { port } = server.address() as { port: number };
  const connection = {
    host: '127.0.0.1',
    port,
    ca: ca.certificate,
    cert: client.certificate,
    key: client.key,
    servername: 'localhost',
  };
  let text = '';
  for await (const chunk of tls.connect(connection)) text += String(chunk);
  server.close();
  assert.deepEqual(JSON.parse(text), { O: 'system:masters', CN: 'admin' });
});

test('DER lengths, integers and times take their shortest and only form', () => {
  assert.equal(der.octetString(Buffer.alloc(127)).subarray(0, 2).toString('hex'), '047f');
  assert.equal(der.octetString(Buffer.alloc(128)).subarray(0, 3).toString('hex'), '048180');
  assert.equal(der.octetString(Buffer.alloc(70_000)).subarray(0, 5).toString('hex'), '0483011170');
  assert.equal(der.integer(Buffer.from([0, 0, 0x80])).toString('hex'), '02020080');
  assert.equal(der.integer(Buffer.from([0, 0x7f])).toString('hex'), '02017f');
  assert.equal(der.oid('1.2.840.10045.4.3.2').toString('hex'), '06082a8648ce3d040302');
  assert.equal(der.time(new Date('2049-12-31T23:59:59Z')).subarray(2).toString(), '491231235959Z');
  assert.equal(der.time(new Date('2050-01-01T00:00:00Z')).subarray(2).toString(), '20500101000000Z');
});

test('a service-account token says whose it is, and nobody else can make or change one', () => {
  const tokens = new ServiceAccountTokens('https://kubernetes.default.svc');
  const subject = { namespace: 'shop', serviceAccount: 'cart', uid: 'u-1', pod: { name: 'cart-1', uid: 'p-1' } };
  const { token } = tokens.sign(subject, { expiresInSeconds: 600 });
  const claims = new ServiceAccountTokens('https://kubernetes.default.svc', tokens.key).verify(token);
  assert.equal(claims.username, 'system:serviceaccount:shop:cart');
  assert.deepEqual(claims.groups, ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated']);
  assert.deepEqual(claims.pod, subject.pod);
  const [head, body, signature] = token.split('.') as [string, string, string];
  const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replaceAll('cart', 'root')).toString('base64url');
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  for (const bad of [`${head}.${forged}.${signature}`, `${none}.${body}.`, `${head}.${body}.`, `${head}.${body}`, '', 'a.b.c'])
    assert.throws(() => tokens.verify(bad), TokenError, bad);
  assert.throws(() => new ServiceAccountTokens('https://kubernetes.default.svc').verify(token), /signature is wrong/);
  assert.throws(() => tokens.verify(token, { nowMs: Date.now() + 601_000 }), /expired/);
  assert.throws(() => tokens.verify(token, { audience: 'vault' }), /audience/);
});

test('the kubeconfig is read back by our own client, belongs to its owner alone and leaves no other file', () => {
  const ca = CertificateAuthority.create('podnet test');
  const credential = ca.issueClient({ commonName: 'admin' });
  const target = path.join(directory, 'kubeconfig');
  writeFileSync(target, 'old', { mode: 0o644 });
  writeKubeconfig(target, { cluster: 'lab', user: 'admin', server: 'https://[::1]:6443', ca: ca.certificate, credential });
  const connection = loadKubeconfig(target);
  assert.equal(connection.server, 'https://[::1]:6443');
  assert.equal(connection.ca, ca.certificate);
  assert.equal(connection.certificate, credential.certificate);
  assert.equal(connection.key, credential.key);
  assert.equal(statSync(target).mode & 0o777, 0o600);
  assert.throws(
    () => writeKubeconfig(path.join(directory, 'none/kubeconfig'), { cluster: 'a', user: 'a', server: 'a', ca: '', credential }),
    /ENOENT/,
  );
  assert.ok(!readFileSync(target, 'utf8').includes('old'));
});
