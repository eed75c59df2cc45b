import { Reader } from '../../wire/reader.ts';
import { check, errnoName, KernelError, ResyncNeeded } from '../errors.ts';
import { Fd } from '../fd.ts';
import type { NetNs } from '../netns.ts';
import { errno, nativeBuffer, sys } from '../sys.ts';
import { NetlinkBatch } from './batch.ts';
import {
  netlinkOption,
  nlmFlag,
  nlmsgDone,
  nlmsgError,
  nlmsgHeaderLength,
  nlmsgNoop,
  nlmsgOverrun,
  solNetlink,
} from './constants.ts';
import { extackOfDone, extackOfError } from './extack.ts';

// include/uapi/asm-generic/socket.h, include/linux/socket.h
const afNetlink = 16;
const sockRaw = 3;
const sockCloexec = 0o2000000;
const solSocket = 1;
const soSndbuf = 7;
const soRcvbuf = 8;
const soRcvtimeo = 20;
const soSndbufforce = 32;
const soRcvbufforce = 33;
const msgTrunc = 0x20;
const msgDontwait = 0x40;

/** Dumps are made again when something changed meanwhile; this often at most. */
const dumpAttempts = 10;
/** The kernel answers inside of sendmsg; nothing takes this long but a kernel that is stuck. */
const replyTimeoutS = 30n;

export interface NetlinkOptions {
  /** The biggest batch that one sendmsg can take; needs CAP_NET_ADMIN above net.core.wmem_max. */
  sendBufferBytes?: number;
  receiveBufferBytes?: number;
  /** NETLINK_GET_STRICT_CHK: the kernel filters dumps by what the request's header and attributes say. */
  strict?: boolean;
  /** Multicast groups to join, by number. */
  groups?: readonly number[];
}

/** A message of the kernel; the buffer is the socket's own and is overwritten by the next receive. */
export type OnMessage = (type: number, reader: Reader, flags: number) => void;

/** Calls back for a reply: its type, and the reader over its body. */
type OnReply = (sequence: number, type: number, reader: Reader, flags: number) => void;

interface Memory {
  received: Buffer;
  batch: NetlinkBatch;
}

/** A batch that had grown beyond it gives the memory back with the next. */
const keptBytes = 1 << 20;

const newMemory = (): Memory => ({
  // Dumps come in pieces of at most 32 KiB; single messages are at most 64 KiB but for attributes of more than one kind.
  received: nativeBuffer(1 << 17),
  batch: new NetlinkBatch(1 << 16),
});

/** Of the socket that was closed last: one is opened for each pod, and zeroing its memory would take longer than using it. */
let spare: Memory | undefined;

