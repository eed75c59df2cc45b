import type { AttachmentKey } from '../cni/request.ts';
import { type DoorNode, planDoor, planGuest } from '../door/index.ts';
import { keyText } from '../ipam/index.ts';
import { type AttachMode, bridgeLink, type PodLink, podGroup, podMac } from '../links/index.ts';
import type { Item } from '../reconcile/model.ts';

/** The owner of what holds for all pods. */
export const doorOwner = 'door of pods';

/** The owner of the elements that let one pod in. */
export const guestOwner = (key: AttachmentKey): string => `door of ${keyText(key)}`;

export const doorItems = (mode: AttachMode): Item[] => {
  const node: DoorNode = { group: podGroup };
  return planDoor(mode.name === 'bridge' ? { ...node, bridge: bridgeLink } : node);
};

export const guestItems = (mode: AttachMode, pod: PodLink): Item[] =>
  planGuest({ link: mode.entrance(pod), mac: podMac(pod), addresses: pod.addresses });
