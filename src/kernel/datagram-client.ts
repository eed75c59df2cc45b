import type { IpAddr } from '../net/ip.ts';
import { check, errnoName, KernelError } from './errors.ts';
import { Fd } from './fd.ts';
import { afInet, afInet6, sockaddr } from './sockaddr.ts';
import { setBuffers, sockCloexec, sockDgram, sockNonblock } from './socket-options.ts';
import { addressOf, errno, nativeBuffer, sys } from './sys.ts';

const msgDontwait = 0x40;
// struct mmsghdr and iovec of 64-bit Linux, in 32-bit words
const [headerWords, sizeWord, iovecWords] = [16, 14, 4];
const bufferBytes = 4 << 20;

/** Memory for datagrams that are sent from where they are. */
export const datagramMemory = (bytes: number): Buffer => nativeBuffer(bytes);

export interface DatagramClientOptions {
  address: IpAddr;
  port: number;
  /** Prebuilt datagrams, in `datagramMemory`. What stands there when `send` is called is sent. */
  messages: Buffer;
  /** Datagrams at once. */
  count?: number;
  /** Longer answers are cut. */
  receiveBytes?: number;
}

/**
 * A connected UDP socket that sends prebuilt datagrams from where they are, many with one sendmmsg, and takes answers with recvmmsg. The kernel hands over answers of the peer
 * alone. For measuring: all memory is allocated once, nothing is copied.
 */
export class DatagramClient implements Disposable {
  readonly count: number;
  readonly receiveBytes: number;
  /** Bytes received: answer i begins at `i * receiveBytes`. */
  readonly answers: Buffer;
  readonly #fd: Fd;
  readonly #base: bigint;
  readonly #low: number;
  readonly #high: number;
  readonly #in: Buffer;
  readonly #inWords: Uint32Array;
  readonly #out: Buffer;
  readonly #outAddresses: bigint[];
  readonly #iovecs: Uint32Array;
  #pending = 0;

  /** In the calling thread's network namespace. @throws KernelError */
  constructor({ address, port, messages, count = 64, receiveBytes = 4096 }: DatagramClientOptions) {
    this.count = count;
    this.receiveBytes = receiveBytes;
    this.answers = nativeBuffer(count * receiveBytes);
    this.#in = headers(count, this.answers, receiveBytes);
    this.#inWords = new Uint32Array(this.#in.buffer);
    this.#out = headers(count, messages, 0);
    this.#iovecs = new Uint32Array(this.#out.buffer).subarray(count * headerWords);
    this.#outAddresses = Array.from({ length: count }, (_, i) => addressOf(this.#out) + BigInt(4 * i * headerWords));
    this.#base = addressOf(messages);
    this.#low = Number(this.#base & 0xffffffffn);
    this.#high = Number(this.#base >> 32n);
    const what = `UDP to ${address} port ${port}`;
    const family = address.family === 'ipv4' ? afInet : afInet6;
    this.#fd = Fd.own(check(() => `open ${what}`, sys.socket(family, sockDgram | sockNonblock | sockCloexec, 0)), what);
    const name = sockaddr(address, port);
    try {
      setBuffers(this.#fd.number, { receiveBytes: bufferBytes, sendBytes: bufferBytes });
      check(() => `connect ${what}`, sys.connect(this.#fd.number, name, name.length));
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  /** How many more fit before `send`. */
  get room(): number {
    return this.count - this.#pending;
  }

  /** One more to be sent: `length` bytes at `at` in `messages`. */
  push(at: number, length: number): void {
    const word = this.#pending++ * iovecWords;
    const low = this.#low + at;
    this.#iovecs[word] = low;
    this.#iovecs[word + 1] = this.#high + (low > 0xffffffff ? 1 : 0);
    this.#iovecs[word + 2] = length;
  }

  /** @returns how many the kernel took; one that it refuses (e.g. ECONNREFUSED of an earlier one) is left out */
  send(): number {
    let sent = 0;
    for (let at = 0; at < this.#pending; ) {
      const done = sys.sendmmsg(this.#fd.number, this.#outAddresses[at]!, this.#pending - at, msgDontwait);
      sent += Math.max(done, 0);
      at += Math.max(done, 1);
    }
    this.#pending = 0;
    return sent;
  }

  /** What is there now. @returns how many; 0 also for an error of the peer's, e.g. that nobody listens */
  receive(): number {
    const received = sys.recvmmsg(this.#fd.number, this.#in, this.count, msgDontwait, null);
    if (received >= 0) return received;
    const name = errnoName(errno());
    if (name === 'EAGAIN' || name === 'EINTR' || name === 'ECONNREFUSED') return 0;
    throw new KernelError('recvmmsg', name);
  }

  answerLength(i: number): number {
    return this.#inWords[i * headerWords + sizeWord]!;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** `count` struct mmsghdr without names, and behind them as many struct iovec of `bytes` each in `data`. */
function headers(count: number, data: Buffer, bytes: number): Buffer {
  const buffer = nativeBuffer(4 * count * (headerWords + iovecWords));
  const iovecs = 4 * count * headerWords;
  for (let i = 0; i < count; i++) {
    const at = 4 * i * headerWords;
    const iovec = iovecs + 4 * i * iovecWords;
    buffer.writeBigUInt64LE(addressOf(buffer) + BigInt(iovec), at + 16);
    buffer.writeBigUInt64LE(1n, at + 24);
    buffer.writeBigUInt64LE(addressOf(data) + BigInt(i * bytes), iovec);
    buffer.writeBigUInt64LE(BigInt(bytes), iovec + 8);
  }
  return buffer;
}
