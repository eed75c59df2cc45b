import { createSocket, type Socket } from 'node:dgram';
import { bindUdp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';
import { vxlanMac } from '../../routes/plan.ts';
import type { TestNs } from '../../testing/netns.ts';
import { frame, type Packet, udp } from './frames.ts';

const anybody = Mac.parse('02:00:00:00:00:07');

/** The UDP payload of a VXLAN packet (RFC 7348). */
export function envelope(id: number, inside: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header[0] = 0x08;
  header.writeUInt32BE(id * 256, 4);
  return Buffer.concat([header, inside]);
}

/** A frame for the tunnel of the node at `node`, with a datagram of which the text is told when it arrives. */
export const inner = (node: string, source: string, destination: string, port: number, text: string): Buffer =>
  frame(anybody, datagram(source, destination, port, text), vxlanMac(IpAddr.parse(node)));

/** The same with the tag of VLAN 0, which the kernel takes off by itself. */
export function tagged(node: string, source: string, destination: string, port: number, text: string): Buffer {
  const plain = inner(node, source, destination, port, text);
  return Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0x00, 0x00, 0x00]), plain.subarray(12)]);
}

const datagram = (source: string, destination: string, port: number, text: string): Packet => ({
  ...{ source: IpAddr.parse(source), destination: IpAddr.parse(destination) },
  ...{ protocol: 'udp', body: udp(1234, port, text) },
});

const open = async (ns: TestNs, address: string, port: number): Promise<Socket> => {
  const fd = bindUdp(ns.ns, IpAddr.parse(address), port, { receiveBufferBytes: 1 << 20 });
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve) => socket.bind({ fd }, resolve));
  return socket;
};

/** Sends datagrams with an address of its namespace, as any program may. */
export class Sender implements Disposable {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async from(ns: TestNs, address: string): Promise<Sender> {
    return new Sender(await open(ns, address, 0));
  }

  send(data: Buffer, to: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => this.#socket.send(data, port, to, (error) => (error ? reject(error) : resolve())));
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** What arrives at a UDP port: texts, or where they came from. */
export class Mailbox implements Disposable {
  readonly #sockets: readonly Socket[];
  readonly texts: string[] = [];

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
    for (const socket of sockets) socket.on('message', (data) => this.texts.push(data.toString('latin1')));
  }

  static async at(ns: TestNs, addresses: readonly string[], port: number): Promise<Mailbox> {
    return new Mailbox(await Promise.all(addresses.map((address) => open(ns, address, port))));
  }

  /** What came since the last call. */
  take(): string[] {
    return this.texts.splice(0);
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }
}
