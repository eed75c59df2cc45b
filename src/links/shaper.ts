import type { RtBatch } from '../kernel/rtnetlink/batch.ts';
import { type Qdisc, rootParent, type Tbf, tbfOf } from '../kernel/rtnetlink/qdiscs.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { ownAlias } from '../reconcile/link-changes.ts';
import type { Item } from '../reconcile/model.ts';
import { type Bandwidth, hostMac, type Limit, type PodLink } from './pod-link.ts';

/** Name of the ifb behind the node's end of a pod's link. */
export const shaperLinkName = (hostLink: string): string => hostLink.replace(/^pod/, 'ifb');

/** Whether a link's name is one that `shaperLinkName` gives. */
export const isShaperLink = (name: string): boolean => /^ifb[0-9a-f]{8}$/.test(name);

/** Ethernet header with a VLAN tag */
const headerBytes = 18;
/** The least that may wait: one packet of the largest size that TCP hands down (GSO), which may come in frames. */
const leastQueueBytes = 64 << 10;
const most = 0xffff_ffff;

/**
 * The filter for a limit. Unless a burst was asked for, 10 ms of the rate may go at once; 50 ms may wait. What a burst is, a frame always fits
 * into it, or nothing would pass; a larger GSO packet is cut into frames by the filter (tbf_segment), so that nothing depends on its size.
 */
function tbfFor({ rate: bitRate, burst: bits }: Limit, mtu: number): Tbf {
  const rate = Math.max(1, Math.floor(bitRate / 8));
  const frame = Math.max(mtu, 1500) + headerBytes;
  const burst = bits === undefined ? Math.ceil(rate / 100) : Math.floor(bits / 8);
  return {
    rate,
    burst: Math.min(most, Math.max(frame, burst)),
    limit: Math.min(most, Math.max(leastQueueBytes + frame, Math.ceil(rate / 20))),
  };
}

/**
 * What the node holds for a pod whose bandwidth is limited, where the pod cannot reach it; nothing for others.
 *
 *     to the pod    ─► pod0a1b2c3d (TBF) ─► eth0
 *     from the pod  eth0 ─► pod0a1b2c3d ─redirect─► ifb0a1b2c3d (TBF) ─► in again, as coming by pod0a1b2c3d
 */
export function planShaper({ hostLink, mtu, bandwidth }: PodLink): Item[] {
  if (!bandwidth) return [];
  const { ingress, egress } = bandwidth;
  const items: Item[] = [];
  if (ingress) items.push({ kind: 'qdisc', link: hostLink, ...tbfFor(ingress, mtu) });
  if (egress) {
    const ifb = shaperLinkName(hostLink);
    items.push({ kind: 'link', name: ifb, type: 'ifb', mac: hostMac, up: true });
    items.push({ kind: 'qdisc', link: ifb, ...tbfFor(egress, mtu) });
    items.push({ kind: 'redirect', link: hostLink, to: ifb });
  }
  return items;
}

/**
 * Writes what `planShaper` wants, before the pod's link is up: the kernel need not wait for anybody then, and its first packet meets it.
 * @param index of the pod's link and @param shaper of the ifb to be made
 */
export function makeShaper(batch: RtBatch, items: readonly Item[], index: number, shaper: number): void {
  for (const item of items) {
    if (item.kind === 'link' && item.type === 'ifb') {
      const { name, mac } = item;
      batch.addLink({ type: 'ifb', name, mac, index: shaper });
    }
    if (item.kind === 'qdisc') batch.replaceTbf(isShaperLink(item.link) ? shaper : index, item);
    if (item.kind !== 'redirect') continue;
    batch.setLink(shaper, { alias: ownAlias, addrGenMode: 'none', up: true });
    batch.addRedirect({ link: index, to: shaper });
  }
}

/** The limits that a pod's link has in the kernel, for one whose lease is lost. @param qdiscs of all links */
export function readBandwidth(rt: RtNetlink, hostLink: string, qdiscs: readonly Qdisc[]): Bandwidth | undefined {
  const limitAt = (name: string): Limit | undefined => {
    const index = rt.link(name)?.index;
    const tbf = qdiscs.find(({ link, parent, tbf }) => link === index && parent === rootParent && tbf)?.tbf;
    return tbf && { rate: tbf.rate * 8, burst: tbfOf(tbf).burst * 8 };
  };
  const [ingress, egress] = [limitAt(hostLink), limitAt(shaperLinkName(hostLink))];
  if (!ingress && !egress) return undefined;
  return { ...(ingress ? { ingress } : {}), ...(egress ? { egress } : {}) };
}
