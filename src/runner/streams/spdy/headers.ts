import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';
import { dictionary } from './dictionary.ts';

export type Headers = ReadonlyMap<string, string>;

/** A header block inflates to no more than this; a hostile one could to a thousand times its size. */
const maxBlock = 64 * 1024;

/** One direction of header compression: a zlib stream that lives as long as the connection and is flushed after each block. */
class Codec {
  readonly #zlib: Inflate | Deflate;
  #out: Buffer[] = [];
  #size = 0;
  #error?: Error;

  constructor(zlib: Inflate | Deflate) {
    this.#zlib = zlib;
    zlib.on('data', (chunk: Buffer) => {
      this.#size += chunk.length;
      if (this.#size > maxBlock) zlib.destroy(new RangeError(`a SPDY header block is longer than ${maxBlock} bytes`));
      else this.#out.push(chunk);
    });
    zlib.on('error', (error) => {
      this.#error = error;
    });
  }

  run(block: Buffer): Promise<Buffer> {
    this.#out = [];
    this.#size = 0;
    return new Promise((resolve, reject) => {
      const failed = (): void => reject(this.#error ?? new Error('the SPDY connection has ended'));
      if (this.#zlib.destroyed) return failed();
      this.#zlib.once('close', failed);
      this.#zlib.write(block);
      this.#zlib.flush(constants.Z_SYNC_FLUSH, () => {
        this.#zlib.off('close', failed);
        if (this.#error) failed();
        else resolve(Buffer.concat(this.#out));
      });
    });
  }

  close(): void {
    this.#zlib.destroy();
  }
}

function parse(block: Buffer): Headers {
  const headers = new Map<string, string>();
  let offset = 0;
  const number = (): number => {
    if (offset + 4 > block.length) throw new RangeError('a SPDY header block ends early');
    offset += 4;
    return block.readUInt32BE(offset - 4);
  };
  const text = (): string => {
    const size = number();
    if (offset + size > block.length) throw new RangeError('a SPDY header block ends early');
    offset += size;
    return block.toString('utf8', offset - size, offset);
  };
  for (let count = number(); count > 0; count--) {
    const name = text().toLowerCase();
    headers.set(name, text());
  }
  return headers;
}

function encode(headers: Headers): Buffer {
  const parts: Buffer[] = [];
  const number = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    parts.push(bytes);
  };
  number(headers.size);
  for (const text of [...headers].flat()) {
    number(Buffer.byteLength(text));
    parts.push(Buffer.from(text));
  }
  return Buffer.concat(parts);
}

/** Name/value blocks of SPDY/3: 32-bit counts and lengths, compressed with the dictionary. One per connection. */
export class HeaderCodec {
  readonly #inflate = new Codec(createInflate({ dictionary }));
  readonly #deflate = new Codec(createDeflate({ dictionary }));

  /** @throws RangeError, zlib's errors */
  async decode(block: Buffer): Promise<Headers> {
    return parse(await this.#inflate.run(block));
  }

  encode(headers: Headers): Promise<Buffer> {
    return this.#deflate.run(encode(headers));
  }

  close(): void {
    this.#inflate.close();
    this.#deflate.close();
  }
}
