import { PacketSocket } from '../../kernel/packets.ts';
import { IpAddr } from '../../net/ip.ts';
import { Mac } from '../../net/mac.ts';
import { ip } from '../../testing/judge.ts';
import type { TestNs } from '../../testing/netns.ts';
import type { TestNode } from './node.ts';

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

  /** The source address of each IP packet that was received since the last call. */
  sources(): string[] {
    return this.socket.receive().flatMap(({ data, outgoing }) => {
      const type = data.readUInt16BE(12);
      if (outgoing) return [];
      if (type === 0x0800) return [`${IpAddr.fromBytes(data.subarray(26, 30))}`];
      return type === 0x86dd ? [`${IpAddr.fromBytes(data.subarray(22, 38))}`] : [];
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
