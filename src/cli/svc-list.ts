import type { ServiceList } from '../agent/services/report.ts';
import { printable, type Style, table } from './output.ts';

/** A line for each Service, as one node serves it. */
export function listText({ node, services }: ServiceList, style: Style): string {
  if (services.length === 0) return 'no Services';
  const rows = services.map(({ namespace, name, type, addresses, ports, endpoints, noDataPath, problems }) => [
    printable(namespace),
    printable(name),
    printable(type),
    addresses.join(',') || '-',
    printable(ports.join(',')) || '-',
    noDataPath === undefined ? `${endpoints.usable}/${endpoints.total}` : '-',
    stateOf(noDataPath, problems, style),
  ]);
  const header = ['NAMESPACE', 'NAME', 'TYPE', 'ADDRESSES', 'PORTS', 'USABLE', 'STATE'];
  return `${table(header, rows, [5])}\n\nUSABLE: endpoints of the first port that a client on ${printable(node)} may be sent to, of all. More of one: podnet svc NAME`;
}

function stateOf(noDataPath: string | undefined, problems: readonly string[], style: Style): string {
  if (problems.length > 0) return style.paint('yellow', printable(problems.join('; ')));
  return noDataPath === undefined ? style.paint('green', 'ok') : style.paint('dim', printable(noDataPath.split(':')[0]!));
}
