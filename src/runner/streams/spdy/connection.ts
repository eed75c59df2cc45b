import { Duplex } from 'node:stream';
import { controlFrame, dataFrame, type Frame, FrameReader, flagFin, frameTypes, rstStatus } from './frames.ts';
import { HeaderCodec, type Headers } from './headers.ts';

/** Bytes of a stream that wait for their reader before the whole connection waits. */
const receiveBuffer = 256 * 1024;
/** Largest data frame we send. */
const maxData = 32 * 1024;
/** A port-forward has two streams for each TCP connection. */
const maxStreams = 2048;
/** After our last byte the client has this long to close its side, so that nothing on the way is cut off. */
const lingerMs = 2000;

/** One stream of a SPDY connection, opened by the client. end() closes our direction, destroy() resets the stream. */
export class SpdyStream extends Duplex {
  readonly id: number;
  /** Names in lower case. */
  readonly headers: Headers;
  readonly #connection: SpdyConnection;
  #wake?: () => void;
  #unacknowledged = 0;
  remoteEnded = false;

  constructor(connection: SpdyConnection, id: number, headers: Headers) {
    super({ allowHalfOpen: true, readableHighWaterMark: receiveBuffer, writableHighWaterMark: maxData });
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
    // A reset is news for who reads and writes, not an accident of the process.
    this.on('error', () => {});
  }

  /** Hands data of the client on. The promise, if any, is resolved when there is room again. */
  receive(data: Buffer): Promise<void> | undefined {
    if (this.destroyed || this.remoteEnded || data.length === 0) return undefined;
    this.#unacknowledged += data.length;
    if (this.push(data)) return undefined;
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  receiveEnd(): void {
    if (this.remoteEnded) return;
    this.remoteEnded = true;
    if (!this.destroyed) this.push(null);
  }

  override _read(): void {
    this.#wakeUp();
    // Go's client ignores windows; others wait for these.
    if (this.#unacknowledged >= maxData) {
      this.#connection.windowUpdate(this.id, this.#unacknowledged);
      this.#unacknowledged = 0;
    }
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    let offset = 0;
    for (; chunk.length - offset > maxData; offset += maxData)
      this.#connection.send(dataFrame(this.id, chunk.subarray(offset, offset + maxData), false));
    this.#connection.send(dataFrame(this.id, chunk.subarray(offset), false), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#connection.send(dataFrame(this.id, Buffer.alloc(0), true), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.writableFinished || !this.remoteEnded) this.#connection.reset(this.id);
    this.#connection.forget(this.id);
    this.#wakeUp();
    callback(error);
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/**
 * The server's side of SPDY/3.1, as far as Kubernetes uses it: the client opens streams, both send data, each direction ends by itself.
 *
 * The client's flow-control window is ignored: Go's spdystream never sends WINDOW_UPDATE, and who honours the initial 64 KiB stalls after
 * them. What bounds memory instead is TCP: writes wait for the transport, and the transport is not read while a stream's buffer is full.
 */
export class SpdyConnection {
  readonly #transport: Duplex;
  readonly #codec = new HeaderCodec();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #onStream: (stream: SpdyStream) => void;
  #lastStream = 0;
  #closing = false;
  /** Resolved when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;

  /** @param head what the transport received after the upgrade's header */
  constructor(transport: Duplex, head: Buffer, onStream: (stream: SpdyStream) => void) {
    this.#transport = transport;
    this.#onStream = onStream;
    transport.on('error', () => {});
    if (head.length > 0) transport.unshift(head);
    this.closed = this.#run();
  }

  /** No new streams; what was written is delivered, then the transport ends. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#transport.end();
    setTimeout(() => this.#transport.destroy(), lingerMs).unref();
  }

  send(frame: Buffer, callback?: (error?: Error | null) => void): void {
    if (!this.#transport.writable) callback?.(new Error('the SPDY connection has ended'));
    else if (callback) this.#transport.write(frame, callback);
    else this.#transport.write(frame);
  }

  windowUpdate(stream: number, bytes: number): void {
    this.send(controlFrame(frameTypes.windowUpdate, 0, stream, bytes));
    this.send(controlFrame(frameTypes.windowUpdate, 0, 0, bytes));
  }

  reset(stream: number, status: number = rstStatus.cancel): void {
    this.send(controlFrame(frameTypes.rstStream, 0, stream, status));
  }

  forget(stream: number): void {
    this.#streams.delete(stream);
  }

  async #run(): Promise<void> {
    const reader = new FrameReader();
    try {
      for await (const chunk of this.#transport) for (const frame of reader.feed(chunk as Buffer)) await this.#handle(frame);
    } catch {
      // Garbage or a broken transport: either way there is nobody to tell.
    } finally {
      this.#transport.destroy();
      this.#codec.close();
      for (const stream of this.#streams.values()) stream.destroy();
      this.#streams.clear();
    }
  }

  async #handle(frame: Frame): Promise<void> {
    if (frame.kind === 'data') {
      const stream = this.#streams.get(frame.stream);
      if (!stream) return;
      await stream.receive(frame.data);
      if (frame.fin) stream.receiveEnd();
      return;
    }
    const { type, flags, body } = frame;
    if (type === frameTypes.synStream) await this.#open(body, flags);
    else if (type === frameTypes.rstStream) this.#stream(body)?.destroy();
    else if (type === frameTypes.headers && flags & flagFin) this.#stream(body)?.receiveEnd();
    else if (type === frameTypes.ping) this.send(controlFrame(frameTypes.ping, 0, body));
    else if (type === frameTypes.goAway) this.close();
  }

  #stream(body: Buffer): SpdyStream | undefined {
    return this.#streams.get(body.readUInt32BE(0) & 0x7fff_ffff);
  }

  async #open(body: Buffer, flags: number): Promise<void> {
    const id = body.readUInt32BE(0) & 0x7fff_ffff;
    // The block must be inflated even if the stream is refused: the compressor's state goes on.
    const headers = await this.#codec.decode(body.subarray(10));
    if (id <= this.#lastStream || id % 2 === 0) throw new RangeError(`the client opens stream ${id} after ${this.#lastStream}`);
    this.#lastStream = id;
    if (this.#closing || this.#streams.size >= maxStreams) {
      this.reset(id, rstStatus.refusedStream);
      return;
    }
    const stream = new SpdyStream(this, id, headers);
    this.#streams.set(id, stream);
    this.send(controlFrame(frameTypes.synReply, 0, id, await this.#codec.encode(new Map())));
    this.#onStream(stream);
    if (flags & flagFin) stream.receiveEnd();
  }
}
