import { directions, type Policy } from './model.ts';

/** The domain names that a policy's rules name, as they are written: `kubernetes.io`, `*.kubernetes.io` (CNP11). */
export const domainNamesOf = ({ rules }: Pick<Policy, 'rules'>): string[] =>
  directions
    .flatMap((direction) => rules[direction] ?? [])
    .flatMap(({ peers = [] }) => peers.flatMap((peer) => (peer.kind === 'domains' ? peer.names : [])))
    .map(({ name, wildcard }) => `${wildcard ? '*.' : ''}${name}`);
