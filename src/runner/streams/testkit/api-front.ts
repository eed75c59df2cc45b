import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { CertificateAuthority } from '../../../apiserver/pki/certificates.ts';
import { writeKubeconfig } from '../../../apiserver/pki/kubeconfig.ts';
import { IpAddr } from '../../../net/ip.ts';

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'default', uid: 'u', resourceVersion: '1' },
  spec: { nodeName: 'node-1', containers: [{ name: 'web', image: 'web', stdin: true, ports: [{ containerPort: 80 }] }] },
  status: { phase: 'Running', containerStatuses: [{ name: 'web', ready: true, state: { running: {} } }] },
};
const podResource = { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get', 'list', 'watch'] };
const answers: Record<string, object> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
  '/api/v1': { kind: 'APIResourceList', groupVersion: 'v1', resources: [podResource] },
  '/api/v1/namespaces/default/pods/a': pod,
  '/version': { major: '1', minor: '36', gitVersion: 'v1.36.0' },
};
const kubeletPaths: Record<string, string> = { log: 'containerLogs', exec: 'exec', attach: 'attach', portforward: 'portForward' };

/** The API server's URL of a pod's stream as the kubelet's; undefined: not a stream. */
function kubeletUrl(url: string): string | undefined {
  const { pathname, searchParams, search } = new URL(url, 'https://api');
  const [, , , , namespace, , name, subresource = ''] = pathname.split('/');
  const kind = kubeletPaths[subresource];
  if (!kind) return undefined;
  return `/${kind}/${namespace}/${name}${kind === 'portForward' ? '' : `/${searchParams.get('container') ?? 'web'}`}${search}`;
}

/** As little of an API server as kubectl needs for the streams of pod `a`, which it forwards to the runner's socket byte for byte. */
export async function startFront(
  directory: string,
  runnerSocket: string,
): Promise<{ kubeconfig: string; close(): Promise<void> }> {
  const ca = CertificateAuthority.create('podnet test');
  const pair = ca.issueServer('podnet', { dns: ['localhost'], ips: [IpAddr.parse('127.0.0.1')] });
  const options = { cert: pair.certificate, key: pair.key, ca: ca.certificate, requestCert: true, rejectUnauthorized: true };
  const server = https.createServer({ ...options, ALPNProtocols: ['http/1.1'] }, (request, response) => {
    const url = kubeletUrl(request.url!);
    if (url?.startsWith('/containerLogs')) {
      const forwarded = http.request({ socketPath: runnerSocket, path: url }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      response.once('close', () => forwarded.destroy());
      forwarded.on('error', () => response.destroy()).end();
      return;
    }
    const answer = answers[new URL(request.url!, 'https://api').pathname];
    const body = answer ?? {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      reason: 'NotFound',
      message: 'not found',
      code: 404,
    };
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  const sockets = new Set<net.Socket>();
  server.on('upgrade', (request, socket, head) => {
    const runner = net.connect({ path: runnerSocket, allowHalfOpen: true });
    sockets.add(runner);
    runner.once('close', () => {
      sockets.delete(runner);
      socket.destroy();
    });
    runner.on('error', () => {});
    socket.on('error', () => {}).once('close', () => runner.destroy());
    const lines = [`${request.method} ${kubeletUrl(request.url!)} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    runner.write(`${lines.join('\r\n')}\r\n\r\n`);
    runner.write(head);
    runner.pipe(socket).pipe(runner);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const kubeconfig = path.join(directory, 'kubeconfig');
  const { port } = server.address() as net.AddressInfo;
  const credential = ca.issueClient({ commonName: 'admin', organizations: ['system:masters'] });
  writeKubeconfig(kubeconfig, {
    cluster: 'test',
    user: 'admin',
    server: `https://127.0.0.1:${port}`,
    ca: ca.certificate,
    credential,
  });
  return {
    kubeconfig,
    async close() {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
    },
  };
}
