import { check, errnoName, KernelError } from './errors.ts';
import { Fd } from './fd.ts';
import type { NetNs } from './netns.ts';
import { watchDatagrams } from './readiness.ts';
import { msgDontwait, sockCloexec, sockNonblock, sockRaw } from './socket-options.ts';
import { errno, nativeBuffer, sys } from './sys.ts';

const afPacket = 17;
/** include/uapi/linux/if_ether.h */
const etherTypes = { all: 0x0003, arp: 0x0806 } as const;
/** As socket(2) and struct sockaddr_ll want it: in network order. */
const networkOrder = (type: number): number => ((type & 0xff) << 8) | (type >> 8);

/** struct sockaddr_ll (include/uapi/linux/if_packet.h) */
function linkAddress(index: number, protocol: number): Buffer {
  const address = Buffer.alloc(20);
  address.writeUInt16LE(afPacket, 0);
  address.writeUInt16LE(protocol, 2);
  address.writeInt32LE(index, 4);
  return address;
}

/** A frame as it was on the link. */
export interface Frame {
  data: Buffer;
  /** This machine sent it, instead of receiving it. */
  outgoing: boolean;
}

/** Whole Ethernet frames of one link, in and out (AF_PACKET); needs CAP_NET_RAW. Nothing blocks. */
export class PacketSocket implements Disposable {
  readonly #fd: Fd;
  readonly #buffer = nativeBuffer(65536);
  readonly #from = nativeBuffer(64);

  /**
   * @param index ifindex in the namespace
   * @param type what is received: everything, or ARP only, which costs nothing for other traffic
   */
  constructor(ns: NetNs | undefined, index: number, type: keyof typeof etherTypes = 'all') {
    const protocol = networkOrder(etherTypes[type]);
    // Protocol 0 until it is bound: nothing of other links is received.
    const make = (): number => sys.socket(afPacket, sockRaw | sockNonblock | sockCloexec, 0);
    this.#fd = Fd.own(check('open a packet socket', ns ? ns.enter(make) : make()), 'packet socket');
    const address = linkAddress(index, protocol);
    if (sys.bind(this.#fd.number, address, address.length) === 0) return;
    const code = errnoName(errno());
    this.#fd.close();
    throw new KernelError(`bind a packet socket to link ${index}`, code);
  }

  /** Sends a frame as it is, header included. */
  send(frame: Uint8Array): void {
    check(`send a frame of ${frame.length} bytes`, sys.sendto(this.#fd.number, frame, frame.length, 0, null, 0));
  }

  /** Calls back for each frame from now on; of what this machine sends none is told when only ARP is received. Do not `receive` beside it. */
  watch(onFrame: (frame: Buffer) => void, onError?: (error: Error) => void): Disposable {
    const watch = watchDatagrams(this.#fd.number, { onDatagram: onFrame, onError });
    watch.unref();
    return watch;
  }

  /** Everything that came since the last call. */
  receive(): Frame[] {
    const frames: Frame[] = [];
    for (;;) {
      const length = Buffer.from([20, 0, 0, 0]);
      const got = sys.recvfrom(this.#fd.number, this.#buffer, this.#buffer.length, msgDontwait, this.#from, length);
      if (got < 0) return frames;
      // PACKET_OUTGOING
      frames.push({ data: Buffer.from(this.#buffer.subarray(0, got)), outgoing: this.#from[10] === 4 });
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
