import assert from 'node:assert/strict';
import { test } from 'node:test';
import { framed } from '../../dns/testkit/client.ts';
import { question } from '../../dns/testkit/message.ts';
import { connectTcp } from '../../kernel/sockets.ts';
import { Namespaces, NetworkPolicies, Pods } from '../../kube/resources.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { needsRoot } from '../../testing/root.ts';
import { Asker } from '../testkit/asker.ts';
import { DnsNode, name, others, own, vips } from '../testkit/dns-node.ts';
import { eventually } from '../testkit/node.ts';
import { at, identity } from '../testkit/policy-node.ts';

const toDns: NetworkPolicySpec = {
  podSelector: {},
  policyTypes: ['Egress'],
  egress: [
    {
      to: [
        {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
          podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
        },
      ],
      ports: [
        { protocol: 'UDP', port: 53 },
        { protocol: 'TCP', port: 53 },
      ],
    },
  ],
};

for (const attach of ['routed', 'bridge'] as const)
  test(
    `NP17: a default deny stops cluster DNS, and egress to the pods of kube-dns lets it through, whether the own node answers or another (${attach})`,
    needsRoot,
    async () => {
      await using dns = await DnsNode.start(attach);
      const { node } = dns;
      for (const namespace of ['default', 'kube-system']) await node.api.create(Namespaces, { metadata: { name: namespace } });
      await node.api.create(Pods, { metadata: { namespace: 'default', name: 'a' }, spec: { nodeName: 'me', containers: [] } });
      const pod = await node.addPod('a', identity('default', 'a'));
      /** Who answered, by UDP in both families; and how many TCP connections were. */
      const answers = async (): Promise<string> => {
        const heard = new Set<string>();
        for (const vip of vips) {
          await using asker = await Asker.open(pod.ns.ns, vip, name);
          asker.ask();
          await asker.lost(300);
          for (const who of asker.heard.keys())
            heard.add(own.includes(who) ? `${vip} me` : others.includes(who) ? `${vip} peer` : who);
          const socket = await connectTcp(pod.ns.ns, at(vip), 53, { timeoutMs: 300 }).catch(() => undefined);
          if (!socket) continue;
          socket.on('error', () => {});
          socket.write(framed(question(name)));
          const answered = await new Promise((resolve) => {
            socket.once('data', () => resolve(true));
            socket.once('close', () => resolve(false));
            setTimeout(resolve, 300, false);
          });
          if (answered) heard.add(`${vip} tcp`);
          socket.destroy();
        }
        return [...heard].sort().join(', ');
      };
      const all = (who: string): string =>
        vips
          .flatMap((vip) => [`${vip} ${who}`, `${vip} tcp`])
          .sort()
          .join(', ');
      const become = (wanted: string): Promise<void> => eventually(async () => assert.equal(await answers(), wanted));
      await become(all('me'));
      const policy = { metadata: { namespace: 'default', name: 'egress' }, spec: { ...toDns, egress: [] } };
      await node.api.create(NetworkPolicies, policy);
      await become('');
      await dns.setReady(false);
      assert.equal(await answers(), '');
      await node.api.update(NetworkPolicies, { ...policy, spec: toDns });
      await become(all('peer'));
      await dns.setReady(true);
      await become(all('me'));
    },
  );
