import { attrs, nested } from '../../wire/attributes.ts';
import type { Infer, InferInput } from '../../wire/codec.ts';
import { message } from '../../wire/message.ts';
import { Reader } from '../../wire/reader.ts';
import { bytes, cstring, pad, s32, u8, u16, u32, u64 } from '../../wire/scalars.ts';
import { struct } from '../../wire/struct.ts';
import { Writer } from '../../wire/writer.ts';

// include/uapi/linux/rtnetlink.h and pkt_sched.h; host byte order

/** struct tcmsg */
export const tcmsg = struct({ family: u8, _pad: pad(3), index: s32, handle: u32, parent: u32, info: u32 });

/** TCA_…; what the options mean depends on the kind */
const qdiscAttrs = attrs({ kind: [1, cstring], options: [2, nested(bytes)] }, { unknown: 'dropped' });

export const newQdisc = message(36, tcmsg, qdiscAttrs); // RTM_NEWQDISC
export const rtmDelQdisc = 37;
export const rtmGetQdisc = 38;

/** TC_H_ROOT: what leaves by the link */
export const rootParent = 0xffff_ffff;
/** TC_H_INGRESS: what comes by it */
export const ingressParent = 0xffff_fff1;
/** The handle that the ingress qdisc always has, ffff: */
export const ingressHandle = 0xffff_0000;

/** struct tc_ratespec; `rate` in bytes a second. With a link layer that is told, the kernel needs no rate table (since 3.8). */
const ratespec = struct({ cellLog: u8, linkLayer: u8, overhead: u16, cellAlign: u16, mpu: u16, rate: u32 });
/** TC_LINKLAYER_ETHERNET */
const ethernet = 1;

/** struct tc_tbf_qopt; `limit` in bytes, `buffer` and `mtu` in ticks */
const tbfOptions = struct({ rate: ratespec, peak: ratespec, limit: u32, buffer: u32, mtu: u32 });

/** TCA_TBF_… */
const tbfAttrs = attrs({ parms: [1, tbfOptions], rate64: [4, u64], burst: [6, u32] }, { unknown: 'dropped' });

/** A token bucket filter: delays what would be more than `rate`, and drops what then waits beyond `limit`. */
export interface Tbf {
  /** bytes a second; the kernel counts frames with their Ethernet header */
  rate: number;
  /** Bytes that may go at once, 32 bits. A frame that is larger is dropped; a GSO packet that is larger is cut into frames first. */
  burst: number;
  /** bytes that may wait, 32 bits */
  limit: number;
}

/** A TBF as the kernel lists it: its burst as the time that it takes at the rate, in ticks, of which the lower 32 bits. */
export interface ListedTbf extends Omit<Tbf, 'burst'> {
  burstTicks: number;
}

export interface Qdisc {
  /** ifindex */
  link: number;
  kind: string;
  /** handle of what it hangs on: `rootParent`, `ingressParent` (clsact too), or a class */
  parent: number;
  tbf?: ListedTbf;
}

/** ns; PSCHED_SHIFT (include/net/pkt_sched.h) */
const tickNs = 64n;
const nsPerSecond = 1_000_000_000n;

/** What the kernel lists as the burst of this filter. */
const burstTicks = ({ burst, rate }: Tbf): number =>
  Number(((BigInt(burst) * nsPerSecond) / BigInt(rate) / tickNs) & 0xffff_ffffn);

/** Whether the filter that the kernel lists is this one. It computes the burst's time with 31 significant bits (psched_ratecfg_precompute). */
export function isTbf(listed: ListedTbf, wanted: Tbf): boolean {
  const off = (listed.burstTicks - burstTicks(wanted)) >>> 0;
  return listed.rate === wanted.rate && listed.limit === wanted.limit && Math.min(off, 2 ** 32 - off) <= 4;
}

/** The filter that the kernel lists, its burst as near as it can be told. */
export const tbfOf = ({ rate, limit, burstTicks: ticks }: ListedTbf): Tbf => ({
  rate,
  burst: Math.ceil((ticks * Number(tickNs) * rate) / Number(nsPerSecond)),
  limit,
});

type QdiscMessage = InferInput<typeof newQdisc.body>;

const scratch = new Writer(256);

export function tbfMessage(link: number, { rate, burst, limit }: Tbf): QdiscMessage {
  const parms = { rate: { linkLayer: ethernet, rate: Math.min(rate, 0xffff_ffff) }, limit };
  tbfAttrs.encode(scratch.reset(), { parms, rate64: rate > 0xffff_ffff ? BigInt(rate) : undefined, burst });
  return { index: link, parent: rootParent, kind: 'tbf', options: Uint8Array.from(scratch.written) };
}

export const ingressMessage = (link: number): QdiscMessage => ({
  index: link,
  parent: ingressParent,
  handle: ingressHandle,
  kind: 'ingress',
});

export function qdiscOf({ index, kind = '', parent, options }: Infer<typeof newQdisc.body>): Qdisc {
  const qdisc: Qdisc = { link: index, kind, parent };
  if (kind !== 'tbf' || !options) return qdisc;
  const { parms, rate64 } = tbfAttrs.decode(new Reader(Buffer.from(options)));
  if (parms)
    qdisc.tbf = {
      rate: rate64 === undefined ? parms.rate.rate : Number(rate64),
      limit: parms.limit,
      burstTicks: parms.buffer,
    };
  return qdisc;
}
