import { IpAddr } from '../net/ip.ts';
import { check, errnoName, KernelError } from './errors.ts';
import type { Fd } from './fd.ts';
import type { NetNs } from './netns.ts';
import { patience } from './patience.ts';
import { waitReady } from './readiness.ts';
import { type Endpoint, endpointOf, sockaddr, sockaddrLength } from './sockaddr.ts';
import { msgDontwait, msgErrqueue, setFamilyOption, sockCloexec, sockDgram, sockNonblock, sockRaw } from './socket-options.ts';
import { bindTo, localEndpoint, orClose, socketIn } from './sockets.ts';
import { addressOf, errno, nativeBuffer, sys } from './sys.ts';

const protocolIcmp = 1;
const protocolIcmpv6 = 58;
/** IP_PMTUDISC_PROBE: DF is set and what was learned about the path is ignored, so that each probe asks anew. */
const mtuDiscoverProbe = 3;
/** IP_PMTUDISC_DONT */
const mtuDiscoverNever = 0;

export interface ProbeOptions {
  /** The address to send from. */
  source?: IpAddr;
  /** UDP only; 0 lets the kernel choose. */
  port?: number;
  /** true: packets are never fragmented on the way (and larger than the link's MTU not sent: EMSGSIZE). false: the sender fragments. */
  dontFragment?: boolean;
}

export interface Received extends Endpoint {
  data: Buffer;
}

/** What came back instead of an answer (struct sock_extended_err, include/uapi/linux/errqueue.h). */
export interface PathError {
  /** e.g. EMSGSIZE, ECONNREFUSED, EHOSTUNREACH */
  errno: string;
  /** `local`: this node's own kernel refused to send. */
  origin: 'local' | 'icmp' | 'icmpv6' | 'other';
  /** ICMP type and code: 3/4 is 'fragmentation needed', 2/0 ICMPv6's 'packet too big' */
  type: number;
  code: number;
  /** Next-hop MTU, with EMSGSIZE. */
  mtu?: number;
  /** Who sent the ICMP error. */
  offender?: IpAddr;
  /** Where the packet at fault was sent to. */
  destination?: Endpoint;
}

type Kind = 'udp' | 'icmp';

let lastIdentifier = Math.floor(Math.random() * 0xffff);
const nextIdentifier = (): number => (lastIdentifier = (lastIdentifier % 0xffff) + 1);

/**
 * A socket inside a namespace for questions about the path: UDP datagrams or ICMP echo, with DF set or not, and with the ICMP errors that come back.
 * Nothing blocks. Raw ICMP needs CAP_NET_RAW.
 */
export class ProbeSocket implements Disposable {
  readonly #fd: Fd;
  readonly #kind: Kind;
  readonly #ipv6: boolean;
  readonly #buffer = nativeBuffer(65536);
  readonly #name = nativeBuffer(sockaddrLength);
  /** Of this socket's echo requests; no two of a process have the same, or conntrack would take the second one's requests for the first one's. */
  readonly identifier = nextIdentifier();

  private constructor(fd: Fd, kind: Kind, ipv6: boolean) {
    this.#fd = fd;
    this.#kind = kind;
    this.#ipv6 = ipv6;
  }

  /** @param family is that of `source`, or of where will be sent to */
  static udp(ns: NetNs | undefined, family: IpAddr['family'], options: ProbeOptions = {}): ProbeSocket {
    return ProbeSocket.#open(ns, family, 'udp', options);
  }

  static icmp(ns: NetNs | undefined, family: IpAddr['family'], options: ProbeOptions = {}): ProbeSocket {
    return ProbeSocket.#open(ns, family, 'icmp', options);
  }

