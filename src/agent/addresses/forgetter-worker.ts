import { Conntrack } from '../../kernel/conntrack.ts';
import { serveThread } from '../../kernel/thread.ts';
import { IpAddr } from '../../net/ip.ts';

// The thread of Forgetter: is sent addresses.
serveThread((ns) => {
  const conntrack = Conntrack.open(ns);
  return {
    work: (addresses: readonly string[]) => conntrack.deleteOf(addresses.map(IpAddr.parse)),
    [Symbol.dispose]: () => conntrack[Symbol.dispose](),
  };
});
