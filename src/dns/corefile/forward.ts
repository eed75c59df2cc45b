import { IpAddr } from '../../net/ip.ts';
import { numberOf, type Translation, type Translator } from './translation.ts';

const policies: Record<string, 'ordered' | 'random' | 'roundRobin'> = { random: 'random', round_robin: 'roundRobin', sequential: 'ordered' };

/** `forward FROM TO… { policy, max_fails, tls, tls_servername, except, max_concurrent, force_tcp, … }` */
export const forward: Translator = (directive, to, { domain }) => {
  const [, from = '.', ...targets] = directive.words;
  const of = from === '.' ? domain : from.replace(/\.$/, '');
  const option = (name: string): string[] | undefined => directive.block.find(({ words }) => words[0] === name)?.words.slice(1);
  const tcp = option('force_tcp') !== undefined;
  const tlsName = option('tls_servername')?.[0];
  const servers: string[] = [];
  for (const target of targets) {
    if (target.startsWith('/')) {
      if (of === undefined) to.upstream.resolvConf = target;
      else to.note(directive, `resolvers of ${of} are named by their addresses, not by a file`);
      continue;
    }
    const server = serverOf(target, tcp, tlsName);
    if (server === undefined) to.note(directive, `${target}: resolvers are ADDRESS, ADDRESS:PORT or tls://ADDRESS; DNS over HTTPS, gRPC and names are not supported`);
    else servers.push(server);
  }
  const policy = policies[option('policy')?.[0] ?? 'random'];
  // One alone needs none.
  const several = servers.length > 1 || (of === undefined && to.upstream.resolvConf !== undefined);
  if (of === undefined) {
    if (to.upstream.servers !== undefined) return to.note(directive, 'a second forward for all names');
    if (servers.length > 0) to.upstream.servers = servers;
    if (several && policy !== undefined) to.upstream.policy = policy;
  } else if (servers.length > 0) (to.upstream.domains ??= {})[of] = { servers, ...(servers.length > 1 && policy !== undefined ? { policy } : {}) };
  for (const line of directive.block) options(line.words, to, (why) => to.note(line, why), policy);
};

function options([name = '', ...values]: string[], to: Translation, note: (why: string) => void, policy: string | undefined): void {
  const number = numberOf(values[0]);
  if (name === 'except') for (const except of values) (to.upstream.domains ??= {})[except.replace(/\.$/, '')] ??= { servers: [] };
  else if (name === 'max_fails') {
    if (number === undefined || number === 0) note('resolvers that fail are always left alone for a while');
    else to.upstream.maxFails = number;
  } else if (name === 'max_concurrent') {
    if (number === undefined || number < 1 || number > 16_384) note('up to 16384 questions can be under way');
    else to.upstream.mostUnderWay = number;
  } else if (name === 'policy') {
    if (policy === undefined) note('policies are random, round_robin and sequential');
  } else if (name === 'tls') {
    if (values.length === 1) to.upstream.tlsCa = values[0]!;
    else if (values.length > 1) note('there are no client certificates; a CA alone is taken');
  } else if (!['force_tcp', 'prefer_udp', 'tls_servername', 'expire', 'max_idle_conns', 'health_check'].includes(name))
    note(`"${name}" has no counterpart`);
  else if (name === 'health_check') note('when a resolver is asked whether it is well again is not a setting');
}

/** `tls://9.9.9.9%dns.quad9.net:853` is CoreDNS' way to name a certificate. */
function serverOf(text: string, tcp: boolean, tlsName: string | undefined): string | undefined {
  const [, scheme = 'dns', rest = ''] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(text) ?? [];
  if (scheme !== 'dns' && scheme !== 'tls') return undefined;
  const named = /^(.*?)%([^:]+)(:\d+)?$/.exec(rest);
  const address = named ? named[1]! + (named[3] ?? '') : rest;
  const name = named?.[2] ?? tlsName;
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(address) ?? [];
  const host = IpAddr.tryParse(bracketed ?? plain ?? '');
  if (!host) return undefined;
  const hostText = host.family === 'ipv6' && port !== undefined ? `[${host}]` : String(host);
  const where = port === undefined ? hostText : `${hostText}:${port}`;
  if (scheme === 'tls') return `tls://${host.family === 'ipv6' && port === undefined ? `[${host}]` : where}${name === undefined ? '' : `#${name}`}`;
  return tcp ? `tcp://${host.family === 'ipv6' && port === undefined ? `[${host}]` : where}` : where;
}
