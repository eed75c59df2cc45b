import { writeConfList } from '../cni/conflist.ts';
import type { Reply } from '../cni/envelope.ts';
import { installExecutable } from '../cni/installation.ts';
import { type CniServer, startCniServer } from '../cni/server.ts';
import { answer } from '../cni/verbs.ts';
import { Ipam } from '../ipam/index.ts';
import { Conntrack } from '../kernel/conntrack.ts';
import type { NetNs } from '../kernel/netns.ts';
import { Nft } from '../kernel/nftables/nft.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import type { Api } from '../kube/api.ts';
import type { Change } from '../kube/informer.ts';
import { Attacher, attachModes } from '../links/index.ts';
import type { Prefix } from '../net/prefix.ts';
import { NftWriter, Reconciler, RtWriter, Runner, SysctlWriter } from '../reconcile/index.ts';
import { Announcements } from './announcements.ts';
import { PodAttachments } from './attachments.ts';
import { DnsReadiness } from './dns-readiness.ts';
import { Door, droppedAtDoor } from './door.ts';
import { watchDrift } from './drift.ts';
import { Forgetter } from './forgetter.ts';
import { formerRange } from './former-range.ts';
import { Gate } from './gate.ts';
import { HostPorts } from './hostports.ts';
import { addressesInUse, leasesOfHostLocal } from './in-use.ts';
import { type IpamReport, ipamReport } from './ipam-report.ts';
import { readFacts, sameFacts } from './node-facts.ts';
import { essentialOwners, NodeNetwork } from './node-network.ts';
import { ProblemLog } from './problem-log.ts';
import { recoverLeases } from './recover.ts';
import { ServicePath } from './service-path.ts';
import type { Settings } from './settings.ts';
import { Sources } from './sources.ts';
import { type AgentStatus, scarce, serveStatus, summarize } from './status.ts';
import { type NodeView, sameNode } from './views.ts';

export interface AgentParts {
  /** The node's network namespace. */
  ns: NetNs;
  api: Api;
  log: (line: string) => void;
}

/**
 * One node's agent: from the objects that the API tells of to the node's kernel.
 *
 *     sources ──► NodeNetwork, ServicePath ──items──┐
 *     CNI call ─► PodAttachments ──items (applied)──┼─► Reconciler ──► kernel
 *     drift (events of the kernel), every 30 s ─────┘ compare all
 *
 * Nothing is written before all sources are in sync: after a restart the kernel keeps what it has, whoever is away.
 */
export class NodeAgent {
  readonly #settings: Settings;
  readonly #parts: AgentParts;
  readonly #rt: RtNetlink;
  readonly #nft: Nft;
  readonly #conntrack: Conntrack;
  readonly #ipam: Ipam;
  readonly #forgetter: Forgetter;
  readonly #attacher: Attacher;
  readonly #door: Door;
  readonly #reconciler: Reconciler;
  readonly #runner: Runner;
  readonly #network: NodeNetwork;
  readonly #hostPorts: HostPorts;
  readonly #attachments: PodAttachments;
  readonly #sources: Sources;
  readonly #gate = new Gate('the API server has not told of nodes and Services yet');
  readonly #peers = new Map<string, NodeView>();
  readonly #problemLog: ProblemLog;
  readonly #counts = { syncs: 0, fullChecks: 0, operations: 0 };
  #services: ServicePath | undefined;
  #announcements: Announcements | undefined;
  #dns: DnsReadiness | undefined;
  #drift: Disposable | undefined;
  #lastDrift: string | undefined;
  /** Why this node's own facts are not known. */
  #unknown: string | undefined;
  #cniServer: CniServer | undefined;
  #statusServer: AsyncDisposable | undefined;

