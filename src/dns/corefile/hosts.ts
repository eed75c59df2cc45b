import { IpAddr } from '../../net/ip.ts';
import { numberOf, type Translator } from './translation.ts';

/** `hosts [FILE [ZONES...]] { ADDRESS NAMES… | ttl | no_reverse | reload | fallthrough [ZONES…] }` */
export const hosts: Translator = (directive, to, { domain }) => {
  const [, file, ...zones] = directive.words;
  const all = (to.custom.hosts ??= {});
  // CoreDNS' own default.
  all.ttl ??= 3600;
  let fallthrough: string[] | undefined;
  let inline = 0;
  for (const line of directive.block) {
    const [word = '', ...rest] = line.words;
    if (IpAddr.tryParse(word) && rest.length > 0) {
      inline++;
      (all.entries ??= []).push({ address: word, names: rest });
    } else if (word === 'ttl') {
      const ttl = numberOf(rest[0], 1, 65535);
      if (ttl === undefined) to.note(line, 'not a number from 1 to 65535', true);
      else all.ttl = ttl;
    } else if (word === 'no_reverse') all.reverse = false;
    else if (word === 'fallthrough') fallthrough = rest;
    else if (word !== 'reload') to.note(line, 'neither an address with names nor an option of hosts', true);
  }
  if (file !== undefined) (all.files ??= []).push(file);
  else if (inline === 0) (all.files ??= []).push('/etc/hosts');
  const own = zones.length > 0 ? zones : domain === undefined ? [] : [domain];
  if (fallthrough === undefined) {
    if (own.length > 0) (all.zones ??= []).push(...own);
    else to.note(directive, 'without fallthrough CoreDNS answers NXDOMAIN for every name that is not listed; here they go on to the cluster and the resolvers', true);
  } else if (fallthrough.length > 0) to.note(directive, 'fallthrough for some zones only; here names without an entry go on', true);
};
