import { createHash } from 'node:crypto';
import type { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';

/** Group of the host ends of pods' veths, from their birth: what comes by them is looked at (room `door`). "pn" in ASCII. */
export const podGroup = 0x706e;

/** Group of veths that wait for their deletion; one message then deletes them all. "po" in ASCII. */
export const deletionGroup = 0x706f;

/** Host ends of veths and the bridge: one fixed MAC, given at birth. udev's MACAddressPolicy changes those that nobody chose. */
export const hostMac = Mac.parse('ee:ee:ee:ee:ee:ee');

/** How much may go in one direction. */
export interface Limit {
  /** bits a second */
  rate: number;
  /** bits that may go at once; chosen by the rate when absent */
  burst?: number;
}

/** As Kubernetes names the directions: `ingress` is what the pod receives, `egress` what it sends. */
export interface Bandwidth {
  ingress?: Limit;
  egress?: Limit;
}

/** A pod's attachment to its node, as plain data. */
export interface PodLink {
  /** Name of the veth's end on the node. */
  hostLink: string;
  /** Name of its end in the pod. */
  ifname: string;
  /** One for each family, primary family first. */
  addresses: readonly IpAddr[];
  mtu: number;
  /** `namespace/name` of the pod, if it has one: the alias of the node's end, for people and for those who have lost their records. */
  pod?: string;
  /** Of the pod's end; made of the addresses unless somebody asked for it. */
  mac?: Mac;
  /** Not limited when absent. */
  bandwidth?: Bandwidth;
}

/**
 * Name of the veth's end on the node: `pod` and 8 hex digits, from what the attachment is for.
 * @param attempt counts up when another attachment has the name already
 */
export const hostLinkName = (identity: string, attempt = 0): string =>
  `pod${fnv1a(`${identity}\0${attempt}`).toString(16).padStart(8, '0')}`;

/** FNV-1a, 32 bits: names are looked up among those in use anyway, so nothing depends on their being unpredictable. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Whether a link's name is one that `hostLinkName` gives. */
export const isPodLink = (name: string): boolean => /^pod[0-9a-f]{8}$/.test(name);

/**
 * What the alias of the node's end says of whose it is. The kernel takes 254 bytes (IFALIASZ, include/uapi/linux/if.h): a pod whose names are longer is not told of.
 */
export const aliasOf = ({ pod = '' }: PodLink): string => (pod.length < 255 ? pod : '');

/** The pod that an alias names, `namespace/name`; '' when it names none. */
export const podOf = (alias = ''): string => (/^[a-z0-9-]+\/[a-z0-9.-]+$/.test(alias) ? alias : '');

/** MAC of the pod's end: the one that was asked for; else from its address, `0a:58` and the IPv4 address, as the classic plugins have it; or a digest of the IPv6 address. */
export function podMac({ addresses, mac }: Pick<PodLink, 'addresses' | 'mac'>): Mac {
  if (mac) return mac;
  const v4 = addresses.find(({ family }) => family === 'ipv4');
  if (v4) return Mac.fromBytes(Uint8Array.from([0x0a, 0x58, ...v4.bytes]));
  const digest = createHash('sha256').update(addresses.join()).digest();
  return Mac.fromBytes(Uint8Array.from([0x0a, 0x59, ...digest.subarray(0, 4)]));
}
