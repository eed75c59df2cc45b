import { once } from 'node:events';
import http from 'node:http';
import type { Duplex } from 'node:stream';
import { controlFrame, dataFrame, FrameReader, flagFin, frameTypes } from '../spdy/frames.ts';
import { HeaderCodec } from '../spdy/headers.ts';

/** What the server sent on a stream. */
export interface Received {
  data: Buffer[];
  ended: boolean;
  reset?: number;
}

/** The client's side of SPDY/3.1 as Go's spdystream has it: no WINDOW_UPDATE, streams 1, 3, 5 … */
class SpdyClient {
  readonly transport: Duplex;
  readonly streams = new Map<number, Received>();
  readonly pings: Buffer[] = [];
  readonly #codec = new HeaderCodec();
  #next = 1;

  constructor(transport: Duplex) {
    this.transport = transport;
    const reader = new FrameReader();
    transport.on('error', () => {});
    transport.on('close', () => this.#codec.close());
    transport.on('data', (chunk: Buffer) => {
      for (const frame of reader.feed(chunk)) {
        if (frame.kind === 'data') {
          const stream = this.streams.get(frame.stream)!;
          stream.data.push(frame.data);
          stream.ended ||= frame.fin;
        } else if (frame.type === frameTypes.rstStream)
          this.streams.get(frame.body.readUInt32BE(0))!.reset = frame.body.readUInt32BE(4);
        else if (frame.type === frameTypes.ping) this.pings.push(frame.body);
      }
      transport.emit('frames');
    });
  }

  async open(headers: Record<string, string>, fin = false): Promise<number> {
    const id = this.#next;
    this.#next += 2;
    this.streams.set(id, { data: [], ended: false });
    const block = await this.#codec.encode(new Map(Object.entries(headers)));
    this.transport.write(controlFrame(frameTypes.synStream, fin ? flagFin : 0, id, 0, Buffer.alloc(2), block));
    return id;
  }

  send(id: number, data: Buffer | string, fin = false): boolean {
    return this.transport.write(dataFrame(id, Buffer.from(data), fin));
  }

  text(id: number): string {
    return Buffer.concat(this.streams.get(id)!.data).toString();
  }

  /** Waits until `condition` holds, looked at after whatever comes. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.transport, 'frames');
  }
}

/** Upgrades to SPDY. Rejects with the answer's code and text when the server refuses. */
export function connectSpdy(
  socketPath: string,
  path: string,
  protocols: string[],
): Promise<{ client: SpdyClient; protocol?: string }> {
  return new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocols };
    const request = http.request({ socketPath, path, method: 'POST', headers });
    request.on('upgrade', (answer, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve({ client: new SpdyClient(socket), protocol: answer.headers['x-stream-protocol-version'] as string | undefined });
    });
    request.on('response', async (answer) => {
      let text = '';
      for await (const chunk of answer) text += String(chunk);
      reject(new Error(`${answer.statusCode} ${text}`));
    });
    request.on('error', reject).end();
  });
}
