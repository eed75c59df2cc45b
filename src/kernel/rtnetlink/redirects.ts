import { attrs, nested } from '../../wire/attributes.ts';
import type { Infer, InferInput } from '../../wire/codec.ts';
import { message } from '../../wire/message.ts';
import { Reader } from '../../wire/reader.ts';
import { bytes, cstring, pad, s32, u8, u32 } from '../../wire/scalars.ts';
import { struct } from '../../wire/struct.ts';
import { Writer } from '../../wire/writer.ts';
import { ingressHandle, tcmsg } from './qdiscs.ts';

// include/uapi/linux/pkt_cls.h and tc_act/tc_mirred.h; host byte order

/** struct tc_mirred (struct tc_gen in front) */
const mirredParms = struct({
  index: u32,
  capabilities: u32,
  action: s32,
  references: s32,
  bindings: s32,
  what: s32,
  link: u32,
});
const mirredAttrs = attrs({ parms: [2, mirredParms] }, { unknown: 'dropped' }); // TCA_MIRRED_PARMS
/** TCA_EGRESS_REDIR and TC_ACT_STOLEN: the packet leaves by another link, and is gone for the one it came by. */
const egressRedirect = 1;
const stolen = 4;

/** TCA_ACT_… of one action */
const actionAttrs = attrs({ kind: [1, cstring], options: [2, nested(bytes)] }, { unknown: 'dropped' });

/** struct tc_u32_sel. Without keys every packet matches, also one that has no byte to be looked at. */
const selector = struct({ flags: u8, offsetShift: u8, keys: u8, _rest: pad(13) });
const terminal = 1; // TC_U32_TERMINAL

/** TCA_U32_… */
const u32Attrs = attrs(
  { selector: [5, selector], actions: [7, nested(attrs({ first: [1, nested(actionAttrs)] }))] },
  { unknown: 'dropped' },
);

/** TCA_… */
const filterAttrs = attrs({ kind: [1, cstring], options: [2, nested(bytes)] }, { unknown: 'dropped' });

export const newFilter = message(44, tcmsg, filterAttrs); // RTM_NEWTFILTER
export const rtmDelFilter = 45;
export const rtmGetFilter = 46;

type FilterMessage = InferInput<typeof newFilter.body>;

/** Upper half the priority, lower half the protocol: ETH_P_ALL, in network order. */
const firstOfAll = ((1 << 16) | 0x0300) >>> 0;

const encoded = <Input>(codec: { encode(writer: Writer, value: Input): void }, value: Input): Uint8Array => {
  const writer = new Writer(256);
  codec.encode(writer, value);
  return Uint8Array.from(writer.written);
};

/** A filter of the ingress qdisc: all that comes by the link leaves by another. u32 is in kernels that have no matchall. */
export function redirectMessage(link: number, to: number): FilterMessage {
  const options = encoded(mirredAttrs, { parms: { action: stolen, what: egressRedirect, link: to } });
  const filter = encoded(u32Attrs, {
    selector: { flags: terminal },
    actions: { first: { kind: 'mirred', options } },
  });
  return { index: link, parent: ingressHandle, info: firstOfAll, kind: 'u32', options: filter };
}

/** Where a filter sends every packet. */
export interface Redirect {
  /** ifindex of the link that packets come by */
  link: number;
  /** ifindex; 0 when that link is gone: all packets are dropped then */
  to: number;
}

/** @returns undefined for a filter that does something else, or not with every packet; u32 lists its hash table, too */
export function redirectOf({ index, kind, info, options }: Infer<typeof newFilter.body>): Redirect | undefined {
  if (kind !== 'u32' || info !== firstOfAll || !options) return undefined;
  const { selector: chosen, actions } = u32Attrs.decode(new Reader(Buffer.from(options)));
  const action = actions?.first;
  if (chosen?.keys !== 0 || action?.kind !== 'mirred' || !action.options) return undefined;
  const { parms } = mirredAttrs.decode(new Reader(Buffer.from(action.options)));
  return parms?.what === egressRedirect ? { link: index, to: parms.link } : undefined;
}
