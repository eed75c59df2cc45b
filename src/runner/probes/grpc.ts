import { connect } from 'node:http2';
import { failure, hostPort, type ProbeResult, success } from './result.ts';

const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const unimplemented = '12';
const answerLimit = 64 * 1024;

/** grpc.health.v1.HealthCheckRequest { service = 1 } in a length-prefixed message of gRPC. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const length: number[] = [];
  let rest = name.length;
  for (; rest >= 0x80; rest = rest >>> 7) length.push((rest & 0x7f) | 0x80);
  length.push(rest);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The status in a HealthCheckResponse { status = 1 }; the only field there is. An absent one is 0. */
export function healthStatus(body: Buffer): string {
  const message = body.subarray(5);
  const number = message[0] === 0x08 ? (message[1] ?? 0) : 0;
  return statusNames[number] ?? String(number);
}

/** Health/Check over HTTP/2 without TLS: pkg/probe/grpc of kubelet. */
export function probeGrpc(host: string, port: number, service: string, timeoutMs: number): Promise<ProbeResult> {
  const target = hostPort(host, port);
  return new Promise((resolve) => {
    let connected = false;
    const session = connect(`http://${target}`);
    const done = (result: ProbeResult): void => {
      clearTimeout(timer);
      session.destroy();
      resolve(result);
    };
    const seconds = `${timeoutMs / 1000}s`;
    const timer = setTimeout(() => {
      const what = connected
        ? `timeout: health rpc did not complete within ${seconds}`
        : `timeout: failed to connect service "${target}" within ${seconds}: context deadline exceeded`;
      done(failure(what));
    }, timeoutMs);
    session.once('connect', () => (connected = true));
    // The session's error and the stream's come in either order; only the former says why there is no connection.
    const failed = ({ message, cause }: Error): void => {
      const why = cause instanceof Error ? cause.message : message;
      done(failure(connected ? `error: health rpc failed: ${why}` : `error: failed to connect service at "${target}": ${why}`));
    };
    session.on('error', failed);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      'user-agent': 'kube-probe/1.32',
      te: 'trailers',
    });
    const parts: Buffer[] = [];
    let length = 0;
    let status: string | undefined;
    let message = '';
    const take = (headers: { [name: string]: string | string[] | number | undefined }): void => {
      if (headers['grpc-status'] === undefined) return;
      status = String(headers['grpc-status']);
      message = decode(String(headers['grpc-message'] ?? ''));
    };
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on('data', (part: Buffer) => {
      length += part.length;
      if (length > answerLimit) stream.close();
      else parts.push(part);
    });
    stream.on('error', failed);
    stream.once('close', () => done(judge(status, message, Buffer.concat(parts))));
    stream.end(healthRequest(service));
  });
}

function judge(status: string | undefined, message: string, body: Buffer): ProbeResult {
  if (status === unimplemented) {
    return failure(`error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${message}`);
  }
  if (status !== '0') return failure(`error: health rpc failed: ${message || `status ${status ?? 'missing'}`}`);
  const health = healthStatus(body);
  return health === 'SERVING' ? success : failure(`service unhealthy (responded with "${health}")`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
