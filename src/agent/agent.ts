import type { Reply } from '../cni/envelope.ts';
import { answer } from '../cni/verbs.ts';
import { KernelError } from '../kernel/errors.ts';
import type { Change } from '../kube/informer.ts';
import { deletionGroup } from '../links/index.ts';
import { type IpamReport, ipamReport } from './addresses/ipam-report.ts';
import { agentStatus } from './agent-status.ts';
import { DnsCondition } from './dns/condition.ts';
import { DnsReadiness } from './dns/readiness.ts';
import { watchDrift } from './drift.ts';
import { Entrances } from './entrances/entrances.ts';
import { openEntrances } from './entrances/open.ts';
import { judge } from './judge.ts';
import { readFacts, sameFacts } from './node/facts.ts';
import { type AgentParts, NodeParts } from './node-parts.ts';
import { PolicyTeller } from './policy/status.ts';
import { Warming } from './process/compilation.ts';
import { Litter } from './process/litter.ts';
import { Rest } from './process/rest.ts';
import { Announcements } from './services/announcements.ts';
import { ServicePath, splitKey } from './services/path.ts';
import { ProxyHealth } from './services/proxy-health.ts';
import { withAnnounced } from './services/report.ts';
import type { Settings } from './settings.ts';
import { type AgentStatus, type StatusParts, scarce, unwritable } from './status.ts';
import { type NodeView, sameNode } from './watch/views.ts';

