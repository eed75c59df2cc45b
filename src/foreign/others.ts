import type { RulesetChain, RulesetTable } from '../kernel/nftables/index.ts';
import { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import type { Finding } from './findings.ts';
import { placeWords } from './findings.ts';
import { ownedBy } from './owners.ts';

/** What tables tell of other network software; kept when the tables are not. */
export interface Traces {
  /** Rules and maps by which kube-proxy translates our Services. */
  proxies: string[];
  /** Chains of kube-proxy's, whatever they do. */
  proxyChains: string[];
  /** One chain of each table that belongs to a pod network, by its owner. */
  networks: ReadonlyMap<string, string[]>;
}

/** What of other network software can be seen from a node. */
export interface Surroundings {
  traces: Traces;
  links: readonly { name: string; up: boolean; addresses: readonly IpAddr[] }[];
  serviceCidrs: readonly Prefix[];
  conf: {
    directory: string;
    /** What runtimes take for configurations there; the first one by name counts. */
    files: readonly string[];
    /** podnet's own. */
    own: string;
  };
}

/** Other software for the same work (F42): what conflicts for certain is a problem, leftovers are a warning. */
export const judgeOthers = (seen: Surroundings): Finding[] => [
  ...otherConfiguration(seen),
  ...kubeProxy(seen),
  ...otherNetworks(seen),
];

/** Reads the traces out of tables. @param serviceCidrs of this cluster: who translates other addresses is in nobody's way */
export const tracesOf = (tables: readonly RulesetTable[], serviceCidrs: readonly Prefix[]): Traces => ({
  proxies: [...byChains(tables, serviceCidrs), ...byMaps(tables, serviceCidrs)],
  proxyChains: ownedBy(tables, 'kube-proxy').flatMap(({ table, chains }) =>
    chains.filter((name) => !ofKubelet.test(name)).map((name) => `table ${table.family} ${table.name} chain ${name}`),
  ),
  networks: new Map(
    networks.map(({ owner }) => [
      owner,
      ownedBy(tables, owner).map(({ table, chains }) => `table ${table.family} ${table.name} chain ${chains[0]}`),
    ]),
  ),
});

function otherConfiguration({ conf: { directory, files, own } }: Surroundings): Finding[] {
  const [first] = files.toSorted(byBytes);
  if (first === undefined || first === own || byBytes(first, own) > 0) return [];
  return [
    {
      severity: 'problem',
      rule: `the CNI configuration ${directory}/${first}`,
      what: `comes before ${own}: the container runtime gives pods its network, not podnet's`,
      fix: `mv ${directory}/${first} ${directory}/${first}.off`,
    },
  ];
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

const removal = 'kubectl -n kube-system delete daemonset kube-proxy, then on each node: kube-proxy --cleanup';
/** Chains that kubelet makes, with or without kube-proxy. */
const ofKubelet = /^KUBE-(FIREWALL|KUBELET-CANARY|IPTABLES-HINT|MARK-(DROP|MASQ)|POSTROUTING)$/;

function kubeProxy(seen: Surroundings): Finding[] {
  const conflicts = [...seen.traces.proxies, ...byIpvs(seen)];
  if (conflicts.length > 0)
    return conflicts.map((rule) => ({
      ...{ severity: 'problem', owner: 'kube-proxy', rule, fix: removal },
      what: 'translates the same Services as podnet: endpoints are chosen twice, and stay as kube-proxy last saw them',
    }));
  const chains = seen.traces.proxyChains;
  if (chains.length === 0) return [];
  return [
    { severity: 'warning', owner: 'kube-proxy', rule: few(chains), what: 'is a leftover: it translates nothing', fix: removal },
  ];
}

const few = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;

const isOf = (address: IpAddr, cidrs: readonly Prefix[]): boolean => cidrs.some((cidr) => cidr.contains(address));

/** iptables: a rule of KUBE-SERVICES that leads packets for one of our Service addresses to a chain of its own. The first stands for all. */
function byChains(tables: readonly RulesetTable[], serviceCidrs: readonly Prefix[]): string[] {
  return tables.flatMap((table) => {
    const chain = table.chains.get('KUBE-SERVICES');
    const base = [...table.chains.values()].find(({ hook }) => hook?.hook === 'prerouting' && hook.type === 'nat');
    if (!chain || !base) return [];
    const leading = chain.rules.filter((rule) => {
      const target = targetOf(rule);
      return (
        target !== undefined &&
        /^KUBE-(SVC|EXT|FW|XLB)-/.test(target) &&
        destinations(rule).some((one) => isOf(one, serviceCidrs))
      );
    });
    const [rule] = leading;
    if (!rule) return [];
    return [
      `${placeWords({ table, base, chain, rule })}${counted(rule)}${leading.length > 1 ? ` and ${leading.length - 1} more` : ''}`,
    ];
  });
}

type Rule = RulesetChain['rules'][number];

const targetOf = ({ expressions }: Rule): string | undefined => {
  for (const expression of expressions) {
    if (expression.name !== 'immediate' || expression.dreg !== 'verdict') continue;
    const [verb, chain] = (expression.data ?? '').split(' ');
    if (verb === 'jump' || verb === 'goto') return chain;
  }
  return undefined;
};

/** Whole addresses that the rule compares with. */
const destinations = ({ expressions }: Rule): IpAddr[] =>
  expressions.flatMap((expression) => {
    if (expression.name !== 'cmp' || expression.op !== 'eq') return [];
    const bytes = Buffer.from((expression.data ?? '0x').slice(2), 'hex');
    return bytes.length === 4 || bytes.length === 16 ? [IpAddr.fromBytes(bytes)] : [];
  });

function counted({ expressions }: Rule): string {
  for (const expression of expressions)
    if (expression.name === 'counter' && expression.packets) return ` (at work: ${expression.packets} connections so far)`;
  return '';
}

/** nftables: the map of Service addresses in its own table. */
function byMaps(tables: readonly RulesetTable[], serviceCidrs: readonly Prefix[]): string[] {
  return tables.flatMap((table) => {
    if (table.name !== 'kube-proxy') return [];
    const map = table.sets.get('service-ips');
    const size = table.family === 'ip6' ? 16 : 4;
    const ours = (map?.elements ?? []).filter(
      ({ key }) => key.length > size && isOf(IpAddr.fromBytes(key.subarray(0, size)), serviceCidrs),
    );
    return ours.length === 0 ? [] : [`table ${table.family} kube-proxy map service-ips (${ours.length} Service ports)`];
  });
}

/** Of kube-proxy in mode ipvs. */
export const ipvsLink = 'kube-ipvs0';

/** IPVS: its dummy link carries the Services' addresses. */
function byIpvs({ links, serviceCidrs }: Surroundings): string[] {
  const link = links.find(({ name }) => name === ipvsLink);
  const ours = link?.addresses.filter((address) => isOf(address, serviceCidrs)) ?? [];
  return ours.length === 0 ? [] : [`link ${ipvsLink} with ${ours.length} Service addresses`];
}

const networks: readonly { owner: string; links: RegExp }[] = [
  { owner: 'Calico', links: /^(cali[0-9a-f]{11}|vxlan\.calico|vxlan-v6\.calico)$/ },
  { owner: 'Flannel', links: /^flannel(\.\d+|-v6\.\d+|-wg.*)$/ },
  { owner: 'Cilium', links: /^(cilium_(host|net|vxlan|geneve)|lxc_health)$/ },
  { owner: 'Weave Net', links: /^(weave|vxlan-6784)$/ },
  { owner: 'kube-router', links: /^(kube-bridge|kube-dummy-if)$/ },
  { owner: 'Antrea', links: /^antrea-(gw0|egress0)$/ },
  { owner: 'OVN-Kubernetes', links: /^ovn-k8s-mp\d+$/ },
];

/** Their rules are walked like all others; links and chains alone hinder nobody, but tell that somebody else was, or is, here. */
function otherNetworks({ traces, links }: Surroundings): Finding[] {
  return networks.flatMap(({ owner, links: pattern }): Finding[] => {
    const here = links.filter(({ name }) => pattern.test(name));
    const names = [...here.map(({ name }) => `link ${name}`), ...(traces.networks.get(owner) ?? [])];
    if (names.length === 0) return [];
    const alive = here.some(({ up }) => up);
    return [
      {
        ...{ severity: 'warning', owner, rule: few(names) },
        what: alive ? `is up: another pod network may be at work on this node` : 'is a leftover of another pod network',
        fix: alive ? `delete the DaemonSet of ${owner}, then restart the node` : 'restart the node',
      },
    ];
  });
}
