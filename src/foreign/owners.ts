import type { RulesetTable } from '../kernel/nftables/index.ts';
import type { Place } from '../walk/walk.ts';

/** Software that is known to write firewall rules, by the names it gives. */
const known: readonly { owner: string; table?: RegExp; chain?: RegExp }[] = [
  { owner: 'firewalld', table: /^firewalld$/ },
  { owner: 'Docker', table: /^docker-bridges$/, chain: /^DOCKER(-|$)/ },
  { owner: 'ufw', chain: /^ufw6?-/ },
  { owner: 'kube-proxy', table: /^kube-proxy$/, chain: /^KUBE-/ },
  { owner: 'libvirt', table: /^libvirt_network$/, chain: /^LIBVIRT_/ },
  { owner: 'podman', table: /^netavark$/, chain: /^NETAVARK[-_]/ },
  { owner: 'Calico', table: /^calico$/, chain: /^cali[-P]/ },
  { owner: 'Cilium', chain: /^CILIUM_/ },
  { owner: 'Flannel', table: /^flannel-ipv[46]$/, chain: /^FLANNEL-/ },
  { owner: 'Weave Net', chain: /^WEAVE/ },
  { owner: 'kube-router', chain: /^KUBE-ROUTER-/ },
  { owner: 'Tailscale', chain: /^ts-/ },
  { owner: 'fail2ban', table: /^f2b-table$/, chain: /^f2b-/ },
  { owner: 'CrowdSec', table: /^crowdsec6?$/, chain: /^crowdsec-/i },
  { owner: 'the CNI reference plugins', table: /^cni_/, chain: /^CNI-/ },
  { owner: 'Shorewall', chain: /^(sha-lh|shorewall)/ },
];

const byTable = (table: string): string | undefined => known.find((one) => one.table?.test(table))?.owner;
const byChain = (chain: string): string | undefined => known.find((one) => one.chain?.test(chain))?.owner;

/** Whose chains are in a table. */
function ownersIn(table: RulesetTable): string[] {
  const owner = byTable(table.name);
  if (owner !== undefined) return [owner];
  return [...new Set([...table.chains.keys()].flatMap((chain) => byChain(chain) ?? []))];
}

/** Tables and chains that belong to somebody, by owner. */
export function ownedBy(tables: readonly RulesetTable[], owner: string): { table: RulesetTable; chains: string[] }[] {
  return tables.flatMap((table) => {
    const all = byTable(table.name) === owner;
    const chains = [...table.chains.keys()].filter((chain) => all || byChain(chain) === owner);
    return chains.length > 0 ? [{ table, chains }] : [];
  });
}

/** The names and policies of iptables' own tables, whoever fills them. */
export const isIptables = ({ table, base }: Place): boolean =>
  (table.family === 'ip' || table.family === 'ip6') &&
  ['filter', 'mangle', 'nat', 'raw', 'security'].includes(table.name) &&
  base.name === base.name.toUpperCase();

/** Whose a rule is; undefined when no well-known name tells. */
export function ownerOf({ table, chain }: Place): string | undefined {
  const owner = byTable(table.name) ?? byChain(chain.name);
  if (owner !== undefined) return owner;
  // The policy of an own table's base chain is its owner's; that of iptables' shared chains is of somebody who uses them.
  const owners = ownersIn(table).filter((name) => policyWriters.has(name));
  return owners.length > 0 ? owners.join(' or ') : undefined;
}

/** Those who set policies of chains that others use too. */
const policyWriters = new Set(['Docker', 'ufw']);
