import { folder, writeText } from './files.ts';
import { type Place, Server } from './server.ts';
import type { Tool } from './tools.ts';

/** A cache in front of another server. @param upstream its port */
export function startUnbound(place: Place, { path, version }: Tool, upstream: number, port: number): Server {
  const own = folder(place.directory, 'unbound');
  const config = writeText(
    `${own}/unbound.conf`,
    `server:
  interface: 127.0.0.1@${port}
  num-threads: 1
  so-rcvbuf: 4m
  so-sndbuf: 4m
  do-daemonize: no
  use-syslog: no
  logfile: ""
  username: ""
  chroot: ""
  directory: "${own}"
  pidfile: ""
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  edns-buffer-size: 1232
  local-zone: "test." nodefault
  module-config: "iterator"
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${upstream}
remote-control:
  control-enable: no
`,
  );
  return new Server(place, { id: 'unbound', title: `unbound ${version}`, port, kinds: ['forward'] }, [path!, '-d', '-c', config]);
}
