/** Frames of SPDY/3.1 (draft 2.2): big-endian; control frames have the top bit set. */
export const frameTypes = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;
export const flagFin = 0x01;
/** RST_STREAM status codes. */
export const rstStatus = { protocolError: 1, refusedStream: 3, cancel: 5 } as const;

const version = 3;
/** No control frame that we understand is longer. */
const maxControl = 64 * 1024;

export type Frame =
  | { kind: 'data'; stream: number; fin: boolean; data: Buffer }
  | { kind: 'control'; type: number; flags: number; body: Buffer };

/** Cuts a byte stream into frames. A data frame is handed on in the pieces it arrives in, so that none of 16 MiB is ever held. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;
  #rest?: { stream: number; fin: boolean; left: number };

  *feed(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    for (let frame = this.#next(); frame; frame = this.#next()) yield frame;
  }

  #next(): Frame | undefined {
    if (this.#rest) return this.#piece(this.#rest);
    if (this.#length < 8) return undefined;
    const head = this.#join();
    const length = head.readUIntBE(5, 3);
    const isControl = (head[0]! & 0x80) !== 0;
    if (!isControl) {
      this.#rest = { stream: head.readUInt32BE(0), fin: (head[4]! & flagFin) !== 0, left: length };
      this.#take(8);
      return this.#piece(this.#rest);
    }
    if ((head.readUInt16BE(0) & 0x7fff) !== version)
      throw new RangeError(`SPDY version ${head.readUInt16BE(0) & 0x7fff} instead of ${version}`);
    if (length > maxControl) throw new RangeError(`a SPDY control frame of ${length} bytes is longer than ${maxControl}`);
    if (this.#length < 8 + length) return undefined;
    const frame = this.#take(8 + length);
    return { kind: 'control', type: frame.readUInt16BE(2), flags: frame[4]!, body: frame.subarray(8) };
  }

  #piece(rest: { stream: number; fin: boolean; left: number }): Frame | undefined {
    if (this.#length === 0 && rest.left > 0) return undefined;
    const data = this.#take(Math.min(rest.left, this.#length));
    rest.left -= data.length;
    const last = rest.left === 0;
    if (last) this.#rest = undefined;
    return { kind: 'data', stream: rest.stream, fin: last && rest.fin, data };
  }

  #join(): Buffer {
    const joined = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  #take(length: number): Buffer {
    const joined = this.#join();
    this.#chunks = [joined.subarray(length)];
    this.#length -= length;
    return joined.subarray(0, length);
  }
}

export function controlFrame(type: number, flags: number, ...body: (Buffer | number)[]): Buffer {
  const parts = body.map((part) => {
    if (typeof part !== 'number') return part;
    const word = Buffer.alloc(4);
    word.writeUInt32BE(part);
    return word;
  });
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8000 | version, 0);
  head.writeUInt16BE(type, 2);
  head[4] = flags;
  head.writeUIntBE(
    parts.reduce((sum, part) => sum + part.length, 0),
    5,
    3,
  );
  return Buffer.concat([head, ...parts]);
}

export function dataFrame(stream: number, data: Buffer, fin: boolean): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(stream, 0);
  head[4] = fin ? flagFin : 0;
  head.writeUIntBE(data.length, 5, 3);
  return Buffer.concat([head, data]);
}
