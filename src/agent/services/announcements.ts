import { AnnouncementPlanner, type AnnounceNode, announcementOwner, Liveness, Repeats, Speaker } from '../../announce/index.ts';
import type { NetNs } from '../../kernel/netns.ts';
import type { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import type { Change } from '../../kube/informer.ts';
import { key } from '../../kube/objects.ts';
import type { EndpointSlice } from '../../kube/types.ts';
import type { IpAddr } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import type { Reconciler } from '../../reconcile/index.ts';
import { svcLink } from '../../routes/plan.ts';
import type { NodeFacts } from '../node/facts.ts';
import type { Sources } from '../watch/sources.ts';
import { serviceNameLabel } from '../watch/views.ts';

/** Between two questions whether a node is alive; three without an answer, and another takes over. */
const tickMs = 500;

export interface AnnouncementsParts {
  ns: NetNs;
  rt: RtNetlink;
  reconciler: Reconciler;
  sources: Sources;
  log: (line: string) => void;
}

/** The addresses of load balancers on this node's uplink: contributes what the kernel answers for, says so on the wire, and watches over others. */
export class Announcements implements Disposable {
  readonly #parts: AnnouncementsParts;
  readonly #planner: AnnouncementPlanner;
  readonly #liveness: Liveness;
  readonly #repeats = new Repeats();
  readonly #ends: (() => void)[];
  #node: AnnounceNode | undefined;
  #speaker: { speaker: Speaker; identity: string } | undefined;
  #carrier = true;
  /** Something was contributed that the kernel does not hold yet. */
  #unsaid = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param parts with sources in sync; heard from then on */
  constructor(parts: AnnouncementsParts) {
    this.#parts = parts;
    const { nodes, services, slices } = parts.sources;
    slices.addIndex('service', serviceOf);
    this.#planner = new AnnouncementPlanner((name) => slices.byIndex('service', name));
    this.#liveness = new Liveness({
      ask: (address, mac) => {
        const own = this.#node?.addresses.find(({ family }) => family === address.family);
        if (own) this.#speaker?.speaker.ask(address, own, mac);
      },
      onChange: (name, alive) => {
        parts.log(`node ${name} ${alive ? 'answers again' : 'does not answer on the link: others announce its addresses'}`);
        this.#planner.setAlive(name, alive);
        this.#contribute();
      },
    });
    this.#ends = [
      nodes.onChange((changes) => {
        for (const { type, key: name, object } of changes)
          this.#planner.setCandidate(name, type !== 'deleted' && object.balances ? object : undefined);
        this.#contribute();
      }),
      services.onChange((changes) => {
        for (const { type, key: name, object } of changes)
          this.#planner.setService(name, type === 'deleted' ? undefined : object);
        this.#contribute();
      }),
      slices.onChange((changes) => {
        for (const name of servicesOf(changes)) this.#planner.setEndpoints(name);
        this.#contribute();
      }),
    ];
  }

  /** The node's facts, or its links, changed: what is said may have to be said anew, by another link. */
  setNode({ self, local }: NodeFacts): void {
    const node: AnnounceNode = { ...{ name: self.name, addresses: self.addresses }, ...local, sink: svcLink };
    const { uplink } = node;
    const same =
      this.#node &&
      [uplink, node.addresses, node.onLink].join(' ') === [this.#node.uplink, this.#node.addresses, this.#node.onLink].join(' ');
    this.#node = node;
    if (!same) this.#planner.setNode(node);
    const link = this.#parts.rt.link(uplink);
    if (!link?.mac) {
      this.#contribute();
      return;
    }
    const families = node.addresses.map(({ family }) => family);
    const identity = [link.index, link.mac, families].join(' ');
    if (this.#speaker?.identity !== identity) {
      this.#speaker?.speaker[Symbol.dispose]();
      this.#speaker = undefined;
      const heard = (address: IpAddr, mac?: Mac): void => this.#liveness.heard(address, mac);
      const speaker = new Speaker(this.#parts.ns, { index: link.index, mac: link.mac, families }, heard);
      this.#speaker = { speaker, identity };
      this.#repeats.restart(performance.now());
    }
    if (link.carrier && !this.#carrier) this.#repeats.restart(performance.now());
    this.#carrier = link.carrier;
    this.#contribute();
  }

  /** To be called when the kernel was written to: what it answers for now is said. */
  written(): void {
    if (!this.#unsaid) return;
    const { reconciler } = this.#parts;
    const announced = this.#planner.announced();
    const done = announced.filter((address) => reconciler.status(announcementOwner(String(address)))?.state === 'done');
    this.#unsaid = done.length < announced.length;
    this.#repeats.set(done, performance.now());
    this.#say();
    this.#keepTime();
  }

  announced(): IpAddr[] {
    return this.#planner.announced();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const end of this.#ends) end();
    this.#speaker?.speaker[Symbol.dispose]();
  }

  #contribute(): void {
    if (!this.#node || !this.#planner.isChanged) return;
    this.#liveness.watch(this.#planner.watched());
    this.#unsaid = true;
    for (const [owner, items] of this.#planner.take()) {
      if (items.length > 0) this.#parts.reconciler.contribute(owner, items);
      else this.#parts.reconciler.withdraw(owner);
    }
    this.#keepTime();
  }

  #say(): void {
    for (const address of this.#repeats.due(performance.now())) this.#speaker?.speaker.announce(address);
  }

  /** Nothing runs on a node that neither announces nor watches. */
  #keepTime(): void {
    const busy = this.#liveness.size + this.#repeats.size > 0;
    if (!busy) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else this.#timer ??= setInterval(() => this.#tick(), tickMs).unref();
  }

  #tick(): void {
    if (!this.#carrier) this.#liveness.forgive();
    this.#liveness.tick();
    this.#say();
  }
}

/** Index `service`: the key of the Service that a slice is of. */
const serviceOf = ({ metadata }: EndpointSlice): string[] => {
  const name = metadata.labels?.[serviceNameLabel];
  return name === undefined ? [] : [key({ metadata: { ...metadata, name } })];
};

const servicesOf = (changes: readonly Change<EndpointSlice>[]): Set<string> =>
  new Set(changes.flatMap(({ object, previous }) => [...serviceOf(object), ...(previous ? serviceOf(previous) : [])]));
