import { Ipam } from '../ipam/index.ts';
import { Conntrack } from '../kernel/conntrack.ts';
import type { NetNs } from '../kernel/netns.ts';
import { Nft } from '../kernel/nftables/nft.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import type { Api } from '../kube/api.ts';
import { Attacher, attachModes, bridgeLink, podGroup } from '../links/index.ts';
import { NftWriter, Reconciler, RtWriter, Runner, SysctlWriter } from '../reconcile/index.ts';
import { Forgetter } from './addresses/forgetter.ts';
import { PodRanges } from './addresses/pod-ranges.ts';
import { PodAttachments } from './attach/attachments.ts';
import { Door } from './attach/door.ts';
import { Gate } from './attach/gate.ts';
import { HostPorts } from './attach/hostports.ts';
import { NetworkConfig } from './attach/network-config.ts';
import { Foreigners } from './foreign.ts';
import { ConntrackLimits } from './node/conntrack-limits.ts';
import { NodeNetwork } from './node/network.ts';
import { nodeShape } from './node/shape.ts';
import { Denials } from './policy/denials.ts';
import { PolicyFaults } from './policy/faults.ts';
import { heldKinds } from './policy/layout.ts';
import { PolicyPath } from './policy/path.ts';
import { ProblemLog } from './problem-log.ts';
import { HealthPorts } from './services/health-ports.ts';
import type { ServicePath } from './services/path.ts';
import { SyncHealth } from './services/proxy-health.ts';
import { TakenNodePorts } from './services/taken-node-ports.ts';
import type { Settings } from './settings.ts';
import { Sources } from './watch/sources.ts';

export interface AgentParts {
  /** The node's network namespace. */
  ns: NetNs;
  api: Api;
  log: (line: string) => void;
}

/** What its parts have an agent do. */
export interface Doings {
  /** Writes to the kernel. @returns whether all is well */
  sync: (full: boolean) => boolean;
  /** Looks again whether pods can be attached. */
  judge: () => void;
  /** Once everything is known. */
  services: () => ServicePath | undefined;
}

/** What an agent is made of from its first moment on, wired together; none of it does anything yet. */
export class NodeParts {
  readonly rt: RtNetlink;
  readonly nft: Nft;
  readonly conntrack: Conntrack;
  readonly ipam: Ipam;
  readonly forgetter: Forgetter;
  readonly attacher: Attacher;
  readonly door: Door;
  readonly nftWriter: NftWriter;
  readonly reconciler: Reconciler;
  readonly runner: Runner;
  readonly network: NodeNetwork;
  readonly hostPorts: HostPorts;
  readonly ranges: PodRanges;
  readonly denials: Denials;
  readonly policies: PolicyPath;
  readonly attachments: PodAttachments;
  readonly foreigners: Foreigners;
  readonly sources: Sources;
  readonly gate = new Gate('the API server has not told of nodes and Services yet');
  readonly problemLog: ProblemLog;
  readonly health = new SyncHealth();
  readonly healthPorts: HealthPorts;
  readonly takenNodePorts: TakenNodePorts;
  readonly conntrackLimits: ConntrackLimits | undefined;
  readonly networkConfig: NetworkConfig;

