import { errnoName, KernelError } from './errors.ts';
import { afInet6, type Endpoint, endpointOf } from './sockaddr.ts';
import { addressOf, errno, nativeBuffer, sys } from './sys.ts';

const msgDontwait = 0x40;
const msgWaitforone = 0x10000;
const msgTrunc = 0x20;

// struct mmsghdr of 64-bit Linux: struct msghdr (56 bytes) and the datagram's length
const header = { length: 64, nameLength: 8, controlLength: 40, flags: 48, size: 56 } as const;
const nameBytes = 32;
const controlBytes = 64;
const iovecBytes = 16;
const cmsgHeader = 16;

export interface DatagramBatchOptions {
  /** Datagrams at once. */
  count?: number;
  /** Longer datagrams are cut; see `truncated`. */
  receiveBytes?: number;
  sendBytes?: number;
  /** Answer from the address each datagram came to; the socket needs the option `packetInfo` (see bindUdp). */
  packetInfo?: boolean;
}

/**
 * Receives many datagrams with one recvmmsg and answers them with one sendmmsg. All memory is allocated once; nothing is copied.
 *
 *     const n = batch.receive(fd);
 *     for (let i = 0; i < n; i++) {
 *       const length = answer(batch.request, batch.requestAt(i), batch.requestLength(i), batch.reply, batch.replyAt());
 *       if (length > 0) batch.push(i, length);
 *     }
 *     batch.send(fd);
 *
 * `request` and `reply` are one buffer each for all datagrams, with offsets, so that no view is made for each datagram.
 */
export class DatagramBatch {
  readonly count: number;
  readonly receiveBytes: number;
  readonly sendBytes: number;
  /** Bytes received: datagram i begins at `requestAt(i)`. */
  readonly request: Buffer;
  /** Room for answers: the next begins at `replyAt()`. */
  readonly reply: Buffer;
  readonly #in: Buffer;
  readonly #words: Uint32Array;
  readonly #outWords: Uint32Array;
  readonly #outIovecs: Uint32Array;
  /** Who sent each: a struct sockaddr_in or sockaddr_in6 at `senderAt(i)`. */
  readonly senders: Buffer;
  /** Where each of `senders` begins: low and high word of its address. */
  readonly #senderAddresses: Uint32Array;
  readonly #controls: Buffer | undefined;
  readonly #outControls: Buffer | undefined;
  /** Where the headers of answers from the i-th on begin. */
  readonly #outAddresses: bigint[];
  #pending = 0;
  /** How many headers the kernel wrote into the last time. */
  #used = 0;

