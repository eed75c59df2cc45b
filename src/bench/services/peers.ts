import type { ChangeKind } from './changes.ts';
import type { Size } from './objects.ts';

/** One measurement of a peer, the whole of its command. */
export interface PeerSample {
  peer: string;
  size: Size;
  what: 'load' | ChangeKind;
  ms: number;
}