  /** @throws IpamError when another agent has the leases */
  constructor(settings: Settings, parts: AgentParts, doings: Doings) {
    const { ns, api, log } = parts;
    this.networkConfig = new NetworkConfig(settings.cni, log);
    this.problemLog = new ProblemLog(log);
    this.ipam = new Ipam(settings.stateDir, {
      // Of pods that are gone, what connections and clients the kernel remembers by these addresses.
      forget: (addresses) => {
        this.conntrack.deleteOf(addresses);
        doings.services()?.forget(addresses);
      },
    });
    this.forgetter = new Forgetter(this.ipam, ns, {
      onError: (error) => log(`connections of deleted pods: ${error.message}`),
      also: (addresses) => doings.services()?.forget(addresses),
    });
    this.rt = RtNetlink.open(ns);
    this.nft = Nft.open(ns);
    this.conntrack = Conntrack.open(ns);
    this.ranges = new PodRanges({ ipam: this.ipam, rt: this.rt, nft: this.nft, conntrack: this.conntrack, settings, log });
    this.attacher = new Attacher(ns, attachModes[settings.attach]);
    this.runner = new Runner((full) => doings.sync(full), { onError: (error) => log((error as Error).stack ?? String(error)) });
    // Settings of links come when these are there, and forwarding begins last.
    this.nftWriter = new NftWriter(this.nft);
    const writers = [new RtWriter(this.rt), this.nftWriter, new SysctlWriter(ns)];
    const faults = new PolicyFaults();
    this.reconciler = new Reconciler(writers, {
      onStatus: (owner, status) => faults.heard(owner, status),
      onWork: () => {
        this.health.queued();
        this.runner.trigger();
      },
    });
    this.door = new Door(attachModes[settings.attach], this.nft);
    this.network = new NodeNetwork(this.reconciler, settings, this.door);
    const network = this.network;
    this.hostPorts = new HostPorts({
      ...{ ipam: this.ipam, rt: this.rt, conntrack: this.conntrack },
      get serviceCidrs() {
        return network.serviceCidrs;
      },
    });
    const onSourceError = (kind: string, error: Error): void => {
      log(`${kind}: ${error.message}`);
      doings.judge();
    };
    this.sources = new Sources(api, settings.nodeName, onSourceError, () => heldKinds(this.nft.counters('podnet').keys()));
    this.denials = new Denials({ nodeName: settings.nodeName, api, reconciler: this.reconciler, nft: this.nft, log });
    this.policies = new PolicyPath({
      denials: this.denials,
      ...{ nodeName: settings.nodeName, clusterCidrs: settings.clusterCidrs, mask: settings.connmarkMask, api, log },
      podLinks: { group: podGroup, ...(settings.attach === 'bridge' ? { bridge: bridgeLink } : {}) },
      clusterDns: settings.dnsHealthSocket === undefined ? [] : settings.clusterDns,
      dnsHealthSocket: settings.dnsHealthSocket,
      ...{ reconciler: this.reconciler, faults, conntrack: this.conntrack, sources: this.sources, ipam: this.ipam },
      // Pods' gateway is one of them, also before the first pod's link has it.
      ownAddresses: () => {
        const { linkNode } = network;
        const gateways = linkNode?.podCidrs.map((cidr) => this.attacher.mode.gateway(cidr.address, linkNode)) ?? [];
        return [...gateways, ...this.rt.addresses().map(({ address }) => address)];
      },
      wake: () => this.runner.trigger(),
      sync: () => doings.sync(false),
    });
    this.attachments = new PodAttachments({
      ...{ ipam: this.ipam, attacher: this.attacher, door: this.door, reconciler: this.reconciler, gate: this.gate },
      ...{ forgetter: this.forgetter, hostPorts: this.hostPorts, isolation: this.policies },
      node: () => this.network.linkNode,
      waitForDeletion: settings.cni.waitForDeletion ?? false,
      onError: (error) => log(error.message),
    });
    this.foreigners = new Foreigners({
      ...{ ns, rt: this.rt, nft: this.nft, log, confDir: settings.cni.confDir },
      mayOpen: settings.foreignFirewall === 'allow',
      shape: () => {
        const { facts } = this.network;
        return facts && nodeShape(settings, facts, this.network.waysToPods(), this.rt);
      },
      onChange: () => doings.judge(),
    });
    this.conntrackLimits = settings.services.conntrackLimits ? new ConntrackLimits(ns, log) : undefined;
    this.takenNodePorts = new TakenNodePorts(ns, log, () => ({
      ...{ held: this.reconciler.actual(), addresses: network.facts?.nodePortAddresses ?? [], services: this.sources.services },
    }));
    this.healthPorts = new HealthPorts(ns, () => this.health.isHealthy);
  }

  /** Frees what the kernel and the disk are reached by, when all is at rest. */
  async close(): Promise<void> {
    for (const part of [this.attacher, this.conntrack, this.nft, this.rt, this.ipam]) part[Symbol.dispose]();
    await Promise.all([this.forgetter.ended, this.attacher.ended]);
  }
}
