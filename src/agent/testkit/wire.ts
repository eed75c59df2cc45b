import { PacketSocket } from '../../kernel/packets.ts';
import { IpAddr } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';
import { ip } from '../../testing/judge.ts';
import type { TestNs } from '../../testing/netns.ts';
import type { TestNode } from './node.ts';

/** Where frames have their source address, with the destination behind it, by EtherType. */
const addressesAt: Readonly<Record<number, { first: number; size: number }>> = {
  0x0800: { first: 26, size: 4 },
  0x86dd: { first: 22, size: 16 },
};

/** Where IGMPv3 (RFC 3376, 4.2.14) and MLDv2 (RFC 3810, 5.2.14) report to. */
const reports: readonly string[] = ['224.0.0.22', 'ff02::16'];

/** A namespace's eth0, with a hand on its wire. */
export class Wire implements Disposable {
  readonly mac: Mac;
  readonly socket: PacketSocket;
  readonly addresses: readonly IpAddr[];

  constructor(ns: TestNs, addresses: readonly string[] = []) {
    const [eth0] = ip<{ address: string; ifindex: number }>(ns.path, 'link', 'show', 'eth0');
    this.mac = Mac.parse(eth0!.address);
    this.socket = new PacketSocket(ns.ns, eth0!.ifindex);
    this.addresses = addresses.map(IpAddr.parse);
  }

  /**
   * The source address of each IP packet that was received since the last call; without reports of memberships (IGMPv3, MLDv2), which the node's own end of a link
   * sends at any time after it came up.
   */
  sources(): string[] {
    return this.socket.receive().flatMap(({ data, outgoing }) => {
      const at = addressesAt[data.readUInt16BE(12)];
      if (outgoing || at === undefined) return [];
      const [source, destination] = [0, 1].map((i) =>
        String(IpAddr.fromBytes(data.subarray(at.first + i * at.size, at.first + (i + 1) * at.size))),
      );
      return reports.includes(destination!) ? [] : [source!];
    });
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
  }
}

type Pod = Awaited<ReturnType<TestNode['addPod']>>;

/** Two pods of a node, `one` and `two`, each with a hand on its wire. */
export class WiredPods implements Disposable {
  readonly one: Pod;
  readonly two: Pod;
  /** The wire of `one`, and that of `two`. */
  readonly a: Wire;
  readonly b: Wire;

  private constructor(one: Pod, two: Pod) {
    this.one = one;
    this.two = two;
    this.a = new Wire(one.ns, one.addresses);
    this.b = new Wire(two.ns, two.addresses);
  }

  static async on(node: TestNode): Promise<WiredPods> {
    return new WiredPods(await node.addPod('one'), await node.addPod('two'));
  }

  [Symbol.dispose](): void {
    for (const wire of [this.a, this.b]) wire[Symbol.dispose]();
  }
}
