import { bridge } from './bridge.ts';
import type { AttachMode } from './mode.ts';
import { routed } from './routed.ts';

export { Attacher } from './attacher.ts';
export { bridgeLink } from './bridge.ts';
export { InterfaceExistsError, NamespaceError } from './errors.ts';
export type { AttachMode, LinkNode } from './mode.ts';
export { type Bandwidth, deletionGroup, hostLinkName, hostMac, isPodLink, type PodLink, podGroup, podMac, podOf } from './pod-link.ts';
export type { ToldOfPod } from './pod-side.ts';
export { isShaperLink, readBandwidth } from './shaper.ts';

export const attachModes: Readonly<Record<AttachMode['name'], AttachMode>> = { routed, bridge };
