import { type Direction, policyName, type Rule } from './model.ts';
import type { Judgement, Reason, RuleHit, RuleMiss } from './verdict.ts';

/** The reason of a judgement as a sentence for people, with the very policy, rule and peer. */
export function reasonText({ direction, reason }: Judgement): string {
  switch (reason.code) {
    case 'no-pod':
      return 'no pod of the cluster network: no policy is about it';
    case 'itself':
      return 'a pod always reaches itself';
    case 'own-node':
      return 'a pod and the node it runs on always reach each other';
    case 'default-allow':
      return `no policy isolates its ${direction}`;
    case 'default-deny':
      return defaultDeny(reason);
    case 'rule':
      return `${reason.action === 'Accept' ? 'allowed' : 'denied'} by ${hitText(reason)}`;
  }
}

function defaultDeny({ isolatedBy, misses }: Extract<Reason, { code: 'default-deny' }>): string {
  const names = isolatedBy.map(policyName);
  const by = names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
  const several = isolatedBy.length > 1;
  if (misses.length === 0) return `default deny: isolated by ${by}, which ${several ? 'have' : 'has'} no rules`;
  const rules =
    misses.length === 1
      ? `${several ? 'their' : 'its'} one rule did not match`
      : `none of ${several ? 'their' : 'its'} ${misses.length} rules matched`;
  return `default deny: isolated by ${by}, ${rules}`;
}

/** `NetworkPolicy shop/db, rule 2 "web" (spec.ingress[1]), peer spec.ingress[1].from[0]`. */
export function hitText({ policy, rule, peer, port }: RuleHit): string {
  const items = [
    peer === undefined ? 'any peer' : `peer ${rule.peers![peer]!.at.slice(rule.at.length + 1)}`,
    port === undefined ? 'any port' : `port ${portText(rule.ports![port]!)}`,
  ];
  return `${policyName(policy)}, ${ruleText(rule)}, ${items.join(', ')}${rule.closed === undefined ? '' : `: ${closedText(rule)}, so it denies`}`;
}

/** Why a rule did not allow it. */
export function missText({ policy, rule, by }: RuleMiss, direction: Direction): string {
  const what =
    rule.closed !== undefined
      ? `${closedText(rule)}, so it allows nothing`
      : by === 'peers'
        ? `the ${direction === 'ingress' ? 'source' : 'destination'} is none of its peers`
        : `the peer matches, the port does not: it is ${rule.ports!.map(portText).join(', ')}`;
  return `${policyName(policy)}, ${ruleText(rule)}: ${what}`;
}

const closedText = ({ closed, isOverLimit }: Rule): string => (isOverLimit ? `over the limit (${closed})` : `not understood (${closed})`);

const ruleText = ({ at, name }: Rule): string => (name === undefined ? at : `${at} "${name}"`);

/** `TCP 80`, `TCP 8000-8080`, `all of UDP`, `TCP "http"`, `"http"`. */
function portText(port: NonNullable<Rule['ports']>[number]): string {
  if (port.kind === 'named') return port.protocol === undefined ? `"${port.name}"` : `${port.protocol} "${port.name}"`;
  const { protocol, from, to } = port;
  if (from === 0 && to === 65535) return `all of ${protocol}`;
  return from === to ? `${protocol} ${from}` : `${protocol} ${from}-${to}`;
}
