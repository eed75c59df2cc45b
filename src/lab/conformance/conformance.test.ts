import { after, before, describe } from 'node:test';
import { needsDig } from '../../dns/testkit/dig.ts';
import { needsRoot } from '../../testing/root.ts';
import { TestLab } from './harness.ts';
import { apiTests } from './suite-api.ts';
import { dnsTests } from './suite-dns.ts';
import { podTests } from './suite-pods.ts';
import { serviceTests } from './suite-services.ts';

describe('sig-network on a lab of two nodes in both families', () => {
  let lab: TestLab | undefined;
  const get = (): TestLab => {
    if (!lab) throw new Error('the lab did not come up; see the failure of the before hook');
    return lab;
  };
  before(async () => {
    if (needsRoot.skip) return;
    lab = await TestLab.up(`c${process.pid}`);
    const server = { labels: { app: 'server' }, tcp: { http: 8080 }, udp: { echo: 8081 } };
    await Promise.all(
      lab.nodes.flatMap((node, index) => [
        get().pod(`server-${index + 1}`, { ...server, node }),
        get().pod(`client-${index + 1}`, { node, labels: { app: 'client' } }),
      ]),
    );
  });
  after(() => lab?.[Symbol.asyncDispose]());

  podTests(get, needsRoot);
  dnsTests(get, { skip: needsRoot.skip || needsDig.skip });
  serviceTests(get, needsRoot);
  apiTests(get, needsRoot);
});
