import type { Family } from '../../net/ip.ts';
import { hex, type Part, type Value } from './part.ts';

/**
 * What is inside of a VXLAN packet (RFC 7348), as the packet that carries it is seen: by distance from its UDP header, which all kernels read (`vxlan ip saddr`
 * wants Linux 6.2). In front of the inner IP header are 8 bytes of UDP, 8 of VXLAN and 14 of Ethernet; a frame with a VLAN tag has another EtherType. What a packet is too
 * short for matches nothing.
 */
const vni = { offset: 12, length: 3 };
const etherType = { offset: 28, length: 2, ipv4: 0x0800, ipv6: 0x86dd };
const source = { ipv4: { offset: 42, length: 4 }, ipv6: { offset: 38, length: 16 } };

/** As nft prints bytes that it has no name for: in bits. */
const text = ({ offset, length }: { offset: number; length: number }): string => `@th,${offset * 8},${length * 8}`;

/** The packet's VXLAN network identifier. Of packets to a port of VXLAN. */
export const vniIs = (id: number): Part => ({
  text: `${text(vni)} 0x${id.toString(16)}`,
  expressions: [
    { name: 'payload', dreg: 0, base: 'transport', ...vni },
    { name: 'cmp', sreg: 0, op: 'eq', data: hex(id, vni.length) },
  ],
});

/** The frame inside carries a packet of this family, with nothing between. */
export const innerIs = (family: Family): Part => ({
  text: `${text(etherType)} 0x${etherType[family].toString(16)}`,
  expressions: [
    { name: 'payload', dreg: 0, base: 'transport', offset: etherType.offset, length: etherType.length },
    { name: 'cmp', sreg: 0, op: 'eq', data: hex(etherType[family], etherType.length) },
  ],
});

/** For sets of such addresses, `NftSetSpec.typeof`. */
export const innerSourceText = (family: Family): string => text(source[family]);

/** Source address of the packet inside, the bits behind the prefix zero; behind `innerIs`. */
export function innerNetwork(family: Family, prefixLength: number): Value {
  const { offset, length } = source[family];
  const mask = Buffer.alloc(length);
  for (let bit = 0; bit < prefixLength; bit++) mask[bit >> 3]! |= 0x80 >> (bit & 7);
  const isWhole = prefixLength === length * 8;
  return {
    text: `${text(source[family])}${isWhole ? '' : ` & 0x${mask.toString('hex')}`}`,
    words: length / 4,
    load: (register) => [
      { name: 'payload', dreg: register, base: 'transport', offset, length },
      ...(isWhole
        ? []
        : ([{ name: 'bitwise', sreg: register, dreg: register, length, mask: `0x${mask.toString('hex')}`, xor: `0x${'00'.repeat(length)}` }] as const)),
    ],
  };
}
