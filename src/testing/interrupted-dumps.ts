import { sys } from '../kernel/sys.ts';

// include/uapi/linux/netlink.h
const nlmFlagMulti = 0x2;
const nlmFlagDumpInterrupted = 0x10;
const nlmsgNoop = 1;
const nlmsgMinType = 0x10;
const headerLength = 16;

/**
 * Until it is disposed, netlink dumps of this thread are as if something changed during each: every message has NLM_F_DUMP_INTR, and of each datagram only the
 * first message is left, as of a list that was cut.
 */
export class InterruptedDumps implements Disposable {
  /** Datagrams that were spoiled. */
  count = 0;
  readonly #recv = sys.recv;

  /** @param datagrams so many are spoiled, those after them are as they are */
  constructor(datagrams = Number.POSITIVE_INFINITY) {
    sys.recv = (fd, data, length, flags) => {
      const received = this.#recv(fd, data, length, flags);
      if (received > 0 && this.count < datagrams && data instanceof Uint8Array && spoil(Buffer.from(data.buffer, data.byteOffset, received)))
        this.count++;
      return received;
    };
  }

  [Symbol.dispose](): void {
    sys.recv = this.#recv;
  }
}

/** @returns whether it was a part of a dump */
function spoil(datagram: Buffer): boolean {
  let seen = 0;
  for (let at = 0; at + headerLength <= datagram.length; ) {
    const size = datagram.readUInt32LE(at);
    if (size < headerLength || at + size > datagram.length) break;
    const [type, flags] = [datagram.readUInt16LE(at + 4), datagram.readUInt16LE(at + 6)];
    if (flags & nlmFlagMulti) {
      datagram.writeUInt16LE(flags | nlmFlagDumpInterrupted, at + 6);
      if (type >= nlmsgMinType && seen++ > 0) datagram.writeUInt16LE(nlmsgNoop, at + 4);
    }
    at += (size + 3) & ~3;
  }
  return seen > 0;
}