/**
 * A blocking netlink socket for requests. The kernel does the work inside of sendmsg, so an answer is there when it returns (about 6 µs).
 * Not for use from several threads; not reentrant.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: Fd;
  readonly #received: Buffer;
  readonly #reader: Reader;
  readonly #batch: NetlinkBatch;
  #sequence = 1;

  private constructor(fd: Fd) {
    this.#fd = fd;
    const { received, batch } = spare ?? newMemory();
    spare = undefined;
    this.#received = received;
    this.#batch = batch;
    this.#reader = new Reader(this.#received);
  }

  /**
   * @param protocol `netlinkRoute` or `netlinkNetfilter`
   * @param ns where the socket is born and stays; the thread's own when not given
   */
  static open(protocol: number, ns?: NetNs, options: NetlinkOptions = {}): NetlinkSocket {
    const make = (): number => sys.socket(afNetlink, sockRaw | sockCloexec, protocol);
    const number = check(`open a netlink socket of protocol ${protocol}`, ns ? ns.enter(make) : make());
    const fd = Fd.own(number, `netlink socket of protocol ${protocol}`);
    try {
      configure(number, options);
    } catch (error) {
      fd.close();
      throw error;
    }
    return new NetlinkSocket(fd);
  }

  get fd(): number {
    return this.#fd.number;
  }

  /**
   * Its address within the network namespace (nl_pid), by which the kernel names whoever caused an event; 0 until it sent something first. Process numbers
   * would not do: the kernel tells those of the outermost pid namespace, which a process in a container does not know.
   */
  get port(): number {
    const address = nativeBuffer(12);
    check('getsockname of a netlink socket', sys.getsockname(this.fd, address, Buffer.from([12, 0, 0, 0])));
    return address.readUInt32LE(4);
  }

  /** Joins a multicast group, or leaves it, by number. */
  setMember(group: number, isMember: boolean): void {
    const value = Buffer.alloc(4);
    value.writeInt32LE(group);
    const option = isMember ? netlinkOption.addMembership : netlinkOption.dropMembership;
    check(() => `${isMember ? 'join' : 'leave'} netlink group ${group}`, sys.setsockopt(this.fd, solNetlink, option, value, 4));
  }

  /** The socket's own batch, emptied. Send it before another is begun. */
  batch(): NetlinkBatch {
    if (this.#batch.buffer.length > keptBytes) this.#batch.release(1 << 16);
    return this.#batch.reset(this.#sequence);
  }

  /**
   * Sends all messages of a batch with one sendmsg and waits for nothing.
   * @throws KernelError EMSGSIZE when it is larger than the send buffer
   */
  send(batch: NetlinkBatch, operation: () => string = () => 'netlink'): void {
    if (batch.count === 0) return;
    this.#sequence = (batch.lastSequence + 1) >>> 0 || 1;
    const sent = sys.send(this.fd, batch.buffer, batch.length, 0);
    check(() => `${operation()}: send ${batch.count} messages of ${batch.length} bytes`, sent);
  }

  /**
   * Sends a batch whose messages the kernel works through one by one (rtnetlink: each succeeds or fails on its own) and reads all answers.
   * @param operation names what the n-th message does, for its error
   * @returns errors by the message's place in the batch; empty when all succeeded
   */
  exchange(batch: NetlinkBatch, operation: (index: number) => string, onMessage?: OnMessage): Map<number, KernelError> {
    const errors = new Map<number, KernelError>();
    if (batch.count === 0) return errors;
    const first = batch.firstSequence;
    const last = batch.lastSequence;
    batch.acknowledgeLast();
    // Naming it costs as much as writing it: only for an error.
    const whole = (): string => operation(0);
    this.send(batch, whole);
    for (let finished = false; !finished; ) {
      this.#receive(whole, false, (sequence, type, reader, flags) => {
        if (sequence < first || sequence > last) return;
        const index = sequence - first;
        if (type === nlmsgError) {
          const error = this.#error(reader, flags, () => operation(index));
          if (error) errors.set(index, error);
          finished = sequence === last;
        } else onMessage?.(type, reader, flags);
      });
    }
    return errors;
  }

  /**
   * One request, acknowledged. Replies (to a GET) come through `onMessage`.
   * @throws KernelError
   */
  request(type: number, flags: number, write: (batch: NetlinkBatch) => void, operation: string, onMessage?: OnMessage): void {
    const batch = this.batch().begin(type, flags);
    write(batch);
    batch.end();
    const [error] = this.exchange(batch, () => operation, onMessage).values();
    if (error) throw error;
  }

  /**
   * Reads everything of a kind. A dump during which something changed (NLM_F_DUMP_INTR) is thrown away and read again.
   * @param decode of each message; undefined leaves it out
   * @throws KernelError EINTR when it was interrupted every time
   */
  dump<T>(
    type: number,
    write: (batch: NetlinkBatch) => void,
    operation: string,
    decode: (type: number, reader: Reader) => T | undefined,
  ): T[] {
    for (let attempt = 0; attempt < dumpAttempts; attempt++) {
      const all = this.#dumpOnce(type, write, operation, decode);
      if (all) return all;
    }
    throw new KernelError(operation, 'EINTR', { extack: `something changed during each of ${dumpAttempts} dumps` });
  }

  #dumpOnce<T>(
    type: number,
    write: (batch: NetlinkBatch) => void,
    operation: string,
    decode: (type: number, reader: Reader) => T | undefined,
  ): T[] | undefined {
    const batch = this.batch().begin(type, nlmFlag.dump);
    write(batch);
    batch.end();
    const expected = batch.firstSequence;
    const all: T[] = [];
    let interrupted = false;
    let failure: unknown;
    this.send(batch, () => operation);
    for (let finished = false; !finished; ) {
      this.#receive(
        () => operation,
        false,
        (sequence, got, reader, flags) => {
          if (sequence !== expected) return;
          if (flags & nlmFlag.dumpInterrupted) interrupted = true;
          if (got === nlmsgDone || got === nlmsgError) {
            finished = true;
            failure ??= this.#error(reader, flags, () => operation, got === nlmsgDone);
            return;
          }
          // The rest is read even so: what stays in the socket would be taken for the answer to the next request.
          try {
            const value = failure ? undefined : decode(got, reader);
            if (value !== undefined) all.push(value);
          } catch (error) {
            failure = error;
          }
        },
      );
    }
    if (failure) throw failure;
    return interrupted ? undefined : all;
  }

  /**
   * Reads what is there and returns at once. For nfnetlink batches, where silence is success, and for multicast.
   * @returns errors by sequence number
   * @throws ResyncNeeded when messages were lost
   */
  drain(operation: (sequence: number) => string, onMessage?: OnMessage): Map<number, KernelError> {
    const errors = new Map<number, KernelError>();
    const each: OnReply = (sequence, type, reader, flags) => {
      if (type === nlmsgError) {
        const error = this.#error(reader, flags, () => operation(sequence));
        if (error) errors.set(sequence, error);
      } else if (type !== nlmsgDone) onMessage?.(type, reader, flags);
    };
    while (this.#receive(() => 'netlink', true, each));
    return errors;
  }

  [Symbol.dispose](): void {
    if (!this.#fd.closed) spare = { received: this.#received, batch: this.#batch };
    this.#fd.close();
  }

  /** @returns undefined for the error number 0, which is an acknowledgement */
  #error(reader: Reader, flags: number, operation: () => string, done = false): KernelError | undefined {
    const start = reader.position - nlmsgHeaderLength;
    // NLMSG_DONE of old kernels may be empty.
    const number = done && reader.remaining < 4 ? 0 : -reader.s32();
    if (number === 0) return undefined;
    const extack = (done ? extackOfDone : extackOfError)(reader.buffer, start, reader.end, flags);
    return new KernelError(operation(), number, extack);
  }

  /** Receives one datagram and calls back for each message in it. @returns false when there is none (only with `dontWait`) */
  #receive(operation: () => string, dontWait: boolean, each: OnReply): boolean {
    const buffer = this.#received;
    const length = sys.recv(this.fd, buffer, buffer.length, msgTrunc | (dontWait ? msgDontwait : 0));
    if (length < 0) return this.#receiveFailed(operation, dontWait, each);
    if (length > buffer.length) throw new KernelError(operation(), 'EMSGSIZE', { extack: `the answer has ${length} bytes` });
    const reader = this.#reader;
    for (let at = 0; at + nlmsgHeaderLength <= length; ) {
      const size = buffer.readUInt32LE(at);
      if (size < nlmsgHeaderLength || at + size > length)
        throw new RangeError(`truncated: message at ${at} says ${size} bytes of ${length}`);
      const type = buffer.readUInt16LE(at + 4);
      reader.position = at + nlmsgHeaderLength;
      reader.end = at + size;
      if (type === nlmsgOverrun) throw new ResyncNeeded(operation());
      if (type !== nlmsgNoop) each(buffer.readUInt32LE(at + 8), type, reader, buffer.readUInt16LE(at + 6));
      at += (size + 3) & ~3;
    }
    return true;
  }

  #receiveFailed(operation: () => string, dontWait: boolean, each: OnReply): boolean {
    const name = errnoName(errno());
    if (name === 'EINTR') return this.#receive(operation, dontWait, each);
    if (name === 'ENOBUFS') throw new ResyncNeeded(operation());
    if (name !== 'EAGAIN') throw new KernelError(operation(), name);
    if (dontWait) return false;
    throw new KernelError(operation(), 'ETIMEDOUT', { extack: `the kernel did not answer for ${replyTimeoutS} s` });
  }
}

