import { KubeClient } from '../../kube/client.ts';
import type { DnsConfig } from '../config.ts';
import { startDns } from '../index.ts';

/** A DNS server in a process of its own: argv has the API's URL and the configuration; tells when it is ready, and counts when asked. Ends with its parent. */
const [server = '', config = '{}'] = process.argv.slice(2);
const api = new KubeClient({ server });
const dns = await startDns(JSON.parse(config) as DnsConfig, { api, log: () => {} });
// By itself it ends only when nothing is open any more; without its parent at once.
let closing = false;
process.on('disconnect', () => closing || process.exit(1));
process.on('message', (message) => {
  if (message === 'count') process.send!((dns.status().metrics as { queriesUdp: number }).queriesUdp);
  else
    void dns.close().then(() => {
      api[Symbol.dispose]();
      closing = true;
      process.disconnect();
    });
});
await dns.ready;
process.send!('ready');
