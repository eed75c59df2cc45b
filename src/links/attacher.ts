import { randomInt } from 'node:crypto';
import { isExists, type KernelError } from '../kernel/errors.ts';
import { NetNs } from '../kernel/netns.ts';
import { routeTable } from '../kernel/rtnetlink/routes.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import type { RtTemplate } from '../kernel/rtnetlink/template.ts';
import { writeSysctls } from '../kernel/sysctl.ts';
import { Prefix } from '../net/prefix.ts';
import type { Item } from '../reconcile/model.ts';
import { Detacher } from './detacher.ts';
import { InterfaceExistsError, NamespaceError, throwFirst } from './errors.ts';
import { configureFurther, hasOtherDefault } from './further.ts';
import { checkHost, configureHostSide, foldersOf, type LinkNumbers, makeHostSide } from './host-side.ts';
import { isIpv6Off, switchIpv6On } from './ipv6.ts';
import type { AttachMode, LinkNode } from './mode.ts';
import { aliasOf, type PodLink, podGroup } from './pod-link.ts';
import { checkPod, configurePod, settlePod, type ToldOfPod } from './pod-side.ts';
import { shaperLinkName } from './shaper.ts';
import { Templates } from './templates.ts';

/**
 * ifindexes of host ends are chosen here, above those that the kernel gives by itself, so that one batch can make a link and go on with it.
 * Each start begins somewhere else.
 */
const firstIndex = 1 << 20;
/** The pod's end follows `lo`, unless something else is there already. */
const podIndex = 2;

interface Attempt {
  errors: ReadonlyMap<number, KernelError>;
  /** The messages for the pod's end. */
  inside: RtTemplate<PodLink> | undefined;
}

/**
 * Attaches pods to the node's namespace: a veth pair, made where it belongs and never moved, with one queue. Two sendmsg for a pod: one
 * on the node, one inside; `settle` does the rest. Everything here is synchronous; the rest of deleting happens in the background.
 */
export class Attacher implements Disposable {
  readonly mode: AttachMode;
  readonly #ns: NetNs;
  /** Of this process: where it runs inside the node's namespace, as in production, the same. */
  readonly #own: bigint;
  readonly #rt: RtNetlink;
  readonly #detacher: Detacher;
  readonly #templates: Templates;
  #nextIndex = firstIndex + randomInt(1 << 20) * 64;

  /** @param ns the node's namespace; stays the caller's */
  constructor(ns: NetNs, mode: AttachMode) {
    this.#ns = ns;
    using own = NetNs.current();
    this.#own = own.inode;
    this.mode = mode;
    this.#templates = new Templates(mode);
    this.#rt = RtNetlink.open(ns);
    this.#detacher = new Detacher(ns, this.#rt);
  }

