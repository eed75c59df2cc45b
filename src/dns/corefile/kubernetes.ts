import { numberOf, type Translator } from './translation.ts';

const isReverse = (zone: string): boolean => /(^|\.)(in-addr|ip6)\.arpa\.?$/.test(zone) || zone.includes('/');

/** `kubernetes [ZONES…] { pods, ttl, fallthrough, endpoint_pod_names, kubeconfig, … }` */
export const kubernetes: Translator = (directive, to, { domain }) => {
  const zones = directive.words.slice(1).map((zone) => zone.replace(/\.$/, ''));
  const own = zones.filter((zone) => !isReverse(zone));
  const zone = own[0] ?? domain;
  if (zone !== undefined && zone !== '') to.config.zone = zone;
  else to.note(directive, 'names no zone; cluster.local is taken');
  for (const other of own.slice(1)) to.note(directive, `one zone is served, and not ${other} as well`);
  to.said(directive);
  for (const line of directive.block) {
    const [name = '', ...values] = line.words;
    if (name === 'pods') {
      if (values[0] === 'insecure') to.note(line, 'names of pods are those of pods that exist ("verified"); any other address gets NXDOMAIN');
      to.config.pods = values[0] === 'disabled' ? 'disabled' : 'verified';
    } else if (name === 'ttl') {
      const ttl = numberOf(values[0], 0, 3600);
      if (ttl === undefined) to.note(line, 'not a number of seconds from 0 to 3600');
      else to.config.ttl = ttl;
    } else if (name === 'endpoint_pod_names') to.config.endpointPodNames = true;
    else if (name === 'kubeconfig') {
      to.config.kubeconfig = values[0]!;
      if (values.length > 1) to.note(line, 'the current context of the file is taken');
    } else if (name === 'fallthrough') {
      const others = values.filter((value) => !isReverse(value));
      if (values.length === 0 || others.length > 0) to.note(line, 'names of the cluster are never forwarded (T32): one that is not there does not exist');
    } else to.note(line, `"${name}" has no counterpart`);
    to.said(line);
  }
};
