import { zone } from '../cluster.ts';
import { kindNames } from '../questions.ts';
import { folder, writeText } from './files.ts';
import { clusterKinds } from './kinds.ts';
import { type Place, Server } from './server.ts';
import type { Tool } from './tools.ts';

/** With the plugins of a cluster's usual Corefile that have to do with answers, on one processor. @param upstream port of who is forwarded to */
export function startCoreDns(place: Place, { path, version }: Tool, kubeconfig: string, upstream: number | undefined, port: number): Server {
  const own = folder(place.directory, 'coredns');
  const config = writeText(
    `${own}/Corefile`,
    `.:${port} {
  bind 127.0.0.1
  errors
  kubernetes ${zone} in-addr.arpa ip6.arpa {
    kubeconfig ${kubeconfig}
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 30
  }
  ${upstream === undefined ? '' : `forward . 127.0.0.1:${upstream}`}
  cache 30
  loadbalance
}
`,
  );
  const kinds = upstream === undefined ? clusterKinds : kindNames;
  return new Server(place, { id: 'coredns', title: `CoreDNS ${version}`, port, kinds }, [path!, '-conf', config], { GOMAXPROCS: '1' });
}
