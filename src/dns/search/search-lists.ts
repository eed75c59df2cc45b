import { resolvConf } from '../../kube/resolv-conf.ts';
import { lowerName, parseName, type WireName } from '../wire/names.ts';
import type { PodFacts } from '../zone/facts.ts';
import type { HostFile } from './host-file.ts';

/** What a pod's resolver tries for a name. */
export interface SearchList {
  /** In order, in lower case. */
  searches: readonly WireName[];
  /** Names with at least so many dots are tried as they are first, and others last (resolv.conf(5)). */
  ndots: number;
}

export interface SearchListOptions {
  /** e.g. `cluster.local` */
  zone: string;
  /** The addresses that pods ask. */
  servers: readonly string[];
  /** The resolv.conf whose search domains kubelet gives to pods behind the cluster's. */
  host?: HostFile;
  /** This node: the host's search domains of other nodes are not known here. */
  nodeName?: string;
}

/** Most names of one search path that are walked; libc takes 6 or as many as there are, kubelet allows 32 (R7). */
const mostSearches = 32;

/** Search paths of pods, as kubelet writes them (R2, R6-R8). Most pods of a namespace share one. */
export class SearchLists {
  readonly #options: SearchListOptions;
  readonly #usual = new Map<string, SearchList>();
  #special = new WeakMap<PodFacts, SearchList>();
  #host: string | undefined;

  constructor(options: SearchListOptions) {
    this.#options = options;
  }

  /** @returns undefined when it is not known what the pod has */
  of(pod: PodFacts): SearchList | undefined {
    const { nodeName } = this.#options;
    if (nodeName !== undefined && pod.nodeName !== nodeName) return undefined;
    return this.assumed(pod);
  }

  /** The same, with this host's domains whatever node the pod is on. */
  assumed(pod: PodFacts): SearchList {
    const text = this.#options.host?.read();
    if (text !== this.#host) {
      this.#host = text;
      this.#usual.clear();
      this.#special = new WeakMap();
    }
    if (pod.dns) return this.#kept(this.#special.get(pod), () => this.#make(pod), (list) => this.#special.set(pod, list));
    return this.#kept(this.#usual.get(pod.namespace), () => this.#make(pod), (list) => this.#usual.set(pod.namespace, list));
  }

  #kept(present: SearchList | undefined, make: () => SearchList, keep: (list: SearchList) => void): SearchList {
    if (present) return present;
    const made = make();
    keep(made);
    return made;
  }

  #make({ namespace, dns, hostNetwork }: PodFacts): SearchList {
    const { zone, servers } = this.#options;
    const spec = { containers: [], hostNetwork, ...dns };
    const { searches, options } = resolvConf(
      { namespace, spec },
      { clusterDns: servers, clusterDomain: zone, host: this.#host, loopback: '127.0.0.1' },
    );
    return { searches: searches.map(wireName).filter((name) => name !== undefined).slice(0, mostSearches), ndots: ndotsOf(options) };
  }
}

/** What libc cannot use, it leaves out. */
function wireName(text: string): WireName | undefined {
  try {
    return lowerName(parseName(text));
  } catch {
    return undefined;
  }
}

/** The last one counts; libc allows 15 at most, and has 1 when nothing is said. */
function ndotsOf(options: readonly string[]): number {
  const values = options.map((option) => /^ndots:(\d+)$/.exec(option)?.[1]).filter((value) => value !== undefined);
  return values.length > 0 ? Math.min(Number(values.at(-1)), 15) : 1;
}
