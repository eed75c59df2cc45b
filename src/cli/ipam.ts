import { Command, Option } from 'commander';
import type { IpamEntry, IpamReport } from '../agent/addresses/ipam-report.ts';
import { UsageError } from '../lab/errors.ts';
import { ipamOf } from '../lab/node-client.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { exitCodes, requireRoot } from './errors.ts';
import { printable, Style, table } from './output.ts';
import { runningLab } from './running-lab.ts';

interface ListOptions {
  lab: string;
  node?: string;
  socket?: string;
  output: string;
  color: boolean;
}

/** `podnet ipam ls`: who holds which address of a node, and what is leaked. */
export function ipamCommand(): Command {
  const list = new Command('ls')
    .description('who holds which address: pods, leases whose link is gone, what cannot be read, and what others use')
    .option('--name, --lab <lab>', 'name of the lab', 'demo')
    .option('--node <node>', 'this node only')
    .option('--socket <file>', "the status socket of a node's agent, instead of a lab's")
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'wide', 'json']).default('table'))
    .option('--no-color', 'plain text')
    .action(async (options: ListOptions) => {
      const { reports, errors } = await reportsOf(options);
      if (options.output === 'json') console.log(JSON.stringify({ nodes: reports }, undefined, 2));
      else print(reports, options.output === 'wide', Style.of(process.stdout, !options.color));
      for (const error of errors) console.error(`podnet: ${error}`);
      if (errors.length > 0) process.exitCode = exitCodes.failed;
    });
  return new Command('ipam').description("nodes' addresses for pods").addCommand(list);
}

async function reportsOf({ lab, node, socket }: ListOptions): Promise<{ reports: IpamReport[]; errors: string[] }> {
  const sockets = socket === undefined ? socketsOf(lab, node) : [socket];
  requireRoot();
  const errors: string[] = [];
  const all = await Promise.all(
    sockets.map((one) => ipamOf(one).catch((error: Error): undefined => void errors.push(error.message))),
  );
  return { reports: all.filter((report) => report !== undefined), errors };
}

function socketsOf(lab: string, node: string | undefined): string[] {
  const { names, state } = runningLab(lab);
  const nodes = state.config.nodes.map((one) => one.name);
  if (node !== undefined && !nodes.includes(node))
    throw new UsageError(`the lab "${lab}" has no node "${node}"; it has ${nodes.join(', ')}`);
  return (node === undefined ? nodes : [node]).map((one) => names.node(one).agentStatusSocket);
}

const colours = { 'in use': 'green', leaked: 'red', damaged: 'red', foreign: 'yellow' } as const;

function print(reports: readonly IpamReport[], wide: boolean, style: Style): void {
  const pools = reports.flatMap(({ node, pools, entries, storageFault }) =>
    pools.map(({ prefix, used, free }) => [
      ...[node, prefix, String(used), String(free), leakedIn(prefix, entries, style), printable(storageFault ?? '')],
    ]),
  );
  const fault = pools.some((row) => row[5] !== '') ? 'FAULT' : '';
  console.log(`${table(['NODE', 'POD CIDR', 'USED', 'FREE', 'LEAKED', fault], pools, [2, 3, 4])}\n`);
  const more = wide ? ['NETWORK', 'LINK', 'NETNS'] : [];
  const rows = reports.flatMap(({ node, entries }) =>
    entries.map((entry) => [
      entry.addresses.join(','),
      node,
      printable(entry.pod ?? '-'),
      printable(entry.interface ?? '-'),
      shortId(entry.containerId, wide),
      since(entry.since, wide),
      ...(wide ? [entry.network, entry.link, entry.netns].map((text) => printable(text ?? '-')) : []),
      style.paint(colours[entry.state], entry.state) + why(entry),
    ]),
  );
  if (rows.length === 0) {
    console.log('no address is in use');
    return;
  }
  console.log(table(['ADDRESSES', 'NODE', 'POD', 'INTERFACE', 'CONTAINER', 'SINCE', ...more, 'STATE'], rows));
}

/** How many of the used addresses have no pod behind them. */
function leakedIn(prefix: string, entries: readonly IpamEntry[], style: Style): string {
  const cidr = Prefix.parse(prefix);
  const leaked = entries.filter(({ state }) => state === 'leaked').flatMap(({ addresses }) => addresses.map(IpAddr.parse));
  const count = leaked.filter((address) => cidr.contains(address)).length;
  return count > 0 ? style.paint('red', String(count)) : '0';
}

const why = (entry: IpamEntry): string => (entry.why === undefined ? '' : `: ${printable(entry.why)}`);

const shortId = (id: string | undefined, wide: boolean): string =>
  printable(id === undefined ? '-' : wide ? id : id.slice(0, 13));

/** As kubectl tells ages; with `wide` the time itself. */
function since(text: string | undefined, wide: boolean): string {
  const at = Date.parse(text ?? '');
  if (text === undefined || Number.isNaN(at)) return '-';
  if (wide) return text;
  const seconds = Math.max(0, Math.round((Date.now() - at) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