  static #open(
    ns: NetNs | undefined,
    family: IpAddr['family'],
    kind: Kind,
    { source, port = 0, dontFragment }: ProbeOptions,
  ): ProbeSocket {
    const address = source ?? IpAddr.unspecified(family);
    const icmp = family === 'ipv4' ? protocolIcmp : protocolIcmpv6;
    const type = (kind === 'udp' ? sockDgram : sockRaw) | sockNonblock | sockCloexec;
    const what = `${kind} probe${source ? ` from ${source}` : ''}`;
    const fd = socketIn(ns, address, type, kind === 'udp' ? 0 : icmp, what);
    orClose(fd, (number) => {
      setFamilyOption(number, family, 'receiveErrors', 1);
      setFamilyOption(number, family, 'mtuDiscover', dontFragment ? mtuDiscoverProbe : mtuDiscoverNever);
      if (source || kind === 'udp') bindTo(number, address, port, what);
    });
    return new ProbeSocket(fd, kind, family === 'ipv6');
  }

  get local(): Endpoint {
    return localEndpoint(this.#fd.number);
  }

  /**
   * Sends one datagram; on an ICMP socket `data` is a whole ICMP message (see `echo`).
   * @throws KernelError EMSGSIZE when it may not be fragmented and the link's MTU is smaller, ENETUNREACH, the error of an earlier datagram
   */
  send(data: Uint8Array, address: IpAddr, port = 0): void {
    const name = sockaddr(address, port);
    const send = (): number => sys.sendto(this.#fd.number, data, data.length, 0, name, name.length);
    // The pending error of an earlier datagram is told by the next call, and only once; what is to be known of it is in the error queue.
    if (send() < 0) check(() => `send ${data.length} bytes to ${address}`, send());
  }

  /** Sends an ICMP echo request with `size` bytes of payload. */
  echo(address: IpAddr, sequence: number, size = 56): void {
    const message = Buffer.alloc(8 + size);
    message[0] = this.#ipv6 ? 128 : 8;
    message.writeUInt16BE(this.identifier, 4);
    message.writeUInt16BE(sequence, 6);
    for (let i = 0; i < size; i++) message[8 + i] = i & 0xff;
    // The kernel fills in ICMPv6's checksum, which covers the addresses too.
    if (!this.#ipv6) message.writeUInt16BE(internetChecksum(message), 2);
    this.send(message, address);
  }

  /** @returns undefined when nothing is there */
  receive(): Received | undefined {
    const length = Buffer.from([sockaddrLength, 0, 0, 0]);
    const got = sys.recvfrom(this.#fd.number, this.#buffer, this.#buffer.length, msgDontwait, this.#name, length);
    // Other errors are in the error queue as well.
    if (got < 0) return undefined;
    const from = endpointOf(this.#name);
    return from && { ...from, data: Buffer.from(this.#buffer.subarray(0, got)) };
  }

  /** The next reply to an echo request of this socket that has come, with its payload. */
  receiveEcho(): { address: IpAddr; sequence: number; data: Buffer } | undefined {
    for (let got = this.receive(); got; got = this.receive()) {
      // Raw IPv4 sockets receive the IP header too; its length is in the low four bits, in words.
      const icmp = this.#ipv6 ? got.data : got.data.subarray((got.data[0]! & 0x0f) * 4);
      if (icmp.length < 8 || icmp[0] !== (this.#ipv6 ? 129 : 0) || icmp.readUInt16BE(4) !== this.identifier) continue;
      return { address: got.address, sequence: icmp.readUInt16BE(6), data: icmp.subarray(8) };
    }
    return undefined;
  }

  /** The next ICMP error, or local refusal, that has come. */
  receiveError(): PathError | undefined {
    const control = nativeBuffer(512);
    const message = messageHeader(this.#name, this.#buffer, control);
    if (sys.recvmsg(this.#fd.number, message.header, msgErrqueue | msgDontwait) < 0) {
      if (errnoName(errno()) === 'EAGAIN') return undefined;
      throw new KernelError('read the error queue', errnoName(errno()));
    }
    return pathError(control.subarray(0, Number(message.header.readBigUInt64LE(40))), endpointOf(this.#name));
  }

  /** Waits until something can be received, an error included. @returns false after the time */
  async ready(timeoutMs: number): Promise<boolean> {
    const over = new AbortController();
    const stop = patience(timeoutMs, () => over.abort());
    try {
      return await waitReady(this.#fd.number, 'readable', over.signal);
    } finally {
      stop();
    }
  }

  /** The kind of messages it takes. */
  get kind(): Kind {
    return this.#kind;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** RFC 1071. @param data with zero in the checksum's place */
export function internetChecksum(data: Buffer): number {
  let sum = 0;
  for (let i = 0; i + 1 < data.length; i += 2) sum += data.readUInt16BE(i);
  if (data.length % 2) sum += data[data.length - 1]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** struct msghdr and its one struct iovec */
function messageHeader(name: Buffer, data: Buffer, control: Buffer): { header: Buffer } {
  const header = nativeBuffer(72);
  header.writeBigUInt64LE(addressOf(name), 0);
  header.writeUInt32LE(name.length, 8);
  header.writeBigUInt64LE(addressOf(header) + 56n, 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(addressOf(control), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  header.writeBigUInt64LE(addressOf(data), 56);
  header.writeBigUInt64LE(BigInt(data.length), 64);
  return { header };
}

const origins = ['other', 'local', 'icmp', 'icmpv6'] as const;

/** Finds IP_RECVERR or IPV6_RECVERR among the control messages. */
function pathError(control: Buffer, destination: Endpoint | undefined): PathError | undefined {
  for (let at = 0; at + 16 <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    const kind = `${control.readInt32LE(at + 8)} ${control.readInt32LE(at + 12)}`;
    if (kind === '0 11' || kind === '41 25') {
      const error = at + 16;
      const code = errnoName(control.readUInt32LE(error));
      return {
        errno: code,
        origin: origins[control[error + 4]!] ?? 'other',
        type: control[error + 5]!,
        code: control[error + 6]!,
        mtu: code === 'EMSGSIZE' ? control.readUInt32LE(error + 8) : undefined,
        // A sockaddr follows struct sock_extended_err (16 bytes).
        offender: endpointOf(control, error + 16)?.address,
        destination,
      };
    }
    if (length < 16) return undefined;
    at += (length + 7) & ~7;
  }
  return undefined;
}
