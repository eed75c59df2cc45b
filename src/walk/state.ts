import { type Packet, stateBit } from './packet.ts';

/** What rules change on a packet's way. */
export interface State {
  /** undefined: set to something that is not known, nor what the priority follows from (the kind of service in its header). */
  mark: number | undefined;
  ctMark: number | undefined;
  untracked: boolean;
  /** skb->priority */
  priority: number | undefined;
}

/** Nobody marked the packet yet; what an open connection was marked with is not known, nor what the priority follows from (the kind of service in its header). */
export const freshState = ({ state, untracked = false }: Packet): State => ({
  mark: 0,
  ctMark: state === 'new' ? 0 : undefined,
  untracked,
  priority: undefined,
});

/** The bit of `ct state`. */
export const stateOf = (packet: Packet, state: State): number => (state.untracked ? stateBit.untracked : stateBit[packet.state]);
