import { errnoName } from '../../../kernel/errors.ts';
import { Fd } from '../../../kernel/fd.ts';
import { internetChecksum } from '../../../kernel/probes.ts';
import { endpointOf, sockaddr, sockaddrLength } from '../../../kernel/sockaddr.ts';
import { msgDontwait, setBuffers, setOption, sockDgram, sockNonblock, sockRaw, sockStream } from '../../../kernel/socket-options.ts';
import { bindTo, listenTcp, socketIn } from '../../../kernel/sockets.ts';
import { errno, nativeBuffer, sys } from '../../../kernel/sys.ts';
import { type Family, families, IpAddr } from '../../../net/ip.ts';
import { sctpInit } from '../../../testing/sctp.ts';
import type { Packet } from '../../packet.ts';
import type { End } from './fabric.ts';

/** One first packet from one end to another one. */
export interface Probe extends Packet {
  from: End;
  to: End;
  /** The Service's address that it is sent to, to get to `destination`. */
  through?: IpAddr;
}

/** What became of it. */
export interface Outcome {
  /** The receiver got it. */
  arrived: boolean;
  /** The sender heard of the receiver: a handshake or a reset, an answer or an ICMP error. SCTP is answered by nobody here. */
  answered: boolean;
}

type Protocol = Packet['protocol'];
const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP', 'ICMP'];
const numberOf = (protocol: Protocol, family: Family): number => ({ TCP: 6, UDP: 17, SCTP: 132, ICMP: family === 'ipv4' ? 1 : 58 })[protocol];
const echoRequest = { ipv4: 8, ipv6: 128 } as const;
const echoReply = { ipv4: 0, ipv6: 129 } as const;

/** Where servers of TCP listen; on all other ports a reset comes back. */
export const listened: readonly number[] = [80, 8080];
/** Where UDP is answered; on all other ports an ICMP error comes back. */
const answeredPort = 53;

/** A probe is known by the port it comes from, or the identifier of its echo. */
const firstPort = 20_000;
const lastPort = 60_000;

interface Sockets {
  end: End;
  raw: { fd: Fd; family: Family; protocol: Protocol }[];
  listeners: Fd[];
  udp: { fd: Fd; family: Family }[];
}

/** Sends probes between all ends, and finds what came of them. On one processor: see the README. */
export class Prober implements Disposable {
  readonly #sockets: Sockets[] = [];
  readonly #sentinels: readonly End[];
  readonly #buffer = nativeBuffer(4096);
  readonly #name = nativeBuffer(sockaddrLength);
  readonly #length = Buffer.alloc(4);
  #port = firstPort;

