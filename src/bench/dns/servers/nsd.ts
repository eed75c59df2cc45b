import { outsideZone, zone } from '../cluster.ts';
import { folder, writeText } from './files.ts';
import { clusterKinds } from './kinds.ts';
import { type Place, Server } from './server.ts';
import type { Tool } from './tools.ts';

export function startNsd(place: Place, { path, version }: Tool, zones: { cluster: string; outside: string }, port: number): Server {
  const own = folder(place.directory, 'nsd');
  const config = writeText(
    `${own}/nsd.conf`,
    `server:
  ip-address: 127.0.0.1@${port}
  server-count: 1
  receive-buffer-size: 4194304
  send-buffer-size: 4194304
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  username: ""
  chroot: ""
  database: ""
  pidfile: ""
  zonesdir: "${own}"
  xfrdir: "${own}"
  xfrdfile: "${own}/xfrd.state"
  zonelistfile: "${own}/zones"
remote-control:
  control-enable: no
zone:
  name: ${zone}
  zonefile: "${zones.cluster}"
zone:
  name: ${outsideZone}
  zonefile: "${zones.outside}"
`,
  );
  return new Server(place, { id: 'nsd', title: `nsd ${version}`, port, kinds: clusterKinds }, [path!, '-d', '-c', config]);
}
