import type * as rt from '../kernel/rtnetlink/links.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { covers } from './items.ts';
import type { Link } from './model.ts';

/** Written on every link that podnet makes on a node, so that it recognises its own. */
export const ownAlias = 'podnet';

const modelTypes: readonly string[] = ['veth', 'vxlan', 'bridge', 'ifb'] satisfies Link['type'][];

/** A link as the model has it; undefined for a type that the model does not have. */
export function linkItem(link: rt.Link, nameOf: (index: number) => string | undefined): Link | undefined {
  if (!link.type || !modelTypes.includes(link.type)) return undefined;
  const type = link.type as Link['type'];
  const item: Link = { kind: 'link', name: link.name, type, mtu: link.mtu, mac: link.mac, up: link.up };
  if (link.master !== undefined) item.master = nameOf(link.master);
  const { vxlan } = link;
  if (vxlan?.local && vxlan.port !== undefined && vxlan.link !== undefined)
    item.vxlan = { id: vxlan.id, port: vxlan.port, local: vxlan.local, underlay: nameOf(vxlan.link) ?? `#${vxlan.link}` };
  return item;
}

/** What the kernel cannot change of a link that is there. */
export const mustBeRemade = (wanted: Link, actual: Link): boolean =>
  wanted.type !== actual.type || !covers(actual.vxlan, wanted.vxlan);

/** Makes a link. @throws KernelError, or Error when the model cannot make it */
export function makeLink(rt: RtNetlink, link: Link, indexOf: (name: string) => number): void {
  const { name, mtu, mac, type } = link;
  const common = { name, mtu, mac };
  if (type === 'veth')
    throw new Error(`the veth ${name} of a pod is gone; a pod's link is made when its sandbox is: delete the pod`);
  if (type === 'vxlan') rt.addLink({ ...common, type, vxlan: vxlanOptions(link, indexOf) });
  // Not born with its MTU: a bridge keeps one that is set, and follows its ports otherwise (br_mtu_auto_adjust).
  else rt.addLink({ ...common, mtu: undefined, type });
  const made = rt.link(name);
  if (!made) throw new Error(`the link ${name} vanished while it was made`);
  rt.setLink(made.index, {
    // The kernel takes no alias when it makes a link.
    alias: ownAlias,
    // A link-local address would be announced, and would be a source that nobody chose.
    addrGenMode: 'none',
    mtu: type === 'bridge' ? mtu : undefined,
    up: link.up,
    master: link.master === undefined ? undefined : indexOf(link.master),
  });
}

function vxlanOptions({ name, vxlan }: Link, indexOf: (name: string) => number): rt.VxlanOptions {
  if (!vxlan) throw new Error(`the VXLAN link ${name} needs an id, a port, a local address and an underlay`);
  const { id, port, local, underlay } = vxlan;
  return { id, port, local, link: indexOf(underlay), learning: false };
}

/** Changes what differs. @throws KernelError */
export function changeLink(rt: RtNetlink, link: Link, indexOf: (name: string) => number): void {
  const { mtu, mac, up, master } = link;
  rt.setLink(indexOf(link.name), { mtu, mac, up, master: master === undefined ? undefined : indexOf(master) });
}