  /** @throws IpamError when another agent has the leases */
  constructor(settings: Settings, parts: AgentParts) {
    const { ns, api, log } = parts;
    this.#settings = settings;
    this.#parts = parts;
    this.#problemLog = new ProblemLog(log);
    this.#ipam = new Ipam(settings.stateDir, { forget: (addresses) => this.#conntrack.deleteOf(addresses) });
    this.#forgetter = new Forgetter(this.#ipam, ns, (error) => log(`connections of deleted pods: ${error.message}`));
    this.#rt = RtNetlink.open(ns);
    this.#nft = Nft.open(ns);
    this.#conntrack = Conntrack.open(ns);
    this.#attacher = new Attacher(ns, attachModes[settings.attach]);
    this.#runner = new Runner((full) => this.#sync(full), { onError: (error) => log((error as Error).stack ?? String(error)) });
    const writers = [new SysctlWriter(ns), new RtWriter(this.#rt), new NftWriter(this.#nft)];
    this.#reconciler = new Reconciler(writers, { onWork: () => this.#runner.trigger() });
    this.#door = new Door(attachModes[settings.attach], this.#nft.supports('arp'));
    this.#network = new NodeNetwork(this.#reconciler, settings, this.#door);
    const { serviceCidrs } = settings;
    this.#hostPorts = new HostPorts({ ipam: this.#ipam, rt: this.#rt, conntrack: this.#conntrack, serviceCidrs });
    this.#attachments = new PodAttachments({
      ...{ ipam: this.#ipam, attacher: this.#attacher, door: this.#door, reconciler: this.#reconciler, gate: this.#gate },
      forgetter: this.#forgetter,
      hostPorts: this.#hostPorts,
      node: () => this.#network.linkNode,
      waitForDeletion: settings.cni.waitForDeletion ?? false,
    });
    this.#sources = new Sources(api, (kind, error) => {
      log(`${kind}: ${error.message}`);
      this.#judge();
    });
  }

  /** @throws Error when a socket or a file cannot be had; `close` is to be called then as well */
  async start(): Promise<void> {
    const { cni, statusSocket } = this.#settings;
    const { socketPath } = cni;
    this.#cniServer = await startCniServer({ socketPath, answer: (bytes) => this.call(bytes) });
    this.#statusServer = await serveStatus(
      statusSocket,
      () => this.status(),
      () => this.ipam(),
    );
    installExecutable(cni.binDir, socketPath);
    const view = { held: () => this.#reconciler.actual(), links: () => this.#rt.links(), nftPort: () => this.#nft.port };
    this.#drift = watchDrift(this.#parts.ns, view, {
      onLinks: () => this.#look(),
      onDrift: (what) => {
        this.#lastDrift = what;
        this.#reconciler.markAll();
      },
    });
    this.#sources.start();
    void this.#sources.synced.then(() => {
      this.#sources.nodes.onChange((changes) => this.#onNodes(changes));
      this.#look();
    });
  }

  /** One call of the CNI executable, from the bytes it sent. */
  async call(request: Buffer): Promise<Reply> {
    const reply = await answer(request, this.#attachments);
    this.#problemLog.tell('addresses', scarce(this.#ipam.use()));
    return reply;
  }

  ipam(): IpamReport {
    return ipamReport(this.#settings.nodeName, this.#ipam, ({ key }) => this.#attachments.has(key));
  }

  status(): AgentStatus {
    const { nodeName, families, attach } = this.#settings;
    const { facts, linkNode, problems } = this.#network;
    const why = this.#gate.why;
    return {
      ...{ node: nodeName, families, attach, ready: why === undefined, ...(why === undefined ? {} : { why }) },
      podCidrs: (facts?.self.podCidrs ?? []).map(String),
      addresses: (facts?.self.addresses ?? []).map(String),
      ...(linkNode ? { podMtu: linkNode.podMtu } : {}),
      sources: this.#sources.describe(),
      reconciler: {
        ...summarize(this.#reconciler.statuses()),
        ...this.#counts,
        ...(this.#lastDrift === undefined ? {} : { lastDrift: this.#lastDrift }),
      },
      attachments: this.#attachments.size,
      leases: this.#ipam.use().map(({ prefix, used, capacity }) => ({ prefix: String(prefix), used, free: capacity - used })),
      ...(this.#dns ? { dnsAnswered: this.#dns.ready } : {}),
      ...(this.#announcements ? { announced: this.#announcements.announced().map(String) } : {}),
      staleUdpDeleted: this.#services?.deleted ?? 0,
      door: droppedAtDoor(this.#nft),
      problems: [
        ...problems,
        ...this.#door.problems(),
        ...this.#attachments.lost(),
        ...formerRange(this.#ipam, this.#peers.values()),
        ...this.#attacher.problems(),
        ...this.#hostPorts.clashes(this.#reconciler.actual()),
        ...scarce(this.#ipam.use()),
        ...this.#ipam.damaged().map(({ file, why: reason }) => `the lease ${file} cannot be read: ${reason}`),
      ],
      memoryMb: Math.round(process.memoryUsage.rss() / (1 << 20)),
    };
  }

  async close(): Promise<void> {
    // No ADD holds the end up; the runtime tries again.
    this.#gate.close("podnet's agent is being stopped");
    await this.#cniServer?.close();
    this.#runner.stop();
    for (const part of [this.#announcements, this.#sources, this.#drift, this.#dns, this.#forgetter]) part?.[Symbol.dispose]();
    await this.#statusServer?.[Symbol.asyncDispose]();
    for (const part of [this.#attacher, this.#conntrack, this.#nft, this.#rt, this.#ipam]) part[Symbol.dispose]();
  }

  #onNodes(changes: readonly Change<NodeView>[]): void {
    for (const { type, key, object } of changes) {
      if (key === this.#settings.nodeName) this.#look();
      else if (type === 'deleted') {
        this.#peers.delete(key);
        this.#network.deletePeer(key);
      } else {
        const before = this.#peers.get(key);
        this.#peers.set(key, object);
        if (!before || !sameNode(before, object)) this.#network.setPeer(object);
      }
    }
    this.#network.planPeers();
  }

  /** Looks at the own Node and at the links here, and plans anew what depends on either. */
  #look(): void {
    if (!this.#sources.isSynced) return;
    const { nodeName, families } = this.#settings;
    const view = this.#sources.nodes.get(nodeName);
    const facts = view
      ? readFacts(view, families, this.#rt, this.#parts.ns)
      : `there is no Node ${nodeName} in the API: whoever registers nodes has not, or nodeName is not its name`;
    if (typeof facts === 'string') this.#unknown = facts;
    else {
      this.#unknown = undefined;
      if (!sameFacts(this.#network.facts, facts)) {
        this.#setRanges(facts.self.podCidrs);
        this.#network.setSelf(facts);
        this.#services?.setNode(this.#network.serviceNode!);
      }
      this.#announcements?.setNode(facts);
      this.#attachments.refresh(new Set(this.#rt.links().map(({ name }) => name)));
      if (!this.#services) this.#begin();
    }
    this.#judge();
  }

  /** Takes over the node's pod CIDRs: what is in use there is known before any address is given, and what was in use is forgotten. */
  #setRanges(podCidrs: readonly Prefix[]): void {
    this.#ipam.setRanges(podCidrs);
    for (const line of recoverLeases(this.#ipam, this.#rt, this.#settings.families)) this.#parts.log(line);
    this.#lookForUse();
    const deleted = this.#conntrack.deleteWhere((address) => this.#ipam.isFree(address));
    if (deleted > 0) this.#parts.log(`forgot ${deleted} connections of pods that are gone`);
  }

  #lookForUse(): void {
    try {
      this.#ipam.hold('this node', addressesInUse(this.#rt));
      this.#ipam.hold('host-local', leasesOfHostLocal(this.#settings.cni.hostLocalDir));
    } catch (error) {
      // What was found before stays held back.
      this.#parts.log(`addresses in use: ${(error as Error).message}`);
    }
  }

  /** Everything is known for the first time: from here on the kernel is written to. */
  #begin(): void {
    const { clusterDns, dnsHealthSocket: socketPath } = this.#settings;
    const services = new ServicePath(this.#reconciler, this.#conntrack, this.#sources, this.#network.serviceNode!, clusterDns);
    this.#services = services;
    if (this.#settings.announceLoadBalancers) {
      const { ns, log } = this.#parts;
      const [rt, reconciler, sources] = [this.#rt, this.#reconciler, this.#sources];
      this.#announcements = new Announcements({ ns, rt, reconciler, sources, log });
      this.#announcements.setNode(this.#network.facts!);
    }
    const goOn = (): void => {
      services.begin();
      this.#runner.start();
    };
    if (socketPath === undefined) return goOn();
    // Whether the DNS of this node answers is part of the plan: planned before it is known, it would be planned away and back.
    this.#dns = new DnsReadiness({ socketPath, onChange: (ready) => services.setDnsReady(ready) });
    void this.#dns.known.then(goOn);
  }

  /** @returns whether all is well */
  #sync(full: boolean): boolean {
    if (full) this.#reconciler.markAll();
    const result = this.#reconciler.sync();
    this.#counts.syncs++;
    this.#counts.operations += result.operations.length;
    if (result.full) {
      this.#counts.fullChecks++;
      this.#attachments.mend();
      this.#lookForUse();
    }
    for (const { key, error } of result.failures) this.#parts.log(`${key}: ${error.message}`);
    this.#announcements?.written();
    this.#services?.clean(!result.failures.some(({ key }) => key.startsWith('nft-')));
    this.#judge();
    return result.failures.length === 0;
  }

  /** Opens or shuts the gate of ADD, and tells the runtime of the network when it can be served (CNI14). */
  #judge(): void {
    this.#problemLog.tell('nodes', this.#network.problems);
    this.#problemLog.tell('addresses', scarce(this.#ipam.use()));
    const why = this.#whyNot();
    if (why !== this.#gate.why) this.#parts.log(why === undefined ? 'pods can be attached' : `pods cannot be attached: ${why}`);
    this.#gate.set(why);
    if (why === undefined) this.#announce();
  }

  #announce(): void {
    const { confDir, network } = this.#settings.cni;
    try {
      if (writeConfList(confDir, network)) this.#parts.log(`wrote the network's configuration to ${confDir}`);
    } catch (error) {
      // Tried again with every sync; pods that run go on meanwhile.
      this.#parts.log(`cannot write the network's configuration to ${confDir}: ${(error as Error).message}`);
    }
  }

  #whyNot(): string | undefined {
    if (!this.#sources.isSynced) {
      const error = this.#sources.describe().find((source) => source.error !== undefined)?.error;
      return `the API server has not told of nodes and Services yet${error === undefined ? '' : `: ${error}`}`;
    }
    if (this.#unknown !== undefined) return this.#unknown;
    const noCidr = this.#whyNoCidr();
    if (noCidr !== undefined) return noCidr;
    if (this.#counts.syncs === 0) return "nothing of the node's network is in the kernel yet";
    for (const owner of essentialOwners) {
      // An owner without a status wants nothing, like the routed mode of an IPv6 node.
      const status = this.#reconciler.status(owner);
      if (status?.state === 'error') return `${owner}: ${status.why}`;
      // Later changes of them do not shut what works.
      if (!this.#gate.wasOpen && status?.state === 'pending') return `${owner} is not in the kernel yet`;
    }
    return undefined;
  }

  /** F28. The secondary family may be missing; pods without their podIP's family are worth nothing. */
  #whyNoCidr(): string | undefined {
    const [primary] = this.#settings.families;
    const { faults } = this.#sources.nodes.get(this.#settings.nodeName) ?? { faults: [] };
    const also = faults.length === 0 ? '' : `: ${faults.join('; ')}`;
    const pools = this.#ipam.use();
    if (pools.length === 0)
      return `the node has no pod CIDR yet (node.spec.podCIDRs is empty${faults.length === 0 ? '' : ' or wrong'})${also}`;
    if (!pools.some(({ prefix }) => prefix.family === primary))
      return `the node has no ${primary} pod CIDR in node.spec.podCIDRs${also}`;
    const small = pools.find(({ capacity }) => capacity === 0);
    return small && `the pod CIDR ${small.prefix} has room for no pod`;
  }
}
