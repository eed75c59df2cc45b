import type { Family } from '../net/ip.ts';
import type { NodeShape } from './flows.ts';
import { dockerUser, hasDockerUser } from './opening.ts';
import { isIptables, ownerOf } from './owners.ts';
import type { Hit, Place } from '../walk/walk.ts';

const families: Record<string, readonly Family[]> = { ip: ['ipv4'], ip6: ['ipv6'] };

/** What is to be let through. */
export interface Wanted {
  families: readonly Family[];
  /** Packets from and to pods; else only those of the tunnel. */
  pods: boolean;
  tunnel: boolean;
}

/**
 * The commands that let pods' packets through, in the way that whoever wrote the rule wants it done: what is written behind an owner's back is gone
 * with its next reload.
 */
export function fixOf(hit: Hit, node: NodeShape, wanted: Wanted): string {
  const { table } = hit;
  const concerned = wanted.families.filter((family) => (families[table.family] ?? wanted.families).includes(family));
  const cidrs = node.clusterCidrs.filter(({ family }) => concerned.includes(family)).map(String);
  const port = wanted.tunnel ? node.tunnel?.port : undefined;
  const commands = commandsOf(hit, wanted.pods ? cidrs : [], port);
  return commands.join(' && ');
}

function commandsOf(hit: Hit, cidrs: readonly string[], port: number | undefined): string[] {
  const owner = ownerOf(hit);
  const { hook } = hit.base.hook!;
  if (owner === 'firewalld')
    return [
      ...cidrs.map((cidr) => `firewall-cmd --permanent --zone=trusted --add-source=${cidr}`),
      ...(port === undefined ? [] : [`firewall-cmd --permanent --add-port=${port}/udp`]),
      'firewall-cmd --reload',
    ];
  const sides = { input: ['-s'], output: ['-d'] }[hook as string] ?? ['-s', '-d'];
  if (owner === 'ufw')
    return [
      ...cidrs.flatMap((cidr) =>
        hook === 'forward'
          ? [`ufw route allow from ${cidr}`, `ufw route allow to ${cidr}`]
          : [hook === 'output' ? `ufw allow out to ${cidr}` : `ufw allow from ${cidr}`],
      ),
      ...(port === undefined ? [] : [`ufw allow ${hook === 'output' ? 'out ' : ''}${port}/udp`]),
    ];
  const isNat = hit.what === 'snat';
  if (isIptables(hit)) {
    const tool = toolOf(hit);
    const option = hit.table.name === 'filter' ? '' : ` -t ${hit.table.name}`;
    const chain = hook === 'forward' && hasDockerUser(hit) ? dockerUser : hit.base.name;
    return [
      ...cidrs.flatMap((cidr) =>
        isNat
          ? [`${tool}${option} -I ${chain} -s ${cidr} -d ${cidr} -j ACCEPT`]
          : sides.map((side) => `${tool}${option} -I ${chain} ${side} ${cidr} -j ACCEPT`),
      ),
      ...(port === undefined ? [] : [`${tool}${option} -I ${hit.base.name} -p udp --dport ${port} -j ACCEPT`]),
    ];
  }
  const where = `nft insert rule ${hit.table.family} ${hit.table.name} ${hit.base.name}`;
  return [
    ...cidrs.flatMap((cidr) => {
      const header = cidr.includes(':') ? 'ip6' : 'ip';
      if (isNat) return [`${where} ${header} saddr ${cidr} ${header} daddr ${cidr} accept`];
      return sides.map((side) => `${where} ${header} ${side === '-s' ? 'saddr' : 'daddr'} ${cidr} accept`);
    }),
    ...(port === undefined ? [] : [`${where} udp dport ${port} accept`]),
  ];
}

const toolOf = ({ table }: Place): string =>
  `${table.family === 'ip6' ? 'ip6tables' : 'iptables'}${table.legacy ? '-legacy' : ''}`;
