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
import { Attacher, attachModes, bridgeLink, deletionGroup, podGroup } from '../links/index.ts';
import type { IpAddr } from '../net/ip.ts';
import { deniedCounter } from '../policy/plan/index.ts';
import { NftWriter, Reconciler, RtWriter, Runner, SysctlWriter } from '../reconcile/index.ts';
import { agentStatus } from './agent-status.ts';
import { Announcements } from './announcements.ts';
import { PodAttachments } from './attachments.ts';
import { Warming } from './compilation.ts';
import { ConntrackLimits } from './conntrack-limits.ts';
import { Denials } from './denials.ts';
import { DnsCondition } from './dns-condition.ts';
import { DnsReadiness } from './dns-readiness.ts';
import { Door } from './door.ts';
import { watchDrift } from './drift.ts';
import { Foreigners } from './foreign.ts';
import { Forgetter } from './forgetter.ts';
import { Gate } from './gate.ts';
import { HealthPorts } from './health-ports.ts';
import { HostPorts } from './hostports.ts';
import { type IpamReport, ipamReport } from './ipam-report.ts';
import { type Condition, whyNot } from './judgement.ts';
import { Litter } from './litter.ts';
import { NetworkConfig } from './network-config.ts';
import { readFacts, sameFacts } from './node-facts.ts';
import { NodeNetwork } from './node-network.ts';
import { nodeShape } from './node-shape.ts';
import { PodRanges } from './pod-ranges.ts';
import { PolicyFaults } from './policy-faults.ts';
import { PolicyPath } from './policy-path.ts';
import { PolicyTeller } from './policy-status.ts';
import { ProblemLog } from './problem-log.ts';
import { ProxyHealth, SyncHealth } from './proxy-health.ts';
import { Rest } from './rest.ts';
import { ServicePath, splitKey } from './service-path.ts';
import { withAnnounced } from './service-report.ts';
import type { Settings } from './settings.ts';
import { Sources } from './sources.ts';
import { type AgentStatus, scarce, serveStatus, unwritable } from './status.ts';
import { TakenNodePorts } from './taken-node-ports.ts';
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
  readonly #ranges: PodRanges;
  readonly #denials: Denials;
  readonly #policies: PolicyPath;
  readonly #attachments: PodAttachments;
  readonly #foreigners: Foreigners;
  readonly #sources: Sources;
  readonly #gate = new Gate('the API server has not told of nodes and Services yet');
  readonly #peers = new Map<string, NodeView>();
  readonly #problemLog: ProblemLog;
  readonly #counts = { syncs: 0, fullChecks: 0, operations: 0 };
  readonly #health = new SyncHealth();
  readonly #rest = new Rest();
  readonly #litter = new Litter();
  readonly #warming = new Warming();
  readonly #healthPorts: HealthPorts;
  readonly #takenNodePorts: TakenNodePorts;
  readonly #conntrackLimits: ConntrackLimits | undefined;
  readonly #proxyHealth = new ProxyHealth();
  #services: ServicePath | undefined;
  #announcements: Announcements | undefined;
  #dns: DnsReadiness | undefined;
  #dnsCondition: DnsCondition | undefined;
  #policyTeller: PolicyTeller | undefined;
  #drift: Disposable | undefined;
  #lastDrift: string | undefined;
  /** Why this node's own facts are not known. */
  #unknown: string | undefined;
  readonly #networkConfig: NetworkConfig;
  #cniServer: CniServer | undefined;
  #statusServer: AsyncDisposable | undefined;

  /** @throws IpamError when another agent has the leases */
  constructor(settings: Settings, parts: AgentParts) {
    const { ns, api, log } = parts;
    this.#settings = settings;
    this.#networkConfig = new NetworkConfig(settings.cni, log);
    this.#parts = parts;
    this.#problemLog = new ProblemLog(log);
    this.#ipam = new Ipam(settings.stateDir, { forget: (addresses) => this.#forget(addresses) });
    this.#forgetter = new Forgetter(this.#ipam, ns, {
      onError: (error) => log(`connections of deleted pods: ${error.message}`),
      also: (addresses) => this.#services?.forget(addresses),
    });
    this.#rt = RtNetlink.open(ns);
    this.#nft = Nft.open(ns);
    this.#conntrack = Conntrack.open(ns);
    this.#ranges = new PodRanges({ ipam: this.#ipam, rt: this.#rt, nft: this.#nft, conntrack: this.#conntrack, settings, log });
    this.#attacher = new Attacher(ns, attachModes[settings.attach]);
    this.#runner = new Runner((full) => this.#sync(full), { onError: (error) => log((error as Error).stack ?? String(error)) });
    // Settings of links come when these are there, and forwarding begins last.
    const writers = [new RtWriter(this.#rt), new NftWriter(this.#nft), new SysctlWriter(ns)];
    const faults = new PolicyFaults();
    this.#reconciler = new Reconciler(writers, {
      onStatus: (owner, status) => faults.heard(owner, status),
      onWork: () => {
        this.#health.queued();
        this.#runner.trigger();
      },
    });
    this.#door = new Door(attachModes[settings.attach], this.#nft);
    this.#network = new NodeNetwork(this.#reconciler, settings, this.#door);
    const network = this.#network;
    this.#hostPorts = new HostPorts({
      ...{ ipam: this.#ipam, rt: this.#rt, conntrack: this.#conntrack },
      get serviceCidrs() {
        return network.serviceCidrs;
      },
    });
    const onSourceError = (kind: string, error: Error): void => {
      log(`${kind}: ${error.message}`);
      this.#judge();
    };
    this.#sources = new Sources(api, settings.nodeName, onSourceError, () => this.#nft.counters('podnet').has(deniedCounter));
    this.#denials = new Denials({ nodeName: settings.nodeName, api, reconciler: this.#reconciler, nft: this.#nft, log });
    this.#policies = new PolicyPath({
      denials: this.#denials,
      ...{ nodeName: settings.nodeName, clusterCidrs: settings.clusterCidrs, mask: settings.connmarkMask, api, log },
      podLinks: { group: podGroup, ...(settings.attach === 'bridge' ? { bridge: bridgeLink } : {}) },
      clusterDns: settings.dnsHealthSocket === undefined ? [] : settings.clusterDns,
      dnsHealthSocket: settings.dnsHealthSocket,
      ...{ reconciler: this.#reconciler, faults, conntrack: this.#conntrack, sources: this.#sources, ipam: this.#ipam },
      // Pods' gateway is one of them, also before the first pod's link has it.
      ownAddresses: () => {
        const { linkNode } = network;
        const gateways = linkNode?.podCidrs.map((cidr) => this.#attacher.mode.gateway(cidr.address, linkNode)) ?? [];
        return [...gateways, ...this.#rt.addresses().map(({ address }) => address)];
      },
      wake: () => this.#runner.trigger(),
      sync: () => this.#sync(false),
    });
    this.#attachments = new PodAttachments({
      ...{ ipam: this.#ipam, attacher: this.#attacher, door: this.#door, reconciler: this.#reconciler, gate: this.#gate },
      ...{ forgetter: this.#forgetter, hostPorts: this.#hostPorts, isolation: this.#policies },
      node: () => this.#network.linkNode,
      waitForDeletion: settings.cni.waitForDeletion ?? false,
      onError: (error) => log(error.message),
    });
    this.#foreigners = new Foreigners({
      ...{ ns, rt: this.#rt, nft: this.#nft, log, confDir: settings.cni.confDir },
      mayOpen: settings.foreignFirewall === 'allow',
      shape: () => {
        const { facts } = this.#network;
        return facts && nodeShape(settings, facts, this.#network.waysToPods(), this.#rt);
      },
      onChange: () => this.#judge(),
    });
    this.#conntrackLimits = settings.services.conntrackLimits ? new ConntrackLimits(ns, log) : undefined;
    this.#takenNodePorts = new TakenNodePorts(ns, log, () => ({
      ...{ held: this.#reconciler.actual(), addresses: network.facts?.nodePortAddresses ?? [], services: this.#sources.services },
    }));
    this.#healthPorts = new HealthPorts(ns, () => this.#health.isHealthy);
  }

  /** @throws Error when a socket or a file cannot be had; `close` is to be called then as well */
  async start(): Promise<void> {
    const { cni, statusSocket } = this.#settings;
    const { socketPath } = cni;
    this.#cniServer = await startCniServer({ socketPath, answer: (bytes) => this.call(bytes) });
    this.#statusServer = await serveStatus(statusSocket, {
      status: () => this.status(),
      ipam: () => this.ipam(),
      services: async () => {
        const services = await this.#services?.list();
        return services && { node: this.#settings.nodeName, services };
      },
      denials: () => this.#denials.list(),
      service: (name) => withAnnounced(this.#services?.explain(...splitKey(name)), this.#announcements?.announced().map(String)),
    });
    installExecutable(cni.binDir, socketPath);
    const view = {
      held: () => this.#reconciler.actual(),
      links: () => this.#rt.links(),
      ruleset: () => this.#nft.foreignGeneration(),
    };
    this.#drift = watchDrift(this.#parts.ns, view, {
      onLinks: () => this.#look(),
      onRules: () => this.#foreigners.changed(),
      onDrift: (what) => {
        this.#lastDrift = what;
        this.#reconciler.markAll();
      },
    });
    this.#serveProxyHealth();
    this.#sources.start();
    void this.#sources.synced.then(() => {
      this.#onServiceCidrs();
      this.#sources.serviceCidrs.informer.onChange(() => this.#onServiceCidrs());
      this.#sources.nodes.onChange((changes) => this.#onNodes(changes));
      this.#look();
      if (this.#settings.policyStatus) this.#policyTeller = this.#tellOfPolicies();
    });
  }

  /** One call of the CNI executable, from the bytes it sent. */
  async call(request: Buffer): Promise<Reply> {
    this.#litter.began();
    const reply = await answer(request, this.#attachments).finally(() => this.#litter.answered());
    this.#warming.answered();
    this.#rest.worked();
    this.#problemLog.tell('addresses', scarce(this.#ipam.use()));
    this.#problemLog.tell('leases', unwritable(this.#ipam.storageFault()));
    return reply;
  }

  ipam(): IpamReport {
    return ipamReport(this.#settings.nodeName, this.#ipam, ({ key }) => this.#attachments.has(key));
  }

  status(): AgentStatus {
    return agentStatus({
      ...{ settings: this.#settings, gate: this.#gate, network: this.#network, peers: this.#peers, sources: this.#sources },
      ...{ reconciler: this.#reconciler, counts: this.#counts, lastDrift: this.#lastDrift },
      ...{ attachments: this.#attachments, attacher: this.#attacher, ipam: this.#ipam, door: this.#door },
      ...{ foreigners: this.#foreigners, networkConfig: this.#networkConfig, hostPorts: this.#hostPorts },
      ...{ healthPorts: this.#healthPorts, proxyHealth: this.#proxyHealth, takenNodePorts: this.#takenNodePorts },
      ...{ conntrackLimits: this.#conntrackLimits, services: this.#services, announcements: this.#announcements, dns: this.#dns },
      policies: this.#policies,
    });
  }

  async close(): Promise<void> {
    // No ADD holds the end up; the runtime tries again.
    this.#gate.close("podnet's agent is being stopped");
    await this.#cniServer?.close();
    this.#runner.stop();
    this.#healthPorts.close();
    const parts = [
      this.#rest,
      this.#announcements,
      this.#policies,
      this.#policyTeller,
      this.#denials,
      this.#sources,
      this.#drift,
      this.#dns,
      this.#dnsCondition,
      this.#forgetter,
      this.#foreigners,
      this.#proxyHealth,
    ];
    for (const part of parts) part?.[Symbol.dispose]();
    await this.#statusServer?.[Symbol.asyncDispose]();
    for (const part of [this.#attacher, this.#conntrack, this.#nft, this.#rt, this.#ipam]) part[Symbol.dispose]();
    await Promise.all([this.#forgetter.ended, this.#attacher.ended]);
  }

  #onServiceCidrs(): void {
    const changed = this.#network.setServiceCidrs(this.#sources.serviceCidrs.with(this.#settings.serviceCidrs));
    if (changed && this.#services) this.#services.setNode(this.#network.serviceNode!);
  }

  /** Of pods that are gone, what connections and clients the kernel remembers by these addresses. */
  #forget(addresses: readonly IpAddr[]): void {
    this.#conntrack.deleteOf(addresses);
    this.#services?.forget(addresses);
  }

  #tellOfPolicies(): PolicyTeller {
    const { api, log } = this.#parts;
    return new PolicyTeller({
      api,
      log,
      nodeName: this.#settings.nodeName,
      nodes: () => this.#sources.nodes.size,
      policy: this.#sources.policy,
    });
  }

  #serveProxyHealth(): void {
    const { families, nodeName, services } = this.#settings;
    const isLeaving = (): boolean => this.#sources.nodes.get(nodeName)?.isLeaving ?? false;
    this.#proxyHealth.start({ ns: this.#parts.ns, families, port: services.healthPort, health: this.#health, isLeaving });
  }

  #onNodes(changes: readonly Change<NodeView>[]): void {
    for (const { type, key, object } of changes) {
      if (key === this.#settings.nodeName) {
        this.#look();
        if (type !== 'deleted') this.#dnsCondition?.seen(object.dnsReady);
      } else if (type === 'deleted') {
        this.#peers.delete(key);
        this.#network.deletePeer(key);
      } else {
        const before = this.#peers.get(key);
        this.#peers.set(key, object);
        if (!before || !sameNode(before, object)) this.#network.setPeer(object);
      }
    }
    this.#network.planPeers();
    this.#judge();
    this.#foreigners.check();
  }

  /** Looks at the own Node and at the links here, and plans anew what depends on either. */
  #look(): void {
    if (!this.#sources.isSynced) return;
    const { nodeName, families } = this.#settings;
    const view = this.#sources.nodes.get(nodeName);
    const facts = view
      ? readFacts(view, families, this.#rt, this.#parts.ns, this.#settings.services.nodePortCidrs)
      : `there is no Node ${nodeName} in the API: whoever registers nodes has not, or nodeName is not its name`;
    if (typeof facts === 'string') this.#unknown = facts;
    else {
      this.#unknown = undefined;
      if (!sameFacts(this.#network.facts, facts)) {
        this.#ranges.set(facts.self.podCidrs);
        this.#network.setSelf(facts);
        this.#services?.setNode(this.#network.serviceNode!);
        this.#foreigners.check();
      }
      this.#announcements?.setNode(facts);
      this.#policies.setOwnAddresses();
      // One that waits for its deletion is no pod's, and the next pod's may have its name.
      const links = this.#rt.links().filter(({ group }) => group !== deletionGroup);
      this.#attachments.refresh(new Set(links.map(({ name }) => name)));
      if (!this.#services) this.#begin();
    }
    this.#judge();
  }

  /** Everything is known for the first time: from here on the kernel is written to. */
  #begin(): void {
    const { clusterDns, dnsHealthSocket: socketPath } = this.#settings;
    const services = new ServicePath({
      ...{ reconciler: this.#reconciler, conntrack: this.#conntrack, nft: this.#nft, sources: this.#sources, clusterDns },
      ...{ node: this.#network.serviceNode!, healthPorts: this.#healthPorts },
      isFree: (address) => this.#ipam.isFree(address),
    });
    this.#services = services;
    this.#rest.worked();
    this.#attachments.settleAll();
    if (this.#settings.announceLoadBalancers) {
      const { ns, log } = this.#parts;
      const [rt, reconciler, sources] = [this.#rt, this.#reconciler, this.#sources];
      this.#announcements = new Announcements({ ns, rt, reconciler, sources, log });
      this.#announcements.setNode(this.#network.facts!);
    }
    const goOn = (): void => {
      services.begin();
      this.#policies.begin();
      this.#runner.start();
    };
    if (socketPath === undefined) {
      goOn();
      return;
    }
    // Whether the DNS of this node answers is part of the plan: planned before it is known, it would be planned away and back.
    const { api, log } = this.#parts;
    const condition = new DnsCondition({ api, log, nodeName: this.#settings.nodeName });
    this.#dnsCondition = condition;
    condition.seen(this.#sources.nodes.get(this.#settings.nodeName)?.dnsReady ?? true);
    const onChange = (ready: boolean): void => {
      services.setDnsReady(ready);
      condition.set(ready);
    };
    this.#dns = new DnsReadiness({ socketPath, onChange });
    // One that was never ready does not change.
    void this.#dns.known.then(() => condition.set(this.#dns!.ready));
    void this.#dns.known.then(() => this.#policies.learnNames()).then((goes) => goes && goOn());
  }

  /** @returns whether all is well */
  #sync(full: boolean): boolean {
    if (full) this.#reconciler.markAll();
    const result = this.#reconciler.sync();
    this.#counts.syncs++;
    this.#health.done();
    // The check of all each half minute, that finds nothing to do, is rest.
    if (result.operations.length > 0) this.#rest.worked();
    this.#counts.operations += result.operations.length;
    if (result.full) {
      this.#counts.fullChecks++;
      this.#attachments.mend();
      this.#ranges.lookForUse();
      this.#foreigners.check();
      this.#takenNodePorts.look();
      this.#conntrackLimits?.apply();
    }
    for (const { key, error } of result.failures) this.#parts.log(`${key}: ${error.message}`);
    this.#announcements?.written();
    this.#policies.written(result.operations);
    this.#services?.clean(!result.failures.some(({ key }) => key.startsWith('nft-')));
    this.#judge();
    return result.failures.length === 0;
  }

  /** Opens or shuts the gate of ADD, and tells the runtime of the network when it can be served (CNI14). */
  #judge(): void {
    this.#problemLog.tell('nodes', this.#network.problems);
    this.#problemLog.tell('addresses', scarce(this.#ipam.use()));
    const why = whyNot(this.#condition());
    if (why !== this.#gate.why) this.#parts.log(why === undefined ? 'pods can be attached' : `pods cannot be attached: ${why}`);
    this.#gate.set(why);
    this.#gate.setUnfit([this.#foreigners.problems, this.#policies.unfit ?? []].flat().join('; ') || undefined);
    if (why === undefined) this.#networkConfig.announce();
  }

  #condition(): Condition {
    return {
      synced: this.#sources.isSynced,
      apiError: this.#sources.describe().find((source) => source.error !== undefined)?.error,
      unknown: this.#unknown,
      families: this.#settings.families,
      pools: this.#ipam.use(),
      faults: this.#sources.isSynced ? (this.#sources.nodes.get(this.#settings.nodeName)?.faults ?? []) : [],
      clash: this.#network.clash,
      syncs: this.#counts.syncs,
      status: (owner) => this.#reconciler.status(owner),
      wasOpen: this.#gate.wasOpen,
    };
  }
}