  constructor({ count = 64, receiveBytes = 512, sendBytes = 4096, packetInfo = false }: DatagramBatchOptions = {}) {
    this.count = count;
    this.receiveBytes = receiveBytes;
    this.sendBytes = sendBytes;
    this.request = nativeBuffer(count * receiveBytes);
    this.reply = nativeBuffer(count * sendBytes);
    this.senders = nativeBuffer(count * nameBytes);
    this.#senderAddresses = new Uint32Array(2 * count);
    for (let i = 0; i < count; i++) {
      const address = addressOf(this.senders) + BigInt(i * nameBytes);
      this.#senderAddresses.set([Number(address & 0xffffffffn), Number(address >> 32n)], 2 * i);
    }
    if (packetInfo) {
      this.#controls = nativeBuffer(count * controlBytes);
      this.#outControls = nativeBuffer(count * controlBytes);
    }
    this.#in = headers(count, this.senders, this.request, receiveBytes, this.#controls);
    const out = headers(count, this.senders, this.reply, sendBytes, this.#outControls);
    this.#words = new Uint32Array(this.#in.buffer);
    // Also keeps the headers' memory alive, as the address below does not.
    this.#outWords = new Uint32Array(out.buffer);
    this.#outIovecs = this.#outWords.subarray((count * header.length) >> 2);
    this.#outAddresses = Array.from({ length: count }, (_, i) => addressOf(out) + BigInt(i * header.length));
  }

  /**
   * Receives what is there.
   * @param wait for the first datagram (or the socket's receive timeout), else return at once
   * @returns how many, 0 when there was none
   * @throws KernelError the socket's pending error, e.g. ECONNREFUSED for an earlier answer
   */
  receive(fd: number, wait = false): number {
    this.#pending = 0;
    for (let i = 0; i < this.#used; i++) {
      // The kernel overwrote them with what it used.
      const at = i * (header.length >> 2);
      this.#words[at + (header.nameLength >> 2)] = nameBytes;
      if (this.#controls) this.#words[at + (header.controlLength >> 2)] = controlBytes;
    }
    const received = sys.recvmmsg(fd, this.#in, this.count, wait ? msgWaitforone : msgDontwait, null);
    if (received >= 0) return (this.#used = received);
    const name = errnoName(errno());
    const none = name === 'EAGAIN' || name === 'EINTR';
    // After another error it is not known what was begun.
    this.#used = none ? 0 : this.count;
    if (none) return 0;
    throw new KernelError('recvmmsg', name);
  }

  requestAt(i: number): number {
    return i * this.receiveBytes;
  }

  requestLength(i: number): number {
    return this.#words[i * (header.length >> 2) + (header.size >> 2)]!;
  }

  /** The datagram was longer than `receiveBytes`. */
  truncated(i: number): boolean {
    return (this.#words[i * (header.length >> 2) + (header.flags >> 2)]! & msgTrunc) !== 0;
  }

  /** Who sent datagram i. */
  sender(i: number): Endpoint {
    return endpointOf(this.senders, i * nameBytes)!;
  }

  /** Of its sockaddr in `senders`: family (host order), port, then 4 bytes of IPv4, or 4 of the flow and 16 of IPv6. */
  senderAt(i: number): number {
    return i * nameBytes;
  }

  /** A copy of its sockaddr, for an answer that is sent later; see `sendDatagram`. */
  senderCopy(i: number): Buffer {
    const length = this.#words[i * (header.length >> 2) + (header.nameLength >> 2)]!;
    return Buffer.from(this.senders.subarray(i * nameBytes, i * nameBytes + length));
  }

  /** Where the next answer is to be written in `reply`; `sendBytes` fit. */
  replyAt(): number {
    return this.#pending * this.sendBytes;
  }

  /** The `length` bytes at `replyAt()` answer datagram i. */
  push(i: number, length: number): void {
    if (length > this.sendBytes) throw new RangeError(`an answer of ${length} bytes; ${this.sendBytes} fit`);
    const j = this.#pending++;
    const from = i * (header.length >> 2);
    const to = j * (header.length >> 2);
    // Not copied: it stays until the next `receive`.
    this.#outWords[to] = this.#senderAddresses[2 * i]!;
    this.#outWords[to + 1] = this.#senderAddresses[2 * i + 1]!;
    this.#outWords[to + (header.nameLength >> 2)] = this.#words[from + (header.nameLength >> 2)]!;
    this.#outIovecs[j * (iovecBytes >> 2) + 2] = length;
    if (this.#controls) this.#answerFrom(i, j);
  }

  /** Pushed and not yet sent. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Sends what was pushed. An answer that the kernel refuses (e.g. no route to the asker) is dropped, as the network might have done.
   * @returns how many were sent
   */
  send(fd: number): number {
    let sent = 0;
    for (let at = 0; at < this.#pending; ) {
      const done = sys.sendmmsg(fd, this.#outAddresses[at]!, this.#pending - at, 0);
      sent += Math.max(done, 0);
      // The first of the rest is at fault.
      at += Math.max(done, 1);
    }
    this.#pending = 0;
    return sent;
  }

  /** IP_PKTINFO of the question becomes that of the answer: its source address, by whatever link routing chooses. */
  #answerFrom(i: number, j: number): void {
    const length = this.#words[i * (header.length >> 2) + (header.controlLength >> 2)]!;
    const out = this.#outControls!;
    const at = j * controlBytes;
    this.#controls!.copy(out, at, i * controlBytes, i * controlBytes + length);
    this.#outWords[j * (header.length >> 2) + (header.controlLength >> 2)] = length;
    if (length <= cmsgHeader) return;
    // struct in6_pktinfo { addr, ifindex }; struct in_pktinfo { ifindex, spec_dst, addr }. Link-local IPv6 answers need the link.
    const ipv6 = this.senders.readUInt16LE(i * nameBytes) === afInet6;
    if (!ipv6) out.writeUInt32LE(0, at + cmsgHeader);
    else if (out[at + cmsgHeader] !== 0xfe) out.writeUInt32LE(0, at + cmsgHeader + 16);
  }
}

/** `count` struct mmsghdr, and behind them as many struct iovec, that point into the other buffers. */
function headers(count: number, names: Buffer, data: Buffer, dataBytes: number, controls: Buffer | undefined): Buffer {
  const buffer = nativeBuffer(count * (header.length + iovecBytes));
  const base = addressOf(buffer) + BigInt(count * header.length);
  for (let i = 0; i < count; i++) {
    const at = i * header.length;
    const iovec = count * header.length + i * iovecBytes;
    buffer.writeBigUInt64LE(addressOf(names) + BigInt(i * nameBytes), at);
    buffer.writeUInt32LE(nameBytes, at + header.nameLength);
    buffer.writeBigUInt64LE(base + BigInt(i * iovecBytes), at + 16);
    buffer.writeBigUInt64LE(1n, at + 24);
    if (controls) buffer.writeBigUInt64LE(addressOf(controls) + BigInt(i * controlBytes), at + 32);
    buffer.writeBigUInt64LE(addressOf(data) + BigInt(i * dataBytes), iovec);
    buffer.writeBigUInt64LE(BigInt(dataBytes), iovec + 8);
  }
  return buffer;
}

/**
 * Sends one datagram at once.
 * @param to a struct sockaddr_in or sockaddr_in6
 * @returns false when the kernel did not take it: a full buffer, no route, the error of an earlier one
 */
export const sendDatagram = (fd: number, data: Uint8Array, to: Buffer): boolean =>
  sys.sendto(fd, data, data.length, msgDontwait, to, to.length) >= 0;
