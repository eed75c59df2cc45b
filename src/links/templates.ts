import { RtTemplate } from '../kernel/rtnetlink/template.ts';
import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { type LinkNumbers, makeHostSide } from './host-side.ts';
import type { AttachMode, LinkNode } from './mode.ts';
import { type PodLink, podMac } from './pod-link.ts';
import { configurePod } from './pod-side.ts';

/** Of a pod that is attached, what its messages differ in from those of others. */
export interface HostValues {
  pod: PodLink;
  numbers: LinkNumbers;
}

export interface PodTemplates {
  host: RtTemplate<HostValues>;
  inside: RtTemplate<PodLink>;
}

/** What pods have in common, and more: a few kinds are usual, and nobody shall fill the memory. */
const mostKinds = 64;

/**
 * The messages that attach pods of one kind, encoded once for each kind: pods of a node that have the same families, MTU and interface name are attached by the same
 * messages but for their addresses, MAC and numbers.
 */
export class Templates {
  readonly #mode: AttachMode;
  /** Of a node as it is now; it is another object when it changes. */
  #node: LinkNode | undefined;
  readonly #kinds = new Map<string, PodTemplates>();

  constructor(mode: AttachMode) {
    this.#mode = mode;
  }

  /** @returns undefined for a pod that is one of its kind: with limits */
  of(pod: PodLink, node: LinkNode, numbers: LinkNumbers, hostEnd: ReturnType<AttachMode['hostEnd']>): PodTemplates | undefined {
    if (pod.bandwidth) return undefined;
    if (node !== this.#node || this.#kinds.size >= mostKinds) this.#kinds.clear();
    this.#node = node;
    const kind = this.#kindOf(pod, node, numbers, hostEnd);
    let templates = this.#kinds.get(kind);
    if (!templates) {
      templates = make(this.#mode, pod, node, numbers, hostEnd);
      this.#kinds.set(kind, templates);
    }
    return templates;
  }

  /** All that the messages depend on besides the node and what `slotsOf` tells. */
  #kindOf(pod: PodLink, node: LinkNode, { peerIndex }: LinkNumbers, { master }: ReturnType<AttachMode['hostEnd']>): string {
    const { hostLink, ifname, mtu, addresses } = pod;
    let kind = `${hostLink.length} ${ifname} ${mtu} ${peerIndex} ${master}`;
    for (const address of addresses) kind += ` ${this.#mode.gateway(address, node)}/${this.#mode.prefixLength(address, node)}`;
    return kind;
  }
}

function make(
  mode: AttachMode,
  pod: PodLink,
  node: LinkNode,
  { peerIndex }: LinkNumbers,
  hostEnd: ReturnType<AttachMode['hostEnd']>,
): PodTemplates {
  // The MAC is usually made of the address: these are not, so that each is found for itself.
  const one: HostValues = {
    pod: { ...pod, hostLink: pod.hostLink.replaceAll(/./g, 'x'), mac: Mac.parse('02:11:22:33:44:55') },
    numbers: { index: 0x5a5b5c5d, netNs: 0x11213141, shaper: 0, peerIndex },
  };
  const other: HostValues = {
    pod: {
      ...pod,
      hostLink: pod.hostLink.replaceAll(/./g, 'y'),
      mac: Mac.parse('06:99:88:77:66:5a'),
      addresses: pod.addresses.map(nextTo),
    },
    numbers: { index: 0x6a6b6c6d, netNs: 0x12223242, shaper: 0, peerIndex },
  };
  return {
    host: new RtTemplate<HostValues>({
      write: (batch, { pod, numbers }) => makeHostSide(batch, pod, numbers, mode, mode.planPod(pod, node), hostEnd),
      slotsOf: ({ pod, numbers: { index, netNs } }) => [index, netNs, pod.hostLink, podMac(pod).bytes, ...bytesOf(pod)],
      examples: [one, other],
    }),
    inside: new RtTemplate<PodLink>({
      // The index is that of all pods for which this is used.
      write: (batch, pod) => configurePod(batch, peerIndex!, pod, mode, node),
      slotsOf: bytesOf,
      examples: [one.pod, other.pod],
    }),
  };
}

const bytesOf = ({ addresses }: PodLink): Uint8Array[] => addresses.map(({ bytes }) => bytes);

/** Another address of the same range. */
function nextTo(address: IpAddr): IpAddr {
  const { bytes } = address;
  bytes[bytes.length - 1]! ^= 1;
  return IpAddr.fromBytes(bytes);
}
