import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CertificateAuthority } from '../apiserver/pki/certificates.ts';
import { kubeconfigText } from '../apiserver/pki/kubeconfig.ts';
import { KubeClient } from '../kube/client.ts';
import { FakeApi } from '../kube/fake.ts';
import { FakeServer } from '../kube/fake-server.ts';
import { parseKubeconfig } from '../kube/kubeconfig.ts';
import { isPodReady } from '../kube/objects.ts';
import { Deployments, Nodes, Pods } from '../kube/resources.ts';
import { apiSuite } from '../kube/suite.ts';
import { IpAddr } from '../net/ip.ts';
import { deployment, eventually, TestCluster } from './harness.ts';

const ca = CertificateAuthority.create('podnet-test');
const names = { dns: ['localhost'], ips: [IpAddr.parse('127.0.0.1')] };
const server = ca.issueServer('server', names);
const tls = { cert: server.certificate, key: server.key, ca: ca.certificate, requestCert: true, rejectUnauthorized: true };

/** By way of a kubeconfig's text, as every process of podnet does it. */
function clientOf(url: string, trusted = ca, issuer = ca): KubeClient {
  const credential = issuer.issueClient({ commonName: 'admin', organizations: ['system:masters'] });
  return new KubeClient(
    parseKubeconfig(kubeconfigText({ cluster: 'c', user: 'u', server: url, ca: trusted.certificate, credential }), 'test'),
  );
}

apiSuite('KubeClient over TLS with a client certificate', async () => {
  const running = await FakeServer.listen(new FakeApi(), tls);
  const client = clientOf(running.url);
  return {
    api: client,
    async stop() {
      client[Symbol.dispose]();
      await running[Symbol.asyncDispose]();
    },
  };
});

describe('TLS', () => {
  test('a server of another authority is not trusted, and a client of another is not served', async () => {
    await using running = await FakeServer.listen(new FakeApi(), tls);
    const other = CertificateAuthority.create('other');
    using misled = clientOf(running.url, other);
    await assert.rejects(misled.list(Nodes), /certificate/);
    using stranger = clientOf(running.url, ca, other);
    await assert.rejects(stranger.list(Nodes));
  });

  test('the controllers work over the network as they do in process, also when watches are cut', async () => {
    await using c = new TestCluster();
    await using running = await FakeServer.listen(c.api, tls);
    using client = clientOf(running.url);
    await c.start(client);
    await c.addNode('node-1');
    await c.api.create(Deployments, deployment('web', 20));
    await eventually(() => assert.ok(c.api.dump(Pods).length > 5));
    running.cutWatches();
    await eventually(async () => {
      assert.equal((await c.api.get(Deployments, 'web', 'default')).status?.availableReplicas, 20);
      assert.equal(c.api.dump(Pods).filter(isPodReady).length, 20);
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(c.api.dump(Pods).length, 20, 'none was made twice');
  });
});
