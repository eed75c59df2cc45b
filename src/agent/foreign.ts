import { createHash } from 'node:crypto';
import { setImmediate as afterOthers } from 'node:timers/promises';
import { configurationsIn, confListName } from '../cni/conflist.ts';
import {
  changeWords,
  type Finding,
  ipsetsNamed,
  ipvsLink,
  judgeFirewalls,
  judgeOthers,
  type NodeShape,
  type OpeningChange,
  planOpenings,
  sentence,
  type Traces,
  tracesOf,
  withoutOpenings,
  writeOpenings,
} from '../foreign/index.ts';
import { readIpSets } from '../kernel/ipset.ts';
import { readLegacyTables } from '../kernel/iptables-legacy.ts';
import type { NetNs } from '../kernel/netns.ts';
import { type Nft, type RulesetTable, rulesetReading } from '../kernel/nftables/index.ts';
import type { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';

export interface ForeignOptions {
  ns: NetNs;
  rt: RtNetlink;
  nft: Nft;
  /** There is consent to let pods pass a firewall of others, where its owner asks others for their rules. */
  mayOpen: boolean;
  /** Where the runtime's configurations are. */
  confDir: string;
  /** undefined until the node is known. */
  shape: () => NodeShape | undefined;
  log: (line: string) => void;
  /** There are other problems than before. */
  onChange: () => void;
}

/** Changes come in bursts: iptables-restore, a firewall's reload. */
const gatherMs = 100;
/** How much longer than a look takes nothing is looked at behind it: whoever changes many thousand rules all the time costs a twentieth of a core. */
const restFactor = 20;
/** How long a look goes on before others get their turn. */
const sliceMs = 10;
/** How often rules are read again because somebody changed them before podnet's were written. */
const writeAttempts = 5;

/**
 * Watches what others do on this node: firewall rules that drop or reject what pods need, kube-proxy, other pod networks, configurations that come
 * before podnet's. Nothing of theirs is changed; with consent podnet's own rules stand where they ask others for rules (`foreign/opening.ts`). Rules are read when somebody else changed nftables, never for podnet's own transactions; what makes no
 * events (iptables-legacy, ip_set, links, files) every 30 s.
 */
export class Foreigners implements Disposable {
  readonly #options: ForeignOptions;
  #firewalls: Finding[] = [];
  #traces: Traces = { proxies: [], proxyChains: [], networks: new Map() };
  #others: Finding[] = [];
  #unread: string | undefined;
  /** Why podnet's rules could not be written where there is consent. */
  #unwritten: string | undefined;
  #told: ReadonlySet<string> = new Set();
  /** Rules or what they are judged by changed since they were read. */
  #stale = true;
  #judgedFor = '';
  /** What the tables of iptables-legacy were: their changes make no events. */
  #legacy = '';
  /** What ip_set has of the sets that rules name, and these by number. */
  #ipsets = '';
  #ipsetNumbers: ReadonlySet<number> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #again = false;
  #disposed = false;
  #restUntil = 0;
  /** Processor time that others of this process took while a look let them. */
  #othersMs = 0;
  #looks = 0;
  #lastLookMs = 0;
  #generation = 0;

  constructor(options: ForeignOptions) {
    this.#options = options;
  }

  /** What breaks the pod network for certain, in sentences. */
  get problems(): string[] {
    return this.#findings('problem');
  }

  /** What may be meant so, what may happen, and leftovers. */
  get warnings(): string[] {
    return [...this.#findings('warning'), ...[this.#unread ?? [], this.#unwritten ?? []].flat()];
  }

  get state(): { looks: number; lastLookMs: number; generation: number } {
    return { looks: this.#looks, lastLookMs: Math.round(this.#lastLookMs), generation: this.#generation };
  }

  /** Rules of others changed, or this node did. */
  changed(): void {
    this.#stale = true;
    this.check();
  }

  /** Looks soon at what makes no events; at rules only when they changed, or the node did. */
  check(): void {
    if (this.#disposed) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    const wait = this.#looks === 0 ? 0 : Math.max(gatherMs, this.#restUntil - performance.now());
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#look();
    }, wait);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  #findings(severity: Finding['severity']): string[] {
    return [...this.#others, ...this.#firewalls].filter((finding) => finding.severity === severity).map(sentence);
  }

  async #look(): Promise<void> {
    const began = performance.now();
    const usage = processorMs();
    this.#othersMs = 0;
    this.#looking = true;
    try {
      const shape = this.#options.shape();
      if (!shape) return;
      const judgedFor = JSON.stringify(shape);
      if (judgedFor !== this.#judgedFor) this.#stale = true;
      this.#judgedFor = judgedFor;
      await this.#judge(shape);
      this.#unread = undefined;
    } catch (error) {
      // What was found before stands.
      this.#stale = true;
      this.#unread = `the firewall rules of others cannot be read: ${(error as Error).message}`;
    } finally {
      this.#looking = false;
    }
    if (this.#disposed) return;
    this.#looks++;
    this.#lastLookMs = performance.now() - began;
    // What it cost, not what others did meanwhile, in this process or another: on a busy machine a firewall that drops is told of as soon.
    this.#restUntil = performance.now() + restFactor * Math.min(this.#lastLookMs, processorMs() - usage - this.#othersMs);
    this.#tell();
    if (this.#again) {
      this.#again = false;
      this.check();
    }
  }

  async #judge(shape: NodeShape): Promise<void> {
    const legacy = readLegacyTables(this.#options.ns);
    const signature = signatureOf(legacy);
    if (signature !== this.#legacy) this.#stale = true;
    this.#legacy = signature;
    if (!this.#stale && JSON.stringify([...readIpSets(this.#options.ns, this.#ipsetNumbers)]) !== this.#ipsets)
      this.#stale = true;
    if (this.#stale) {
      this.#stale = false;
      for (let attempt = 1; await this.#judgeRules(shape, legacy); attempt++) {
        if (attempt < writeAttempts) continue;
        // Somebody changes them all the time: the next look tries again.
        this.#stale = this.#again = true;
        break;
      }
    }
    this.#others = this.#lookAround(shape);
  }

  /** @returns whether they are to be read again: podnet's were written, or somebody else's at that very time */
  async #judgeRules(shape: NodeShape, legacy: readonly RulesetTable[]): Promise<boolean> {
    const skip = (family: string, name: string): boolean => family === 'inet' && name === 'podnet';
    const ruleset = await this.#inSlices(rulesetReading(this.#options.ns, { skip }));
    if (!ruleset) return false;
    const { generation } = ruleset;
    const tables = this.#withIpsets([...ruleset.tables, ...legacy]);
    // As if podnet had no rules among them: what they let pass is why they are there.
    const bare = withoutOpenings(tables);
    const found = await this.#inSlices(judgeFirewalls(bare, shape));
    if (!found) return false;
    const wanted = this.#options.mayOpen
      ? found.flatMap(({ severity, opening }) => (severity === 'problem' ? (opening ?? []) : []))
      : [];
    const changes = planOpenings(tables, wanted, shape.clusterCidrs);
    if (changes.length > 0 && this.#write(changes, generation)) return true;
    if (changes.length === 0) this.#unwritten = undefined;
    const judged = bare === tables ? found : await this.#inSlices(judgeFirewalls(tables, shape));
    if (!judged) return false;
    this.#traces = tracesOf(tables, shape.serviceCidrs);
    this.#firewalls = judged;
    this.#generation = generation;
    return false;
  }

  /** Sets that rules of iptables ask: what changes in them makes no event either. */
  #withIpsets(tables: RulesetTable[]): RulesetTable[] {
    this.#ipsetNumbers = ipsetsNamed(tables);
    const ipsets = readIpSets(this.#options.ns, this.#ipsetNumbers);
    this.#ipsets = JSON.stringify([...ipsets]);
    return ipsets.size === 0 ? tables : tables.map((table) => ({ ...table, ipsets }));
  }

  /** @returns whether the rules are others than those that were read */
  #write(changes: readonly OpeningChange[], generation: number): boolean {
    const { nft, log } = this.#options;
    try {
      writeOpenings(nft, changes, generation);
      for (const change of changes) log(changeWords(change));
      return true;
    } catch (error) {
      if ((error as { errno?: string }).errno === 'ERESTART') return true;
      this.#unwritten = `podnet's rules for pods cannot be written to a firewall of others: ${(error as Error).message}`;
      return false;
    }
  }

  /** @returns undefined when the agent ends meanwhile */
  async #inSlices<T>(work: Generator<void, T>): Promise<T | undefined> {
    for (let end = performance.now() + sliceMs; !this.#disposed; ) {
      const { done, value } = work.next();
      if (done) return value;
      if (performance.now() < end) continue;
      const usage = processorMs();
      await afterOthers();
      this.#othersMs += processorMs() - usage;
      end = performance.now() + sliceMs;
    }
    return undefined;
  }

  #lookAround({ serviceCidrs }: NodeShape): Finding[] {
    const { rt, confDir } = this.#options;
    const links = rt.links().map(({ index, name, up }) => ({
      ...{ name, up },
      addresses: name === ipvsLink ? rt.addresses().flatMap(({ link, address }) => (link === index ? [address] : [])) : [],
    }));
    const conf = { directory: confDir, files: configurationsIn(confDir), own: confListName };
    return judgeOthers({ traces: this.#traces, links, serviceCidrs, conf });
  }

  /** To the log when it begins and when it ends. */
  #tell(): void {
    const { log, onChange } = this.#options;
    const now = new Set([...this.problems.map((text) => `problem: ${text}`), ...this.warnings.map((text) => `warning: ${text}`)]);
    for (const text of now) if (!this.#told.has(text)) log(text);
    for (const text of this.#told) if (!now.has(text)) log(`solved: ${text}`);
    const same = now.size === this.#told.size && [...now].every((text) => this.#told.has(text));
    this.#told = now;
    if (!same) onChange();
  }
}

/** That this process has taken so far. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Tables without what packets count in them. */
function signatureOf(tables: readonly RulesetTable[]): string {
  if (tables.length === 0) return '';
  const hash = createHash('sha256');
  for (const { family, name, chains } of tables)
    for (const chain of chains.values()) {
      hash.update(`${family} ${name} ${chain.name} ${chain.hook?.policy}\n`);
      for (const { expressions } of chain.rules) hash.update(JSON.stringify(expressions.filter((one) => one.name !== 'counter')));
    }
  return hash.digest('hex');
}
