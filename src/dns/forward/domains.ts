import type { WireName } from '../wire/names.ts';
import { parentName, rootName } from '../wire/names.ts';
import { Group, type GroupOptions } from './group.ts';
import type { ParsedUpstream } from './options.ts';
import { TlsConnector } from './tls.ts';

/** Which resolvers know a name: those of the longest suffix of it (stub domains), or the others. */
export class Domains {
  readonly #byName = new Map<WireName, Group>();
  readonly default: Group;

  constructor(others: Group, byName: Iterable<readonly [WireName, Group]>) {
    this.default = others;
    for (const [name, group] of byName) this.#byName.set(name, group);
  }

  /** @param name in lower case */
  of(name: WireName): Group {
    if (this.#byName.size === 0) return this.default;
    for (let suffix = name; ; suffix = parentName(suffix)) {
      const group = this.#byName.get(suffix);
      if (group) return group;
      if (suffix === rootName) return this.default;
    }
  }

  get all(): Set<Group> {
    return new Set([this.default, ...this.#byName.values()]);
  }
}

/** The groups of a configuration. */
export function domainsOf(upstream: ParsedUpstream, around: Pick<GroupOptions, 'now' | 'own' | 'surroundings'>): Domains {
  const { servers, resolvConf, policy, maxFails, tlsCa } = upstream;
  const shared = { ...around, maxFails, tls: new TlsConnector(tlsCa) };
  const byName = upstream.domains.flatMap((domain) => {
    const group = new Group({ ...shared, servers: domain.servers, policy: domain.policy });
    return domain.apexes.map((apex) => [apex, group] as const);
  });
  return new Domains(new Group({ ...shared, servers, resolvConf, policy }), byName);
}