  /** The namespace of a pod at a path. @throws NamespaceError when the path leads to anything else, to the node's own, or to that of this process */
  open(netns: string): NetNs {
    let ns: NetNs;
    try {
      ns = NetNs.open(netns);
    } catch (cause) {
      throw new NamespaceError(`${netns} is no network namespace: ${(cause as Error).message}`, { cause });
    }
    if (!ns.equals(this.#ns) && ns.inode !== this.#own) return ns;
    ns[Symbol.dispose]();
    const whose = ns.equals(this.#ns) ? "the node's own" : "podnet's own";
    throw new NamespaceError(`${netns} is ${whose} network namespace, not a container's`);
  }

  /**
   * @param ns the pod's namespace, from `open`
   * @returns the items that the node now holds for the pod; packets go through when `isLive` says so
   * @throws InterfaceExistsError, NamespaceError, KernelError; nothing stays behind then
   */
  attach(pod: PodLink, ns: NetNs, node: LinkNode): Item[] {
    const items = this.mode.planPod(pod, node);
    try {
      const { index, template } = this.#makeLink(pod, ns, items, node);
      for (const [folder, settings] of foldersOf(items, pod.hostLink)) this.#ns.enter(() => writeSysctls(folder, settings));
      using inside = ns.enter(RtNetlink.openBrief);
      const errors = template ? inside.tryTemplate(template, pod) : this.#tryPodSide(inside, index, pod, node);
      this.#finishPodSide(inside, ns, errors, index, pod, node);
      return items;
    } catch (error) {
      if (!(error instanceof InterfaceExistsError)) this.detach(pod.hostLink, items);
      throw error;
    }
  }

  /** The rest of attaching, which no packet waits for: `settlePod`, and the alias, which the kernel takes for no link that it makes. May be repeated. */
  settle(pod: PodLink, ns: NetNs): void {
    ns.enter(() => settlePod(pod));
    const alias = aliasOf(pod);
    const link = this.#rt.linkState(pod.hostLink);
    if (link && (link.alias ?? '') !== alias) this.#rt.setLink(link.index, { alias });
  }

  /**
   * Whether packets go through: the kernel takes a link into service some time after both of its ends are up, and drops what is sent until then.
   * Since Linux 6.8 reading the link is enough to have that done (rtnl_getlink calls linkwatch_sync_dev); before, wait until it is.
   */
  isLive(hostLink: string): boolean {
    const link = this.#rt.linkState(hostLink);
    const master = link?.master === undefined ? undefined : this.#rt.linkState(link.master);
    return link?.operState === 'up' && (link.master === undefined || master?.operState === 'up');
  }

  /**
   * Whether the pod's addresses are in service. One of IPv6 is so only when a worker of the kernel has come to it (addrconf_dad_work makes its local route),
   * also without duplicate detection: what is sent to the pod until then is dropped.
   */
  hasAddresses(pod: PodLink, ns: NetNs): boolean {
    const wanted = pod.addresses.filter(({ family }) => family === 'ipv6').map(Prefix.host);
    if (wanted.length === 0) return true;
    using inside = RtNetlink.open(ns);
    const local = inside.routes({ family: 'ipv6', table: routeTable.local });
    return wanted.every((address) => local.some(({ type, destination }) => type === 'local' && destination.equals(address)));
  }

  /**
   * Takes the link down, out of every route, and has it deleted soon. Absent is success.
   * @param items what `attach` gave for the pod: what of it is not on the link itself is deleted at once
   * @param options.drained the caller waits for `drain`: then it is not taken down before, which would make the kernel take 4 ms longer to delete it
   * @returns whether the link was there
   */
  detach(hostLink: string, items: readonly Item[] = [], { drained = false } = {}): boolean {
    return this.#detacher.detach(hostLink, items, drained);
  }

  /** Waits until every detached link is gone. */
  drain(): Promise<void> {
    return this.#detacher.drain();
  }

  /** What keeps detached links from being deleted, in words; it is tried again. */
  problems(): string[] {
    return this.#detacher.problems();
  }

  /** What is wrong with an attachment, in words. @throws NamespaceError */
  check(pod: PodLink, netns: string, node: LinkNode, told?: ToldOfPod): string[] {
    using ns = this.open(netns);
    using inside = RtNetlink.open(ns);
    return [...checkHost(this.#rt, pod, this.mode, node), ...checkPod(inside, pod, this.mode, node, told)];
  }

  /**
   * Writes what the model cannot say of host ends again, where it is lost.
   * @returns the names of the links that had lost it
   */
  mend(pods: readonly PodLink[]): string[] {
    if (pods.length === 0) return [];
    const links = new Map(this.#rt.links().map((link) => [link.name, link]));
    const found = { addresses: this.#rt.addresses(), fdb: this.#rt.fdb() };
    const lost = pods.flatMap((pod) => {
      const link = links.get(pod.hostLink);
      return link?.up && !(link.group === podGroup && this.mode.isFinished(link, pod, found)) ? [{ pod, index: link.index }] : [];
    });
    // A part of it may be there still: EEXIST.
    if (lost.length > 0)
      this.#rt.tryBatch((batch) => {
        for (const { pod, index } of lost) {
          batch.setLink(index, { group: podGroup });
          this.mode.finish(batch, index, pod);
        }
      });
    return lost.map(({ pod }) => pod.hostLink);
  }

  /** Puts right what can be put right inside the pod: routes and addresses that `ip link set eth0 down` took, say. */
  repair(pod: PodLink, netns: string, node: LinkNode): void {
    using ns = this.open(netns);
    using inside = RtNetlink.open(ns);
    const link = inside.link(pod.ifname);
    if (!link)
      throw new NamespaceError(`the container has no interface ${pod.ifname}; only a new sandbox brings it back: delete the pod`);
    this.#finishPodSide(inside, ns, this.#tryPodSide(inside, link.index, pod, node), link.index, pod, node);
    this.settle(pod, ns);
  }

  /** Fulfilled when nothing of it runs any more; after dispose. */
  get ended(): Promise<void> {
    return this.#detacher.ended;
  }

  [Symbol.dispose](): void {
    this.#detacher[Symbol.dispose]();
    this.#rt[Symbol.dispose]();
  }

  /** @returns the ifindex of the pod's end, and the messages for it when they are there already */
  #makeLink(
    pod: PodLink,
    ns: NetNs,
    items: readonly Item[],
    node: LinkNode,
  ): { index: number; template?: RtTemplate<PodLink> | undefined } {
    const { errors, inside: template } = this.#tryLink(pod, ns, items, node, podIndex);
    const [first] = errors.values();
    if (!first) return { index: podIndex, template };
    if (pod.bandwidth) this.#deleteNewShaper(pod.hostLink);
    // Since Linux 6.6 a taken ifindex is EBUSY, a taken name EEXIST.
    if (first.errno !== 'EBUSY' && !isExists(first)) throw first;
    // Something has a name or a number that was meant for the new link: look what, and try once more.
    using inside = RtNetlink.open(ns);
    if (errors.has(0) && inside.link(pod.ifname)) throw new InterfaceExistsError(pod.ifname, { cause: first });
    // The caller makes sure that no other pod has this name: it is a link of a former attachment that the reaper has not come to.
    this.#rt.deleteLink({ name: pod.hostLink });
    for (const item of items) if (item.kind === 'link' && item.name !== pod.hostLink) this.#rt.deleteLink({ name: item.name });
    this.#nextIndex += randomInt(1 << 16);
    throwFirst(this.#tryLink(pod, ns, items, node, undefined).errors);
    const link = inside.link(pod.ifname);
    if (!link) throw new NamespaceError(`${pod.ifname} vanished while it was set up`);
    return { index: link.index };
  }

  /** @returns what failed, the making of the veth first */
  #tryLink(pod: PodLink, ns: NetNs, items: readonly Item[], node: LinkNode, peerIndex: number | undefined): Attempt {
    const numbers: LinkNumbers = {
      index: this.#nextIndex++,
      shaper: pod.bandwidth ? this.#nextIndex++ : 0,
      ...{ netNs: ns.fd, peerIndex },
    };
    const hostEnd = this.mode.hostEnd((name) => this.#rt.link(name)?.index);
    const templates = peerIndex === undefined ? undefined : this.#templates.of(pod, node, numbers, hostEnd);
    const errors = templates
      ? this.#rt.tryTemplate(templates.host, { pod, numbers })
      : this.#rt.tryBatch((batch) => makeHostSide(batch, pod, numbers, this.mode, items, hostEnd));
    if (errors.has(0) || !isIpv6Off(errors)) return { errors, inside: templates?.inside };
    this.#ns.enter(() => switchIpv6On(pod.hostLink));
    const again = this.#rt.tryBatch((batch) => configureHostSide(batch, pod, numbers, this.mode, items, hostEnd));
    return { errors: new Map([...again].filter(([, error]) => !isExists(error))), inside: templates?.inside };
  }

  readonly #tryPodSide = (inside: RtNetlink, index: number, pod: PodLink, node: LinkNode): ReadonlyMap<number, KernelError> =>
    inside.tryBatch((batch) => configurePod(batch, index, pod, this.mode, node));

  /** @param errors of the messages for the pod's end. @throws KernelError */
  #finishPodSide(
    inside: RtNetlink,
    ns: NetNs,
    errors: ReadonlyMap<number, KernelError>,
    index: number,
    pod: PodLink,
    node: LinkNode,
  ): void {
    let left = errors;
    if (isIpv6Off(errors)) {
      ns.enter(() => switchIpv6On(pod.ifname));
      left = this.#tryPodSide(inside, index, pod, node);
    }
    if (hasOtherDefault(left)) configureFurther(inside, index, pod, this.mode, node);
  }

  /** The one that was made for a link that was not: another of its name may be in use. */
  #deleteNewShaper(hostLink: string): void {
    const made = this.#rt.link(this.#nextIndex - 1);
    if (made?.name === shaperLinkName(hostLink)) this.#rt.deleteLink(made.index);
  }
}
