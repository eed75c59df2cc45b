import http2 from 'node:http2';
import net from 'node:net';
import { Reader, wireTypes } from '../../../apiserver/protobuf/reader.ts';
import { MessageWriter } from '../../../apiserver/schema/protobuf-writer.ts';

/** A call that the runtime refused; the message is its own. */
class CriError extends Error {
  /** grpc-status */
  readonly status: number;

  constructor(method: string, status: number, message: string) {
    super(`${method}: ${message}`);
    this.name = 'CriError';
    this.status = status;
  }
}

/** Who the pod is, and what it asks for; the rest of a PodSandboxConfig is empty. */
export interface PodConfig {
  name: string;
  namespace: string;
  uid: string;
  cgroupParent: string;
  logDirectory: string;
  /** It lives in the node's own network. */
  hostNetwork?: boolean;
  annotations?: Readonly<Record<string, string>>;
  portMappings?: readonly { protocol: 'TCP' | 'UDP' | 'SCTP'; containerPort: number; hostPort: number; hostIp?: string }[];
}

export interface PodStatus {
  ready: boolean;
  /** The primary address first. */
  ips: string[];
  /** Path of the network namespace; '' for the node's. */
  netns: string;
  /** Of the sandbox's own process. */
  pid: number;
}

type Fields = Map<number, Buffer[]>;

const message = (): MessageWriter => new MessageWriter();

