import { setTimeout as delay } from 'node:timers/promises';
import { CniError, cniCode } from '../../cni/errors.ts';
import type { AttachmentKey, PodIdentity } from '../../cni/request.ts';
import type { Result } from '../../cni/result.ts';
import type { Attachments } from '../../cni/verbs.ts';
import type { Wishes } from '../../cni/wishes.ts';
import { keyText, type Lease } from '../../ipam/index.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { InterfaceExistsError, type LinkNode, type PodLink } from '../../links/index.ts';
import type { Item } from '../../reconcile/model.ts';
import type { Forgetter } from '../addresses/forgetter.ts';
import { recoveredLease } from '../addresses/recover.ts';
import { notIsolated } from '../policy/faults.ts';
import type { PolicyPath } from '../policy/path.ts';
import type { PodView } from '../watch/pod-view.ts';
import { AttachedPods, type AttachedPodsOptions, attachmentOwner } from './attached-pods.ts';
import { linkOf, resultOf } from './attachment.ts';
import { AttachmentCheck } from './attachment-check.ts';
import { Books } from './books.ts';
import { toCniError } from './cni-errors.ts';
import { guestOwner } from './door.ts';
import { damaged } from './expected-result.ts';
import { collectGarbage } from './garbage.ts';
import type { Gate } from './gate.ts';
import { type HostPorts, mappingItems, mappingOwner } from './hostports.ts';
import { KeyQueue } from './key-queue.ts';
import { type Asked, leaseFor } from './pod-lease.ts';
import { settleSoon } from './settling.ts';

export interface AttachmentsOptions extends AttachedPodsOptions {
  gate: Gate;
  forgetter: Forgetter;
  hostPorts: HostPorts;
  isolation: Isolation;
  /** How long ADD waits for the gate. */
  waitMs?: number;
  /** What is not an answer's to tell. */
  onError?: (error: Error) => void;
  /** DEL ends when the link is deleted. */
  waitForDeletion?: boolean;
}

/** What policies say of pods: asked only while there are some. */
export type Isolation = Pick<PolicyPath, 'isActive' | 'admit' | 'attached' | 'detached'>;

/** How long the kernel may take to put a new link into service. */
const liveMs = 2000;

/** One ADD. */
interface Addition extends Omit<Asked, 'inode'> {
  ns: NetNs;
}

/**
 * The pods' attachments: leases on disk, links in the kernel, items with the reconciler. A lease is written before its link is made and removed after the
 * link is gone, so whatever is killed when, the runtime's DEL or GC finds all that is left.
 */