  constructor(ends: readonly End[], sentinels: readonly End[]) {
    this.#sentinels = sentinels;
    try {
      for (const end of [...ends, ...sentinels]) this.#sockets.push(open(end));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** @returns for each probe, in order, what became of it */
  async send(probes: readonly Probe[]): Promise<Outcome[]> {
    const outcomes = probes.map((): Outcome => ({ arrived: false, answered: false }));
    const byPort = new Map<number, number>();
    const ports = probes.map((_, i) => {
      const port = this.#nextPort();
      byPort.set(port, i);
      return port;
    });
    const waiting: { fd: number; index: number; protocol: Protocol }[] = [];
    try {
      const order = probes.map((_, i) => i).sort((a, b) => (probes[a]!.from.name < probes[b]!.from.name ? -1 : 1));
      for (let at = 0; at < order.length; ) {
        const { from } = probes[order[at]!]!;
        let end = at;
        while (end < order.length && probes[order[end]!]!.from === from) end++;
        const mine = order.slice(at, end);
        from.ns.enter(() => {
          for (const index of mine) {
            const probe = probes[index]!;
            const fd = this.#send(probe, ports[index]!);
            if (fd !== undefined) waiting.push({ fd, index, protocol: probe.protocol });
          }
        });
        at = end;
      }
      // There and back, and a handshake's third packet: each round is behind what the one before it brought about.
      for (let round = 0; round < 3; round++) {
        await this.settle();
        this.#collect(probes, byPort, outcomes);
      }
      for (const { fd, index, protocol } of waiting)
        outcomes[index]!.answered = protocol === 'TCP' ? this.#isAnswered(fd) : this.#hasHeard(fd);
    } finally {
      for (const { fd } of waiting) sys.close(fd);
      for (const { fd } of this.accepted()) sys.close(fd);
    }
    return outcomes;
  }

  /** Ports of connections that nodes have forgotten may be used again: where they have not, they give a translated one another port, and it is not known again. */
  startOver(): void {
    this.#port = firstPort;
  }

  /** Connections that servers got since this was last asked, with the port of the client. The caller closes them. */
  *accepted(): Iterable<{ fd: number; port: number }> {
    for (const { listeners } of this.#sockets)
      for (const { number } of listeners)
        for (;;) {
          this.#length.writeUInt32LE(sockaddrLength);
          const fd = sys.accept4(number, this.#name, this.#length, sockNonblock);
          if (fd < 0) break;
          yield { fd, port: endpointOf(this.#name)!.port };
        }
  }

  /** Begins a connection in the sender's namespace; it stays the caller's. */
  connect(probe: Probe): { fd: number; port: number } {
    const port = this.#nextPort();
    return { fd: probe.from.ns.enter(() => this.#send(probe, port)!), port };
  }

  #nextPort(): number {
    if (this.#port >= lastPort) throw new RangeError(`there are no ports behind ${lastPort}: let nodes forget connections, and start over`);
    return this.#port++;
  }

  /** In the sender's namespace. @returns a socket whose answer is to be waited for */
  #send({ source, destination, through = destination, protocol, port = 0 }: Probe, from: number): number | undefined {
    const { family } = source;
    if (protocol === 'ICMP' || protocol === 'SCTP') {
      const fd = socketIn(undefined, source, sockRaw | sockNonblock, numberOf(protocol, family), protocol);
      bindTo(fd.number, source, 0, protocol);
      const data = protocol === 'ICMP' ? echo(family, from) : sctpInit(from, port);
      const to = sockaddr(through, 0);
      sys.sendto(fd.number, data, data.length, 0, to, to.length);
      fd.close();
      return undefined;
    }
    const isTcp = protocol === 'TCP';
    const fd = socketIn(undefined, source, (isTcp ? sockStream : sockDgram) | sockNonblock, 0, protocol).disown();
    setOption(fd, 'reuseAddress', 1);
    if (isTcp) sys.setsockopt(fd, 1, 13, lingerOfNoTime, 8);
    bindTo(fd, source, from, protocol);
    const to = sockaddr(through, port);
    sys.connect(fd, to, to.length);
    if (!isTcp) sys.send(fd, hello, hello.length, 0);
    return fd;
  }

  /** An echo between the sentinels, there and back, behind all that was sent before. */
  async settle(): Promise<void> {
    const [a, b] = this.#sentinels as [End, End];
    for (const family of families) {
      const identifier = this.#nextPort();
      const [source, destination] = [a, b].map((end) => end.addresses.find((address) => address.family === family)!) as [IpAddr, IpAddr];
      a.ns.enter(() => this.#send({ source, destination, protocol: 'ICMP', from: a, to: b }, identifier));
      const raw = this.#sockets.find(({ end }) => end === a)!.raw.find((one) => one.family === family && one.protocol === 'ICMP')!;
      const deadline = performance.now() + 20_000;
      for (let came = false; !came; ) {
        for (let got = this.#receive(raw.fd.number, family); got; got = this.#receive(raw.fd.number, family))
          came ||= got.payload[0] === echoReply[family] && got.payload.readUInt16BE(4) === identifier;
        if (came) break;
        if (performance.now() > deadline) throw new Error(`the echo of ${source} to ${destination}, of which no policy knows, is not answered`);
        await new Promise(setImmediate);
      }
    }
  }

  #collect(probes: readonly Probe[], byPort: ReadonlyMap<number, number>, outcomes: readonly Outcome[]): void {
    for (const { end, raw, udp } of this.#sockets) {
      for (const { fd, family, protocol } of raw)
        for (let got = this.#receive(fd.number, family); got; got = this.#receive(fd.number, family)) {
          const { payload, source } = got;
          const isEcho = protocol === 'ICMP';
          const isReply = isEcho && payload[0] === echoReply[family];
          if (isEcho && !isReply && payload[0] !== echoRequest[family]) continue;
          const index = byPort.get(isEcho ? payload.readUInt16BE(4) : payload.readUInt16BE(0));
          const probe = index === undefined ? undefined : probes[index]!;
          if (index === undefined || probe?.protocol !== protocol || probe.source.family !== family) continue;
          if (isReply && probe.from === end && (probe.through ?? probe.destination).equals(source)) outcomes[index]!.answered = true;
          // Who reaches itself by a Service comes from another address.
          if (!isReply && probe.to === end && (probe.from === end || probe.source.equals(source))) outcomes[index]!.arrived = true;
        }
      for (const { fd, family } of udp)
        for (let got = this.#receive(fd.number, family, false); got; got = this.#receive(fd.number, family, false))
          end.ns.enter(() => sys.sendto(fd.number, hello, hello.length, 0, this.#name, family === 'ipv4' ? 16 : 28));
    }
  }

  #receive(fd: number, family: Family, hasHeader = family === 'ipv4'): { source: IpAddr; payload: Buffer } | undefined {
    this.#length.writeUInt32LE(sockaddrLength);
    const got = sys.recvfrom(fd, this.#buffer, this.#buffer.length, msgDontwait, this.#name, this.#length);
    if (got < 0) return undefined;
    const at = hasHeader ? (this.#buffer[0]! & 15) * 4 : 0;
    return { source: endpointOf(this.#name)!.address, payload: this.#buffer.subarray(at, got) };
  }

  /** The handshake is done, or was refused by the receiver's reset. */
  #isAnswered(fd: number): boolean {
    const info = this.#buffer.subarray(0, 8);
    this.#length.writeUInt32LE(8);
    // TCP_INFO; tcpi_state 1 is ESTABLISHED
    if (sys.getsockopt(fd, 6, 11, info, this.#length) === 0 && info[0] === 1) return true;
    this.#length.writeUInt32LE(4);
    sys.getsockopt(fd, 1, 4, info, this.#length);
    return errnoName(info.readInt32LE(0)) === 'ECONNREFUSED';
  }

  /** A datagram came back, or an ICMP error. */
  #hasHeard(fd: number): boolean {
    return sys.recv(fd, this.#buffer, this.#buffer.length, msgDontwait) >= 0 || errnoName(errno()) === 'ECONNREFUSED';
  }

  [Symbol.dispose](): void {
    for (const { raw, listeners, udp } of this.#sockets) for (const fd of [...raw.map((one) => one.fd), ...listeners, ...udp.map((one) => one.fd)]) fd.close();
  }
}

const hello = Buffer.from('hello');
/** SO_LINGER of no time: a reset in place of the wait for what comes late. */
const lingerOfNoTime = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

function open(end: End): Sockets {
  const sockets: Sockets = { end, raw: [], listeners: [], udp: [] };
  for (const family of families) {
    const any = IpAddr.unspecified(family);
    for (const protocol of protocols) {
      const fd = socketIn(end.ns, any, sockRaw | sockNonblock, numberOf(protocol, family), `raw ${protocol}`);
      setBuffers(fd.number, { receiveBytes: 4 << 20 });
      sockets.raw.push({ fd, family, protocol });
    }
    for (const port of listened) sockets.listeners.push(Fd.own(listenTcp(end.ns, any, port, { backlog: 4096 }), 'listener'));
  }
  // One for each address: the answer comes from where the question went.
  for (const address of end.addresses) {
    const fd = socketIn(end.ns, address, sockDgram | sockNonblock, 0, 'UDP');
    bindTo(fd.number, address, answeredPort, 'UDP');
    sockets.udp.push({ fd, family: address.family });
  }
  return sockets;
}

function echo(family: Family, identifier: number): Buffer {
  const message = Buffer.alloc(16);
  message[0] = echoRequest[family];
  message.writeUInt16BE(identifier, 4);
  // The kernel fills in ICMPv6's checksum.
  if (family === 'ipv4') message.writeUInt16BE(internetChecksum(message), 2);
  return message;
}
