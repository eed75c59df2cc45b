import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { serveThread } from '../kernel/thread.ts';
import { deletionGroup } from './pod-link.ts';

// The thread of Reaper.
serveThread((ns) => {
  const rt = RtNetlink.open(ns);
  return { work: () => rt.deleteLinkGroup(deletionGroup), [Symbol.dispose]: () => rt[Symbol.dispose]() };
});
