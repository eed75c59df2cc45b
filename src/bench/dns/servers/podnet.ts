import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DnsConfig } from '../../../dns/config.ts';
import { kindNames } from '../questions.ts';
import { folder } from './files.ts';
import { clusterKinds } from './kinds.ts';
import { type Place, Server } from './server.ts';

const podnet = fileURLToPath(new URL('../../../../bin/podnet', import.meta.url));

/** `podnet dns` as it runs on a node: the parent, the worker that answers, and its standby. @param upstream port of who is forwarded to */
export function startPodnet(place: Place, kubeconfig: string, upstream: number | undefined, port: number, nodeOptions?: string): Server {
  const own = folder(place.directory, 'podnet');
  const config: DnsConfig = {
    ...{ kubeconfig, listen: ['127.0.0.1'], port, healthSocket: `${own}/health.sock`, runDir: `${own}/run` },
    ...{ podCidrs: ['10.128.0.0/9'], serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/64'] },
    standbyAfterMs: 0,
    ...(upstream === undefined ? {} : { upstream: { servers: [`127.0.0.1:${upstream}`] } }),
  };
  writeFileSync(`${own}/config.json`, JSON.stringify(config), { mode: 0o600 });
  const kinds = upstream === undefined ? clusterKinds : kindNames;
  const argv = [process.execPath, podnet, 'dns', '--config', `${own}/config.json`] as const;
  return new Server(place, { id: 'podnet', title: 'podnet', port, kinds }, argv, nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions });
}