export class PodAttachments implements Attachments {
  readonly attached: AttachedPods;
  readonly #options: AttachmentsOptions;
  readonly #queue = new KeyQueue();
  readonly #books = new Books();
  readonly #checks: AttachmentCheck;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
    this.attached = new AttachedPods(options);
    this.#checks = new AttachmentCheck(options);
  }

  add(key: AttachmentKey, netns: string, pod: PodIdentity, wishes: Wishes): Promise<Result> {
    return this.#inTurn(key, async () => {
      await this.#options.gate.pass(this.#options.waitMs ?? 20_000);
      const node = this.#node();
      const { isolation } = this.#options;
      const view = isolation.isActive ? await isolation.admit(pod) : undefined;
      // Before anything is spent on it.
      const ns = this.#options.attacher.open(netns);
      let settling = false;
      try {
        const link = await this.#add({ key, netns, ns, pod, wishes, node, view });
        settling = true;
        settleSoon(this.#options.attacher, link, ns, this.#options.onError);
        return resultOf(link, netns, this.#options.attacher.mode, node);
      } finally {
        if (!settling) ns[Symbol.dispose]();
      }
    });
  }

  async #add({ key, netns, ns, pod, wishes, node, view }: Addition): Promise<PodLink> {
    const inode = String(ns.inode);
    const before = this.#leaseOf(key);
    const lease = before ? this.#moved(before, netns, inode) : this.#lease({ key, netns, pod, wishes, node, inode, view });
    // A lease whose ADD was killed is taken up again; one that is in use ends in InterfaceExistsError, and stays.
    const link = linkOf(lease);
    if (!link) throw new CniError(cniCode.internal, `the lease of ${key.containerId} has no link`, 'DEL it first');
    try {
      const { reconciler } = this.#options;
      // Before the link is there: its first packet meets them.
      const guest = this.#options.door.guest(link);
      if (view) this.#isolate(view, [guestOwner(key), guest]);
      else reconciler.contributeNow(guestOwner(key), guest);
      const items = await this.#attach(link, ns, node);
      const book = this.attached.attached(key, items);
      if (this.#isLive(link, ns)) this.#books.keepSoon(keyText(key), book);
      else {
        book();
        await this.#live(link, ns);
      }
      this.#openPorts(this.#options.ipam.get(key) ?? lease);
      return link;
    } catch (error) {
      // The first ADD's link, addresses and lease are not this one's to take away.
      if (!before) this.#undo(lease, link);
      throw error;
    }
  }

  /** NP15: both in one transaction. @throws CniError 11 when the kernel refuses it */
  #isolate(view: PodView, guest: readonly [owner: string, items: readonly Item[]]): void {
    const { reconciler, isolation } = this.#options;
    const isolating = isolation.attached(view);
    try {
      reconciler.contributeAllNow([...isolating, guest]);
    } catch (error) {
      throw isolating.length > 0 ? notIsolated((error as Error).message, error) : error;
    }
  }

  /** For a start: what a killed agent may not have come to. */
  settleAll(): void {
    const { attacher, ipam, onError } = this.#options;
    for (const lease of ipam.leases()) {
      const link = linkOf(lease);
      if (!link || !this.attached.has(lease.key) || !lease.notes.netns) continue;
      try {
        settleSoon(attacher, link, attacher.open(lease.notes.netns), onError);
      } catch {
        // Its namespace is gone, and so is its link soon.
      }
    }
  }

  delete(key: AttachmentKey): Promise<void> {
    return this.#inTurn(key, async () => {
      const lease = this.#leaseOf(key);
      if (lease) this.#undo(lease, linkOf(lease));
      if (this.#options.waitForDeletion) await this.#options.attacher.drain();
    });
  }

  check(key: AttachmentKey, netns: string, expected: Result): Promise<void> {
    return this.#inTurn(key, async () => {
      const lease = this.#leaseOf(key);
      const link = lease && linkOf(lease);
      if (!link) throw damaged([`container ${key.containerId} has no lease for ${key.ifname} here`]);
      const wrong = this.#checks.wrongWith(lease, link, netns, this.#node(), expected);
      if (wrong.length > 0) throw damaged(wrong);
    });
  }

  /** CNI9. */
  status(): void {
    const { gate, ipam } = this.#options;
    if (gate.why !== undefined) throw new CniError(gate.wasOpen ? cniCode.notAvailableLimited : cniCode.notAvailable, gate.why);
    if (gate.unfit !== undefined) throw new CniError(cniCode.notAvailable, gate.unfit, "'podnet status' tells more");
    const fault = ipam.lookForFault();
    if (fault !== undefined)
      throw new CniError(cniCode.notAvailable, `leases cannot be written to ${fault}`, 'pods that run are not affected');
    const full = ipam.whyFull();
    if (full !== undefined)
      throw new CniError(
        cniCode.notAvailable,
        full,
        'delete pods on this node, or give it a larger pod CIDR; pods that run are not affected',
      );
  }

  collect(network: string, valid: readonly AttachmentKey[]): Promise<void> {
    const { ipam, forgetter } = this.#options;
    return collectGarbage(network, valid, {
      ...{ ipam, forgetter },
      leaseOf: (key) => this.#leaseOf(key),
      delete: (key) => this.delete(key),
    });
  }

  /** After DEL its link is there for a while, also in the pod: the same namespace may be added again at once. */
  async #attach(link: PodLink, ns: NetNs, node: LinkNode): Promise<Item[]> {
    const { attacher } = this.#options;
    try {
      return attacher.attach(link, ns, node);
    } catch (error) {
      if (!(error instanceof InterfaceExistsError)) throw error;
      await attacher.drain();
      return attacher.attach(link, ns, node);
    }
  }

  #inTurn<T>(key: AttachmentKey, work: () => Promise<T>): Promise<T> {
    const text = keyText(key);
    return this.#queue.run(text, () => {
      this.#books.keepNow(text);
      return work().catch((error: unknown) => {
        throw toCniError(error);
      });
    });
  }

  #node(): LinkNode {
    const node = this.#options.node();
    if (node) return node;
    throw new CniError(cniCode.tryAgainLater, 'this node is not known yet: the API server has not told of it');
  }

  /** Of a key, perhaps one that was made anew from the link of an attachment and knows its key only now. */
  #leaseOf(key: AttachmentKey): Lease | undefined {
    const { ipam } = this.#options;
    const lease = ipam.get(key);
    const recovered = lease ? undefined : recoveredLease(ipam, key);
    if (!recovered) return lease;
    const named = ipam.replace(recovered, key, recovered.notes);
    this.attached.renamed(recovered.key, named);
    return named;
  }

  /**
   * A container that came back in another namespace, as after a restart of it without DEL.
   * @throws CniError 100 while it is attached where it was (F30)
   */
  #moved(lease: Lease, netns: string, inode: string): Lease {
    const { netns: former = '' } = lease.notes;
    if (former === netns && lease.notes.inode === inode) return lease;
    if (this.attached.has(lease.key) && this.#isAlive(lease))
      throw new CniError(
        cniCode.interfaceExists,
        `container ${lease.key.containerId} has its ${lease.key.ifname} already${former ? ` in ${former}` : ''}`,
        'the runtime must DEL it first',
      );
    return this.#options.ipam.replace(lease, lease.key, { ...lease.notes, netns, inode });
  }

  /** Whether the namespace that it was attached in is there. Of a lease that was made anew from its link nobody knows the path: the link tells it. */
  #isAlive({ notes }: Lease): boolean {
    if (!notes.netns) return true;
    try {
      using ns = this.#options.attacher.open(notes.netns);
      return String(ns.inode) === notes.inode;
    } catch {
      return false;
    }
  }

  #lease(asked: Asked): Lease {
    const { ipam, hostPorts } = this.#options;
    return leaseFor(asked, ipam, hostPorts, (former) => this.#withdrawPorts(former));
  }

  #openPorts(lease: Lease): void {
    if (!lease.notes.ports) return;
    this.#options.reconciler.contributeNow(mappingOwner(lease.key), mappingItems(lease));
    this.#options.hostPorts.added(lease);
  }

  /** Of a former sandbox of a pod whose next one wants the same. */
  #withdrawPorts(lease: Lease): void {
    const { ipam, reconciler, hostPorts } = this.#options;
    ipam.replace(lease, lease.key, { ...lease.notes, ports: '' });
    reconciler.contributeNow(mappingOwner(lease.key), []);
    hostPorts.deleted(lease);
  }

  #undo(lease: Lease, link: PodLink | undefined): void {
    const { key } = lease;
    const { ipam, attacher, reconciler, node, hostPorts } = this.#options;
    const known = node();
    const items = this.attached.itemsOf(key) ?? (link && known ? attacher.mode.planPod(link, known) : []);
    if (link) attacher.detach(link.hostLink, items, { drained: this.#options.waitForDeletion });
    // Not before the kernel is rid of it: whoever gets the address next must not meet its former routes.
    reconciler.withdraw(attachmentOwner(key), { applied: true });
    const { isolation } = this.#options;
    if (isolation.isActive) reconciler.contributeAllNow([...isolation.detached(lease), [guestOwner(key), []]]);
    else reconciler.contributeNow(guestOwner(key), []);
    if (lease.notes.ports) {
      reconciler.contributeNow(mappingOwner(key), []);
      hostPorts.deleted(lease);
    }
    this.attached.detached(key);
    ipam.release(key);
    this.#options.forgetter.schedule();
  }

  /** ADD ends when packets go through, so that a pod's first connection does not fail. */
  async #live(link: PodLink, ns: NetNs): Promise<void> {
    const end = performance.now() + liveMs;
    for (let waitMs = 1; !this.#isLive(link, ns); waitMs = Math.min(50, waitMs * 2)) {
      if (performance.now() > end)
        throw new CniError(cniCode.tryAgainLater, `the link ${link.hostLink} was not in service after ${liveMs / 1000} s`);
      await delay(waitMs);
    }
  }

  #isLive(link: PodLink, ns: NetNs): boolean {
    const { attacher } = this.#options;
    return attacher.isLive(link.hostLink) && attacher.hasAddresses(link, ns);
  }
}