function configure(fd: number, options: NetlinkOptions): void {
  const value = Buffer.alloc(4);
  const set = (level: number, option: number, number: number): number => {
    value.writeInt32LE(number);
    return sys.setsockopt(fd, level, option, value, 4);
  };
  check('NETLINK_EXT_ACK', set(solNetlink, netlinkOption.extAck, 1));
  check('NETLINK_CAP_ACK', set(solNetlink, netlinkOption.capAck, 1));
  if (options.strict) check('NETLINK_GET_STRICT_CHK', set(solNetlink, netlinkOption.getStrictCheck, 1));
  const force = (forced: number, plain: number, bytes: number): void => {
    // The kernel doubles the value for its own bookkeeping. Without the capability the plain option takes what it may.
    if (set(solSocket, forced, bytes) < 0) check('set the size of a socket buffer', set(solSocket, plain, bytes));
  };
  if (options.sendBufferBytes) force(soSndbufforce, soSndbuf, options.sendBufferBytes);
  if (options.receiveBufferBytes) force(soRcvbufforce, soRcvbuf, options.receiveBufferBytes);
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(replyTimeoutS, 0);
  check('SO_RCVTIMEO', sys.setsockopt(fd, solSocket, soRcvtimeo, timeout, 16));
  if (options.groups) {
    // struct sockaddr_nl with address 0, for which the kernel puts one in. Multicast leaves sockets without an address out.
    const address = Buffer.alloc(12);
    address.writeUInt16LE(afNetlink, 0);
    check('bind a netlink socket', sys.bind(fd, address, 12));
  }
  for (const group of options.groups ?? [])
    check(`join netlink group ${group}`, set(solNetlink, netlinkOption.addMembership, group));
}