/** After what the kernel could not be asked for. */
const lookAgainMs = 200;

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
  readonly #node: NodeParts;
  readonly #peers = new Map<string, NodeView>();
  readonly #counts = { syncs: 0, fullChecks: 0, operations: 0 };
  readonly #rest = new Rest();
  readonly #litter = new Litter();
  readonly #warming = new Warming();
  readonly #proxyHealth = new ProxyHealth();
  #services: ServicePath | undefined;
  #announcements: Announcements | undefined;
  #dns: DnsReadiness | undefined;
  #dnsCondition: DnsCondition | undefined;
  #policyTeller: PolicyTeller | undefined;
  #drift: Disposable | undefined;
  #lookAgain: NodeJS.Timeout | undefined;
  #lastDrift: string | undefined;
  /** Why this node's own facts are not known. */
  #unknown: string | undefined;
  readonly #entrances: Entrances;

  /** @throws IpamError when another agent has the leases */
  constructor(settings: Settings, parts: AgentParts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#node = new NodeParts(settings, parts, {
      sync: (full) => this.#sync(full),
      judge: () => this.#judge(),
      services: () => this.#services,
    });
    this.#entrances = new Entrances(parts.log);
  }

  /** @throws Error when a socket or a file cannot be had; `close` is to be called then as well */
  async start(): Promise<void> {
    await openEntrances(this.#entrances, this.#settings, { call: (bytes) => this.call(bytes), status: this.#statusParts() });
    const view = {
      held: () => this.#node.reconciler.actual(),
      links: () => this.#node.rt.links(),
      ruleset: () => this.#node.nft.foreignGeneration(),
    };
    this.#drift = watchDrift(this.#parts.ns, view, {
      onLinks: () => this.#look(),
      onRules: () => this.#node.foreigners.changed(),
      onDrift: (what) => {
        this.#lastDrift = what;
        this.#node.reconciler.markAll();
      },
    });
    this.#serveProxyHealth();
    this.#node.sources.start();
    void this.#node.sources.synced.then(() => {
      this.#onServiceCidrs();
      this.#node.sources.serviceCidrs.informer.onChange(() => this.#onServiceCidrs());
      this.#node.sources.nodes.onChange((changes) => this.#onNodes(changes));
      this.#look();
      if (this.#settings.policyStatus) this.#policyTeller = this.#tellOfPolicies();
    });
  }

  /** One call of the CNI executable, from the bytes it sent. */
  async call(request: Buffer): Promise<Reply> {
    this.#litter.began();
    const reply = await answer(request, this.#node.attachments).finally(() => this.#litter.answered());
    this.#warming.answered();
    this.#rest.worked();
    this.#node.problemLog.tell('addresses', scarce(this.#node.ipam.use()));
    this.#node.problemLog.tell('leases', unwritable(this.#node.ipam.storageFault()));
    return reply;
  }

  ipam(): IpamReport {
    return ipamReport(this.#settings.nodeName, this.#node.ipam, ({ key }) => this.#node.attachments.attached.has(key));
  }

  status(): AgentStatus {
    return agentStatus({
      ...{ settings: this.#settings, gate: this.#node.gate, network: this.#node.network, peers: this.#peers, sources: this.#node.sources },
      ...{ reconciler: this.#node.reconciler, counts: this.#counts, lastDrift: this.#lastDrift },
      ...{ attachments: this.#node.attachments, attacher: this.#node.attacher, ipam: this.#node.ipam, door: this.#node.door },
      ...{ foreigners: this.#node.foreigners, networkConfig: this.#node.networkConfig, hostPorts: this.#node.hostPorts },
      ...{ healthPorts: this.#node.healthPorts, proxyHealth: this.#proxyHealth, takenNodePorts: this.#node.takenNodePorts },
      ...{ conntrackLimits: this.#node.conntrackLimits, services: this.#services, announcements: this.#announcements, dns: this.#dns },
      ...{ policies: this.#node.policies, entrances: this.#entrances, reduced: this.#node.nftWriter.reduced },
    });
  }

  async close(): Promise<void> {
    // No ADD holds the end up; the runtime tries again.
    this.#node.gate.close("podnet's agent is being stopped");
    await this.#entrances[Symbol.asyncDispose]();
    this.#node.runner.stop();
    clearTimeout(this.#lookAgain);
    this.#node.healthPorts.close();
    const parts = [
      this.#rest,
      this.#announcements,
      this.#node.policies,
      this.#policyTeller,
      this.#node.denials,
      this.#node.sources,
      this.#drift,
      this.#dns,
      this.#dnsCondition,
      this.#node.forgetter,
      this.#node.foreigners,
      this.#proxyHealth,
    ];
    for (const part of parts) part?.[Symbol.dispose]();
    await this.#node.close();
  }

  #statusParts(): StatusParts {
    return {
      status: () => this.status(),
      ipam: () => this.ipam(),
      services: async () => {
        const services = await this.#services?.list();
        return services && { node: this.#settings.nodeName, services };
      },
      denials: () => this.#node.denials.list(),
      service: (name) => withAnnounced(this.#services?.explain(...splitKey(name)), this.#announcements?.announced().map(String)),
    };
  }

  #onServiceCidrs(): void {
    const changed = this.#node.network.setServiceCidrs(this.#node.sources.serviceCidrs.with(this.#settings.serviceCidrs));
    if (changed && this.#services) this.#services.setNode(this.#node.network.serviceNode!);
  }

  #tellOfPolicies(): PolicyTeller {
    const { api, log } = this.#parts;
    return new PolicyTeller({
      api,
      log,
      nodeName: this.#settings.nodeName,
      nodes: () => this.#node.sources.nodes.size,
      policy: this.#node.sources.policy,
    });
  }

  #serveProxyHealth(): void {
    const { families, nodeName, services } = this.#settings;
    const isLeaving = (): boolean => this.#node.sources.nodes.get(nodeName)?.isLeaving ?? false;
    this.#proxyHealth.start({ ns: this.#parts.ns, families, port: services.healthPort, health: this.#node.health, isLeaving });
  }

  #onNodes(changes: readonly Change<NodeView>[]): void {
    for (const { type, key, object } of changes) {
      if (key === this.#settings.nodeName) {
        this.#look();
        if (type !== 'deleted') this.#dnsCondition?.seen(object.dnsReady);
      } else if (type === 'deleted') {
        this.#peers.delete(key);
        this.#node.network.deletePeer(key);
      } else {
        const before = this.#peers.get(key);
        this.#peers.set(key, object);
        if (!before || !sameNode(before, object)) this.#node.network.setPeer(object);
      }
    }
    this.#node.network.planPeers();
    this.#judge();
    this.#node.foreigners.check();
  }

  /**
   * Looks at the own Node and at the links here, and plans anew what depends on either. What the kernel cannot tell now, as lists that change while they are read
   * (F36), it is asked for again: nothing is done by a part of it.
   */
  #look(): void {
    clearTimeout(this.#lookAgain);
    if (!this.#node.sources.isSynced) return;
    try {
      this.#plan();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.#parts.log(`cannot see the links of this node, trying again: ${error.message}`);
      this.#lookAgain = setTimeout(() => this.#look(), lookAgainMs).unref();
      return;
    }
    if (this.#unknown === undefined && !this.#services) this.#begin();
    this.#judge();
  }

  #plan(): void {
    const { nodeName, families } = this.#settings;
    const view = this.#node.sources.nodes.get(nodeName);
    const facts = view
      ? readFacts(view, families, this.#node.rt, this.#parts.ns, this.#settings.services.nodePortCidrs)
      : `there is no Node ${nodeName} in the API: whoever registers nodes has not, or nodeName is not its name`;
    if (typeof facts === 'string') this.#unknown = facts;
    else {
      this.#unknown = undefined;
      if (!sameFacts(this.#node.network.facts, facts)) {
        this.#node.ranges.set(facts.self.podCidrs);
        this.#node.network.setSelf(facts);
        this.#services?.setNode(this.#node.network.serviceNode!);
        this.#node.foreigners.check();
      }
      this.#announcements?.setNode(facts);
      this.#node.policies.setOwnAddresses();
      // One that waits for its deletion is no pod's, and the next pod's may have its name.
      const links = this.#node.rt.links().filter(({ group }) => group !== deletionGroup);
      this.#node.attachments.attached.refresh(new Set(links.map(({ name }) => name)));
    }
  }

  /** Everything is known for the first time: from here on the kernel is written to. */
  #begin(): void {
    const { clusterDns, dnsHealthSocket: socketPath } = this.#settings;
    const services = new ServicePath({
      ...{ reconciler: this.#node.reconciler, conntrack: this.#node.conntrack, nft: this.#node.nft, sources: this.#node.sources, clusterDns },
      ...{ node: this.#node.network.serviceNode!, healthPorts: this.#node.healthPorts },
      isFree: (address) => this.#node.ipam.isFree(address),
    });
    this.#services = services;
    this.#rest.worked();
    this.#node.attachments.settleAll();
    if (this.#settings.announceLoadBalancers) {
      const { ns, log } = this.#parts;
      const [rt, reconciler, sources] = [this.#node.rt, this.#node.reconciler, this.#node.sources];
      this.#announcements = new Announcements({ ns, rt, reconciler, sources, log });
      this.#announcements.setNode(this.#node.network.facts!);
    }
    const goOn = (): void => {
      services.begin();
      this.#node.policies.begin();
      this.#node.runner.start();
    };
    if (socketPath === undefined) {
      goOn();
      return;
    }
    // Whether the DNS of this node answers is part of the plan: planned before it is known, it would be planned away and back.
    const { api, log } = this.#parts;
    const condition = new DnsCondition({ api, log, nodeName: this.#settings.nodeName });
    this.#dnsCondition = condition;
    condition.seen(this.#node.sources.nodes.get(this.#settings.nodeName)?.dnsReady ?? true);
    const onChange = (ready: boolean): void => {
      services.setDnsReady(ready);
      condition.set(ready);
    };
    this.#dns = new DnsReadiness({ socketPath, onChange });
    // One that was never ready does not change.
    void this.#dns.known.then(() => condition.set(this.#dns!.ready));
    void this.#dns.known.then(() => this.#node.policies.learnNames()).then((goes) => goes && goOn());
  }

  /** @returns whether all is well */
  #sync(full: boolean): boolean {
    if (full) this.#node.reconciler.markAll();
    const result = this.#node.reconciler.sync();
    this.#counts.syncs++;
    this.#node.health.done();
    // The check of all each half minute, that finds nothing to do, is rest.
    if (result.operations.length > 0) this.#rest.worked();
    this.#counts.operations += result.operations.length;
    if (result.full) {
      this.#counts.fullChecks++;
      this.#node.attachments.attached.mend();
      this.#node.ranges.lookForUse();
      this.#node.foreigners.check();
      this.#node.takenNodePorts.look();
      this.#node.conntrackLimits?.apply();
      void this.#entrances.look();
      this.#node.problemLog.tell('leases', unwritable(this.#node.ipam.lookForFault()));
    }
    for (const { key, error } of result.failures) this.#parts.log(`${key}: ${error.message}`);
    this.#announcements?.written();
    this.#node.policies.written(result.operations);
    this.#services?.clean(!result.failures.some(({ key }) => key.startsWith('nft-')));
    this.#judge();
    return result.failures.length === 0;
  }

  #judge(): void {
    judge(this.#settings, this.#node, { syncs: this.#counts.syncs, unknown: this.#unknown, log: this.#parts.log });
  }
}
