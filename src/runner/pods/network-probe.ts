import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import type { ProbeOnce, ProbeTarget } from './context.ts';
import type { ProbeAnswer } from './probing.ts';

const portOf = (port: unknown, { ports }: ProbeTarget): number =>
  Number(ports.find(({ name }) => name !== undefined && name === port)?.containerPort ?? port);

/** httpGet and tcpSocket probes from the node, as kubelet makes them. A gRPC probe checks that its port takes connections. */
export const networkProbe: ProbeOnce = (probe, target) => {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.httpGet) {
    const { host = target.ip, path = '/', scheme = 'HTTP', port, httpHeaders = [] } = probe.httpGet;
    const headers = Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value]));
    const options = { host: host || target.ip, port: portOf(port, target), path, headers, agent: false as const };
    return httpProbe(scheme === 'HTTPS', options, timeoutMs);
  }
  if (probe.tcpSocket || probe.grpc) {
    const port = portOf(probe.tcpSocket?.port ?? probe.grpc?.port, target);
    return tcpProbe(probe.tcpSocket?.host || target.ip, port, timeoutMs);
  }
  return Promise.resolve({ result: 'unknown', message: 'the probe names no handler' });
};

const failure = (message: string): ProbeAnswer => ({ result: 'failure', message });

function httpProbe(tls: boolean, options: http.RequestOptions, timeoutMs: number): Promise<ProbeAnswer> {
  const headers = { 'user-agent': 'kube-probe/1.34', accept: '*/*', connection: 'close', ...options.headers };
  return new Promise((resolve) => {
    const answered = (response: http.IncomingMessage): void => {
      const code = response.statusCode ?? 0;
      response.on('error', () => {}).resume();
      clearTimeout(timer);
      request.destroy();
      const good = code >= 200 && code < 400;
      resolve(good ? { result: 'success', message: '' } : failure(`HTTP probe failed with statuscode: ${code}`));
    };
    const request = tls
      ? https.get({ ...options, headers, rejectUnauthorized: false }, answered)
      : http.get({ ...options, headers }, answered);
    const late = `no answer within ${timeoutMs} ms`;
    const timer = setTimeout(() => request.destroy(new Error(late)), timeoutMs);
    request.on('error', (error) => {
      clearTimeout(timer);
      resolve(failure(error.message));
    });
  });
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    const done = (answer: ProbeAnswer): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => done(failure(`dial tcp ${host}:${port}: i/o timeout`)));
    socket.once('connect', () => done({ result: 'success', message: '' }));
    socket.once('error', (error) => done(failure(error.message)));
  });
}
