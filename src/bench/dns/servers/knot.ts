import { clusterZone, outsideZoneFile } from '../zone-file.ts';
import { outsideZone, zone } from '../cluster.ts';
import { writeLines } from '../../lines.ts';
import { folder, writeText } from './files.ts';
import { type Place, Server } from './server.ts';
import type { Tool } from './tools.ts';
import { clusterKinds } from './kinds.ts';

/** The zone files, which knot and nsd share. */
export function writeZones(directory: string, services: number): { cluster: string; outside: string } {
  return {
    cluster: writeLines(`${directory}/cluster.zone`, clusterZone(services)),
    outside: writeLines(`${directory}/outside.zone`, outsideZoneFile()),
  };
}

export function startKnot(place: Place, { path, version }: Tool, zones: { cluster: string; outside: string }, port: number): Server {
  const own = folder(place.directory, 'knot');
  const config = writeText(
    `${own}/knot.conf`,
    `server:
  rundir: "${own}"
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "${own}"
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: "${own}"
    journal-content: none
    zonefile-sync: -1
    semantic-checks: off
zone:
  - domain: ${zone}
    file: "${zones.cluster}"
  - domain: ${outsideZone}
    file: "${zones.outside}"
`,
  );
  return new Server(place, { id: 'knot', title: `knot ${version}`, port, kinds: clusterKinds }, [path!, '-c', config]);
}