/** The length-delimited fields of a message, and numbers as their decimal text. */
function fieldsOf(bytes: Buffer | undefined): Fields {
  const fields: Fields = new Map();
  for (const reader = new Reader(bytes ?? Buffer.alloc(0)); !reader.done; ) {
    const { field, wireType } = reader.tag();
    let value: Buffer;
    if (wireType === wireTypes.bytes) value = reader.bytes();
    else if (wireType === wireTypes.varint) value = Buffer.from(String(reader.varint()));
    else {
      reader.skip(wireType);
      continue;
    }
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

const textOf = (fields: Fields, field: number): string => fields.get(field)?.[0]?.toString() ?? '';

/** runtime.v1.PodSandboxConfig of k8s.io/cri-api */
function podMessage(config: PodConfig): MessageWriter {
  const { name, namespace, uid, cgroupParent, logDirectory, hostNetwork, portMappings = [], annotations = {} } = config;
  const pod = message()
    .bytes(1, message().bytes(1, name).bytes(2, uid).bytes(3, namespace))
    // The node's network comes with the node's name.
    .bytes(2, hostNetwork ? '' : name)
    .bytes(3, logDirectory);
  for (const { protocol, containerPort, hostPort, hostIp = '' } of portMappings) {
    const number = { TCP: 0, UDP: 1, SCTP: 2 }[protocol];
    pod.bytes(5, message().varint(1, number).varint(2, containerPort).varint(3, hostPort).bytes(4, hostIp));
  }
  for (const [key, value] of Object.entries(annotations)) pod.bytes(7, message().bytes(1, key).bytes(2, value));
  const linux = message().bytes(1, cgroupParent);
  // NamespaceMode NODE is 2.
  if (hostNetwork) linux.bytes(2, message().bytes(1, message().varint(1, 2)));
  return pod.bytes(8, linux);
}

/** What kubelet asks of a runtime, by runtime.v1.RuntimeService on a unix socket. */
export class CriClient implements Disposable {
  readonly #session: http2.ClientHttp2Session;

  constructor(socketPath: string) {
    this.#session = http2.connect('http://localhost', { createConnection: () => net.connect(socketPath) });
    this.#session.on('error', () => {}); // every call under way fails with it
  }

  /** @returns the sandbox's id; @throws CriError */
  async runPod(config: PodConfig): Promise<string> {
    return textOf(await this.#call('RunPodSandbox', message().bytes(1, podMessage(config))), 1);
  }

  async podStatus(id: string): Promise<PodStatus> {
    const answer = await this.#call('PodSandboxStatus', message().bytes(1, id).varint(2, 1));
    const status = fieldsOf(answer.get(1)?.[0]);
    const network = fieldsOf(status.get(5)?.[0]);
    const more = (network.get(2) ?? []).map((ip) => textOf(fieldsOf(ip), 1));
    const info = (answer.get(2) ?? []).map(fieldsOf).find((entry) => textOf(entry, 1) === 'info');
    const { pid = 0, runtimeSpec } = JSON.parse(info ? textOf(info, 2) : '{}') as {
      pid?: number;
      runtimeSpec?: { linux?: { namespaces?: { type: string; path?: string }[] } };
    };
    const netns = runtimeSpec?.linux?.namespaces?.find(({ type }) => type === 'network')?.path ?? '';
    // SANDBOX_READY is 0, which protobuf leaves out.
    return { ready: textOf(status, 3) === '', ips: [textOf(network, 1), ...more].filter((ip) => ip !== ''), netns, pid };
  }

  async stopPod(id: string): Promise<void> {
    await this.#call('StopPodSandbox', message().bytes(1, id));
  }

  async removePod(id: string): Promise<void> {
    await this.#call('RemovePodSandbox', message().bytes(1, id));
  }

  /** Ids of all sandboxes, whatever their state. */
  async pods(): Promise<string[]> {
    return ((await this.#call('ListPodSandbox', message())).get(1) ?? []).map((pod) => textOf(fieldsOf(pod), 1));
  }

  /** Creates a container in the pod and starts it. @returns its id */
  async runContainer(pod: string, config: PodConfig, image: string, command: readonly string[]): Promise<string> {
    const container = message().bytes(1, message().bytes(1, 'main')).bytes(2, message().bytes(1, image));
    for (const word of command) container.bytes(3, word);
    container.bytes(11, `${pod}.log`);
    const request = message().bytes(1, pod).bytes(2, container).bytes(3, podMessage(config));
    const id = textOf(await this.#call('CreateContainer', request), 1);
    await this.#call('StartContainer', message().bytes(1, id));
    return id;
  }

  /** @returns what the command printed; @throws Error with its words when it ends with another code than 0 */
  async exec(container: string, ...command: string[]): Promise<string> {
    const request = message().bytes(1, container);
    for (const word of command) request.bytes(2, word);
    const answer = await this.#call('ExecSync', request.varint(3, 30));
    const code = textOf(answer, 3);
    if (code !== '') throw new Error(`${command.join(' ')} ended with ${code}: ${textOf(answer, 1)}${textOf(answer, 2)}`);
    return textOf(answer, 1);
  }

  /** Why the runtime's network is not ready, in its words; undefined when it is. */
  async networkProblem(): Promise<string | undefined> {
    const status = fieldsOf((await this.#call('Status', message())).get(1)?.[0]);
    const condition = (status.get(1) ?? []).map(fieldsOf).find((one) => textOf(one, 1) === 'NetworkReady');
    if (!condition) return 'the runtime does not tell';
    return textOf(condition, 2) === '1' ? undefined : textOf(condition, 4);
  }

  async hasImage(name: string): Promise<boolean> {
    return (await this.#call('ImageStatus', message().bytes(1, message().bytes(1, name)), 'ImageService')).has(1);
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }

  /** One unary gRPC call: a message behind its length, and the status in the trailers. */
  #call(method: string, request: MessageWriter, service = 'RuntimeService'): Promise<Fields> {
    const body = request.finish();
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(body.length, 1);
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ':method': 'POST',
        ':path': `/runtime.v1.${service}/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const parts: Buffer[] = [];
      // A refusal has its status in the headers.
      let end: http2.IncomingHttpHeaders = {};
      stream.on('response', (headers) => (end = headers));
      stream.on('trailers', (trailers) => (end = trailers));
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('error', (error) => reject(new Error(`${method}: ${error.message}`)));
      // A runtime that was killed answers nothing; after an answer this says nothing.
      stream.on('close', () => reject(new Error(`${method}: the runtime ended the connection`)));
      stream.on('end', () => {
        const status = Number(end['grpc-status'] ?? 2);
        if (status === 0) resolve(fieldsOf(Buffer.concat(parts).subarray(5)));
        else reject(new CriError(method, status, decodeURIComponent(String(end['grpc-message'] ?? 'no answer'))));
      });
      stream.end(Buffer.concat([frame, body]));
    });
  }
}
